"""A model of a disk, as pessimistic as POSIX: what was written may survive a power cut, what was flushed does.

Each system call has an effect. An effect on bytes belongs to a file and is durable once that file was flushed; until
then a power cut may lose it, cut it short, leave zeros or only its end behind, whatever became of the others. An effect
on names belongs to the folders it changes and is durable once they were flushed, whether or not the files behind the
names were; until then it has happened or not, a rename as one. A flush that failed may have dropped what it should have
flushed: then no later flush brings it back, though everybody still reads it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, TypeAlias

ROOT: Final = 0
EXHAUSTIVE: Final = 6
"""Up to how many pending effects all combinations of their fates may be visited."""

Tree: TypeAlias = dict[str, bytes | None]
"""What is on a disk: each path, relative to its root, with the file's bytes or `None` for a folder."""


@dataclass(slots=True)
class Bytes:
    """Bytes written to a file (`cut_to` is `None`), or the file cut to a length."""

    inode: int
    offset: int
    content: bytes
    cut_to: int | None = None
    dropped: bool = False

    def ways(self, rng: random.Random, old_size: int) -> list[Fate]:
        """The ways in which this effect may be found after a power cut, the whole one first."""
        size = len(self.content)
        if self.dropped:
            return [Fate("missing")]
        if self.cut_to is not None or not size:
            return [Fate("whole"), Fate("missing")]
        ways = [Fate("whole"), Fate("missing")]
        text = len(self.content.rstrip(b"\0"))
        if text > 1:
            ways += [Fate("short", rng.randrange(1, text)), Fate("end", rng.randrange(1, text))]
        if self.offset + size > old_size and text:
            ways.append(Fate("zeros"))
        return ways


@dataclass(slots=True)
class Names:
    """Entries of folders that change in one step: folder, name, and the inode that it leads to from now on."""

    changes: tuple[tuple[int, str, int | None], ...]
    order: int
    waits_for: set[int] = field(default_factory=set)


Effect: TypeAlias = Bytes | Names


@dataclass(frozen=True, slots=True)
class Fate:
    """What a power cut left of an effect."""

    kind: str
    at: int = 0


WHOLE: Final = Fate("whole")
MISSING: Final = Fate("missing")


@dataclass(slots=True)
class _File:
    current: bytearray
    durable: bytes
    pending: list[Bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    current: dict[str, int] = field(default_factory=dict)
    durable: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    """Each name with its inode, and the order of the effect that said so."""


class Disk:
    """Files and folders by inode, as they are read now, and as much of them as is durable."""

    def __init__(self, tree: Tree | None = None) -> None:
        self._files: dict[int, _File] = {}
        self._folders: dict[int, _Folder] = {ROOT: _Folder()}
        self._names: list[Names] = []
        self._next = ROOT + 1
        self._order = 0
        for path, content in sorted((tree or {}).items()):
            self._set_up(path, content)

    def _set_up(self, path: str, content: bytes | None) -> None:
        folder, name = self._place(path)
        inode = self._fresh()
        if content is None:
            self._folders[inode] = _Folder()
        else:
            self._files[inode] = _File(bytearray(content), content)
        self._folders[folder].current[name] = inode
        self._folders[folder].durable[name] = (inode, 0)

    def _fresh(self) -> int:
        self._next += 1
        return self._next - 1

    def _place(self, path: str) -> tuple[int, str]:
        """The folder that a path lies in, and its last name."""
        *above, name = path.split("/")
        inode = ROOT
        for part in above:
            inode = self._folders[inode].current[part]
        return inode, name

    def inode(self, path: str) -> int:
        """The inode that a path leads to now; the root's is the empty path."""
        if not path:
            return ROOT
        folder, name = self._place(path)
        return self._folders[folder].current[name]

    def copy(self) -> Disk:
        """A disk in the same state, that goes its own way."""
        twin = Disk()
        twin._files = {
            inode: _File(
                bytearray(file.current),
                file.durable,
                [Bytes(one.inode, one.offset, one.content, one.cut_to, one.dropped) for one in file.pending],
            )
            for inode, file in self._files.items()
        }
        twin._folders = {
            inode: _Folder(dict(folder.current), dict(folder.durable)) for inode, folder in self._folders.items()
        }
        twin._names = [Names(one.changes, one.order, set(one.waits_for)) for one in self._names]
        twin._next, twin._order = self._next, self._order
        return twin

    # System calls.

    def create(self, path: str) -> int:
        """A new, empty file; its inode."""
        inode = self._fresh()
        self._files[inode] = _File(bytearray(), b"")
        self._change((*self._place(path), inode))
        return inode

    def make_folder(self, path: str) -> None:
        """A new folder."""
        inode = self._fresh()
        self._folders[inode] = _Folder()
        self._change((*self._place(path), inode))

    def write(self, inode: int, offset: int, content: bytes) -> None:
        """Bytes at an offset."""
        file = self._files[inode]
        _put(file.current, offset, content)
        file.pending.append(Bytes(inode, offset, content))

    def truncate(self, inode: int, size: int) -> None:
        """Cut a file, or extend it by zeros."""
        file = self._files[inode]
        _cut(file.current, size)
        file.pending.append(Bytes(inode, 0, b"", size))

    def size(self, inode: int) -> int:
        """The bytes of a file."""
        return len(self._files[inode].current)

    def rename(self, source: str, target: str) -> None:
        """A name moves, in one step, over whatever has the other name."""
        inode = self.inode(source)
        self._change((*self._place(source), None), (*self._place(target), inode))

    def link(self, source: str, target: str) -> None:
        """A second name."""
        self._change((*self._place(target), self.inode(source)))

    def remove(self, path: str) -> None:
        """A file's name, or an empty folder's, goes."""
        self._change((*self._place(path), None))

    def flush(self, inode: int) -> None:
        """What was written to a file, or the names in a folder, are durable."""
        if inode in self._folders:
            self._flush_folder(inode)
            return
        file = self._files[inode]
        kept = bytearray(file.durable)
        for effect in file.pending:
            if not effect.dropped:
                _leave(kept, effect, WHOLE)
        file.durable = bytes(kept)
        file.pending = [effect for effect in file.pending if effect.dropped]

    def fail_flush(self, inode: int) -> None:
        """A flush of a file fails, and the bytes that it should have flushed never reach the disk."""
        if inode in self._files:
            for effect in self._files[inode].pending:
                effect.dropped = True

    def _change(self, *changes: tuple[int, str, int | None]) -> None:
        for folder, name, inode in changes:
            if inode is None:
                self._folders[folder].current.pop(name, None)
            else:
                self._folders[folder].current[name] = inode
        self._order += 1
        self._names.append(Names(changes, self._order, {folder for folder, _, _ in changes}))

    def _flush_folder(self, inode: int) -> None:
        left = []
        for effect in self._names:
            effect.waits_for.discard(inode)
            if effect.waits_for:
                left.append(effect)
                continue
            for folder, name, target in effect.changes:
                _name(self._folders[folder].durable, name, target, effect.order)
        self._names = left

    # What is there.

    def now(self) -> Tree:
        """What a process sees, and finds after another one died."""
        tree: Tree = {}
        self._walk(ROOT, "", {inode: folder.current for inode, folder in self._folders.items()}, {}, tree)
        return tree

    def pending(self) -> list[Effect]:
        """The effects that a power cut may undo, oldest first. Effects on files that cannot be found are none."""
        reachable = {target for effect in self._names for _, _, target in effect.changes}
        for folder in self._folders.values():
            reachable |= {target for target, _ in folder.durable.values()}
        found: list[Effect] = list(self._names)
        for inode, file in self._files.items():
            if inode in reachable:
                found += file.pending
        return found

    def after_cut(self, effects: Sequence[Effect], fates: Sequence[Fate]) -> Tree:
        """What is there after a power cut that met each pending effect with this fate."""
        names = {inode: dict(folder.durable) for inode, folder in self._folders.items()}
        content: dict[int, bytearray] = {}
        for effect, fate in zip(effects, fates, strict=True):
            if fate.kind == "missing":
                continue
            if isinstance(effect, Names):
                for folder, name, target in effect.changes:
                    _name(names[folder], name, target, effect.order)
            else:
                kept = content.setdefault(effect.inode, bytearray(self._files[effect.inode].durable))
                _leave(kept, effect, fate)
        tree: Tree = {}
        found = {
            inode: {name: target for name, (target, _) in entries.items() if target is not None}
            for inode, entries in names.items()
        }
        durable = {inode: bytes(kept) for inode, kept in content.items()}
        for inode, file in self._files.items():
            durable.setdefault(inode, file.durable)
        self._walk(ROOT, "", found, durable, tree)
        return tree

    def _walk(
        self, inode: int, path: str, names: dict[int, dict[str, int]], content: dict[int, bytes], tree: Tree
    ) -> None:
        for name, target in names[inode].items():
            where = f"{path}/{name}" if path else name
            if target in self._folders:
                tree[where] = None
                self._walk(target, where, names, content, tree)
            else:
                tree[where] = content[target] if content else bytes(self._files[target].current)

    def cuts(self, rng: random.Random, most: int, every: int) -> Iterator[Tree]:
        """What may be there after a power cut now.

        Args:
            rng: throws the dice.
            most: how many states to give, where there are too many.
            every: up to how many combinations of what may have become of the pending effects all of them are given,
                while at most six effects are pending.
        """
        effects = self.pending()
        ways = [self._ways(effect, rng) for effect in effects]
        total = 1
        for options in ways:
            total *= len(options)
        if len(effects) <= EXHAUSTIVE and total <= max(every, most):
            for fates in product(*ways):
                yield self.after_cut(effects, fates)
            return
        for _ in range(most):
            yield self.after_cut(effects, _chosen(effects, ways, rng))

    def _ways(self, effect: Effect, rng: random.Random) -> list[Fate]:
        if isinstance(effect, Names):
            return [WHOLE, MISSING]
        return effect.ways(rng, len(self._files[effect.inode].durable))


def _chosen(effects: Sequence[Effect], ways: Sequence[Sequence[Fate]], rng: random.Random) -> list[Fate]:
    """What becomes of each effect, by lot: everything is lost but for what is kept, or the other way round, names and
    bytes apart, or one effect apart from all others, mostly one of the latest."""
    count = len(effects)
    shares = rng.choice(
        ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.1, 0.9), (0.9, 0.1), (0.5, 1.0))
    )
    fates = []
    for effect, options in zip(effects, ways, strict=True):
        share = shares[0] if isinstance(effect, Names) else shares[1]
        fates.append(options[0] if rng.random() < share else rng.choice(options[1:] or options))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        at = max(rng.randrange(count), rng.randrange(count))
        whole = fates[at].kind == "whole"
        fates[at] = rng.choice(ways[at][1:] or ways[at]) if whole else ways[at][0]
    return fates


def _put(content: bytearray, offset: int, piece: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(piece)] = piece


def _cut(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _leave(content: bytearray, effect: Bytes, fate: Fate) -> None:
    """Carry out on a file's bytes what a power cut left of an effect."""
    if effect.cut_to is not None:
        _cut(content, effect.cut_to)
    elif fate.kind == "whole":
        _put(content, effect.offset, effect.content)
    elif fate.kind == "short":
        _put(content, effect.offset, effect.content[: fate.at])
    elif fate.kind == "end":
        _put(content, effect.offset + fate.at, effect.content[fate.at :])
    elif fate.kind == "zeros":
        # The file grew, and nothing was written to where it had not been.
        _cut(content, max(len(content), effect.offset + len(effect.content)))


def _name(entries: dict[str, tuple[int | None, int]], name: str, target: int | None, order: int) -> None:
    if entries.get(name, (None, -1))[1] < order:
        entries[name] = (target, order)
