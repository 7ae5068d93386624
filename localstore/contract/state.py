"""The state that a commit carries beside the graph: configuration, agent frames, checkpoint, token usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from . import checks
from .values import JsonObject, JsonValue, held, quick

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


@quick
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

    def __post_init__(self) -> None:
        checks.identifier("frame_id", self.frame_id)
        checks.session_id(self.session_id)
        checks.optional_identifier("previous_frame_id", self.previous_frame_id)
        checks.text("status", self.status)
        checks.text("reason", self.reason)
        checks.optional_timestamp("created_at", self.created_at)
        checks.optional_identifier("execution_state_ref", self.execution_state_ref)
        snapshot = checks.optional_octets("execution_state_snapshot", self.execution_state_snapshot)
        object.__setattr__(self, "execution_state_snapshot", snapshot)


@quick
@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts, each 0 or more."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0

    def __post_init__(self) -> None:
        checks.integer("input_tokens", self.input_tokens)
        checks.integer("output_tokens", self.output_tokens)
        checks.integer("cache_read_input_tokens", self.cache_read_input_tokens)
        checks.integer("cache_write_input_tokens", self.cache_write_input_tokens)
        checks.integer("reasoning_output_tokens", self.reasoning_output_tokens)

    def plus(self, other: TokenUsage) -> TokenUsage:
        """The sum, count by count."""
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_write_input_tokens + other.cache_write_input_tokens,
            self.reasoning_output_tokens + other.reasoning_output_tokens,
        )


@quick
@dataclass(frozen=True, slots=True)
class TokenLedgerEntry:
    """Token usage of one `(source, model)`: a delta in a commit, the sum in a read."""

    source: str
    model: str
    usage: TokenUsage

    def __post_init__(self) -> None:
        checks.text("source", self.source)
        checks.text("model", self.model)
        checks.instance("usage", self.usage, TokenUsage)


@quick
@held(last_prompt_usage="value", protocol_turn_options="object")
@dataclass(frozen=True, slots=True)
class PersistedTurnState:
    """Where the turn loop stands."""

    turn_index: int = 0
    token_usage: TokenUsage = TokenUsage()
    last_prompt_usage: JsonValue = None
    protocol_turn_options: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.integer("turn_index", self.turn_index)
        checks.instance("token_usage", self.token_usage, TokenUsage)


@quick
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

    def __post_init__(self) -> None:
        checks.instance("turn_state", self.turn_state, PersistedTurnState)
        checks.optional_identifier("tool_state_ref", self.tool_state_ref)
        checks.optional_identifier("plugin_snapshot_ref", self.plugin_snapshot_ref)
        checks.optional_integer("plugin_snapshot_revision", self.plugin_snapshot_revision)
        state = checks.optional_octets("execution_state", self.execution_state)
        object.__setattr__(self, "execution_state", state)
        checks.optional_identifier("execution_state_ref", self.execution_state_ref)


@quick
@dataclass(frozen=True, slots=True)
class SessionCheckpoint:
    """The manifest of a checkpoint: its parts by reference. Its own address is the checkpoint ref."""

    schema_version: int = CHECKPOINT_SCHEMA_VERSION
    turn_state: PersistedTurnState = PersistedTurnState()
    tool_state_ref: BlobRef | None = None
    plugin_snapshot_ref: BlobRef | None = None
    plugin_snapshot_revision: int | None = None
    execution_state_ref: BlobRef | None = None

    def __post_init__(self) -> None:
        checks.integer("schema_version", self.schema_version)
        checks.instance("turn_state", self.turn_state, PersistedTurnState)
        checks.optional_identifier("tool_state_ref", self.tool_state_ref)
        checks.optional_identifier("plugin_snapshot_ref", self.plugin_snapshot_ref)
        checks.optional_integer("plugin_snapshot_revision", self.plugin_snapshot_revision)
        checks.optional_identifier("execution_state_ref", self.execution_state_ref)
