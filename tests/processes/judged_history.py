"""Judges what a store came to by what its users were told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localstore import (
    CancelByInputId,
    FullGraph,
    InputAlreadyClaimed,
    InputCancelled,
    JsonObject,
    LocalStore,
    SessionStore,
)
from localstore.disk.check import check_store
from tests.processes.judged_worker import LANES, SESSIONS

Line = dict[str, Any]
_CLOCK_STEP_NS = 5_000_000
"""How far the ends of an expiry, kept in whole milliseconds by another clock, may be off."""


@dataclass
class Told:
    """What the workers were told of one session, from all logs."""

    asked_commits: dict[str, int] = field(default_factory=dict)
    commits: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=lambda: {"input": set(), "work": set()})
    has: dict[str, dict[str, tuple[int, int]]] = field(default_factory=lambda: {"input": {}, "work": {}})
    reads: list[Line] = field(default_factory=list)
    grants: dict[int, list[tuple[int, int, int]]] = field(default_factory=lambda: defaultdict(list))
    """By fencing token: when the holder asked, when it surely held the lease, and until when."""


@dataclass
class Kept:
    """What a session has: its nodes in order with their payloads, and what still waits."""

    revision: int
    nodes: list[tuple[str, JsonObject]]
    inputs: list[str]
    claimed_inputs: list[str]
    """Inputs that a claim of somebody who died holds for a while yet: they are in no list."""
    work: list[str]


def read_logs(folder: Path) -> dict[str, list[Line]]:
    """The logs by name; a last line that was cut short by a kill is none."""
    logs: dict[str, list[Line]] = {}
    for path in sorted(folder.glob("*.log")):
        whole = path.read_bytes().split(b"\n")[:-1]
        logs[path.stem] = [json.loads(line) for line in whole]
    return logs


def what_was_told(logs: dict[str, list[Line]]) -> dict[str, Told]:
    told = {session_id: Told() for session_id in SESSIONS}
    for lines in logs.values():
        for at, line in enumerate(lines):
            if "session" not in line:
                continue
            here = told[line["session"]]
            match line["what"].split(" "):
                case ["asks", "commit"]:
                    here.asked_commits[line["id"]] = line["expected"]
                case ["has", "commit"]:
                    here.commits[line["id"]] = (line["revision"], line["at"])
                case ["asks", kind]:
                    here.asked[kind].add(line["id"])
                case ["has", "lease"]:
                    until = _held_until(line, lines[at:])
                    here.grants[line["token"]].append((line["begun"], line["at"], until))
                case ["has", kind]:
                    here.has[kind][line["id"]] = (line["seq"], line["at"])
                case ["reads"]:
                    here.reads.append(line)
    return told


def _held_until(grant: Line, lines: list[Line]) -> int:
    """Until when the holder surely held the lease: it had not begun to give it back, and gave a sign of life."""
    expires = grant["expires_ms"] * 1_000_000 - _CLOCK_STEP_NS
    for line in lines:
        if line["what"] == "gives lease" and line["token"] == grant["token"] and line["session"] == grant["session"]:
            return int(min(expires, line["at"]))
    return int(min(expires, lines[-1]["at"]))


def read_store(root: Path, told: dict[str, Told]) -> dict[str, Kept]:
    kept = {}
    with LocalStore(root) as store:
        for row in store.list_sessions():
            session = store.open_session(row.session_id)
            assert session is not None
            read = session.load_session(FullGraph())
            kept[row.session_id] = Kept(
                0 if read is None else read.head_revision,
                [] if read is None else [(each.node_id, each.payload) for each in read.graph.nodes],
                [each.input_id for each in session.list_pending_turn_inputs(row.session_id)],
                _claimed(session, told[row.session_id].asked["input"]),
                [str(each.source_key) for each in session.list_queued_work(row.session_id)],
            )
    assert check_store(root).errors == ()
    return kept


def _claimed(session: SessionStore, asked: set[str]) -> list[str]:
    waiting = {each.input_id for each in session.list_pending_turn_inputs(session.session_id)}
    targets = [CancelByInputId(input_id) for input_id in sorted(asked - waiting)]
    results = session.cancel_pending_turn_inputs(session.session_id, targets)
    assert not any(isinstance(each.outcome, InputCancelled) for each in results)
    return [each.outcome.input.input_id for each in results if isinstance(each.outcome, InputAlreadyClaimed)]


def judge(root: Path, logs: dict[str, list[Line]]) -> Counter[str]:
    """Raise for whatever was told and is not so; the figures of what was judged."""
    assert [line for lines in logs.values() for line in lines if line["what"] == "trouble"] == []
    told = what_was_told(logs)
    kept = read_store(root, told)
    figures: Counter[str] = Counter()
    for session_id in SESSIONS:
        here, there = told[session_id], kept[session_id]
        judge_commits(here, there)
        for kind, waiting in (("input", there.inputs), ("work", there.work)):
            judge_queue(kind, here, there, waiting)
            figures[f"{kind}s"] += len(here.has[kind])
        judge_reads(here)
        judge_tokens(here, alone=session_id in LANES)
        figures["commits"] += len(here.commits)
        figures["lost answers"] += len(there.nodes) - len(here.commits)
        figures["leases"] += sum(map(len, here.grants.values()))
        figures["reads"] += len(here.reads)
    figures["refusals"] = sum(line["what"] == "refused" for lines in logs.values() for line in lines)
    return figures


def judge_commits(told: Told, kept: Kept) -> None:
    """Each commit that was answered is there once, at its revision; each that is there was asked for."""
    ids = [node_id for node_id, _ in kept.nodes]
    assert len(set(ids)) == len(ids)
    assert kept.revision == len(ids)
    place = {node_id: at + 1 for at, node_id in enumerate(ids)}
    for node_id, (revision, _) in told.commits.items():
        assert place.get(node_id) == revision == told.asked_commits[node_id] + 1, node_id
    for node_id, revision in place.items():
        # One winner a revision: it asked on top of the one before.
        assert told.asked_commits.get(node_id) == revision - 1, node_id
    revisions = [revision for revision, _ in told.commits.values()]
    assert len(set(revisions)) == len(revisions)


def judge_queue(kind: str, told: Told, kept: Kept, waiting: list[str]) -> None:
    """Each input, or batch, that was accepted waits or was completed by one commit, and never both."""
    is_input = kind == "input"
    claimed = kept.claimed_inputs if is_input else []
    places = Counter([*waiting, *claimed, *_completed(kept, "inputs" if is_input else "work")])
    assert [item for item, count in places.items() if count > 1] == []
    assert set(told.has[kind]) <= set(places)
    assert set(places) <= told.asked[kind]
    order = [told.has[kind][item][0] for item in waiting if item in told.has[kind]]
    assert order == sorted(order)
    seqs = [seq for seq, _ in told.has[kind].values()]
    assert len(set(seqs)) == len(seqs)


def _completed(kept: Kept, field_name: str) -> Iterable[str]:
    for _, payload in kept.nodes:
        done = payload[field_name]
        assert isinstance(done, list)
        yield from map(str, done)


def judge_reads(told: Told) -> None:
    """No read is older than a commit that was answered before it began."""
    for read in told.reads:
        known = max((revision for revision, at in told.commits.values() if at < read["begun"]), default=0)
        assert read["revision"] >= known, read


def judge_tokens(told: Told, *, alone: bool) -> None:
    """Fencing tokens only go up, and of a lane no two holders surely held the lease at the same time."""
    grants = sorted((held, begun, until, token) for token, each in told.grants.items() for begun, held, until in each)
    ended: list[tuple[int, int]] = []
    for held, begun, _, token in grants:
        # Answered before this one asked: its token is the lower one.
        for earlier_held, earlier_token in reversed(ended):
            if earlier_held < begun:
                assert earlier_token < token or (not alone and earlier_token == token), (earlier_token, token)
                break
        ended.append((held, token))
    if not alone:
        return
    assert all(len(each) == 1 for each in told.grants.values())
    last_until, last_token = 0, 0
    for held, _, until, token in grants:
        if until <= held:
            continue
        assert held >= last_until, f"the holders of tokens {last_token} and {token} overlap"
        last_until, last_token = until, token
