"""Which checkpoints are kept, and which ones others are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from .picture import CheckpointNode, Key, Picture

_COUNTERS: Final = "counters_since_delta_snapshot"
"""What the framework notes in the metadata of a checkpoint that has `DeltaChannel`s, by channel."""


def ancestors(picture: Picture, node: CheckpointNode | None) -> Iterator[CheckpointNode]:
    """The parents of a checkpoint, nearest first; one that was put again under a descendant ends them."""
    seen: set[Key] = set()
    while node is not None and node.key not in seen:
        seen.add(node.key)
        node = None if node.parent_id is None else picture.checkpoint((node.key[0], node.parent_id))
        if node is not None and node.key not in seen:
            yield node


def latest_keys(picture: Picture) -> set[Key]:
    """The current checkpoint of each namespace, and the ancestors that its `DeltaChannel`s are made of."""
    kept: set[Key] = set()
    for namespace in picture.checkpoints:
        node = picture.latest(namespace)
        if node is None:
            continue
        kept.add(node.key)
        state = picture.state_of(node)
        missing = {channel for channel in state.metadata.get(_COUNTERS) or () if channel not in state.values}
        for ancestor in ancestors(picture, node):
            if not missing:
                break
            kept.add(ancestor.key)
            missing -= picture.state_of(ancestor).values.keys()
    return kept


def keys_without_runs(picture: Picture, run_ids: Collection[str]) -> set[Key]:
    """All checkpoints but those whose metadata has one of these run ids."""
    kept = set(picture.all_keys())
    for found in picture.checkpoints.values():
        for node in found.values():
            run_id = picture.state_of(node).metadata.get("run_id")
            if isinstance(run_id, str) and run_id in run_ids:
                kept.discard(node.key)
    return kept
