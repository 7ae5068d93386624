"""The parts of a node are numbered as they always were: references on the disk rely on it."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from localstore.adapters.checkpoints.phrases import LONG_JSON, LONG_TEXT, SECTIONS, parts

# Lengths about the limits, of the text itself and of the JSON of what has it.
LENGTHS = (0, 1, 30, LONG_TEXT - 1, LONG_TEXT, 70, LONG_JSON - 5, LONG_JSON - 4, LONG_JSON - 1, LONG_JSON)
TEXTS = st.builds(lambda char, length: char * length, st.sampled_from(("x", "é", '"')), st.sampled_from(LENGTHS))
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def as_defined(said: Any) -> list[Any]:
    """The strings from a length on, and the lists and objects whose JSON has one, as they end."""
    if isinstance(said, str):
        return [said] if len(said) >= LONG_TEXT else []
    if not isinstance(said, (list, dict)):
        return []
    inner = [part for item in (said.values() if isinstance(said, dict) else said) for part in as_defined(item)]
    return [*inner, said] if len(orjson.dumps(said)) >= LONG_JSON else inner


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("kind", "state", "writes"), TREES)))
def test_parts_are_those_of_the_format(payload: dict[str, Any]) -> None:
    found = parts(payload)
    assert found == [part for section in SECTIONS if section in payload for part in as_defined(payload[section])]
