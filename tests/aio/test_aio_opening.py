"""A store is opened by its first use, where it was made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from localstore import (
    InMemoryStore,
    InvalidArgument,
    StoreError,
)
from localstore.aio import (
    AsyncLocalStore,
)
from localstore.testing import (
    PNG,
    SESSION,
)
from tests.aio.async_faces import Lazy, run, store_threads


class TestOpening:
    def test_is_lazy(self, tmp_path: Path) -> None:
        """Making a store touches nothing; its first call opens it, once."""

        async def main() -> None:
            store = AsyncLocalStore(tmp_path / "root")
            attachments = store.attachments
            assert store.root == tmp_path / "root"
            assert not store.root.exists()
            missing, found = await asyncio.gather(store.open_session(SESSION), attachments.put(b"x", PNG))
            assert missing is None
            assert (await attachments.get(found.id)).data == b"x"
            await store.close()
            async with await AsyncLocalStore.open(str(store.root)) as again:
                assert again.root == store.root
                assert (await again.attachments.get(found.id)).data == b"x"

        run(main())

    def test_happens_where_the_store_was_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative root is one of the directory that the process was in then."""
        monkeypatch.chdir(tmp_path)
        store = AsyncLocalStore("root")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        async def main() -> None:
            async with store:
                await store.create_session(SESSION)

        run(main())
        assert (tmp_path / "root").is_dir()
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_happens_once(self) -> None:
        """However many calls come first, one of them opens the store."""
        made: list[InMemoryStore] = []

        def make() -> InMemoryStore:
            made.append(InMemoryStore())
            return made[-1]

        async def main() -> None:
            async with Lazy(make) as store:
                await asyncio.gather(*(store.create_session(f"s{number}") for number in range(100)))
                assert len(await store.list_sessions()) == 100
            assert len(made) == 1

        run(main())

    @pytest.mark.parametrize("root", ["", "a\0b", 5, b"bytes", None])
    def test_of_a_bad_root_is_refused(self, root: Any) -> None:
        """What `LocalStore(root)` raises is raised on entering, by `open`, and by the first call."""

        async def main() -> None:
            with pytest.raises(InvalidArgument):
                async with AsyncLocalStore(root):
                    raise AssertionError
            with pytest.raises(InvalidArgument):
                await AsyncLocalStore.open(root)
            assert store_threads() == []
            store = AsyncLocalStore(root)
            with pytest.raises(InvalidArgument):
                await store.list_sessions()
            await store.close()

        run(main())

    def test_may_be_tried_again(self, tmp_path: Path) -> None:
        """A call that could not open the store leaves it to the next one."""
        root = tmp_path / "root"
        root.write_text("in the way")

        async def main() -> None:
            store = AsyncLocalStore(root)
            for _ in range(2):
                with pytest.raises(StoreError):
                    await store.create_session(SESSION)
            root.unlink()
            await store.create_session(SESSION)
            await store.close()

        run(main())
