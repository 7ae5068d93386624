"""Counting again what the head says of the facts in node files and journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ...contract.attachments import AttachmentManifestEntry
from ...contract.errors import CorruptRecord
from ...machine.facts import (
    AttachmentFact,
    CommitFact,
    DanglingFact,
    Fact,
    InputFact,
    NodeFact,
    TombstoneFact,
    ValueDroppedFact,
    ValueFact,
)
from ...machine.state import Summary
from ...machine.summaries import MAX_FIRST_MESSAGE, user_text


class Counted(Protocol):
    """What head and state both say."""

    @property
    def inherited_seq(self) -> int: ...

    @property
    def floor_seq(self) -> int: ...

    @property
    def summary(self) -> Summary: ...

    @property
    def tombstone_count(self) -> int: ...

    @property
    def revived_count(self) -> int: ...

    @property
    def dangling_count(self) -> int: ...

    @property
    def settled_input_count(self) -> int: ...

    @property
    def attachment_row_count(self) -> int: ...


@dataclass(slots=True)
class _Node:
    """What became of one node id: the records that wrote or hid it, and the user's words in it."""

    times: list[tuple[int, bool]]
    user_text: str | None = None


@dataclass(slots=True)
class Recount:
    """What the facts come to. `add` takes them oldest first."""

    nodes: dict[str, _Node] = field(default_factory=dict)
    revisions: set[int] = field(default_factory=set)
    dangling: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    inputs: dict[str, InputFact] = field(default_factory=dict)
    attachments: dict[str, AttachmentFact] = field(default_factory=dict)
    values: dict[str, bool] = field(default_factory=dict)
    """The refs that are stored, and whether as a blob."""

    def add(self, fact: Fact, is_blob: bool = False) -> None:
        """Count one fact; `is_blob` says that it is a value in a file of its own."""
        if isinstance(fact, NodeFact):
            self._note(fact.node.node_id, fact.seq, True)
            self.nodes[fact.node.node_id].user_text = _user_text(fact)
            if fact.node.parent_node_id is not None:
                self.parents.add(fact.node.parent_node_id)
        elif isinstance(fact, TombstoneFact):
            self._note(fact.node_id, fact.seq, False)
        elif isinstance(fact, CommitFact):
            self.revisions.add(fact.revision)
        elif isinstance(fact, DanglingFact):
            self.dangling.add(fact.node_id)
        elif isinstance(fact, InputFact):
            self.inputs[fact.stored.record.input_id] = fact
        elif isinstance(fact, AttachmentFact):
            self.attachments[fact.entry.attachment_id] = fact
        elif isinstance(fact, ValueFact):
            self.values[fact.ref] = is_blob
        elif isinstance(fact, ValueDroppedFact):
            self.values.pop(fact.ref, None)

    def _note(self, node_id: str, seq: int, shown: bool) -> None:
        # What is written anew takes a new place.
        node = self.nodes.pop(node_id, None) or _Node([])
        node.times.append((seq, shown))
        self.nodes[node_id] = node

    def live(self, floor_seq: int) -> Iterator[tuple[str, _Node]]:
        """The nodes that are not hidden and not of a graph that was replaced, in commit order."""
        return (
            (node_id, node)
            for node_id, node in self.nodes.items()
            if node.times[-1][1] and node.times[-1][0] >= floor_seq
        )

    def summary(self, floor_seq: int) -> Summary:
        """What the session list should show."""
        count, users = 0, 0
        first_id: str | None = None
        first: str | None = None
        for node_id, node in self.live(floor_seq):
            count += 1
            if node.user_text is not None:
                users += 1
                if first_id is None:
                    first_id, first = node_id, node.user_text[:MAX_FIRST_MESSAGE]
        return Summary(count, users, first_id, first)

    def rows(self, inherited_seq: int) -> list[AttachmentManifestEntry]:
        """The rows of the attachment manifest: of a fork's parent, the committed ones."""
        kept = (fact for fact in self.attachments.values() if not fact.forgotten)
        return [fact.entry for fact in kept if fact.seq > inherited_seq or fact.entry.committed_at_epoch_ms is not None]

    def settled(self, inherited_seq: int) -> list[InputFact]:
        """The settled inputs that are the session's own."""
        return [fact for fact in self.inputs.values() if fact.seq > inherited_seq]

    def hidden(self, floor_seq: int) -> int:
        """How many nodes are hidden."""
        return sum(not node.times[-1][1] and node.times[-1][0] >= floor_seq for node in self.nodes.values())

    def revived(self, floor_seq: int) -> int:
        """How many nodes were hidden and committed again."""
        total = 0
        for node in self.nodes.values():
            since = [shown for seq, shown in node.times if seq >= floor_seq]
            total += sum(since[1:])
        return total

    def differences(self, said: Counted) -> Iterator[str]:
        """What `said` says otherwise, a sentence each."""
        floor, inherited = said.floor_seq, said.inherited_seq
        counted = (
            ("summary", said.summary, self.summary(floor)),
            ("tombstone_count", said.tombstone_count, self.hidden(floor)),
            ("revived_count", said.revived_count, self.revived(floor)),
            ("settled_input_count", said.settled_input_count, len(self.settled(inherited))),
            ("attachment_row_count", said.attachment_row_count, len(self.rows(inherited))),
        )
        for name, says, found in counted:
            if says != found:
                yield f"{name} is {says}, and comes to {found}"
        if said.dangling_count < len(self.dangling):
            yield f"dangling_count is {said.dangling_count}, and comes to at least {len(self.dangling)}"


def _user_text(fact: NodeFact) -> str | None:
    try:
        return user_text(fact.node)
    except (CorruptRecord, ValueError):
        return None
