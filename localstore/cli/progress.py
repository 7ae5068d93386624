"""How far a command is, on a terminal's standard error alone: what is piped is never mixed with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


@contextmanager
def steps(items: Sequence[T], what: str) -> Iterator[Iterable[T]]:
    """The items one by one, while a bar says how many of them are done; for a single one something moves."""
    if not items or not sys.stderr.isatty():
        yield items
        return
    if len(items) == 1:
        with busy(what):
            yield items
        return
    with _bar() as progress:
        yield progress.track(items, description=what)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be told how many are done, and of how many."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with _bar() as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """While something of unknown length is under way, something moves."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)
