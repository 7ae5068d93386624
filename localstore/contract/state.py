"""The state that a commit carries beside the graph: configuration, agent frames, checkpoint, token usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from . import checks
from .constructors import (
    IDENTIFIER,
    INTEGER,
    OPTIONAL_IDENTIFIER,
    OPTIONAL_INTEGER,
    OPTIONAL_OCTETS,
    OPTIONAL_TIMESTAMP,
    SESSION_ID,
    TEXT,
    of,
    quick,
)
from .values import JsonObject, JsonValue, held

BlobRef: TypeAlias = str
"""The SHA-256 of a blob's content, in lower-case hex."""

CHECKPOINT_SCHEMA_VERSION = 1


@held(model="object")
@dataclass(frozen=True, slots=True)
class PersistedSessionConfig:
    """Which provider and model the session runs on; `model` is the host's own JSON object."""

    provider_id: str = ""
    model: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.text("provider_id", self.provider_id)


@quick(
    frame_id=IDENTIFIER,
    session_id=SESSION_ID,
    previous_frame_id=OPTIONAL_IDENTIFIER,
    status=TEXT,
    reason=TEXT,
    created_at=OPTIONAL_TIMESTAMP,
    execution_state_ref=OPTIONAL_IDENTIFIER,
    execution_state_snapshot=OPTIONAL_OCTETS,
)
@held(caused_by="value", assignment="object", protocol_turn_options="object")
@dataclass(frozen=True, slots=True)
class AgentFrameRecord:
    """One agent frame of the session: a run of an agent with its assignment.

    `execution_state_snapshot` is stored as a blob; `None` with an `execution_state_ref` means the blob already stored.
    """

    frame_id: str
    session_id: str
    previous_frame_id: str | None = None
    status: str = "active"
    reason: str = ""
    caused_by: JsonValue = None
    created_at: str = ""
    assignment: JsonObject = field(default_factory=dict)
    protocol_turn_options: JsonObject = field(default_factory=dict)
    execution_state_ref: BlobRef | None = None
    execution_state_snapshot: bytes | None = None


@quick(
    input_tokens=INTEGER,
    output_tokens=INTEGER,
    cache_read_input_tokens=INTEGER,
    cache_write_input_tokens=INTEGER,
    reasoning_output_tokens=INTEGER,
)
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts, each 0 or more."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0

    def plus(self, other: TokenUsage) -> TokenUsage:
        """The sum, count by count."""
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_write_input_tokens + other.cache_write_input_tokens,
            self.reasoning_output_tokens + other.reasoning_output_tokens,
        )


@quick(
    source=TEXT,
    model=TEXT,
    usage=of(TokenUsage),
)
@dataclass(frozen=True, slots=True)
class TokenLedgerEntry:
    """Token usage of one `(source, model)`: a delta in a commit, the sum in a read."""

    source: str
    model: str
    usage: TokenUsage


@quick(
    turn_index=INTEGER,
    token_usage=of(TokenUsage),
)
@held(last_prompt_usage="value", protocol_turn_options="object")
@dataclass(frozen=True, slots=True)
class PersistedTurnState:
    """Where the turn loop stands."""

    turn_index: int = 0
    token_usage: TokenUsage = TokenUsage()
    last_prompt_usage: JsonValue = None
    protocol_turn_options: JsonObject = field(default_factory=dict)


@quick(
    turn_state=of(PersistedTurnState),
    tool_state_ref=OPTIONAL_IDENTIFIER,
    plugin_snapshot_ref=OPTIONAL_IDENTIFIER,
    plugin_snapshot_revision=OPTIONAL_INTEGER,
    execution_state=OPTIONAL_OCTETS,
    execution_state_ref=OPTIONAL_IDENTIFIER,
)
@held(tool_state="value", plugin_snapshot="value")
@dataclass(frozen=True, slots=True)
class HydratedSessionCheckpoint:
    """A checkpoint with its parts by value.

    On commit a part given by value is stored as a blob and wins over a ref beside it; a part that is `None` with its
    `*_ref` set means the blob already stored. A read gives both.
    """

    turn_state: PersistedTurnState = PersistedTurnState()
    tool_state: JsonValue = None
    tool_state_ref: BlobRef | None = None
    plugin_snapshot: JsonValue = None
    plugin_snapshot_ref: BlobRef | None = None
    plugin_snapshot_revision: int | None = None
    execution_state: bytes | None = None
    execution_state_ref: BlobRef | None = None


@quick(
    schema_version=INTEGER,
    turn_state=of(PersistedTurnState),
    tool_state_ref=OPTIONAL_IDENTIFIER,
    plugin_snapshot_ref=OPTIONAL_IDENTIFIER,
    plugin_snapshot_revision=OPTIONAL_INTEGER,
    execution_state_ref=OPTIONAL_IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class SessionCheckpoint:
    """The manifest of a checkpoint: its parts by reference. Its own address is the checkpoint ref."""

    schema_version: int = CHECKPOINT_SCHEMA_VERSION
    turn_state: PersistedTurnState = PersistedTurnState()
    tool_state_ref: BlobRef | None = None
    plugin_snapshot_ref: BlobRef | None = None
    plugin_snapshot_revision: int | None = None
    execution_state_ref: BlobRef | None = None
