"""What may be seen of a store one file of which is damaged: the right data, or an error where nothing else is possible.

The files are looked at here with nothing but JSON, so that the judge shares no code with what it judges.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from localstore import RecordSchemaVersionError, StoreError
from localstore.disk.check import check_store
from localstore.testing import SESSION
from tests.corruption.corruption_sample import NODES, Sample, Seen, open_store

NODE_READS = frozenset(f"node {node_id}" for node_id in NODES)
GRAPH_READS = frozenset({"full", "path", "log", "rows", "inputs"}) | NODE_READS
SESSION_READS = GRAPH_READS | {"head", "meta", "lease", "work", "list"}
VERSION = b'"schema_version":1'


class Mutant(NamedTuple):
    """A file of which the bits `flip` of one byte are others (0: it is NUL), or (`None`) which ends at `offset`."""

    path: str
    offset: int
    flip: int | None

    def of(self, raw: bytes) -> bytes:
        """The file's bytes."""
        if self.flip is None:
            return raw[: self.offset]
        byte = raw[self.offset] ^ self.flip if self.flip else 0
        return raw[: self.offset] + bytes([byte]) + raw[self.offset + 1 :]


@dataclass
class Expected:
    """What may be seen: `truth`, or an error in one of the reads `may_fail`."""

    truth: Seen
    may_fail: frozenset[str] = frozenset()
    undetectable: bool = False
    fails_whole: bool = False


@dataclass
class Line:
    """A line of a node file or a journal: its records' ids of nodes, and of nodes that it hides."""

    start: int
    end: int
    kind: str
    node_ids: frozenset[str] = frozenset()
    hides: bool = False
    nodes_before: frozenset[str] = field(default_factory=frozenset)


class Oracle:
    """Judges mutants of one sample."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.raw = {
            path.relative_to(sample.root).as_posix(): path.read_bytes()
            for path in sorted(sample.root.rglob("*"))
            if path.is_file()
        }
        self.lines = {path: list(_lines(raw, path)) for path, raw in self.raw.items()}
        self._baseline = frozenset(check_store(sample.root).findings)

    def mutants(self, path: str, offsets: Sequence[int], patterns: tuple[int, ...]) -> Iterator[Mutant]:
        """Each cut and each flip by a pattern (0: to NUL) at these offsets of a file."""
        raw = self.raw[path]
        for offset in offsets:
            yield Mutant(path, offset, None)
            for pattern in patterns:
                if pattern or raw[offset]:
                    yield Mutant(path, offset, pattern)

    def judge(self, mutant: Mutant) -> list[str]:
        """What is wrong with what the store and its check make of the mutant, which is put in place for it."""
        path = self.sample.root / mutant.path
        path.write_bytes(mutant.of(self.raw[mutant.path]))
        try:
            before = _tree(self.sample.root)
            problems = list(self._problems(mutant))
            if _tree(self.sample.root) != before:
                problems.append("reading changed the tree")
            return [f"{mutant}: {problem}" for problem in problems]
        finally:
            path.write_bytes(self.raw[mutant.path])

    def _problems(self, mutant: Mutant) -> Iterator[str]:
        expected = self.expected(mutant)
        try:
            with open_store(self.sample.root) as store:
                seen = Seen(store)
        except StoreError as error:
            if not expected.fails_whole:
                yield f"the store does not open: {error!r}"
        except Exception as error:  # noqa: BLE001 - the point
            yield f"a bare {error!r}"
        else:
            yield from _differences(seen, expected)
        yield from self._judge_check(mutant, expected)

    def _judge_check(self, mutant: Mutant, expected: Expected) -> Iterator[str]:
        try:
            one = SESSION if mutant.path.startswith("sessions/") else None
            report = check_store(self.sample.root, session_id=one)
        except Exception as error:  # noqa: BLE001 - the point
            yield f"the check raises {error!r}"
            return
        found = [each for each in report.findings if each not in self._baseline and each.path == mutant.path]
        if not any(each.severity != "info" for each in found) and not expected.undetectable:
            yield f"the check does not tell of it: {report.findings}"
        if any(each.offset is not None and each.offset > mutant.offset for each in found if each.severity == "error"):
            yield f"the check tells of a place behind it: {found}"
        if mutant.path.endswith((".jsonl", ".journal")) and found and all(each.offset is None for each in found):
            yield f"the check tells no place: {found}"

    def expected(self, mutant: Mutant) -> Expected:
        """What may be seen of the mutant."""
        latest = self.sample.truths[-1]
        raw, name = self.raw[mutant.path], mutant.path.rpartition("/")[2]
        if mutant.flip is not None and _is_other_version(mutant.of(raw)):
            # Another format is refused, and nothing says that this one is not.
            reads = frozenset({"attachment"}) if "attachments/" in mutant.path else SESSION_READS | {"open"}
            kept = self.is_kept(mutant.path)
            return Expected(latest, reads, undetectable=kept, fails_whole=name == "store.json")
        if mutant.path.startswith("attachments/"):
            return Expected(latest, frozenset({"attachment"}))
        if self.is_kept(mutant.path):
            return Expected(latest, undetectable=True)
        if name.endswith(".jsonl"):
            return self._of_node_file(mutant, latest)
        if name.endswith(".journal"):
            return self._of_journal(mutant)
        inside = mutant.path.split("/")
        by_folder = {"blobs": frozenset({"full", "path", "inputs"}), "inputs": {"inputs"}, "work": {"work"}}
        may_fail = frozenset(by_folder.get(inside[2], ())) if len(inside) > 3 else frozenset[str]()
        if name == "head.json" and not self._has_copy():
            may_fail = SESSION_READS | {"open"}
        return Expected(latest, may_fail)

    def is_kept(self, path: str) -> bool:
        """Whether it is only kept for copies under way, a folded journal or settled input: nobody reads it here."""
        folder, _, name = path.rpartition("/")
        if name.endswith(".journal"):
            return path != max(each for each in self.raw if each.startswith(f"{folder}/") and each.endswith(".journal"))
        if not folder.endswith("/inputs"):
            return False
        waiting = self.sample.truths[-1].answers["inputs"]
        return json.loads(self.raw[path])["record"]["input_id"] not in {each.input_id for each in waiting}

    def _has_copy(self) -> bool:
        return any(path.endswith((".jsonl", ".journal")) for path in self.raw)

    def _of_node_file(self, mutant: Mutant, latest: Seen) -> Expected:
        lines = self.lines[mutant.path]
        records = [line for line in lines if not line.kind.startswith("file.")]
        end_of_records = records[-1].end if records else 0
        if mutant.flip is None:
            lost = [line for line in records if line.end - 1 > mutant.offset]
            if not lost and mutant.offset >= lines[len(records)].end - 1:
                return Expected(latest)
            if any(line.hides for line in lost) or not lost:
                # What hides nodes is gone, or may be: it is not known which nodes are hidden.
                return Expected(latest, GRAPH_READS)
            # Of a node that is not found it cannot be told whether it was in what is gone.
            ids = frozenset().union(*(line.node_ids for line in lost)) | (frozenset(NODES) - _live(latest))
            return Expected(latest, (GRAPH_READS - NODE_READS) | _reads_of(ids))
        if mutant.offset >= end_of_records:
            return Expected(latest)
        hit = next(line for line in records if line.start <= mutant.offset < line.end)
        if mutant.offset == hit.end - 1:
            return Expected(latest)
        return Expected(latest, (GRAPH_READS - NODE_READS) | _reads_of(hit.node_ids))

    def _of_journal(self, mutant: Mutant) -> Expected:
        records = [line for line in self.lines[mutant.path] if line.kind == "record"]
        if mutant.flip is None:
            # A write that a crash cut short looks like this: what is whole counts, and nothing else.
            whole = sum(line.end - 1 <= mutant.offset for line in records)
            return Expected(self.sample.truths[whole], undetectable=True)
        latest = self.sample.truths[-1]
        hit = next((line for line in records if line.start <= mutant.offset < line.end - 1), None)
        if hit is None:
            return Expected(latest)
        ids = hit.node_ids | (hit.nodes_before if hit.hides else frozenset())
        ids |= frozenset(NODES) - _live(latest)
        return Expected(latest, (SESSION_READS - NODE_READS) | _reads_of(ids))


def _live(seen: Seen) -> frozenset[str]:
    return frozenset(node_id for node_id in NODES if seen.answers[f"node {node_id}"] is not None)


def _reads_of(ids: frozenset[str]) -> frozenset[str]:
    return frozenset(f"node {node_id}" for node_id in ids)


def _differences(seen: Seen, expected: Expected) -> Iterator[str]:
    if expected.fails_whole:
        yield "the store opens"
        return
    for name, truth in expected.truth.answers.items():
        if name not in seen.answers:
            if not isinstance(seen.answers["open"], StoreError) or "open" not in expected.may_fail:
                yield f"{name}: not read, since opening gave {seen.answers['open']!r}"
            continue
        answer = seen.answers[name]
        if isinstance(answer, StoreError):
            if type(answer) is type(truth):
                continue
            if name not in expected.may_fail:
                yield f"{name} raises {answer!r}"
            elif (
                isinstance(answer, RecordSchemaVersionError) and "open" not in expected.may_fail and name in GRAPH_READS
            ):
                yield f"{name} blames the version: {answer!r}"
        elif answer != truth:
            yield f"{name} gives {answer!r}, not {truth!r}"


def _is_other_version(raw: bytes) -> bool:
    try:
        found = json.loads(raw.partition(b"\n")[0])
    except ValueError:
        return False
    version = found.get("schema_version") if isinstance(found, dict) else None
    return type(version) is int and version != 1


def _lines(raw: bytes, path: str) -> Iterator[Line]:
    if not path.endswith((".jsonl", ".journal")):
        return
    start = 0
    before: frozenset[str] = frozenset(NODES)
    seen: set[str] = set()
    for text in raw.splitlines(keepends=True):
        fields: dict[str, Any] = json.loads(text)
        line = Line(start, start + len(text), str(fields.get("kind", "record" if "events" in fields else "header")))
        if line.kind in {"node", "tombstone"}:
            line.node_ids = frozenset({fields["node_id"]})
            line.hides = line.kind == "tombstone" or fields["node_id"] in seen
            seen.add(fields["node_id"])
        for event in fields.get("events", ()):
            line.node_ids |= frozenset(each["node_id"] for each in event.get("nodes", ()))
            if event["kind"] == "nodes_tombstoned":
                line.node_ids |= frozenset(event["node_ids"])
                line.hides = True
        line.nodes_before = before
        start += len(text)
        yield line


def _tree(root: Path) -> list[tuple[str, int, int, int]]:
    found = []
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                at = entry.stat(follow_symlinks=False)
                found.append((entry.path, at.st_ino, at.st_size, at.st_mtime_ns))
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return found
