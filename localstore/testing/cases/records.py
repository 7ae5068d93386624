"""The records: immutable typed values that compare by value, keep their own copies, pickle, and refuse bad input."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import localstore

from ... import (
    ActiveTurn,
    ActiveTurnClaim,
    AttachmentCreateMeta,
    AttachmentManifestEntry,
    AttachmentRef,
    AttachmentSweepReport,
    CancelByInputId,
    CancelBySourceKey,
    ChildSession,
    GcReport,
    GraphAppend,
    GraphReplaceFull,
    GraphUnchanged,
    HydratedSessionCheckpoint,
    ImageRef,
    InputAlreadyClaimed,
    InputCancelled,
    InputNotFound,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcess,
    MergeGroup,
    MergeNever,
    MergePayloadDefault,
    NextTurn,
    NextTurnClaim,
    Opaque,
    PendingTurnInputClaimDiagnostics,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedSessionRead,
    PersistedTurnState,
    ProcessWake,
    RootSession,
    RuntimeCommitResult,
    RuntimeTurnCommitStamp,
    SessionCheckpoint,
    SessionCommand,
    SessionExecutionLease,
    SessionGraph,
    SessionHead,
    SessionMeta,
    SessionSummary,
    StoredAttachment,
    SuffixAnchorNotFound,
    SuffixOutcomes,
    TextItem,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
    TurnInputState,
    VacuumReport,
)
from ..builders import PNG, SESSION, TIMESTAMP, append_commit, chain, frame, intent, node, owner, wake
from .calls import fence_of, input_claim_of, work_claim_of
from .signatures import RECORDS
from .world import AFTER_WORK

LEASE = SessionExecutionLease(SESSION, owner(), "token", 1, 2, 3)
CLAIM = input_claim_of(SESSION)
HELD = CLAIM.inputs[0]

EXAMPLES: dict[str, Callable[[], Any]] = {
    "ActivePath": lambda: localstore.ActivePath("n"),
    "ActiveTurn": lambda: ActiveTurn("t"),
    "ActiveTurnClaim": lambda: ActiveTurnClaim("t", AFTER_WORK),
    "AgentFrameRecord": lambda: frame(assignment={"a": [1]}, execution_state_snapshot=b"x"),
    "AttachmentCreateMeta": lambda: AttachmentCreateMeta("image/png", 1, 2, "label"),
    "AttachmentIntent": lambda: intent("a"),
    "AttachmentManifestEntry": lambda: AttachmentManifestEntry("a", SESSION, "uri", 1, 2),
    "AttachmentRef": lambda: AttachmentRef("a", "image/png", 3),
    "AttachmentSweepReport": lambda: AttachmentSweepReport(("a",), 1),
    "CancelByInputId": lambda: CancelByInputId("i"),
    "CancelBySourceKey": lambda: CancelBySourceKey("k"),
    "ChildSession": lambda: ChildSession("p", {"a": [1]}),
    "FullGraph": localstore.FullGraph,
    "GcReport": lambda: GcReport(1, 2, 3),
    "GraphAppend": lambda: GraphAppend(chain("a", "b"), "b"),
    "GraphReplaceFull": lambda: GraphReplaceFull(SessionGraph(chain("a"), "a")),
    "GraphUnchanged": lambda: GraphUnchanged("a"),
    "HydratedSessionCheckpoint": lambda: HydratedSessionCheckpoint(tool_state={"a": [1]}),
    "ImageRef": lambda: ImageRef("i"),
    "InputAlreadyCancelled": lambda: localstore.InputAlreadyCancelled(HELD),
    "InputAlreadyClaimed": lambda: InputAlreadyClaimed(
        HELD, PendingTurnInputClaimDiagnostics(TurnInputState.ACCEPTED, "c", owner(), 1, 2)
    ),
    "InputAlreadyCompleted": lambda: localstore.InputAlreadyCompleted(HELD),
    "InputCancelled": lambda: InputCancelled(HELD),
    "InputNotFound": InputNotFound,
    "LeaseAcquired": lambda: LeaseAcquired(LEASE),
    "LeaseBusy": lambda: LeaseBusy(LEASE),
    "LeaseOwnerIdentity": lambda: LeaseOwnerIdentity("o", "i", LocalProcess("h", "b", 1, "s")),
    "LocalProcess": lambda: LocalProcess("h", "b", 1, "s"),
    "MergeGroup": lambda: MergeGroup("g"),
    "MergeNever": MergeNever,
    "MergePayloadDefault": MergePayloadDefault,
    "NextTurn": NextTurn,
    "NextTurnClaim": NextTurnClaim,
    "Opaque": Opaque,
    "PendingTurnInput": lambda: HELD,
    "PendingTurnInputCancelResult": lambda: localstore.PendingTurnInputCancelResult(
        CancelByInputId("i"), InputNotFound()
    ),
    "PendingTurnInputClaimDiagnostics": lambda: PendingTurnInputClaimDiagnostics(
        TurnInputState.ACCEPTED, "c", owner(), 1, 2
    ),
    "PendingTurnInputDraft": lambda: PendingTurnInputDraft(SESSION, NextTurn(), TurnInput.text("x")),
    "PersistedSessionConfig": lambda: PersistedSessionConfig("p", {"m": [1]}),
    "PersistedSessionRead": lambda: PersistedSessionRead(
        SESSION,
        1,
        PersistedSessionConfig(),
        (),
        None,
        SessionGraph(chain("a"), "a"),
        "0" * 64,
        HydratedSessionCheckpoint(),
        (),
    ),
    "PersistedTurnState": lambda: PersistedTurnState(1, TokenUsage(1), {"a": [1]}, {"b": 2}),
    "ProcessWake": lambda: ProcessWake({"a": [1]}),
    "QueuedWorkBatch": lambda: work_claim_of(SESSION).batches[0],
    "QueuedWorkBatchDraft": wake,
    "QueuedWorkClaim": lambda: work_claim_of(SESSION),
    "QueuedWorkCompletion": lambda: work_claim_of(SESSION).completion(),
    "QueuedWorkItem": lambda: work_claim_of(SESSION).batches[0].items[0],
    "RootSession": RootSession,
    "RuntimeCommit": lambda: append_commit(*chain("a", "b"), agent_frames=(frame(),)),
    "RuntimeCommitResult": lambda: RuntimeCommitResult(1, "0" * 64, SessionCheckpoint()),
    "RuntimeTurnCommitStamp": lambda: RuntimeTurnCommitStamp(SESSION, "t", "0" * 64),
    "SessionCheckpoint": lambda: SessionCheckpoint(tool_state_ref="0" * 64),
    "SessionCommand": lambda: SessionCommand({"a": [1]}),
    "SessionExecutionLease": lambda: LEASE,
    "SessionExecutionLeaseCompletion": LEASE.completion,
    "SessionExecutionLeaseFence": lambda: fence_of(SESSION),
    "SessionGraph": lambda: SessionGraph(chain("a", "b"), "b"),
    "SessionHead": lambda: SessionHead(SESSION, 1, "a", "0" * 64, 2, None),
    "SessionMeta": lambda: SessionMeta(SESSION, "n", TIMESTAMP, "m", "/", ChildSession("p")),
    "SessionNodeRecord": lambda: node("a", "b", payload={"kind": "event", "a": [1]}, caused_by=[1]),
    "SessionSummary": lambda: SessionSummary(SESSION, "n", None, "", RootSession(), 1, 2, "hi", 1, 1, 1, 9),
    "StoredAttachment": lambda: StoredAttachment(PNG, b"x"),
    "SuffixAnchorNotFound": lambda: SuffixAnchorNotFound(CancelByInputId("i")),
    "SuffixOutcomes": lambda: SuffixOutcomes(CancelByInputId("i"), (InputNotFound(),)),
    "TextItem": lambda: TextItem("x"),
    "TokenLedgerEntry": lambda: TokenLedgerEntry("s", "m", TokenUsage(1)),
    "TokenUsage": lambda: TokenUsage(1, 2, 3, 4, 5),
    "TurnInput": lambda: TurnInput.text("x").with_image_ref("i", b"data"),
    "TurnInputClaim": lambda: CLAIM,
    "TurnInputCompletion": CLAIM.completion,
    "VacuumReport": lambda: VacuumReport(1, 2),
}


class TestRecords:
    """What holds for every record."""

    def test_of_the_contract_have_an_example_here(self) -> None:
        """Every record of the contract is tested."""
        assert RECORDS.keys() <= EXAMPLES.keys()
        assert {name: type(make()).__name__ for name, make in EXAMPLES.items()} == {name: name for name in EXAMPLES}

    def test_are_frozen_and_slotted_one_and_all(self) -> None:
        """Every public record is immutable, those beyond the contract too."""
        kinds: list[Any] = [getattr(localstore, name) for name in localstore.__all__]
        records: list[Any] = [kind for kind in kinds if inspect.isclass(kind) and dataclasses.is_dataclass(kind)]
        assert len(records) >= len(EXAMPLES)
        for kind in records:
            assert kind.__dataclass_params__.frozen, kind
            assert "__dict__" not in dir(kind), kind

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_compare_by_value(self, name: str) -> None:
        """Records of equal fields are equal, and copies are equal to the original."""
        record = EXAMPLES[name]()
        assert record == EXAMPLES[name]()
        assert record == copy.copy(record) == copy.deepcopy(record)
        assert record != object()
        fields = dataclasses.fields(record)
        if fields:
            assert record == dataclasses.replace(record)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_are_immutable(self, name: str) -> None:
        """No field can be set or deleted, and none can be added."""
        record = EXAMPLES[name]()
        for item in dataclasses.fields(record):
            with pytest.raises((AttributeError, TypeError)):
                setattr(record, item.name, None)
            with pytest.raises((AttributeError, TypeError)):
                delattr(record, item.name)
        with pytest.raises((AttributeError, TypeError)):
            record.something_else = 1
        assert record == EXAMPLES[name]()

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_pickle(self, name: str) -> None:
        """A record comes back equal from a pickle."""
        record = EXAMPLES[name]()
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(record, protocol)) == record  # noqa: S301

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_show_their_fields(self, name: str) -> None:
        """A record's repr names it."""
        assert repr(EXAMPLES[name]()).startswith(name)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_hold_tuples_not_lists(self, name: str) -> None:
        """Fields that list things are tuples, whatever sequence they were given."""
        record = EXAMPLES[name]()
        for item in dataclasses.fields(record):
            value = getattr(record, item.name)
            if isinstance(value, tuple) and type(record).__module__.startswith("localstore"):
                again = dataclasses.replace(record, **{item.name: list(value)})
                if hasattr(type(record), "__post_init__"):
                    assert again == record
                    assert type(getattr(again, item.name)) is tuple
