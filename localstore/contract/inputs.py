"""Pending turn input: what the user said and no turn has settled yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from . import checks
from .constructors import (
    IDENTIFIER,
    IDENTIFIERS,
    INTEGER,
    OPTIONAL_IDENTIFIER,
    SESSION_ID,
    TEXT,
    each,
    member,
    of,
    quick,
)
from .errors import InvalidArgument
from .leases import LeaseOwnerIdentity
from .values import JsonObject, held


class CheckpointKind(StrEnum):
    """The two places in a turn where it takes new input."""

    AFTER_WORK = "after_work"
    BEFORE_COMPLETION = "before_completion"


class TurnInputCheckpointBoundary(StrEnum):
    """The earliest checkpoint at which an input may enter its turn."""

    AFTER_WORK = "after_work"
    BEFORE_COMPLETION = "before_completion"

    def admits(self, checkpoint: CheckpointKind) -> bool:
        """`BEFORE_COMPLETION` admits only that checkpoint, `AFTER_WORK` both."""
        return self is TurnInputCheckpointBoundary.AFTER_WORK or checkpoint is CheckpointKind.BEFORE_COMPLETION


class TurnInputState(StrEnum):
    """Where an input is in its life; the last two are terminal."""

    PENDING_ACTIVE = "pending_active"
    DEFERRED_NEXT_TURN = "deferred_next_turn"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class ActiveTurn:
    """Ingress: for the running turn `turn_id`, from the checkpoint `min_boundary` on."""

    turn_id: str
    min_boundary: TurnInputCheckpointBoundary = TurnInputCheckpointBoundary.AFTER_WORK

    def __post_init__(self) -> None:
        checks.identifier("turn_id", self.turn_id)
        boundary = checks.member("min_boundary", self.min_boundary, TurnInputCheckpointBoundary)
        object.__setattr__(self, "min_boundary", boundary)


@dataclass(frozen=True, slots=True)
class NextTurn:
    """Ingress: for the next turn, whenever the session is idle."""


TurnInputIngress: TypeAlias = ActiveTurn | NextTurn


@quick(
    text=TEXT,
)
@dataclass(frozen=True, slots=True)
class TextItem:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image, by its key in `TurnInput.image_blobs`."""

    id: str

    def __post_init__(self) -> None:
        checks.identifier("id", self.id)


TurnInputItem: TypeAlias = TextItem | ImageRef


@quick(
    items=each(TextItem, ImageRef),
    trace_turn_id=OPTIONAL_IDENTIFIER,
)
@held(image_blobs="blobs", protocol_turn_options="optional object")
@dataclass(frozen=True, slots=True)
class TurnInput:
    """What the user gave: items in order, the bytes of the images they name, and options for the turn."""

    items: tuple[TurnInputItem, ...]
    image_blobs: dict[str, bytes] = field(default_factory=dict)
    protocol_turn_options: JsonObject | None = None
    trace_turn_id: str | None = None

    @classmethod
    def text(cls, text: str) -> TurnInput:
        """An input of one text item."""
        return cls((TextItem(text),))

    def with_image_ref(self, id: str, data: bytes) -> TurnInput:
        """This input with an image item added. The same id with other bytes is an `InvalidArgument`."""
        blobs = self.image_blobs
        if blobs.setdefault(id, data) != data:
            raise InvalidArgument(f"image {id!r} is in this input already, with other bytes")
        return replace(self, items=(*self.items, ImageRef(id)), image_blobs=blobs)


@quick(
    session_id=SESSION_ID,
    ingress=of(ActiveTurn, NextTurn),
    input=of(TurnInput),
    input_id=OPTIONAL_IDENTIFIER,
    source_key=OPTIONAL_IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class PendingTurnInputDraft:
    """An input to enqueue. `source_key` makes a retry idempotent; `input_id` defaults to a fresh one."""

    session_id: str
    ingress: TurnInputIngress
    input: TurnInput
    input_id: str | None = None
    source_key: str | None = None


@quick(
    input_id=IDENTIFIER,
    session_id=SESSION_ID,
    enqueue_seq=INTEGER,
    ingress=of(ActiveTurn, NextTurn),
    state=member(TurnInputState),
    enqueued_at_ms=INTEGER,
    input=of(TurnInput),
    source_key=OPTIONAL_IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class PendingTurnInput:
    """A stored input. `enqueue_seq` is its place in the session's order, growing by enqueue."""

    input_id: str
    session_id: str
    enqueue_seq: int
    ingress: TurnInputIngress
    state: TurnInputState
    enqueued_at_ms: int
    input: TurnInput
    source_key: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveTurnClaim:
    """Claim mode: input taken into the running turn at a checkpoint."""

    turn_id: str
    checkpoint: CheckpointKind

    def __post_init__(self) -> None:
        checks.identifier("turn_id", self.turn_id)
        object.__setattr__(self, "checkpoint", checks.member("checkpoint", self.checkpoint, CheckpointKind))


@dataclass(frozen=True, slots=True)
class NextTurnClaim:
    """Claim mode: input taken to start the next turn with."""


TurnInputClaimMode: TypeAlias = ActiveTurnClaim | NextTurnClaim


@quick(
    session_id=SESSION_ID,
    claim_id=IDENTIFIER,
    lease_token=IDENTIFIER,
    input_ids=IDENTIFIERS,
)
@dataclass(frozen=True, slots=True)
class TurnInputCompletion:
    """What a commit names to complete the inputs of a claim."""

    session_id: str
    claim_id: str
    lease_token: str
    input_ids: tuple[str, ...]


@quick(
    session_id=SESSION_ID,
    claim_id=IDENTIFIER,
    owner=of(LeaseOwnerIdentity),
    lease_token=IDENTIFIER,
    fencing_token=INTEGER,
    claimed_at_epoch_ms=INTEGER,
    expires_at_epoch_ms=INTEGER,
    mode=of(ActiveTurnClaim, NextTurnClaim),
    inputs=each(PendingTurnInput),
)
@dataclass(frozen=True, slots=True)
class TurnInputClaim:
    """Inputs held by one claimant until `expires_at_epoch_ms`; each re-claim has a higher `fencing_token`."""

    session_id: str
    claim_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_epoch_ms: int
    expires_at_epoch_ms: int
    mode: TurnInputClaimMode
    inputs: tuple[PendingTurnInput, ...]

    def completion(self) -> TurnInputCompletion:
        """What a commit names to complete all inputs of this claim."""
        ids = tuple(item.input_id for item in self.inputs)
        return TurnInputCompletion(self.session_id, self.claim_id, self.lease_token, ids)

    def materialize_for_turn(self) -> TurnInput:
        """One input for the turn: all items and images in order, the first options and trace id that are not `None`.

        Two inputs may use one image id for different bytes; the later image is then renamed to `id@input_id`, so that
        no item shows another's image.
        """
        items: list[TurnInputItem] = []
        blobs: dict[str, bytes] = {}
        for pending in self.inputs:
            own = pending.input.image_blobs
            renamed = {key: key for key in own}
            for key, data in own.items():
                if blobs.get(key, data) != data:
                    renamed[key] = f"{key}@{pending.input_id}"
                blobs[renamed[key]] = data
            items.extend(
                ImageRef(renamed.get(item.id, item.id)) if isinstance(item, ImageRef) else item
                for item in pending.input.items
            )
        inputs = [pending.input for pending in self.inputs]
        options = (value for value in (item.protocol_turn_options for item in inputs) if value is not None)
        traces = (item.trace_turn_id for item in inputs if item.trace_turn_id is not None)
        return TurnInput(tuple(items), blobs, next(options, None), next(traces, None))


@dataclass(frozen=True, slots=True)
class CancelByInputId:
    """Cancel target: the input of this id."""

    input_id: str

    def __post_init__(self) -> None:
        checks.identifier("input_id", self.input_id)


@dataclass(frozen=True, slots=True)
class CancelBySourceKey:
    """Cancel target: the input that was enqueued with this source key."""

    source_key: str

    def __post_init__(self) -> None:
        checks.identifier("source_key", self.source_key)


PendingTurnInputCancelTarget: TypeAlias = CancelByInputId | CancelBySourceKey


@dataclass(frozen=True, slots=True)
class PendingTurnInputClaimDiagnostics:
    """Who holds an input that could not be cancelled, for showing."""

    state: TurnInputState
    claim_id: str
    claim_owner: LeaseOwnerIdentity
    claim_expires_at_ms: int
    claim_fencing_token: int


@dataclass(frozen=True, slots=True)
class InputCancelled:
    """Cancel outcome: this input is cancelled now."""

    input: PendingTurnInput


@dataclass(frozen=True, slots=True)
class InputAlreadyClaimed:
    """Cancel outcome: a live claim holds the input, so it stays."""

    input: PendingTurnInput
    claim: PendingTurnInputClaimDiagnostics


@dataclass(frozen=True, slots=True)
class InputAlreadyCompleted:
    """Cancel outcome: a turn completed the input before."""

    input: PendingTurnInput


@dataclass(frozen=True, slots=True)
class InputAlreadyCancelled:
    """Cancel outcome: the input was cancelled before."""

    input: PendingTurnInput


@dataclass(frozen=True, slots=True)
class InputNotFound:
    """Cancel outcome: no such input, or it was vacuumed."""


PendingTurnInputCancelOutcome: TypeAlias = (
    InputCancelled | InputAlreadyClaimed | InputAlreadyCompleted | InputAlreadyCancelled | InputNotFound
)


@dataclass(frozen=True, slots=True)
class PendingTurnInputCancelResult:
    """The outcome of one target of a list of cancels."""

    target: PendingTurnInputCancelTarget
    outcome: PendingTurnInputCancelOutcome


@dataclass(frozen=True, slots=True)
class SuffixOutcomes:
    """Outcome of a suffix cancel: one outcome for the anchor and for each later input, in order."""

    anchor: PendingTurnInputCancelTarget
    outcomes: tuple[PendingTurnInputCancelOutcome, ...]


@dataclass(frozen=True, slots=True)
class SuffixAnchorNotFound:
    """Outcome of a suffix cancel whose anchor is unknown: nothing was cancelled."""

    anchor: PendingTurnInputCancelTarget


PendingTurnInputSuffixCancelOutcome: TypeAlias = SuffixOutcomes | SuffixAnchorNotFound


def check_targets(targets: Iterable[object]) -> tuple[PendingTurnInputCancelTarget, ...]:
    """`targets` as a tuple of cancel targets, or `InvalidArgument`."""
    return checks.instances("targets", targets, CancelByInputId, CancelBySourceKey)
