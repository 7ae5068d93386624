"""Which messages come to a thread with a checkpoint or with writes, and get nodes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from . import messages
from .drafts import Draft
from .phrases import Speaker, digest_of
from .picture import MESSAGE
from .trees import Tree


@dataclass(frozen=True, slots=True)
class Trees:
    """What changes in a value: the trees that come, those that go, and those that stay."""

    fresh: Sequence[Tree]
    gone: Sequence[Tree] = ()
    kept: Callable[[], Sequence[Tree]] = tuple


def _messages(trees: Iterable[Tree]) -> Iterator[tuple[messages.Said, Tree]]:
    return (found for tree in trees for found in messages.messages_in(tree))


def _digest(tree: Tree) -> bytes:
    return digest_of(orjson.dumps(tree))


class NewMessages:
    """The messages in what is about to be said: those that are near by already, and those that nodes must be made for.

    Only the root namespace has nodes for messages: what a subgraph says comes to its parent when it is done.
    Those `aside` were said where the conversation's way does not lead.
    """

    def __init__(
        self, draft: Draft, near: list[tuple[int, messages.Said]], is_root: bool, aside: Iterable[Tree] = ()
    ) -> None:
        self._draft = draft
        self._near = near
        self._aside = {_digest(tree) for tree in aside}
        self._is_wanted = is_root and draft.codec.is_readable()
        self._made: Counter[bytes] = Counter()
        self.adopted: list[int] = []
        self.fresh: list[messages.Said] = []

    def take(self, trees: Trees) -> None:
        """Take in what changes in a value.

        A message that was in the value before is not new. One that is near by is that one, as often as it is near by.
        One that was said before and was gone from the value comes back: it has had its node. All others are new, and so
        is the last one, if it has no id: then it is most likely said again.
        """
        if not self._is_wanted:
            return
        vocabulary, fresh = self._draft.vocabulary, self._draft.fresh
        gone = Counter(_digest(tree) for _, tree in _messages(trees.gone))
        kept: Container[bytes] | None = None
        near: dict[bytes, list[int]] = {}
        for number, said in self._near:
            near.setdefault(said.key(), []).append(number)
        made = self._made.copy()
        found = list(_messages(trees.fresh))
        for position, (said, tree) in enumerate(found, 1):
            key, digest = said.key(), _digest(tree)
            if gone[digest] > 0:
                gone[digest] -= 1
            elif near.get(key):
                self.adopted.append(near[key].pop(0))
            elif made[key] > 0:
                made[key] -= 1
            else:
                is_known = digest in vocabulary.messages and digest not in self._aside
                if is_known and (position < len(found) or messages.has_id(tree)):
                    kept = {_digest(each) for _, each in _messages(trees.kept())} if kept is None else kept
                    if digest not in kept:
                        continue
                self._made[key] += 1
                self.fresh.append(said)
            fresh.messages.add(digest)

    def add_all_but_last(self, parent: str | None, timestamp: str) -> str | None:
        """Add a node for each message but the last one; returns the id of the last node."""
        for said in self.fresh[:-1]:
            speaker = self._draft.speaker()
            payload = {"kind": MESSAGE, **said.fields(speaker.spell)}
            speaker.check(payload)
            parent = self._draft.add(parent, timestamp, payload).node_id
        return parent

    def last(self, speaker: Speaker) -> dict[str, Any]:
        """What the last message adds to the payload of its node."""
        if not self.fresh:
            return {}
        return self.fresh[-1].fields(speaker.spell)
