"""Names of a framework as parts of session ids, which are put together with a "/"."""

from __future__ import annotations

from ..contract import checks


def escaped(name: str, part: object) -> str:
    """The argument `name`, an identifier, with its "/" and "%" percent-encoded."""
    return checks.identifier(name, part).replace("%", "%25").replace("/", "%2F")


def unescaped(part: str) -> str:
    """The name that a part of an id was made of."""
    return part.replace("%2F", "/").replace("%25", "%")
