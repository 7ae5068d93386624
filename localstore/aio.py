"""Async twins of the faces: the same names, awaited, with the file work off the event loop.

Calls of one session run in the order they were made, also those of different handles; different sessions run beside
each other. A call that was made is carried out even when its caller is cancelled while it waits: all that is lost is
the answer, and the next call on that session sees what it did.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
import typing
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from . import watching
from .attachments import SessionScopedAttachmentStore
from .contract import checks
from .contract.attachments import AttachmentStore
from .contract.clock import Clock
from .contract.errors import StoreClosed
from .contract.feed import ChangeBatch
from .contract.sessions import Durability
from .lanes import Lanes
from .local import LocalStore
from .session import SessionStore
from .store import TRASH_GRACE_MS, Store

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

# A call may run after its caller went on: what could change until then is copied, as a synchronous call would have.
_COPIES: dict[type, Callable[[Any], Any]] = {list: list, bytearray: bytearray, memoryview: bytes}


def _own(value: Any) -> Any:
    copy = _COPIES.get(type(value))
    return value if copy is None else copy(value)


class _Face(ABC, Generic[S_co]):
    """The async face of a synchronous object."""

    _lanes: Lanes
    _lane: str | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in vars(cls).items():
            if isinstance(member, FunctionType) and hasattr(member, "__wrapped__"):
                member.__module__ = cls.__module__
                member.__qualname__ = f"{cls.__qualname__}.{name}"

    @abstractmethod
    def _reach(self) -> S_co:
        """The synchronous object. Called in a thread of the lanes: it may block."""

    def _admit(self) -> None:
        """Raise `StoreClosed` when the face itself was closed."""

    async def _call(self, lane: str | None, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._admit()
        held = [_own(value) for value in args]
        named = {key: _own(value) for key, value in kwargs.items()}
        return await self._lanes.run(lane, lambda: getattr(self._reach(), name)(*held, **named))


def _twin(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[_Face[S], P], Coroutine[Any, Any, R]]:
    """The coroutine method with the name, signature and docstring of `method`, which it calls in a lane."""
    name = method.__name__
    lane_of = _lane_of(method)

    async def call(self: _Face[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = await self._call(lane_of(self._lane, args, kwargs), name, args, kwargs)
        return result

    _dress(call, method)
    return call


@overload
def _handle_twin(
    method: Callable[Concatenate[Store, P], SessionStore],
) -> Callable[Concatenate[_Face[Store], P], Coroutine[Any, Any, AsyncSessionStore]]: ...
@overload
def _handle_twin(
    method: Callable[Concatenate[Store, P], SessionStore | None],
) -> Callable[Concatenate[_Face[Store], P], Coroutine[Any, Any, AsyncSessionStore | None]]: ...
def _handle_twin(
    method: Callable[Concatenate[Store, P], SessionStore | None],
) -> Callable[Concatenate[_Face[Store], P], Coroutine[Any, Any, AsyncSessionStore | None]]:
    """The twin of a method that gives a handle: it gives the handle's twin."""
    twin = _twin(method)

    async def call(self: _Face[Store], /, *args: P.args, **kwargs: P.kwargs) -> AsyncSessionStore | None:
        handle = await twin(self, *args, **kwargs)
        return None if handle is None else AsyncSessionStore(self._lanes, handle)

    optional = typing.get_type_hints(method)["return"] is not SessionStore
    _dress(call, method, returns=AsyncSessionStore | None if optional else AsyncSessionStore)
    return call


def _lane_of(method: Callable[..., Any]) -> Callable[[str | None, tuple[Any, ...], dict[str, Any]], str | None]:
    """Picks the session that a call is about: the one its first argument is, or names; else the face's own."""
    first = next(iter(list(inspect.signature(method).parameters)[1:]), "")

    def pick(own: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        subject = args[0] if args else kwargs.get(first)
        session_id = subject if first == "session_id" else getattr(subject, "session_id", None)
        return session_id if isinstance(session_id, str) else own

    return pick


def _dress(call: Any, method: Callable[..., Any], returns: object = None) -> None:
    """Give `call` the looks of `method`, but for what it `returns`."""
    # `updated`: a twin is not abstract where the method is.
    functools.update_wrapper(call, method, updated=())
    call.__doc__ = inspect.getdoc(method)
    call.__annotations__ = dict(method.__annotations__)
    if returns is not None:
        call.__annotations__["return"] = returns
        call.__signature__ = inspect.signature(method).replace(return_annotation=returns)


class AsyncSessionStore(_Face[SessionStore]):
    """The async twin of `SessionStore`: a handle bound to one session, given out by `AsyncLocalStore`.

    It has the same methods, awaited. Calls about one session run in the order they were made, whichever handle makes
    them; a method that takes a session id, or a record with one, is about that session. A claim whose caller is
    cancelled is held until it expires, as when its holder dies.
    """

    def __init__(self, lanes: Lanes, handle: SessionStore) -> None:
        self._lanes = lanes
        self._lane = handle.session_id
        self._handle = handle
        self._closed = False

    def _reach(self) -> SessionStore:
        return self._handle

    def _admit(self) -> None:
        if self._closed:
            raise StoreClosed("the handle")

    @property
    def session_id(self) -> str:
        """The id of the session this handle is bound to."""
        return self._handle.session_id

    @property
    def clock(self) -> Clock:
        """The clock of the store."""
        return self._handle.clock

    async def close(self) -> None:
        """Close this handle; others on the session stay open. Idempotent.

        Calls that were made before are carried out; those on the session itself are waited for.
        """
        self._closed = True
        try:
            await self._lanes.run(self._lane, lambda: None)
        except StoreClosed:  # the store was closed before, and its handles with it
            pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def fork(self, session_id: str, *, at: str | None = None, session_name: str | None = None) -> Self:
        # In the lane of the parent, of which the child has what was asked for before.
        handle = await self._call(self._lane, "fork", (session_id,), {"at": at, "session_name": session_name})
        return type(self)(self._lanes, handle)

    _dress(fork, SessionStore.fork, returns=Self)

    def watch(
        self, since: str | None = None, *, poll_s: float = 1.0, stop: watching.Stop | None = None
    ) -> AsyncGenerator[ChangeBatch, None]:
        self._admit()
        after = checks.optional_identifier("since", since)
        interval, end = watching.interval(poll_s), watching.stopping(stop)
        handle = self._handle

        async def run(work: Callable[[], Any]) -> Any:
            # Beside the session's other calls: who follows does not wait for those that were asked for before.
            return await self._lanes.run(None, work)

        def look(cursor: str | None) -> ChangeBatch:
            self._admit()
            return handle._news(cursor)

        return watching.follow_async(run, look, lambda wake: handle._own().listen(wake), after, interval, end)

    _dress(watch, SessionStore.watch, returns=AsyncGenerator[ChangeBatch, None])

    load_session = _twin(SessionStore.load_session)
    load_node = _twin(SessionStore.load_node)
    load_session_head = _twin(SessionStore.load_session_head)
    commit_runtime_state = _twin(SessionStore.commit_runtime_state)
    commit_in_passing = _twin(SessionStore.commit_in_passing)
    save_session_meta = _twin(SessionStore.save_session_meta)
    load_session_meta = _twin(SessionStore.load_session_meta)
    tombstone_nodes = _twin(SessionStore.tombstone_nodes)
    vacuum = _twin(SessionStore.vacuum)
    gc_unreachable = _twin(SessionStore.gc_unreachable)
    redact = _twin(SessionStore.redact)
    checkpoint = _twin(SessionStore.checkpoint)
    changes = _twin(SessionStore.changes)

    rewind = _twin(SessionStore.rewind)
    undo = _twin(SessionStore.undo)
    head_log = _twin(SessionStore.head_log)
    branches = _twin(SessionStore.branches)
    create_branch = _twin(SessionStore.create_branch)
    switch_branch = _twin(SessionStore.switch_branch)
    drop_branch = _twin(SessionStore.drop_branch)
    leaves = _twin(SessionStore.leaves)
    durability_tier = _twin(SessionStore.durability_tier)

    try_claim_session_execution_lease = _twin(SessionStore.try_claim_session_execution_lease)
    reclaim_session_execution_lease = _twin(SessionStore.reclaim_session_execution_lease)
    renew_session_execution_lease = _twin(SessionStore.renew_session_execution_lease)
    release_session_execution_lease = _twin(SessionStore.release_session_execution_lease)
    get_session_execution_lease = _twin(SessionStore.get_session_execution_lease)

    enqueue_pending_turn_input = _twin(SessionStore.enqueue_pending_turn_input)
    list_pending_turn_inputs = _twin(SessionStore.list_pending_turn_inputs)
    cancel_pending_turn_input = _twin(SessionStore.cancel_pending_turn_input)
    cancel_pending_turn_inputs = _twin(SessionStore.cancel_pending_turn_inputs)
    cancel_pending_turn_input_suffix = _twin(SessionStore.cancel_pending_turn_input_suffix)
    claim_active_turn_inputs = _twin(SessionStore.claim_active_turn_inputs)
    claim_next_turn_inputs = _twin(SessionStore.claim_next_turn_inputs)
    abandon_turn_input_claim = _twin(SessionStore.abandon_turn_input_claim)
    defer_orphaned_turn_inputs = _twin(SessionStore.defer_orphaned_turn_inputs)

    enqueue_queued_work = _twin(SessionStore.enqueue_queued_work)
    list_queued_work = _twin(SessionStore.list_queued_work)
    list_pending_queued_work = _twin(SessionStore.list_pending_queued_work)
    cancel_queued_work_batch = _twin(SessionStore.cancel_queued_work_batch)
    claim_leading_ready_session_command = _twin(SessionStore.claim_leading_ready_session_command)
    claim_ready_queued_work = _twin(SessionStore.claim_ready_queued_work)
    claim_ready_queued_work_by_batch_ids = _twin(SessionStore.claim_ready_queued_work_by_batch_ids)
    renew_queued_work_claim = _twin(SessionStore.renew_queued_work_claim)
    abandon_queued_work_claim = _twin(SessionStore.abandon_queued_work_claim)

    record_intent = _twin(SessionStore.record_intent)
    commit_refs = _twin(SessionStore.commit_refs)
    list_uncommitted = _twin(SessionStore.list_uncommitted)
    forget = _twin(SessionStore.forget)


class AsyncLocalStore(_Face[Store]):
    """The async twin of `LocalStore`: `async with AsyncLocalStore(root) as store:`.

    Making one touches no file: it is opened on entering it or by its first call, which raise what `LocalStore(root)`
    would. One store serves any number of tasks, and event loops in different threads or one after the other. Its
    threads, at most 4 more than there are CPUs and never more than 32, end with `close`, or with the store itself.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durability: Durability = Durability.FULL,
        clock: Clock | None = None,
        trash_grace_ms: int = TRASH_GRACE_MS,
    ) -> None:
        place = os.fspath(root) if isinstance(root, os.PathLike) else root
        if isinstance(place, str) and place:
            # The store may be opened after the process has gone to another directory.
            place = os.path.abspath(place)
        self._root: str | None = place if isinstance(place, str) else None
        self._prepare(
            None, lambda: LocalStore(place, durability=durability, clock=clock, trash_grace_ms=trash_grace_ms)
        )

    @classmethod
    async def open(
        cls,
        root: str | os.PathLike[str],
        *,
        durability: Durability = Durability.FULL,
        clock: Clock | None = None,
        trash_grace_ms: int = TRASH_GRACE_MS,
    ) -> Self:
        """An opened store. Raises what `LocalStore(root)` would; a cancelled opening closes again what it opened."""
        store = cls(root, durability=durability, clock=clock, trash_grace_ms=trash_grace_ms)
        return await store.__aenter__()

    @classmethod
    def over(cls, store: Store) -> Self:
        """The async face of `store`, such as an `InMemoryStore`. Closing it closes `store`."""
        face = cls.__new__(cls)
        face._prepare(store, lambda: store)
        face._root = getattr(store, "root", None)
        return face

    def _prepare(self, store: Store | None, make: Callable[[], Store]) -> None:
        self._store = store
        self._make = make
        self._opening = threading.Lock()
        self._lanes = Lanes()

    def _reach(self) -> Store:
        if self._store is None:
            with self._opening:
                if self._store is None:
                    self._store = self._make()
        return self._store

    @property
    def root(self) -> Path:
        """The store's folder. `AttributeError` over a store that has none."""
        if self._root is None:
            raise AttributeError(f"{type(self._store).__name__} has no root")
        return Path(self._root)

    @property
    def attachments(self) -> AsyncAttachmentStore:
        """The bytes of attachments, shared by all sessions of this store."""
        if self._lanes.closed:
            raise StoreClosed()
        return AsyncAttachmentStore(self)

    async def close(self) -> None:
        """Close the store and its handles. Idempotent. A file store folds, so that no journal stays behind.

        Calls made from now on raise `StoreClosed`; those made before are waited for. Cancelling this does not stop it.
        """
        await self._lanes.close(self._end)

    def _end(self) -> None:
        if self._store is not None:
            self._store.close()

    async def __aenter__(self) -> Self:
        if self._store is not None:
            return self
        try:
            await self._lanes.run(None, self._reach)
        except asyncio.CancelledError:
            self._lanes.begin_close(self._end)
            raise
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    create_session = _handle_twin(Store.create_session)
    open_session = _handle_twin(Store.open_session)
    delete_session = _twin(Store.delete_session)
    trash = _twin(Store.trash)
    restore_session = _handle_twin(Store.restore_session)
    purge = _twin(Store.purge)
    prune = _twin(Store.prune)
    list_sessions = _twin(Store.list_sessions)
    survey_sessions = _twin(Store.survey_sessions)
    redact = _twin(Store.redact)
    search = _twin(Store.search)
    export_session = _twin(Store.export_session)
    import_session = _handle_twin(Store.import_session)
    backup = _twin(Store.backup)
    sweep_attachments = _twin(Store.sweep_attachments)
    durability_tier = _twin(Store.durability_tier)


class AsyncAttachmentStore(_Face[AttachmentStore]):
    """The async twin of `AttachmentStore`: attachment bytes by content, shared by all sessions of a store.

    Its calls are about no session: they run beside all others, in no order.
    """

    def __init__(self, store: AsyncLocalStore) -> None:
        self._store = store
        self._lanes = store._lanes

    def _reach(self) -> AttachmentStore:
        return self._store._reach().attachments

    put = _twin(AttachmentStore.put)
    get = _twin(AttachmentStore.get)


class AsyncSessionScopedAttachmentStore(_Face[SessionScopedAttachmentStore]):
    """The async twin of `SessionScopedAttachmentStore`: `attachments` for one session.

    Its calls run in the order of the session's other calls: what a cancelled `put` stored is among the next ids taken.
    """

    def __init__(
        self,
        store: AsyncAttachmentStore,
        session: AsyncSessionStore,
        *,
        session_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._attachments: AsyncAttachmentStore = checks.instance("store", store, AsyncAttachmentStore)
        self._session: AsyncSessionStore = checks.instance("session", session, AsyncSessionStore)
        self._lanes = session._lanes
        self._lane = session.session_id if session_id is None else checks.session_id(session_id)
        self._clock = clock
        self._scoped: SessionScopedAttachmentStore | None = None

    def _reach(self) -> SessionScopedAttachmentStore:
        if self._scoped is None:
            store, session = self._attachments._reach(), self._session._reach()
            self._scoped = SessionScopedAttachmentStore(store, session, session_id=self._lane, clock=self._clock)
        return self._scoped

    def _admit(self) -> None:
        self._session._admit()

    async def take_pending_attachment_ids(self) -> tuple[str, ...]:
        scoped = await self._lanes.run(self._lane, self._reach)
        # Taken here and not in the lane: ids whose taker was cancelled on the way would be lost to every commit.
        return scoped.take_pending_attachment_ids()

    _dress(take_pending_attachment_ids, SessionScopedAttachmentStore.take_pending_attachment_ids)

    put = _twin(SessionScopedAttachmentStore.put)
    get = _twin(SessionScopedAttachmentStore.get)
