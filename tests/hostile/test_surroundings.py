"""A store among things that do not belong there, or that are not as they should be.

What stands in the place of one of our files is refused or told, never followed, waited for or read into memory; all
that does not need it is there. What the surroundings are like - a umask, another user, a file system that folds case or
keeps no locks, a clock - changes nothing, or is told.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localstore import BackendError, Durability, FullGraph, LeaseAcquired, LeaseBusy, LocalStore, StoreError
from localstore.disk.check import check_store
from localstore.testing import SESSION, SteppedClock, append_commit, next_input, node, owner, said, wake
from tests.corruption.corruption_sample import Sample, Seen, copied, open_store, sample_at_rest, sample_live

HOUR = 3_600_000
OTHER = "other"
HUGE = 2 << 30
ANOTHER_USER = 65_534
needs_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture(scope="module", params=[sample_at_rest, sample_live])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A store with every kind of file, and a second session, which none of this is about."""
    made: Sample = request.param(tmp_path_factory.mktemp("sample") / "store")
    with open_store(made.root) as store:
        store.create_session(OTHER).enqueue_pending_turn_input(next_input("hello", session_id=OTHER))
    return made


def files_of(root: Path) -> list[Path]:
    return sorted(
        path.relative_to(root) for path in root.rglob("*") if path.is_file() and not path.parent.name.startswith(OTHER)
    )


def kinds_of(root: Path) -> dict[str, Path]:
    """One file of each kind, by the folder it is in and what its name ends with."""
    found: dict[str, Path] = {}
    for path in files_of(root):
        parts = path.parts
        folder = parts[0] if parts[0] != "sessions" else "/".join(("session", *parts[2:-1]))
        found[f"{folder}/{path.suffix or path.name[:4]}/{path.stem if len(parts) == 3 else ''}"] = path
    return found


def symlink(path: Path) -> None:
    """One that leads to what was there."""
    aside = next(each for each in path.parents if each.name == "store").with_name("aside")
    shutil.move(path, aside)
    path.symlink_to(aside)


def nothing(path: Path) -> None:
    path.unlink()
    path.touch(0o600)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def huge(path: Path) -> None:
    """Two gigabytes of zeros, behind what was there."""
    os.truncate(path, HUGE)


def zeros(path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, HUGE)


def deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"\n")


def long(path: Path) -> None:
    path.write_bytes(b'{"schema_version":1,"a":"' + b"x" * (8 << 20) + b'"}\n')


OTHER_BYTES = (nothing, huge, zeros, deep, long)
ODD: tuple[Callable[[Path], None], ...] = (symlink, folder, fifo, *OTHER_BYTES)


@contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """No more than `extra` bytes may be mapped from now on."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.damaged
@pytest.mark.skipif(sys.platform != "linux", reason="FIFOs and limits of memory are tried on Linux")
@pytest.mark.parametrize("make", ODD)
def test_what_is_no_file_of_ours_is_told_and_never_followed(
    sample: Sample, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Each kind of file in turn; whatever can be read is as it was, and a gigabyte more is never needed."""
    wrong = []
    for kind, relative in kinds_of(sample.root).items():
        if relative.name == "lock" and make in OTHER_BYTES:
            continue  # nobody reads it
        root = tmp_path / "store"
        copied(sample.root, root)
        make(root / relative)
        before = sorted((str(path), os.lstat(path).st_size) for path in root.rglob("*"))
        with bounded_memory(1 << 30):
            wrong += [
                f"{make.__name__} as {kind}: {each}"
                for each in judge(root, relative, truths_without(sample, relative, make), make)
            ]
        if sorted((str(path), os.lstat(path).st_size) for path in root.rglob("*")) != before:
            wrong.append(f"{make.__name__} as {kind}: reading changed something")
        shutil.rmtree(root)
    assert not wrong, "\n".join(wrong)


def truths_without(sample: Sample, relative: Path, make: Callable[[Path], None]) -> list[dict[str, Any]]:
    """What may be read. A live journal without any record of ours looks like one whose calls never came."""
    live = relative.suffix == ".journal" and make in {nothing, deep, long}
    return [truth.answers for truth in (sample.truths if live else sample.truths[-1:])]


def judge(root: Path, relative: Path, truths: list[dict[str, Any]], make: Callable[[Path], None]) -> Iterator[str]:
    try:
        with open_store(root) as store:
            seen = Seen(store).answers
            other = store.open_session(OTHER)
            assert other is not None
            assert len(other.list_pending_turn_inputs(OTHER)) == 1
    except StoreError as error:
        if relative.name != "store.json":
            yield f"it does not open: {error!r}"
        seen = {}
    except Exception as error:  # noqa: BLE001 - the point
        yield f"a bare {error!r}"
        seen = {}
    for name, found_answer in seen.items():
        answer = found_answer
        if name == "list" and not isinstance(answer, StoreError):
            answer = tuple(row for row in answer if row.session_id != OTHER)
        if not isinstance(answer, StoreError) and answer not in [truth[name] for truth in truths]:
            yield f"{name} gives {answer!r}, not {truths[-1][name]!r}"
    try:
        found = check_store(root)
    except StoreError as error:
        if relative.name != "store.json":
            yield f"the check raises {error!r}"
        return
    except Exception as error:  # noqa: BLE001 - the point
        yield f"the check raises a bare {error!r}"
        return
    is_empty_journal = relative.suffix == ".journal" and make is nothing
    if not is_empty_journal and not any(each.path == relative.as_posix() for each in found.findings):
        yield f"the check does not tell of it: {found.findings}"


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_a_whole_store_is_readable_for_its_owner_alone(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        root = tmp_path / "made" / "store" if mask & 0o700 == 0 else tmp_path / "store"
        sample_at_rest(root)
        fill(root, "another", Durability.FULL)
        with LocalStore(root) as store:
            store.delete_session("another")
    finally:
        os.umask(before)
    for path in (root, *root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has {mode:o}"


def fill(root: Path, session_id: str, durability: Durability = Durability.PROCESS) -> None:
    """A session with something of everything, folded and written on."""
    with LocalStore(root, durability=durability) as store:
        session = store.create_session(session_id, session_name=f"of {session_id}")
        session.enqueue_pending_turn_input(next_input(f"for {session_id}", session_id=session_id))
        session.enqueue_queued_work(wake(session_id, session_id=session_id))
        session.commit_runtime_state(
            append_commit(
                node(f"{session_id}-1"),
                said(f"{session_id}-2", f"{session_id}-1", session_id * 20_000),
                session_id=session_id,
                session_execution_lease=lease_of(session, session_id),
            )
        )
        session.checkpoint()
        session.enqueue_pending_turn_input(next_input("more", session_id=session_id))


def lease_of(session: Any, session_id: str) -> Any:
    lease = session.try_claim_session_execution_lease(session_id, owner(), HOUR).acquired()
    assert lease is not None
    return lease.fence()


OPEN_AS_ANOTHER = f"""
import os, sys
from localstore import BackendError, LocalStore
with LocalStore(sys.argv[2]) as store:  # whatever is imported on the way may be for root alone
    store.create_session("mine").list_pending_turn_inputs("mine")
os.setgroups([]); os.setgid({ANOTHER_USER}); os.setuid({ANOTHER_USER})
try:
    with LocalStore(sys.argv[1]) as store:
        session = store.open_session("mine")
        session.list_pending_turn_inputs("mine")
except BackendError as error:
    assert isinstance(error.__cause__, PermissionError), repr(error.__cause__)
    print("refused:", error)
"""


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder that everybody may go through, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@needs_root
@pytest.mark.parametrize("closed", ["root", "session"])
def test_files_of_another_user_are_refused_in_words(world: Path, closed: str) -> None:
    """The others' store is closed, or only one session of a store that is open to all."""
    root = world / "store"
    fill(root, "mine")
    if closed == "session":
        for path in (root, *root.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        next((root / "sessions").iterdir()).chmod(0o700)
    before = sorted((str(path), path.stat().st_mode, path.stat().st_size) for path in root.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AS_ANOTHER, str(root), str(world / "own")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.startswith("refused:"), done.stdout + done.stderr
    assert str(root) in done.stdout
    assert sorted((str(path), path.stat().st_mode, path.stat().st_size) for path in root.rglob("*")) == before


class _Folds:
    """`os` on a file system that has one name where names differ in case only, and keeps none of it."""

    def __init__(self, base: Path) -> None:
        self._base = str(base)

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if not callable(found) or isinstance(found, type) or name.startswith("fs"):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            return found(*(self._folded(each) for each in arguments), **keywords)

        return call

    def _folded(self, argument: Any) -> Any:
        if isinstance(argument, str) and argument.startswith(self._base + os.sep):
            return self._base + argument[len(self._base) :].casefold()
        return argument


def test_a_file_system_that_folds_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that differ in case only are sessions of their own, with whatever is in them."""
    proxy = _Folds(tmp_path)
    proxy.mkdir(f"{tmp_path}/OneName")
    with pytest.raises(FileExistsError):
        proxy.mkdir(f"{tmp_path}/onename")
    for name, module in sorted(sys.modules.items()):
        if name.startswith("localstore.disk") and getattr(module, "os", None) is os:
            monkeypatch.setattr(module, "os", proxy)
    root = tmp_path / "Store"
    names = ("Case", "case", "CASE", "Straße", "STRASSE", "ﬁn", "FIN", "K", "k", "İ", "i")
    for name in names:
        fill(root.with_name("store"), name)
    with LocalStore(root.with_name("store")) as store:
        assert {row.session_id for row in store.list_sessions()} == {*names}
        for name in names:
            session = store.open_session(name)
            assert session is not None
            read = session.load_session(FullGraph())
            assert read is not None
            assert [each.node_id for each in read.graph.nodes] == [f"{name}-1", f"{name}-2"]
            waiting = session.list_pending_turn_inputs(name)
            assert [each.input.items[0] for each in waiting] == [
                next_input(text).input.items[0] for text in (f"for {name}", "more")
            ]
        store.delete_session("Case")
        assert {row.session_id for row in store.list_sessions()} == {*names} - {"Case"}
    assert check_store(root.with_name("store")).errors == ()


def test_ids_of_input_and_work_that_differ_in_case_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = _Folds(tmp_path)
    for name, module in sorted(sys.modules.items()):
        if name.startswith("localstore.disk") and getattr(module, "os", None) is os:
            monkeypatch.setattr(module, "os", proxy)
    ids = ["Id", "id", "ID", "iD"]
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session(SESSION)
        for input_id in ids:
            session.enqueue_pending_turn_input(next_input(input_id, input_id=input_id))
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session(SESSION)
        assert [each.input_id for each in session.list_pending_turn_inputs(SESSION)] == ids


@pytest.mark.skipif(os.name == "nt", reason="locks there are others")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    import fcntl

    root = tmp_path / "store"
    fill(root, SESSION)

    def none(fd: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    with LocalStore(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", none)
            with pytest.raises(BackendError, match="keeps no locks"):
                session.enqueue_pending_turn_input(next_input("lost"))
            assert len(session.list_pending_turn_inputs(SESSION)) == 2
        session.enqueue_pending_turn_input(next_input("kept"))
        assert [row.session_id for row in store.list_sessions()] == [SESSION]
        assert len(session.list_pending_turn_inputs(SESSION)) == 3


@pytest.mark.parametrize("step_ms", [-HOUR, HOUR, 24 * HOUR])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_clock_that_is_set_moves_no_lease_and_no_order(tmp_path: Path, step_ms: int, reopened: bool) -> None:
    """Half an hour of a lease of an hour is over, whatever the wall says, and to whoever looks."""
    clock = SteppedClock()
    with LocalStore(tmp_path / "store", clock=clock) as store:
        session = store.create_session(SESSION)
        held = session.try_claim_session_execution_lease(SESSION, owner(), HOUR).acquired()
        assert held is not None
        session.enqueue_pending_turn_input(next_input("before", input_id="before"))
        clock.advance(HOUR // 2)
        clock.set(clock.now_ms() + step_ms)
        with LocalStore(tmp_path / "store", clock=clock) as second:
            looker = second.open_session(SESSION) if reopened else session
            assert looker is not None
            looker.enqueue_pending_turn_input(next_input("after", input_id="after"))
            assert [each.input_id for each in looker.list_pending_turn_inputs(SESSION)] == ["before", "after"]
            outcome = looker.try_claim_session_execution_lease(SESSION, owner("other"), HOUR)
            assert isinstance(outcome, LeaseBusy)
            clock.advance(HOUR // 2)
            outcome = looker.try_claim_session_execution_lease(SESSION, owner("other"), HOUR)
            assert isinstance(outcome, LeaseAcquired)
            assert outcome.lease.fencing_token > held.fencing_token


def test_a_suspend_of_ten_minutes_ends_a_lease_of_five(tmp_path: Path) -> None:
    """Time that the machine slept has passed: the holder that wakes up after it is fenced once another took over."""
    clock = SteppedClock()
    with LocalStore(tmp_path / "store", clock=clock) as holder, LocalStore(tmp_path / "store", clock=clock) as taker:
        sleeper = holder.create_session(SESSION)
        fence = lease_of(sleeper, SESSION)
        fence = sleeper.renew_session_execution_lease(fence, 5 * 60_000).fence()
        clock.advance(10 * 60_000)
        awake = taker.open_session(SESSION)
        assert awake is not None
        lease = awake.try_claim_session_execution_lease(SESSION, owner("other"), HOUR).acquired()
        assert lease is not None
        assert lease.fencing_token > fence.fencing_token
        with pytest.raises(StoreError):
            sleeper.commit_runtime_state(append_commit(node("late"), session_execution_lease=fence))
        assert awake.load_session(FullGraph()) is None
