"""Checkpoints and frame snapshots: parts by value and by reference, and where they are stored."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from ... import (
    HydratedSessionCheckpoint,
    InvalidCommit,
    PersistedTurnState,
    RuntimeCommit,
    RuntimeCommitResult,
    StoreError,
    TokenUsage,
)
from ..builders import UNKNOWN_REF, frame, node, unchanged_commit
from .world import Conformance, World

JSON_VALUES: dict[str, Any] = {
    "object": {"a": [1, 2.5, None, True, "x"], "b": {}},
    "list": [1, [], {}],
    "text": "text ✓",
    "zero": 0,
    "false": False,
    "true": True,
    "empty text": "",
    "empty list": [],
    "empty object": {},
    "large": {"text": "0123456789abcdef" * 20_000},
    "float": 0.1,
    "large integer": 2**63 - 1,
}


def store(world: World, **parts: Any) -> RuntimeCommitResult:
    """A commit of a checkpoint with these parts."""
    return world.settle(unchanged_commit(checkpoint=HydratedSessionCheckpoint(**parts)))


def loaded(world: World) -> HydratedSessionCheckpoint:
    """The checkpoint as loaded."""
    return world.read().checkpoint


def fails(world: World, commit: RuntimeCommit) -> None:
    """The commit is invalid and changes nothing."""
    world.fence()
    before = world.everything()
    with pytest.raises(InvalidCommit):
        world.settle(commit)
    assert world.everything() == before


def is_sha256(ref: str | None) -> bool:
    """Whether it is the hex of a SHA-256."""
    return ref is not None and re.fullmatch(r"[0-9a-f]{64}", ref) is not None


class TestPartsByValue(Conformance):
    """Parts given by value."""

    @pytest.mark.parametrize("name", JSON_VALUES)
    def test_json_parts_come_back_with_their_refs(self, world: World, name: str) -> None:
        """Loading gives each JSON part by value and by reference, falsy values included."""
        value = JSON_VALUES[name]
        store(world, tool_state=value, plugin_snapshot={"of": value})
        checkpoint = loaded(world)
        assert checkpoint.tool_state == value
        assert type(checkpoint.tool_state) is type(value)
        assert checkpoint.plugin_snapshot == {"of": value}
        assert is_sha256(checkpoint.tool_state_ref)
        assert is_sha256(checkpoint.plugin_snapshot_ref)

    @pytest.mark.parametrize("data", [b"x", b"", bytes(range(256)), b"0123456789abcdef" * 65_536])
    def test_execution_state_comes_back_under_its_hash(self, world: World, data: bytes) -> None:
        """A blob's reference is the SHA-256 of its content."""
        store(world, execution_state=data)
        assert loaded(world).execution_state == data
        assert loaded(world).execution_state_ref == hashlib.sha256(data).hexdigest()

    def test_parts_that_are_not_given_are_absent(self, world: World) -> None:
        """A part without value and reference is absent, also where the commit before had it."""
        store(world, tool_state=1, plugin_snapshot=2, execution_state=b"3", plugin_snapshot_revision=4)
        store(world)
        assert loaded(world) == HydratedSessionCheckpoint()

    def test_turn_state_and_revision_come_back(self, world: World) -> None:
        """The turn state and the plugin snapshot's revision are part of the checkpoint."""
        state = PersistedTurnState(7, TokenUsage(1, 2, 3, 4, 5), {"prompt": [1, None]}, {"mode": "fast"})
        store(world, turn_state=state, plugin_snapshot_revision=2**53 - 1)
        assert loaded(world).turn_state == state
        assert loaded(world).plugin_snapshot_revision == 2**53 - 1

    def test_revision_0_is_not_none(self, world: World) -> None:
        """A revision of 0 is a revision."""
        store(world, plugin_snapshot_revision=0)
        assert loaded(world).plugin_snapshot_revision == 0

    def test_equal_content_is_stored_once(self, world: World) -> None:
        """A part that comes again, in another commit or under another name, adds no second copy of itself on disk."""
        text = "".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(4_000))
        store(world, tool_state=text)
        before = world.summary().size_bytes
        store(world, tool_state=text, plugin_snapshot=text)
        store(world, plugin_snapshot=text, execution_state=b'"' + text.encode() + b'"')
        assert world.summary().size_bytes - before < len(text) // 2
        assert loaded(world).plugin_snapshot == text

    def test_equal_content_has_an_equal_ref(self, world: World) -> None:
        """Blobs are addressed by content, across commits and parts."""
        store(world, tool_state={"a": 1}, plugin_snapshot={"a": 1}, execution_state=b"x")
        first = loaded(world)
        store(world, tool_state={"a": 2}, execution_state=b"y")
        second = loaded(world)
        store(world, tool_state={"a": 1}, execution_state=b"x")
        assert loaded(world).tool_state_ref == first.tool_state_ref == first.plugin_snapshot_ref
        assert loaded(world).execution_state_ref == first.execution_state_ref
        assert second.tool_state_ref != first.tool_state_ref


class TestPartsByReference(Conformance):
    """Parts given by reference."""

    def test_mean_the_blobs_that_are_stored(self, world: World) -> None:
        """A part that is None with its reference set is the blob that is already stored."""
        store(world, tool_state={"t": 1}, plugin_snapshot=[2], execution_state=b"3")
        before = loaded(world)
        store(
            world,
            tool_state_ref=before.tool_state_ref,
            plugin_snapshot_ref=before.plugin_snapshot_ref,
            execution_state_ref=before.execution_state_ref,
        )
        assert loaded(world) == before

    def test_may_name_an_older_blob(self, world: World) -> None:
        """Any stored blob may be referred to, not only those of the last commit."""
        store(world, execution_state=b"old")
        old = loaded(world).execution_state_ref
        store(world, execution_state=b"new")
        store(world, execution_state_ref=old)
        assert loaded(world).execution_state == b"old"

    @pytest.mark.parametrize("part", ["tool_state", "plugin_snapshot", "execution_state"])
    def test_that_are_not_stored_are_invalid(self, world: World, part: str) -> None:
        """A reference without its value must be stored already."""
        store(world, tool_state=1)
        given: Any = {f"{part}_ref": UNKNOWN_REF}
        checkpoint = HydratedSessionCheckpoint(**given)
        fails(world, unchanged_commit(checkpoint=checkpoint))

    def test_may_be_used_by_another_part_later(self, world: World) -> None:
        """A blob that the checkpoint stored may be a frame's snapshot in a later commit."""
        ref = hashlib.sha256(b"x").hexdigest()
        store(world, execution_state=b"x")
        world.settle(unchanged_commit(agent_frames=(frame(execution_state_ref=ref),), current_agent_frame_id="frame-1"))
        assert world.read().agent_frames[0].execution_state_snapshot == b"x"

    @pytest.mark.parametrize("part", ["tool_state", "plugin_snapshot", "execution_state"])
    def test_give_way_to_a_value_beside_them(self, world: World, part: str) -> None:
        """A part given by value wins over a reference given beside it, an unknown one too."""
        value: Any = b"new" if part == "execution_state" else {"new": 1}
        old: Any = b"old" if part == "execution_state" else {"old": 1}
        store(world, **{part: old})
        old_ref = getattr(loaded(world), f"{part}_ref")
        for ref in (old_ref, UNKNOWN_REF):
            store(world, **{part: value, f"{part}_ref": ref})
            assert getattr(loaded(world), part) == value
            assert getattr(loaded(world), f"{part}_ref") not in (old_ref, UNKNOWN_REF)

    @pytest.mark.parametrize("ref", ["../../../etc/passwd", "x", "A" * 64, "0" * 63, "\0", "0" * 64 + "/x"])
    def test_of_any_other_form_name_nothing(self, world: World, ref: str) -> None:
        """A reference that is no SHA-256 in hex refers to nothing."""
        world.append(node("a"))
        before = world.everything()
        with pytest.raises(StoreError):
            store(world, execution_state_ref=ref)
        assert world.everything() == before


class TestCheckpointManifest(Conformance):
    """The manifest of a checkpoint."""

    def test_holds_the_refs_of_the_parts(self, world: World) -> None:
        """The manifest of the result names every part by reference."""
        state = PersistedTurnState(3)
        result = store(
            world,
            turn_state=state,
            tool_state=1,
            plugin_snapshot=2,
            plugin_snapshot_revision=5,
            execution_state=b"3",
        )
        manifest, checkpoint = result.manifest, loaded(world)
        assert manifest.turn_state == state
        assert manifest.tool_state_ref == checkpoint.tool_state_ref
        assert manifest.plugin_snapshot_ref == checkpoint.plugin_snapshot_ref
        assert manifest.plugin_snapshot_revision == 5
        assert manifest.execution_state_ref == checkpoint.execution_state_ref
        assert manifest.schema_version >= 1

    def test_is_addressed_by_its_content(self, world: World) -> None:
        """Equal checkpoints have one reference, others another."""
        first = store(world, tool_state=1)
        second = store(world, tool_state=2)
        third = store(world, tool_state=1)
        turn = store(world, tool_state=1, turn_state=PersistedTurnState(1))
        assert is_sha256(first.checkpoint_ref)
        assert first.checkpoint_ref == third.checkpoint_ref
        assert len({first.checkpoint_ref, second.checkpoint_ref, turn.checkpoint_ref}) == 3

    def test_does_not_depend_on_how_the_parts_were_given(self, world: World) -> None:
        """A part by value and the same part by reference make the same manifest."""
        by_value = store(world, execution_state=b"x", tool_state=[1])
        by_ref = store(
            world,
            execution_state_ref=by_value.manifest.execution_state_ref,
            tool_state_ref=by_value.manifest.tool_state_ref,
        )
        assert by_ref.checkpoint_ref == by_value.checkpoint_ref
        assert by_ref.manifest == by_value.manifest


class TestFrameSnapshots(Conformance):
    """Snapshots of agent frames."""

    def settle(self, world: World, *frames: Any) -> None:
        """Commit these frames."""
        world.settle(unchanged_commit(agent_frames=frames))

    def test_come_back_by_value_and_by_reference(self, world: World) -> None:
        """Loading gives both for frames too."""
        self.settle(world, frame("f1", execution_state_snapshot=b"one"), frame("f2"))
        first, second = world.read().agent_frames
        assert first.execution_state_snapshot == b"one"
        assert first.execution_state_ref == hashlib.sha256(b"one").hexdigest()
        assert (second.execution_state_snapshot, second.execution_state_ref) == (None, None)

    def test_may_be_empty(self, world: World) -> None:
        """An empty snapshot is a snapshot."""
        self.settle(world, frame("f1", execution_state_snapshot=b""))
        assert world.read().agent_frames[0].execution_state_snapshot == b""

    def test_by_reference_mean_what_is_stored(self, world: World) -> None:
        """A frame with a reference alone has the blob that is already stored."""
        self.settle(world, frame("f1", execution_state_snapshot=b"one"))
        ref = world.read().agent_frames[0].execution_state_ref
        self.settle(world, frame("f2", execution_state_ref=ref))
        assert world.read().agent_frames[0].execution_state_snapshot == b"one"

    def test_by_value_win_over_a_reference(self, world: World) -> None:
        """The value wins over a reference given beside it."""
        self.settle(world, frame("f1", execution_state_snapshot=b"one", execution_state_ref=UNKNOWN_REF))
        (found,) = world.read().agent_frames
        assert found.execution_state_snapshot == b"one"
        assert found.execution_state_ref == hashlib.sha256(b"one").hexdigest()

    def test_by_an_unknown_reference_are_invalid(self, world: World) -> None:
        """A frame's reference must be stored already."""
        fails(world, unchanged_commit(agent_frames=(frame("f1"), frame("f2", execution_state_ref=UNKNOWN_REF))))

    def test_share_blobs_with_the_checkpoint(self, world: World) -> None:
        """A snapshot may refer to what the checkpoint stored, as equal content is one blob."""
        store(world, execution_state=b"shared")
        self.settle(world, frame("f1", execution_state_ref=loaded(world).execution_state_ref))
        assert world.read().agent_frames[0].execution_state_snapshot == b"shared"
