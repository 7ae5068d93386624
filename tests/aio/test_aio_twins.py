"""The async faces have what the synchronous ones have, and nothing else."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from localstore import (
    AttachmentStore,
    ChangeBatch,
    InMemoryStore,
    LocalStore,
    SessionScopedAttachmentStore,
    SessionStore,
)
from localstore.aio import (
    AsyncAttachmentStore,
    AsyncLocalStore,
    AsyncSessionScopedAttachmentStore,
    AsyncSessionStore,
)
from localstore.store import Store
from localstore.testing import (
    SESSION,
    ManualClock,
)
from tests.aio.async_faces import public, run

TWINS = [
    (SessionStore, AsyncSessionStore),
    (Store, AsyncLocalStore),
    (LocalStore, AsyncLocalStore),
    (AttachmentStore, AsyncAttachmentStore),
    (SessionScopedAttachmentStore, AsyncSessionScopedAttachmentStore),
]


class TestTwins:
    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_no_method_is_forgotten(self, kind: type, twin: type) -> None:
        """Each public method has a coroutine method of the same name, parameters and docs; `watch` none."""
        methods = [(name, member) for name, member in public(kind) if inspect.isfunction(member)]
        assert methods
        for name, method in methods:
            ours = inspect.getattr_static(twin, name)
            assert inspect.iscoroutinefunction(ours) or name == "watch", name
            assert (ours.__name__, ours.__qualname__) == (name, f"{twin.__name__}.{name}")
            assert ours.__module__ == "localstore.aio"
            assert inspect.signature(ours).parameters == inspect.signature(method).parameters
            documentation = inspect.getdoc(method)
            assert documentation
            # What a twin's own code adds it says after what the method says; the derived ones say the same.
            assert (inspect.getdoc(ours) or "").startswith(documentation), name
            assert name == "close" or inspect.getdoc(ours) == documentation

    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_types_are_equal(self, kind: type, twin: type) -> None:
        """The types of parameters and results are the same, but for handles, whose twins are given."""
        ours_of: dict[object, object] = {
            SessionStore: AsyncSessionStore,
            SessionStore | None: AsyncSessionStore | None,
            Generator[ChangeBatch, None, None]: AsyncGenerator[ChangeBatch, None],
        }
        for name, method in public(kind):
            if inspect.isfunction(method):
                expected = {key: ours_of.get(hint, hint) for key, hint in typing.get_type_hints(method).items()}
                hints = typing.get_type_hints(inspect.getattr_static(twin, name))
                assert {key: twin if hint is typing.Self else hint for key, hint in hints.items()} == expected, name

    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_properties_are_the_same(self, kind: type, twin: type) -> None:
        """Properties take no time and stay properties."""
        for name, member in public(kind):
            if isinstance(member, property):
                ours = inspect.getattr_static(twin, name)
                assert isinstance(ours, property)
                assert (inspect.getdoc(ours) or "").startswith(str(inspect.getdoc(member)))

    def test_there_is_nothing_else(self) -> None:
        """A twin has no methods of its own, but the ways to make one."""
        extra = {
            twin.__name__: {name for name, _ in public(twin)} - {name for name, _ in public(kind)}
            for kind, twin in TWINS
        }
        assert {name: members for name, members in extra.items() if members} == {"AsyncLocalStore": {"open", "over"}}

    def test_the_constructor_is_the_same(self) -> None:
        """`AsyncLocalStore` and `AsyncLocalStore.open` take what `LocalStore` takes."""
        expected = inspect.signature(LocalStore).parameters
        assert inspect.signature(AsyncLocalStore).parameters == expected
        assert inspect.signature(AsyncLocalStore.open).parameters == expected

    def test_properties_tell_of_the_store(self, tmp_path: Path) -> None:
        """A handle knows its session and clock, a store on files its root."""
        clock = ManualClock()

        async def main() -> None:
            async with AsyncLocalStore(tmp_path / "x" / ".." / "root", clock=clock) as store:
                session = await store.create_session(SESSION)
                assert (session.session_id, session.clock) == (SESSION, clock)
                with LocalStore(tmp_path / "root") as plain:
                    assert store.root == plain.root
            async with AsyncLocalStore.over(LocalStore(tmp_path / "root")) as store:
                assert store.root == tmp_path / "root"
            async with AsyncLocalStore.over(InMemoryStore()) as store:
                with pytest.raises(AttributeError, match="InMemoryStore has no root"):
                    store.root  # noqa: B018

        run(main())
