"""What in a tree is a message of a conversation: who says what.

Recognised are LangChain's message classes, the `role` and `content` of chat APIs, LangChain's `type` and `content`, and
pairs such as `["user", "Hello"]`. A message that has no content and calls no tools is none here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from .trees import Tree, mark_of

_ROLES = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
}
_TYPES = {
    "HumanMessageChunk": "user",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "tool",
    **{name: role for name, role in _ROLES.items() if name in ("human", "ai", "AIMessageChunk", "system", "tool")},
}
_PAIRS = ("human", "user", "ai", "assistant", "system")
_PYDANTIC = 5
"""The code of the extension for pydantic models: module, class, fields, how to validate them."""
_MODULE = "langchain_core.messages"


class Said(NamedTuple):
    """A message: `role` is "user", "assistant", "system", "developer" or "tool", `content` is text or parts.

    `tool_calls` are LangChain's (`name`, `args`, `id`) or those of chat APIs; `tool_call_id` is of the one answered.
    """

    role: str
    content: str | list[Any]
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None

    def key(self) -> bytes:
        """What two messages with the same words have in common."""
        return orjson.dumps([*self])

    def fields(self, spell: Callable[[Tree], Tree]) -> dict[str, Any]:
        """What a node's payload says of it, in the order in which its parts are counted."""
        told: dict[str, Any] = {"role": self.role, "content": spell(self.content)}
        if self.tool_calls:
            told["tool_calls"] = spell(self.tool_calls)
        if self.tool_call_id:
            told["tool_call_id"] = self.tool_call_id
        return told


def told_in(payload: dict[str, Any]) -> Said | None:
    """The message that a node's payload says."""
    if not isinstance(payload.get("role"), str) or "content" not in payload:
        return None
    return Said(payload["role"], payload["content"], payload.get("tool_calls"), payload.get("tool_call_id"))


def messages_in(tree: Tree) -> Iterator[tuple[Said, Tree]]:
    """The messages in a tree, in order, each with its own tree. What is inside a message is not looked at."""
    found = _message(tree)
    if found is not None:
        yield found, tree
        return
    if isinstance(tree, list):
        for item in tree:
            if isinstance(item, (list, dict)):
                yield from messages_in(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            if isinstance(item, (list, dict)):
                yield from messages_in(item)


def has_id(message: Tree) -> bool:
    """Whether the tree of a message names it by an id."""
    if not isinstance(message, dict):
        return False
    fields = message["$x"][1][2] if mark_of(message) == "$x" else message
    return bool(fields.get("id"))


def _message(tree: Tree) -> Said | None:
    if isinstance(tree, list):
        if len(tree) == 2 and tree[0] in _PAIRS and isinstance(tree[1], str):
            return _said(_ROLES[tree[0]], {"content": tree[1]})
        return None
    if not isinstance(tree, dict):
        return None
    if mark_of(tree) == "$x":
        return _of_class(tree["$x"])
    role = tree.get("role")
    if isinstance(role, str) and role in _ROLES:
        return _said(_ROLES[role], tree)
    kind = tree.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return _said(_TYPES[kind], tree)
    return None


def _of_class(extension: list[Any]) -> Said | None:
    code, inner = extension
    if code != _PYDANTIC or not isinstance(inner, list) or len(inner) < 3:
        return None
    module, _, fields = inner[:3]
    if not (isinstance(module, str) and module.startswith(_MODULE) and isinstance(fields, dict)):
        return None
    kind = fields.get("type")
    role = fields.get("role") if kind == "chat" else _TYPES.get(kind) if isinstance(kind, str) else None
    return _said(role, fields) if isinstance(role, str) and role else None


def _said(role: str, fields: dict[str, Any]) -> Said | None:
    content, calls, answered = (fields.get(name) for name in ("content", "tool_calls", "tool_call_id"))
    if not isinstance(content, (str, list)):
        content = ""
    parts = content if isinstance(content, list) else ()
    is_in_parts = any(isinstance(part, dict) and part.get("type") == "tool_use" for part in parts)
    if not isinstance(calls, list) or not calls or is_in_parts:
        calls = None
    return Said(role, content, calls, answered if isinstance(answered, str) else None) if content or calls else None
