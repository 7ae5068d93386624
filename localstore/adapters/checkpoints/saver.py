"""The checkpointer itself, without coroutines: the framework's calls on the threads of a store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ...contract.errors import SessionExists
from ...contract.sessions import Durability
from .._stores import StoreOrPath
from .cells import Codec
from .choosing import ancestors, keys_without_runs, latest_keys
from .picture import CheckpointNode, Key, Picture, default_index
from .thread import DumpedWrites, Thread, loaded_values
from .threads import Threads
from .writing import DumpedCheckpoint, DumpedWrite, dump_checkpoint

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_STRATEGIES: Final = ("keep_latest", "delete")


class Saver(BaseCheckpointSaver[Any]):
    """What `LocalStoreSaver` and its async twin have in common."""

    def __init__(
        self,
        store_or_path: StoreOrPath,
        *,
        serde: SerializerProtocol | None = None,
        durability: Durability = Durability.FULL,
    ) -> None:
        super().__init__(serde=serde)
        self._threads = Threads(store_or_path, durability)

    # Reading.

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the current one of its thread and namespace; `None` without one."""
        thread_id, namespace = thread_id_of(config), namespace_of(config)
        checkpoint_id = get_checkpoint_id(config)

        def find(thread: Thread) -> CheckpointTuple | None:
            picture = thread.picture()
            wanted = picture.checkpoint((namespace, str(checkpoint_id))) if checkpoint_id else picture.latest(namespace)
            return None if wanted is None else self._tuple(config["configurable"]["thread_id"], picture, wanted)

        return self._threads.on(thread_id, find, None)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, the highest id first: of a thread (and namespace, and id) or of all, where `config` is `None`.

        `filter` are members that the metadata must have, `before` names the checkpoint whose id is the first that is
        too high, `limit` is the most to give.
        """
        earlier_than = get_checkpoint_id(before) if before else None
        found = 0
        for thread_id, key in self._keys(config):
            if limit is not None and found >= limit:
                return
            if earlier_than is not None and key[1] >= str(earlier_than):
                continue
            given_id = config["configurable"]["thread_id"] if config else thread_id
            match = self._threads.on(thread_id, partial(self._match, key=key, given_id=given_id, members=filter), None)
            if match is not None:
                found += 1
                yield match

    def _keys(self, config: RunnableConfig | None) -> Sequence[tuple[str, Key]]:
        thread_ids = [*self._threads.ids()] if config is None else [thread_id_of(config)]
        namespace = config["configurable"].get("checkpoint_ns") if config else None
        checkpoint_id = get_checkpoint_id(config) if config else None

        def keys(thread: Thread) -> Sequence[Key]:
            found = [node.key for each in thread.picture().checkpoints.values() for node in each.values()]
            return [
                key
                for key in found
                if namespace in (None, key[0]) and (not checkpoint_id or key[1] == str(checkpoint_id))
            ]

        nothing: Sequence[Key] = ()
        chosen = [(thread_id, key) for thread_id in thread_ids for key in self._threads.on(thread_id, keys, nothing)]
        return sorted(chosen, key=lambda item: item[1][1], reverse=True)

    def _match(
        self, thread: Thread, *, key: Key, given_id: Any, members: dict[str, Any] | None
    ) -> CheckpointTuple | None:
        picture = thread.picture()
        node = picture.checkpoint(key)
        if node is None:
            return None
        if members:
            metadata = self._codec().value(picture.state_of(node).metadata)
            if not all(name in metadata and metadata[name] == value for name, value in members.items()):
                return None
        return self._tuple(given_id, picture, node)

    def _tuple(self, given_id: Any, picture: Picture, node: CheckpointNode) -> CheckpointTuple:
        codec = self._codec()
        state = picture.state_of(node)
        namespace, checkpoint_id = node.key
        checkpoint: Any = {"ts": node.timestamp, **codec.value(state.state), "id": checkpoint_id}
        checkpoint["channel_values"] = loaded_values(picture, codec, state)
        metadata: Any = codec.value(state.metadata)
        return CheckpointTuple(
            config=config_of(given_id, namespace, checkpoint_id),
            checkpoint=checkpoint,
            metadata=metadata,
            parent_config=None if node.parent_id is None else config_of(given_id, namespace, node.parent_id),
            pending_writes=[
                (write.task_id, write.channel, codec.load(write.cell.serialised(picture, codec)))
                for write in picture.ordered_writes(node.key)
            ],
        )

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What the ancestors of a checkpoint hold of these channels: the nearest value, and the writes since."""
        if not channels:
            return {}

        def walk(thread: Thread) -> Mapping[str, DeltaChannelHistory]:
            picture, codec = thread.picture(), self._codec()
            checkpoint_id, namespace = get_checkpoint_id(config), namespace_of(config)
            at = picture.checkpoint((namespace, str(checkpoint_id))) if checkpoint_id else picture.latest(namespace)
            writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
            seeds: dict[str, Any] = {}
            for ancestor in ancestors(picture, at):
                missing = [channel for channel in writes if channel not in seeds]
                if not missing:
                    break
                for write in reversed(picture.ordered_writes(ancestor.key)):
                    if write.channel in missing:
                        value = codec.load(write.cell.serialised(picture, codec))
                        writes[write.channel].append((write.task_id, write.channel, value))
                state = picture.state_of(ancestor)
                held = {channel: state.values[channel] for channel in missing if channel in state.values}
                seeds.update(loaded_values(picture, codec, state._replace(values=held)))
            return {channel: _history(channel, writes, seeds) for channel in channels}

        return self._threads.on(thread_id_of(config), walk, {channel: {"writes": []} for channel in channels})

    # Writing.

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; `config` names its parent. Returns the config that names it."""
        dumped = self._dumped(config, checkpoint, metadata)
        self._keep(thread_id_of(config), dumped)
        return config_of(config["configurable"]["thread_id"], *dumped.key)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote; `config` names the checkpoint that it started from."""
        self._keep(thread_id_of(config), self._dumped_writes(config, writes, task_id, task_path))

    def _keep(self, thread_id: str, dumped: DumpedCheckpoint | DumpedWrites) -> None:
        if isinstance(dumped, DumpedCheckpoint) or dumped.writes:
            self._threads.on(thread_id, partial(_store, codec=self._codec(), dumped=dumped), None, make=True)

    def _dumped(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> DumpedCheckpoint:
        parent_id = get_checkpoint_id(config)
        return dump_checkpoint(
            self._codec(),
            (namespace_of(config), checkpoint["id"]),
            None if parent_id is None else str(parent_id),
            dict(checkpoint),
            dict(get_checkpoint_metadata(config, metadata)),
        )

    def _dumped_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> DumpedWrites:
        codec = self._codec()
        key = (namespace_of(config), str(config["configurable"]["checkpoint_id"]))
        found = [
            DumpedWrite(channel, default_index(channel, position), codec.dump(value))
            for position, (channel, value) in enumerate(writes)
        ]
        return DumpedWrites(key, task_id, task_path, None, found)

    def delete_thread(self, thread_id: str) -> None:
        """Delete the thread's session and everything of it. Idempotent."""
        self._threads.delete(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata has one of these run ids, with the writes to them, in all threads.

        Other checkpoints stay, and keep the id of a parent that is gone. What a `DeltaChannel` needs of the deleted
        ones is gone with them.
        """
        runs = {str(run_id) for run_id in run_ids}
        if not runs:
            return

        for thread_id in (*self._threads.ids(),):
            self._keep_only(thread_id, partial(keys_without_runs, run_ids=runs))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread to another one; nothing, where there is no such thread."""
        source, target = str(source_thread_id), str(target_thread_id)
        if source == target:
            return

        def fork(thread: Thread) -> bool:
            try:
                thread.session.fork(target)
            except SessionExists:
                return False
            return True

        if self._threads.on(source, fork, True):
            return
        codec = self._codec()
        nothing: Sequence[DumpedCheckpoint | DumpedWrites] = ()
        for dumped in self._threads.on(source, lambda thread: [*thread.dumped(codec)], nothing):
            self._threads.on(target, partial(_store, codec=codec, dumped=dumped), None, make=True)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove the older checkpoints of these threads, "keep_latest", or the threads altogether, "delete"."""
        if strategy not in _STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(_STRATEGIES)}, not {strategy!r}")
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
            else:
                self._keep_only(str(thread_id), latest_keys)

    def _keep_only(self, thread_id: str, choose: Callable[[Picture], set[Key]]) -> None:
        codec = self._codec()
        if not self._threads.on(thread_id, lambda thread: thread.keep_only(codec, choose), True):
            self._threads.delete(thread_id)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The version after `current`: the next number, in the form that the thread's versions have."""
        if not isinstance(current, str):
            return super().get_next_version(current, channel)
        number = int(current.split(".")[0]) + 1
        return f"{number:032}.{uuid.uuid4().int % 10**16:016}"

    def _codec(self) -> Codec:
        return Codec(self.serde)


def thread_id_of(config: RunnableConfig) -> str:
    """The id of the session."""
    return str(config["configurable"]["thread_id"])


def namespace_of(config: RunnableConfig) -> str:
    """The namespace; that of the root graph is empty."""
    return str(config["configurable"].get("checkpoint_ns") or "")


def config_of(thread_id: Any, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {
        "configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id},
    }


def _history(channel: str, writes: dict[str, list[PendingWrite]], seeds: dict[str, Any]) -> DeltaChannelHistory:
    found: DeltaChannelHistory = {"writes": writes[channel][::-1]}
    if channel in seeds:
        found["seed"] = seeds[channel]
    return found


def _store(thread: Thread, *, codec: Codec, dumped: DumpedCheckpoint | DumpedWrites) -> None:
    if isinstance(dumped, DumpedWrites):
        thread.put_writes(codec, dumped)
    else:
        thread.put(codec, dumped)
