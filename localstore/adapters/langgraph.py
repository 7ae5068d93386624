"""Checkpoints of LangGraph: `LocalStoreSaver` and `AsyncLocalStoreSaver` are `BaseCheckpointSaver`s.

```python
from localstore.adapters.langgraph import LocalStoreSaver

with LocalStoreSaver.from_path("sessions") as saver:  # was: SqliteSaver.from_conn_string("checkpoints.db")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"messages": ["Hello"]}, {"configurable": {"thread_id": "user-7"}})
```

How it is kept:

- **A session is a thread**; its id is the thread's.
- **A node is a checkpoint, the writes of a task, or a message.** A checkpoint's node comes after that of its parent
  checkpoint, a task's writes after the checkpoint that the task started from, a subgraph's first checkpoint after the
  one that it was called from. So time travel makes branches, and `localstore tree` shows them. The first node that has
  a new message carries it as `role`, `content`, `tool_calls` and `tool_call_id`, for people and for `localstore ls`,
  `show` and `search`; only where one node would have several, they come before it in nodes of their own. Where tasks
  were so fast that their writes came before the checkpoint that they are to, the writes may lie aside, and the messages
  in them are said anew: the way to the head has every message once, in order.
- **A turn is one call of the saver**: each `put` and `put_writes` is one commit, there or not there.
- **The head is the root graph's current checkpoint**, with the writes to it. `get_tuple` without a checkpoint id gives
  the head's checkpoint, so that a rewind with `localstore` is one for the graph too; as long as nobody moves the head
  but savers, that is the checkpoint with the highest id. In a subgraph's namespace it is always that.

**Nothing is stored twice.** A checkpoint says what is other than in its parent: lists element by element, so that one
that grows costs what is new in it. Values, and parts of them from some 100 bytes on, that were said anywhere in the
thread are referred to, and a node that looks like an earlier one is told by it. `localstore.adapters.checkpoints` says
how, kind by kind. A turn of a chat graph is five commits, of some 450 bytes whatever is in them, and one commit at
`durability="exit"`: 1 KB of text each way takes some 2.1 times as much on the disk, and 1.4 times at "exit".

**Serialisation** is that of the saver's `serde`. The bytes that it makes are kept as JSON if they are MessagePack - the
same bytes come back - and in base64 otherwise. Nothing is ever unpickled, unless the `serde` was told to pickle.
What an `EncryptedSerializer` encrypts is encrypted on the disk, and there are no messages to show then; metadata and
channel versions are readable, as in other savers.

**Repeats**: a checkpoint that is put again as it is, and writes that a task has made already, add nothing.

`delete_thread` deletes the session; `prune` and `delete_for_runs` write what is left anew, in one commit, and free the
disk. With "keep_latest", `prune` keeps the ancestors too that a `DeltaChannel` of the latest checkpoint is made of.
`copy_thread` forks the session, which costs next to nothing; a thread that exists already is added to.

Several processes may work on one thread: each call is decided on the head that it finds, under the session's lease, and
waits for others up to a minute. All methods of both classes may be used from threads; the async methods of both run
the calls of a thread id in threads of their own, in the order in which they were made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..contract.sessions import Durability
from ._stores import StoreOrPath

try:
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        DeltaChannelHistory,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
except ImportError as error:
    raise ImportError("LangGraph is missing: pip install 'localstore[langgraph]'") from error

from .checkpoints.saver import Saver, config_of, thread_id_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

R = TypeVar("R")


class LocalStoreSaver(Saver):
    """A checkpointer on a store.

    Args:
        store_or_path: an open store, which its owner closes, or the folder of one, which is opened once a process.
        serde: the serialiser; LangGraph's own by default.
        durability: of a store that is opened by path; see `Durability`.

    A `put` or `put_writes` that returned survives a crash as the store's durability says; one that did not is there
    whole or not at all. An async call that was made is carried out even when its caller is cancelled.

    Raises:
        StoreError: as the store's calls do, from every method.
    """

    @classmethod
    def from_path(
        cls,
        path: StoreOrPath,
        *,
        serde: SerializerProtocol | None = None,
        durability: Durability = Durability.FULL,
    ) -> Self:
        """A saver on the store in this folder, to be used in a `with` (or `async with`) block."""
        return cls(path, serde=serde, durability=durability)

    def close(self) -> None:
        """Let go of the store; one that was opened by path closes with its last user. Idempotent."""
        self._threads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._threads.tenancy.close_after(None, self.close)

    # The same, for coroutines.

    async def _run(self, thread_id: str | None, work: Callable[[], R]) -> R:
        return await self._threads.tenancy.run(thread_id, work)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, awaited."""
        return await self._run(thread_id_of(config), lambda: self.get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, awaited one by one."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        lane = None if config is None else thread_id_of(config)
        while (item := await self._run(lane, lambda: next(found, None))) is not None:
            yield item

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, awaited."""
        # Serialised here and now: the graph goes on and may change what it gave.
        dumped = self._dumped(config, checkpoint, metadata)
        thread_id = thread_id_of(config)
        await self._run(thread_id, lambda: self._keep(thread_id, dumped))
        return config_of(config["configurable"]["thread_id"], *dumped.key)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, awaited."""
        thread_id, dumped = thread_id_of(config), self._dumped_writes(config, writes, task_id, task_path)
        await self._run(thread_id, lambda: self._keep(thread_id, dumped))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, awaited."""
        await self._run(str(thread_id), lambda: self.delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, awaited."""
        await self._run(None, lambda: self.delete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, awaited."""
        await self._run(str(source_thread_id), lambda: self.copy_thread(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, awaited."""
        await self._run(None, lambda: self.prune(thread_ids, strategy=strategy))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, awaited."""
        return await self._run(
            thread_id_of(config), lambda: self.get_delta_channel_history(config=config, channels=channels)
        )


class AsyncLocalStoreSaver(LocalStoreSaver):
    """`LocalStoreSaver` under the name that other savers have for coroutines: `async with` closes it."""
