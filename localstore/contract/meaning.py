"""The hash of what a commit means, apart from where and when it was made."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import orjson

_VOLATILE = frozenset({"node_id", "parent_node_id", "leaf_node_id", "timestamp"})


def _is_message_or_part(keys: Any) -> bool:
    return ("role" in keys and "parts" in keys) or ("kind" in keys and "content" in keys and "prune_state" in keys)


def _meaning(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _meaning(getattr(value, item.name)) for item in fields(value) if item.name not in _VOLATILE}
    if isinstance(value, dict):
        dropped = _VOLATILE | {"id"} if _is_message_or_part(value) else _VOLATILE
        return {key: _meaning(item) for key, item in value.items() if key not in dropped}
    if isinstance(value, (list, tuple)):
        return [_meaning(item) for item in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def meaning_hash(parts: dict[str, Any]) -> str:
    """SHA-256 (hex) of `parts` (records, JSON, bytes) as canonical JSON, volatile keys left out."""
    return hashlib.sha256(orjson.dumps(_meaning(parts), option=orjson.OPT_SORT_KEYS)).hexdigest()
