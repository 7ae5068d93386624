"""Token counts of the sources, in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .records import EntryUsage

_LARGEST = 2**53 - 1

NOTHING = EntryUsage()


class MalformedUsage(ValueError):
    """The source's token counts are none; the message says which."""


def anthropic_usage(usage: object) -> EntryUsage:
    """The counts of a `usage` object of the Messages API; nothing where it is `None`."""
    counts = _object(usage)
    return EntryUsage(
        input_tokens=_count(counts, "input_tokens"),
        output_tokens=_count(counts, "output_tokens"),
        cache_read_input_tokens=_count(counts, "cache_read_input_tokens"),
        cache_write_input_tokens=_count(counts, "cache_creation_input_tokens"),
    )


def codex_usage(usage: object) -> EntryUsage:
    """The counts of a Codex token count; nothing where it is `None`."""
    counts = _object(usage)
    cached = _count(counts, "cached_input_tokens")
    return EntryUsage(
        input_tokens=max(0, _count(counts, "input_tokens") - cached),
        output_tokens=_count(counts, "output_tokens"),
        cache_read_input_tokens=cached,
        reasoning_output_tokens=_count(counts, "reasoning_output_tokens"),
    )


def message_usage(usage: object) -> EntryUsage:
    """The counts of a `usage` object beside a message, in any of the names that the model services use."""
    counts = _object(usage)
    if "cache_read_input_tokens" in counts or "cache_creation_input_tokens" in counts:
        return anthropic_usage(counts)
    given, made = ("prompt", "completion") if "prompt_tokens" in counts else ("input", "output")
    cached = _count(_object(counts.get(f"{given}_tokens_details")), "cached_tokens")
    return EntryUsage(
        input_tokens=max(0, _count(counts, f"{given}_tokens") - cached),
        output_tokens=_count(counts, f"{made}_tokens"),
        cache_read_input_tokens=cached,
        reasoning_output_tokens=_count(_object(counts.get(f"{made}_tokens_details")), "reasoning_tokens"),
    )


def swe_agent_usage(stats: object) -> EntryUsage:
    """The counts of a trajectory's `model_stats`; nothing where it is `None`."""
    counts = _object(stats)
    return EntryUsage(input_tokens=_count(counts, "tokens_sent"), output_tokens=_count(counts, "tokens_received"))


def added(total: EntryUsage, counted: EntryUsage) -> EntryUsage:
    """What `total` has over what is `counted` already; no count falls below 0."""
    return EntryUsage(*(max(0, new - old) for new, old in zip(_counts(total), _counts(counted), strict=True)))


def largest(one: EntryUsage, other: EntryUsage) -> EntryUsage:
    """The larger of each count."""
    return EntryUsage(*map(max, _counts(one), _counts(other)))


def _counts(usage: EntryUsage) -> tuple[int, int, int, int, int]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_output_tokens,
    )


def _object(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise MalformedUsage("the usage is not an object, its tokens are not counted")


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return value
    raise MalformedUsage(f"{name} of the usage is no token count, its tokens are not counted")
