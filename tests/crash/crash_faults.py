"""Makes each call of the script while one of its system calls fails, and looks at what that leaves."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from localstore import BackendError, Durability, InvalidArgument, LocalStore, SessionExists, SessionNotFound
from localstore.testing import ManualClock, wake
from tests.crash.crash_beside import EXPORT, export
from tests.crash.crash_kernel import Call, Kernel
from tests.crash.crash_oracle import History, difference, has, see
from tests.crash.crash_recovery import NEXT_BOOT, Judge
from tests.crash.crash_settings import ROOT_NAME, lay_out, read_tree
from tests.crash.crash_visits import Recording, wrong
from tests.crash.crash_workload import A, Ids, World

_FLUSHES = ("fsync", "fdatasync")
_MAKES = ("mkdir", "link", "replace", "rename")


def _anything(call: Call) -> bool:
    return True


def _needs_space(call: Call) -> bool:
    return call.name in ("pwrite", "posix_fallocate", "close", *_MAKES, *_FLUSHES) or (
        call.name == "open" and call.changes
    )


def _opens(call: Call) -> bool:
    return call.opens


def _asks_permission(call: Call) -> bool:
    return bool(call.path)


def _writes(call: Call) -> bool:
    return call.changes and call.name not in _FLUSHES


def _short(call: Call) -> bool:
    return call.name == "pwrite" and call.size > 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: an errno at certain calls; once, or from there on until its cause is gone.

    `short` writes a part of what it is given first, as a disk does that is full.
    """

    code: int
    hits: Callable[[Call], bool]
    lasts: bool = False
    short: bool = False
    drops: bool = False

    @property
    def name(self) -> str:
        words = ("short write, " if self.short else "", errno.errorcode[self.code], " that lasts" if self.lasts else "")
        return "".join(words)


FAULTS = (
    Fault(errno.ENOSPC, _needs_space),
    Fault(errno.ENOSPC, _needs_space, lasts=True),
    Fault(errno.ENOSPC, _short, lasts=True, short=True),
    Fault(errno.EDQUOT, _needs_space, lasts=True),
    Fault(errno.EIO, _anything),
    Fault(errno.EIO, _writes, lasts=True),
    Fault(errno.EIO, lambda call: call.name in _FLUSHES, drops=True),
    Fault(errno.EIO, lambda call: call.name in _FLUSHES, lasts=True, drops=True),
    Fault(errno.EMFILE, _opens),
    Fault(errno.EMFILE, _opens, lasts=True),
    Fault(errno.ENFILE, _opens, lasts=True),
    Fault(errno.EACCES, _asks_permission),
    Fault(errno.EACCES, _writes, lasts=True),
    Fault(errno.EROFS, _writes, lasts=True),
    Fault(errno.EINTR, _anything),
    Fault(errno.EINTR, _short, short=True),
)


class Injector:
    """Fails the call with the number `at` that the fault is for, and each after it where the fault lasts."""

    def __init__(self, fault: Fault, at: int) -> None:
        self._fault = fault
        self._at = at
        self._seen = 0
        self._part_written = False
        self.fired: list[str] = []

    def __call__(self, call: Call) -> int | None:
        if not self._fault.hits(call):
            return None
        self._seen += 1
        if self._seen < self._at or (self._seen > self._at and not (self._fault.lasts or self._part_written)):
            return None
        if self._fault.short and not self._part_written:
            self._part_written = True
            self.fired.append(f"{call.name} in part")
            return call.size // 2
        self._part_written = False
        self.fired.append(f"{call.name} {call.path}".strip())
        raise OSError(self._fault.code, os.strerror(self._fault.code))


@dataclass
class Attempt:
    """One step of a recorded run, on what was there before it, in stores that have everything open already."""

    recording: Recording
    history: History
    number: int
    base: str

    @contextmanager
    def prepared(self) -> Iterator[tuple[World, Kernel, Callable[[], None]]]:
        recording, start = self.recording, self.recording.starts[self.number - 1]
        kernel = Kernel(self.base, recording.disk_at(recording.began[self.number - 1]))
        lay_out(kernel.disk.now(), self.base)
        clock = ManualClock(start.now_ms)
        ids = Ids()
        with ExitStack() as stack:
            run_due = stack.enter_context(replace(recording.setting, first_name=1 << 32, stale_s=-1).installed())
            stack.enter_context(kernel.installed())
            stack.enter_context(ids.installed())
            root = f"{self.base}/{ROOT_NAME}"
            durability = recording.setting.durability
            world = World(
                clock,
                lambda: LocalStore(root, durability=durability, clock=clock),
                True,
                dict(start.held),
                dict(start.tokens),
            )
            for session_id in self.history.after[0].sessions:
                see(world.store, clock, session_id)
                see(world.second, clock, session_id)
            clock.advance(1_000)
            self._ids = ids
            try:
                yield world, kernel, run_due
            finally:
                kernel.bury()
                shutil.rmtree(self.base)

    def run(self, world: World) -> object:
        self._ids.start(self.number)
        return self.history.steps[self.number - 1].run(world)

    def calls(self) -> list[Call]:
        """The system calls that the step makes when nothing fails."""
        calls: list[Call] = []
        with self.prepared() as (world, kernel, run_due):
            kernel.before = calls.append
            self.run(world)
            run_due()
            kernel.before = lambda call: None  # what follows removes the folder, and is no part of the step
        return calls

    def judge(self, fault: Fault, at: int, judge: Judge, rng: random.Random) -> Iterator[str]:
        """What is wrong after the step was made, and made again where it failed, while `fault` hits its call `at`."""
        name = self.history.steps[self.number - 1].name
        with self.prepared() as (world, kernel, run_due):
            held, tokens, now_ms = dict(world.held), dict(world.tokens), world.clock.now_ms()
            injector = kernel.before = Injector(fault, at)
            kernel.drops_failed_flushes = fault.drops
            failed: BaseException | None = None
            try:
                self.run(world)
            except Exception as error:  # noqa: BLE001 - which it is, is what is judged
                failed = error
            if failed is None:
                run_due()
            kernel.before = lambda call: None
            where = f"{fault.name} at call {at} of {name} ({injector.fired[:3]})"
            if not injector.fired:
                yield f"{where}: the step made fewer calls than before, so that nothing failed"
            if failed is not None and not isinstance(failed, BackendError):
                yield f"{where}: {type(failed).__name__}: {failed}"
            if failed is not None:
                if self.history.steps[self.number - 1].closes:
                    world.open()
                what = f"{where} failed ({failed}), and then"
                yield from self._states(world, self.number - 1, what, halfway=True, lasts=fault.lasts)
                world.held, world.tokens = held, tokens
                world.clock.set(now_ms)
                try:
                    self.run(world)
                except Exception as error:  # noqa: BLE001
                    if not self._is_done(error, fault):
                        yield f"{where}: made again without it, the call fails: {type(error).__name__}: {error}"
                        return
            elif self.history.steps[self.number - 1].in_parts:
                self.run(world)  # what it could not delete is deleted by the next one
            yield from self._states(world, self.number, f"{where}: afterwards")
            durability = self.recording.setting.durability
            if fault.drops:
                for tree in kernel.disk.cuts(rng, 3, 0):
                    found = judge.recover(tree, boot=NEXT_BOOT, kind="power cut after a failed flush")
                    yield from wrong(found, self.history, self.number, self.number, durability, f"{where}: power cut")
            yield from self._closed(world, kernel, where, durability)

    def _is_done(self, error: Exception, fault: Fault) -> bool:
        """Whether the step, made again, fails because a session could not be brought back; see `_states`."""
        makes_or_deletes = self.history.steps[self.number - 1].makes_or_deletes
        return fault.lasts and makes_or_deletes and isinstance(error, SessionExists | SessionNotFound)

    def _states(
        self, world: World, number: int, where: str, *, halfway: bool = False, lasts: bool = False
    ) -> Iterator[str]:
        """What is not as it was after a call; or, of one in several parts that failed, as some of them leave it.

        Where a disk fails for good, what was just made, deleted or vacuumed cannot be brought back to what it was.
        """
        expected = self.history.after[number]
        parts = [self.history.halfway.get(number + 1, {})] if halfway else []
        step = self.history.steps[min(number, len(self.history.steps) - 1)]
        if halfway and (step.in_parts or (lasts and step.makes_or_deletes)):
            parts.append(self.history.after[number + 1].sessions)
        for store in (world.store, world.second):
            for session_id, state in expected.sessions.items():
                found = see(store, world.clock, session_id)
                if found != state and found not in [part[session_id] for part in parts if session_id in part]:
                    yield f"{where} {session_id} is not as after call {number}: {difference(found, state)}"
            for attachment, there in expected.attachments.items():
                # Bytes that were put in vain are no harm: they have no other name than what they are.
                if has(store, attachment) is not there and not halfway:
                    yield f"{where} {attachment} is {'missing' if there else 'there'}"

    def _closed(self, world: World, kernel: Kernel, where: str, durability: Durability) -> Iterator[str]:
        world.close()
        if kernel.open_count:
            yield f"{where}: {kernel.open_count} descriptors stay open"
        world.open()
        for line in world.store.list_sessions():
            # What a fold could not remove is removed by the next one.
            world.handle(line.session_id).enqueue_queued_work(wake(session_id=line.session_id))
        world.store.sweep_attachments(0)
        if self.history.steps[self.number - 1].name == EXPORT:
            # A disk that fails for good keeps what an export would remove: the next one of that name removes it.
            with suppress(InvalidArgument):
                export(world, A)
        world.close()
        for path in read_tree(self.base):
            if path.endswith((".tmp", ".aside")) and "/trash/" not in path:
                yield f"{where}: {path} stays behind"


def attempts(
    recording: Recording,
    history: History,
    faults: Sequence[Fault],
    base: str,
    rng: random.Random,
    share: float,
    whole: Collection[str] = (),
) -> Iterator[tuple[Attempt, Fault, int]]:
    """A part of all the ways in which one system call of one step can fail; all of those in the steps `whole`."""
    for number in range(1, len(history.steps) + 1):
        attempt = Attempt(recording, history, number, base)
        calls = attempt.calls()
        for fault in faults:
            hit = sum(fault.hits(call) for call in calls)
            for at in range(1, hit + 1):
                if rng.random() < share or history.steps[number - 1].name in whole:
                    yield attempt, fault, at
