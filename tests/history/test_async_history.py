"""The async twins of what moves heads, forks, deletes and restores."""

import asyncio
from pathlib import Path

import pytest

from localstore import AsyncLocalStore, AsyncSessionStore, InMemoryStore, NothingToUndo, SessionNotFound, StoreClosed
from localstore.testing import SESSION, append_commit, chain, owner


async def _committed(store: AsyncLocalStore) -> AsyncSessionStore:
    session = await store.create_session(SESSION)
    lease = (await session.try_claim_session_execution_lease(SESSION, owner(), 60_000)).acquired()
    assert lease is not None
    commit = append_commit(*chain("a", "b"), session_execution_lease=lease.fence())
    await session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
    return session


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_histories(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        made = AsyncLocalStore(tmp_path / "store") if kind == "files" else AsyncLocalStore.over(InMemoryStore())
        async with made as store:
            session = await _committed(store)
            await session.rewind("a")
            # A fork has what was asked of its parent before, awaited or not.
            undone, child = await asyncio.gather(session.undo(), session.fork("child", session_name="A child"))
            assert isinstance(child, AsyncSessionStore)
            head = await child.load_session_head()
            assert head is not None
            assert (undone.head_revision, head.head_revision, head.leaf_node_id) == (3, 3, "b")
            await child.create_branch("early", "a")
            assert (await child.switch_branch("early")).head_revision == 4
            assert [branch.is_current for branch in await child.branches()] == [True]
            assert [leaf.node_id for leaf in await child.leaves()] == ["b"]
            await child.drop_branch("early")
            assert len(await child.head_log()) == 1
            await child.undo()
            with pytest.raises(NothingToUndo):
                await child.undo()
            await store.delete_session("child")
            assert [entry.session_name for entry in await store.trash()] == ["A child"]
            with pytest.raises(SessionNotFound):
                await child.load_session_head()
            restored = await store.restore_session("child")
            assert isinstance(restored, AsyncSessionStore)
            assert len((await store.prune(max_sessions=0, apply=True)).sessions) == 2
            assert len(await store.purge(everything=True)) == 2
        with pytest.raises(StoreClosed):
            await restored.undo()

    asyncio.run(main())
