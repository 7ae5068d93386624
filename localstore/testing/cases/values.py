"""Single records: enums, graphs, commits, claims, input and metadata."""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum, StrEnum

import pytest

import localstore

from ... import (
    CheckpointKind,
    ChildSession,
    DeliveryPolicy,
    DurabilityTier,
    ImageRef,
    InvalidArgument,
    LeaseAcquired,
    LeaseBusy,
    NextTurn,
    PendingTurnInput,
    ProcessWake,
    QueuedWorkClass,
    QueuedWorkCompletion,
    RuntimeTurnCommitStamp,
    SessionCommand,
    SessionGraph,
    SessionMeta,
    SlotPolicy,
    TextItem,
    TurnInput,
    TurnInputCheckpointBoundary,
    TurnInputClaim,
    TurnInputCompletion,
    TurnInputState,
)
from ..builders import SESSION, append_commit, chain, frame, node, owner
from .calls import work_claim_of
from .records import CLAIM, LEASE


class TestEnums:
    """The enums."""

    def test_are_string_enums_with_snake_case_values(self) -> None:
        """Enums are StrEnums whose values are the snake_case names."""
        kinds = [
            getattr(localstore, name)
            for name in localstore.__all__
            if inspect.isclass(getattr(localstore, name)) and issubclass(getattr(localstore, name), Enum)
        ]
        assert len(kinds) >= 9
        for kind in kinds:
            assert issubclass(kind, StrEnum)
            assert [member.value for member in kind] == [member.name.lower() for member in kind]

    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            (CheckpointKind, {"AFTER_WORK", "BEFORE_COMPLETION"}),
            (TurnInputCheckpointBoundary, {"AFTER_WORK", "BEFORE_COMPLETION"}),
            (
                TurnInputState,
                {"PENDING_ACTIVE", "DEFERRED_NEXT_TURN", "ACCEPTED", "CANCELLED", "COMPLETED"},
            ),
            (DeliveryPolicy, {"EARLIEST_SAFE_BOUNDARY", "AFTER_CURRENT_TURN_COMMIT"}),
            (QueuedWorkClass, {"TURN_WORK", "SESSION_COMMAND"}),
            (localstore.QueuedWorkClaimBoundary, {"IDLE", "ACTIVE_TURN_CHECKPOINT"}),
            (SlotPolicy, {"JOIN", "EXCLUSIVE"}),
            (localstore.Durability, {"FULL", "PROCESS"}),
            (DurabilityTier, {"INLINE", "DURABLE"}),
        ],
    )
    def test_have_the_contract_s_members(self, kind: type[Enum], names: set[str]) -> None:
        """Each enum has the members that the contract names."""
        assert set(kind.__members__) == names

    @pytest.mark.parametrize("checkpoint", list(CheckpointKind))
    def test_boundary_admits_what_is_not_earlier(self, checkpoint: CheckpointKind) -> None:
        """AFTER_WORK admits both checkpoints, BEFORE_COMPLETION only that."""
        assert TurnInputCheckpointBoundary.AFTER_WORK.admits(checkpoint)
        late = TurnInputCheckpointBoundary.BEFORE_COMPLETION.admits(checkpoint)
        assert late == (checkpoint is CheckpointKind.BEFORE_COMPLETION)


class TestGraphRecord:
    """A graph as a record."""

    def test_finds_nodes_by_id(self) -> None:
        """A graph finds a node by its id, or None."""
        graph = SessionGraph(chain("a", "b"), "b")
        assert graph.find_node("b") == node("b", "a")
        assert graph.find_node("c") is None

    def test_knows_its_active_path(self) -> None:
        """The active path is from the root to the leaf, stops at a missing parent, and is empty without a leaf."""
        nodes = (*chain("r", "a", "b"), node("x", "r"), node("lost", "gone"))
        assert SessionGraph(nodes, "b").active_path() == chain("r", "a", "b")
        assert SessionGraph(nodes, "x").active_path() == (node("r"), node("x", "r"))
        assert SessionGraph(nodes, "lost").active_path() == (node("lost", "gone"),)
        assert SessionGraph(nodes, None).active_path() == ()
        assert SessionGraph(nodes, "nowhere").active_path() == ()

    def test_ends_on_a_cycle(self) -> None:
        """A graph that no store would take still has a finite path."""
        assert len(SessionGraph((node("a", "b"), node("b", "a")), "a").active_path()) == 2


class TestCommitBuilders:
    """The builders of a commit."""

    def test_give_new_commits(self) -> None:
        """Each builder returns a new commit and leaves the old one alone."""
        commit = append_commit(node("a"))
        stamp = RuntimeTurnCommitStamp(SESSION, "t", "h")
        done, work = CLAIM.completion(), work_claim_of(SESSION).completion()
        built = (
            commit.with_turn_commit(stamp)
            .with_session_execution_lease(LEASE.fence())
            .releasing_session_execution_lease(LEASE.completion())
            .completing_queue_claim(work)
            .completing_turn_input_claim(done)
            .deferring_interrupted_turn_inputs("turn")
            .with_committed_attachments(["a"])
        )
        assert commit == append_commit(node("a"))
        assert built == append_commit(
            node("a"),
            turn_commit=stamp,
            session_execution_lease=LEASE.fence(),
            release_session_execution_lease=LEASE.completion(),
            completed_queue_claims=(work,),
            completed_turn_input_claims=(done,),
            interrupted_turn_input_turn_id="turn",
            committed_attachment_ids=("a",),
        )

    def test_add_claims_and_attachments(self) -> None:
        """Claims and attachments are added to those that are there; claims may be given as a whole."""
        one, two = work_claim_of(SESSION), work_claim_of("other")
        commit = append_commit().completing_queue_claim(one).completing_queue_claim(two.completion())
        assert commit.completed_queue_claims == (one.completion(), two.completion())
        commit = append_commit().completing_turn_input_claim(CLAIM).completing_turn_input_claim(CLAIM)
        assert commit.completed_turn_input_claims == (CLAIM.completion(),) * 2
        commit = append_commit().with_committed_attachments(("a",)).with_committed_attachments(iter("b"))
        assert commit.committed_attachment_ids == ("a", "b")

    def test_take_a_current_frame_without_frames(self) -> None:
        """The current frame names one of the frames, if there are any."""
        assert append_commit(current_agent_frame_id="f").current_agent_frame_id == "f"
        frames = (frame("f"), frame("g"))
        assert append_commit(agent_frames=frames, current_agent_frame_id="g").agent_frames == frames


class TestClaimRecords:
    """What leases and claims give out."""

    def test_name_their_completion(self) -> None:
        """A completion has the claim's session, id, token and all that it holds."""
        assert CLAIM.completion() == TurnInputCompletion(SESSION, "no-claim", "no-claim-token", ("no-input",))
        assert work_claim_of(SESSION).completion() == QueuedWorkCompletion(
            SESSION, "no-claim", "no-claim-token", ("no-batch",)
        )

    def test_of_leases_give_fence_and_completion(self) -> None:
        """Fence and completion have session, owner, token and fencing token."""
        for proof in (LEASE.fence(), LEASE.completion()):
            facts = (proof.session_id, proof.owner, proof.lease_token, proof.fencing_token)
            assert facts == (SESSION, owner(), "token", 1)

    def test_give_the_lease_or_none(self) -> None:
        """An outcome gives its lease if it was acquired."""
        assert LeaseAcquired(LEASE).acquired() == LEASE
        assert LeaseBusy(LEASE).acquired() is None
        assert LeaseBusy(LEASE).holder == LEASE


class TestMaterializing:
    """The one input of a claim."""

    def claim(self, *inputs: TurnInput) -> TurnInputClaim:
        """A claim on these inputs."""
        held = tuple(
            PendingTurnInput(f"i{number}", SESSION, number, NextTurn(), TurnInputState.DEFERRED_NEXT_TURN, 0, given)
            for number, given in enumerate(inputs)
        )
        return dataclasses.replace(CLAIM, inputs=held)

    def test_joins_all_items_and_images_in_order(self) -> None:
        """One input for the turn has all items and all image blobs."""
        one = TurnInput.text("1").with_image_ref("a", b"A")
        two = TurnInput.text("2").with_image_ref("b", b"B")
        joined = self.claim(one, two).materialize_for_turn()
        assert joined.items == (TextItem("1"), ImageRef("a"), TextItem("2"), ImageRef("b"))
        assert joined.image_blobs == {"a": b"A", "b": b"B"}

    def test_takes_the_first_options_and_trace(self) -> None:
        """Options and trace id are the first that are not None, empty options included."""
        one, two = TurnInput(()), TurnInput((), {}, {}, "t2")
        three = TurnInput((), {}, {"x": 1}, "t3")
        joined = self.claim(one, two, three).materialize_for_turn()
        assert (joined.protocol_turn_options, joined.trace_turn_id) == ({}, "t2")
        bare = self.claim(one).materialize_for_turn()
        assert (bare.protocol_turn_options, bare.trace_turn_id) == (None, None)

    def test_never_shows_one_image_for_another(self) -> None:
        """Two inputs may use one image id for different bytes: both images survive, each with its item."""
        one, two = (TurnInput(()).with_image_ref("a", data) for data in (b"1", b"2"))
        joined = self.claim(one, two, one).materialize_for_turn()
        shown = [joined.image_blobs[item.id] for item in joined.items if isinstance(item, ImageRef)]
        assert shown == [b"1", b"2", b"1"]

    def test_of_no_input_is_empty(self) -> None:
        """A claim may be empty as a record."""
        assert self.claim().materialize_for_turn() == TurnInput(())


class TestInputRecord:
    """Input and work as records."""

    def test_is_built_from_text_and_images(self) -> None:
        """Text and images are added in order; the same image may be added again."""
        given = TurnInput.text("hello").with_image_ref("a", b"A").with_image_ref("a", b"A")
        assert given.items == (TextItem("hello"), ImageRef("a"), ImageRef("a"))
        assert given.image_blobs == {"a": b"A"}

    def test_refuses_other_bytes_for_an_image(self) -> None:
        """An image id means one image."""
        with pytest.raises(InvalidArgument):
            TurnInput(()).with_image_ref("a", b"A").with_image_ref("a", b"B")

    def test_tells_work_from_commands(self) -> None:
        """Wakes are turn work, commands are session commands."""
        assert ProcessWake({}).work_class is QueuedWorkClass.TURN_WORK
        assert SessionCommand({}).work_class is QueuedWorkClass.SESSION_COMMAND


class TestMetaRecord:
    """Metadata as a record."""

    def test_knows_its_parent(self) -> None:
        """The parent is that of the relation, None for a root session."""
        assert SessionMeta(SESSION, "", "", "").parent_session_id is None
        child = SessionMeta(SESSION, "", "", "", relation=ChildSession("p"))
        assert child.parent_session_id == "p"
