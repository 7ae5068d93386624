"""Tombstones, vacuum and garbage collection."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ... import (
    FullGraph,
    GcReport,
    HydratedSessionCheckpoint,
    InvalidCommit,
    NextTurn,
    PendingTurnInput,
    PendingTurnInputDraft,
    TurnInput,
    VacuumReport,
)
from ..backends import Capability
from ..builders import (
    SESSION,
    active_input,
    append_commit,
    chain,
    frame,
    next_input,
    node,
    replace_commit,
    unchanged_commit,
    wake,
)
from .world import MINUTE, Conformance, World


class TestTombstones(Conformance):
    """Tombstones."""

    def test_hide_nodes_from_every_read(self, world: World) -> None:
        """A tombstoned node is in no graph, no path, no lookup and no count."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("a", "c"))
        assert world.node_ids() == ["b"]
        assert world.session.load_node("a") is None
        assert world.summary().node_count == 1
        assert world.read().graph.leaf_node_id is None

    def test_ignore_unknown_ids(self, world: World) -> None:
        """Unknown ids are ignored, beside known ones too."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("nowhere", "a", "elsewhere"))
        assert world.node_ids() == ["b"]
        world.append(node("nowhere", "b"))
        assert world.session.load_node("nowhere") == node("nowhere", "b")

    def test_may_be_set_again_or_not_at_all(self, world: World) -> None:
        """Repeated ids, tombstoned ids and no ids are no error."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(["a", "a"])
        world.session.tombstone_nodes(("a",))
        world.session.tombstone_nodes(())
        assert world.session.vacuum().removed_node_count == 1

    def test_need_no_commit_before(self, world: World) -> None:
        """In a session without commits every id is unknown."""
        world.session.tombstone_nodes(("a",))
        assert world.session.load_session(FullGraph()) is None
        world.append(node("a"))
        assert world.node_ids() == ["a"]

    def test_leave_revision_and_state_alone(self, world: World) -> None:
        """Only nodes are hidden: revision, checkpoint and ledger stay."""
        result = world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("b",))
        read = world.read()
        assert (read.head_revision, read.checkpoint_ref) == (1, result.checkpoint_ref)


class TestVacuum(Conformance):
    """Vacuum."""

    requires = frozenset({Capability.TURN_INPUT, Capability.QUEUED_WORK})

    def test_of_a_new_session_removes_nothing(self, world: World) -> None:
        """There may be nothing to remove."""
        assert world.session.vacuum() == VacuumReport(0, 0)
        assert world.session.load_session(FullGraph()) is None

    def test_removes_tombstoned_nodes(self, world: World) -> None:
        """Tombstoned nodes are removed and counted, once; nothing that can be read changes."""
        world.append(*chain("a", "b", "c", "d"))
        world.session.tombstone_nodes(("a", "c"))
        before = world.everything()
        assert world.session.vacuum() == VacuumReport(2, 0)
        assert world.everything() == before
        assert world.session.vacuum() == VacuumReport(0, 0)

    def test_removes_terminal_inputs(self, world: World) -> None:
        """Completed and cancelled inputs are removed and counted; the others stay."""
        world.say(active_input("done"))
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        for number in range(2):
            item = world.say(next_input(f"cancelled {number}"))
            world.session.cancel_pending_turn_input(SESSION, item.input_id)
        world.say(next_input("waiting"))
        world.say(active_input("accepted"))
        held = world.take_active()
        before = world.everything()
        assert world.session.vacuum() == VacuumReport(0, 3)
        assert world.everything() == before
        assert held is not None
        world.settle(unchanged_commit().completing_turn_input_claim(held))
        assert world.session.vacuum() == VacuumReport(0, 1)

    def test_leaves_live_state_alone(self, world: World) -> None:
        """Nodes, claims, work, the lease and stamps are not touched."""
        world.append(*chain("a", "b"))
        world.queue(wake())
        claim = world.take_work()
        lease = world.lease()
        before = world.everything()
        world.session.vacuum()
        assert world.everything() == before
        assert claim is not None
        commit = append_commit(node("c", "b")).completing_queue_claim(claim)
        world.session.commit_runtime_state(commit.with_session_execution_lease(lease.fence()))
        assert world.queued() == []

    def test_does_not_count_nodes_that_came_back(self, world: World) -> None:
        """A re-committed node is no longer tombstoned."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a", "b"))
        world.append(node("a"))
        assert world.session.vacuum() == VacuumReport(1, 0)
        assert world.node_ids() == ["a"]

    def test_keeps_the_order_of_the_rest(self, world: World) -> None:
        """What stays, stays in commit order, and new nodes follow it."""
        world.append(*chain("a", "b", "c", "d"))
        world.session.tombstone_nodes(("b",))
        world.session.vacuum()
        world.append(node("e", "d"))
        assert world.node_ids() == ["a", "c", "d", "e"]

    def test_may_empty_the_graph(self, world: World) -> None:
        """All nodes may go; the session goes on."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a", "b"))
        world.session.vacuum()
        assert world.read().graph.nodes == ()
        assert world.append(node("a")).head_revision == 2


def parts(number: int) -> dict[str, Any]:
    """A checkpoint whose three parts are blobs of their own."""
    return {
        "checkpoint": HydratedSessionCheckpoint(
            tool_state={"tool": number},
            plugin_snapshot={"plugin": number},
            execution_state=b"execution %d" % number,
        )
    }


class TestGarbageCollection(Conformance):
    """Garbage collection of the settled state."""

    def test_of_a_new_session_finds_nothing(self, world: World) -> None:
        """Without commits and inputs there are no roots and no blobs."""
        assert world.session.gc_unreachable() == GcReport(0, 0, 0)

    def test_keeps_the_head_s_manifest_and_its_parts(self, world: World) -> None:
        """The manifest is a root and a blob; what it refers to is kept."""
        world.settle(append_commit(node("a"), **parts(1)))
        before = world.everything()
        assert world.session.gc_unreachable() == GcReport(1, 4, 0)
        assert world.everything() == before

    def test_deletes_what_former_heads_referred_to(self, world: World) -> None:
        """Parts and manifests of former commits are deleted, once."""
        world.settle(append_commit(node("a"), **parts(1)))
        world.settle(unchanged_commit("a", **parts(2)))
        before = world.everything()
        assert world.session.gc_unreachable() == GcReport(1, 4, 4)
        assert world.everything() == before
        assert world.session.gc_unreachable() == GcReport(1, 4, 0)

    def test_keeps_what_the_head_took_over(self, world: World) -> None:
        """A part that the new head refers to again is live."""
        world.settle(unchanged_commit(**parts(1)))
        old = world.read().checkpoint
        world.settle(
            unchanged_commit(
                checkpoint=HydratedSessionCheckpoint(tool_state_ref=old.tool_state_ref, execution_state=b"new")
            )
        )
        assert world.session.gc_unreachable() == GcReport(1, 3, 3)
        assert world.read().checkpoint.tool_state == {"tool": 1}

    def test_keeps_the_head_s_frame_snapshots(self, world: World) -> None:
        """Each frame's reference is a root; those of former frames are not."""
        old = (frame("f1", execution_state_snapshot=b"1"), frame("f2", execution_state_snapshot=b"2"))
        world.settle(unchanged_commit(agent_frames=old))
        assert world.session.gc_unreachable() == GcReport(3, 3, 0)
        world.settle(unchanged_commit(agent_frames=(frame("f1", execution_state_snapshot=b"1"),)))
        assert world.session.gc_unreachable() == GcReport(2, 2, 1)
        assert world.read().agent_frames[0].execution_state_snapshot == b"1"

    def test_counts_equal_content_once(self, world: World) -> None:
        """Equal content is stored once, so it is kept once."""
        checkpoint = HydratedSessionCheckpoint(execution_state=b"same")
        frames = (frame("f1", execution_state_snapshot=b"same"),)
        world.settle(unchanged_commit(checkpoint=checkpoint, agent_frames=frames))
        report = world.session.gc_unreachable()
        assert (report.retained_blob_count, report.deleted_blob_count) == (2, 0)

    def test_makes_deleted_blobs_unknown(self, world: World) -> None:
        """A reference to a deleted blob is not stored any more; its value may be stored again."""
        world.settle(unchanged_commit(**parts(1)))
        world.settle(unchanged_commit(**parts(2)))
        world.session.gc_unreachable()
        ref = hashlib.sha256(b"execution 1").hexdigest()
        gone = unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state_ref=ref))
        with pytest.raises(InvalidCommit):
            world.settle(gone)
        world.settle(unchanged_commit(**parts(1)))
        world.settle(gone)
        assert world.read().checkpoint.execution_state == b"execution 1"

    def test_does_not_count_nodes(self, world: World) -> None:
        """Nodes are no blobs, however large and however many are gone."""
        world.append(node("a", payload={"kind": "event", "text": "x" * 100_000}))
        world.session.gc_unreachable()
        world.settle(replace_commit(node("b")))
        assert world.session.gc_unreachable().deleted_blob_count == 0

    def test_is_per_session(self, world: World) -> None:
        """A session's collection leaves the blobs of others alone."""
        world.store.create_session("other")
        world.settle(unchanged_commit(session_id="other", **parts(1)))
        world.settle(unchanged_commit(**parts(1)))
        world.settle(unchanged_commit(**parts(2)))
        assert world.session.gc_unreachable().deleted_blob_count == 4
        read = world.handle("other").load_session(FullGraph())
        assert read is not None
        assert read.checkpoint.execution_state == b"execution 1"


class TestCollectionOfImages(Conformance):
    """Garbage collection of the images of input."""

    requires = frozenset({Capability.TURN_INPUT})

    def say(self, world: World, *images: bytes, active: bool = False) -> PendingTurnInput:
        """Enqueue an input with these images."""
        given = TurnInput.text("look")
        for number, data in enumerate(images):
            given = given.with_image_ref(f"i{number}", data)
        ingress = active_input("x").ingress if active else NextTurn()
        return world.say(PendingTurnInputDraft(SESSION, ingress, given))

    def test_keeps_those_of_waiting_input(self, world: World) -> None:
        """Each stored input's images are roots."""
        item = self.say(world, b"1", b"2" * 100_000)
        assert world.session.gc_unreachable() == GcReport(2, 2, 0)
        assert world.session.list_pending_turn_inputs(SESSION) == (item,)

    def test_keeps_those_of_claimed_input(self, world: World) -> None:
        """Claimed input is stored as well."""
        item = self.say(world, b"1", active=True)
        world.take_active(ttl_ms=MINUTE)
        assert world.session.gc_unreachable().deleted_blob_count == 0
        world.clock.advance(MINUTE)
        assert world.session.list_pending_turn_inputs(SESSION) == (item,)

    def test_keeps_those_of_terminal_input_until_a_vacuum(self, world: World) -> None:
        """Completed and cancelled inputs keep their images until they are vacuumed away."""
        cancelled = self.say(world, b"1")
        world.session.cancel_pending_turn_input(SESSION, cancelled.input_id)
        self.say(world, b"2", active=True)
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.session.gc_unreachable() == GcReport(3, 3, 0)
        world.session.vacuum()
        assert world.session.gc_unreachable() == GcReport(1, 1, 2)

    def test_keeps_an_image_that_another_input_has(self, world: World) -> None:
        """An image that any stored input names is live."""
        gone = self.say(world, b"shared", b"own")
        left = self.say(world, b"shared")
        world.session.cancel_pending_turn_input(SESSION, gone.input_id)
        world.session.vacuum()
        report = world.session.gc_unreachable()
        assert (report.retained_blob_count, report.deleted_blob_count) == (1, 1)
        assert world.session.list_pending_turn_inputs(SESSION) == (left,)

    def test_keeps_both_kinds_of_roots(self, world: World) -> None:
        """Manifest, frames and images are roots together."""
        self.say(world, b"image")
        frames = (frame("f1", execution_state_snapshot=b"snapshot"),)
        world.settle(append_commit(node("a"), agent_frames=frames, **parts(1)))
        assert world.session.gc_unreachable() == GcReport(3, 6, 0)
