"""Owners and their liveness, judged on real processes; and the errors."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import localstore

from ... import (
    BackendError,
    InvalidArgument,
    LeaseOwnerIdentity,
    LocalProcess,
    Opaque,
    StoreError,
)
from ..builders import living_owner, owner
from ..identities import dead_owner, dead_process

Make = Callable[[], LeaseOwnerIdentity]


def here(**changes: Any) -> LeaseOwnerIdentity:
    """This process, with some fact about it changed."""
    alive = living_owner().liveness
    assert isinstance(alive, LocalProcess)
    return LeaseOwnerIdentity("o", "i", replace(alive, **changes))


def gone(**changes: Any) -> LeaseOwnerIdentity:
    """A dead process, with some fact about it changed."""
    return LeaseOwnerIdentity("o", "i", replace(dead_process(), **changes))


VERDICTS: dict[str, tuple[Make, Make, bool]] = {
    "dead, both processes of one host and boot": (gone, here, True),
    "dead, for another dead one": (gone, gone, True),
    "another start under the same pid": (
        lambda: here(process_start=dead_process().process_start),
        here,
        True,
    ),
    "alive": (here, here, False),
    "holder opaque": (owner, here, False),
    "claimant opaque": (gone, owner, False),
    "both opaque": (owner, owner, False),
    "another host": (lambda: gone(host_id="elsewhere"), here, False),
    "claimant of another host": (gone, lambda: here(host_id="elsewhere"), False),
    "another boot": (lambda: gone(boot_id="another"), here, False),
    "claimant of another boot": (gone, lambda: here(boot_id="another"), False),
    "boot time measured a second apart": (
        lambda: gone(boot_id="epoch:1700000000"),
        lambda: here(boot_id="epoch:1700000001"),
        True,
    ),
    "boot unknown to both": (lambda: gone(boot_id=""), lambda: here(boot_id=""), False),
    "alive with a start of another kind": (lambda: here(process_start="nonsense"), here, False),
    "pid 0": (lambda: gone(pid=0), here, False),
    "absurd pid": (lambda: gone(pid=2**53 - 1), here, False),
}


class TestDeath:
    """When a holder is definitely dead."""

    @pytest.mark.parametrize("case", VERDICTS)
    def test_is_judged_on_proof_alone(self, case: str) -> None:
        """A holder is definitely dead only when both are processes of one host and boot, and it is gone."""
        holder, claimant, verdict = VERDICTS[case]
        assert holder().is_definitely_dead_for_claimant(claimant()) is verdict


class TestOwner:
    """Owners."""

    def test_is_opaque_unless_told(self) -> None:
        """An owner of which nothing is known is opaque."""
        assert LeaseOwnerIdentity("o", "i").liveness == Opaque()
        assert LeaseOwnerIdentity.opaque("o", "i") == LeaseOwnerIdentity("o", "i")

    def test_may_be_this_process(self) -> None:
        """A local process is filled with this process's facts, the host by default too."""
        liveness = LeaseOwnerIdentity.local_process("o", "i").liveness
        assert isinstance(liveness, LocalProcess)
        assert liveness.pid == os.getpid()
        assert "" not in (liveness.host_id, liveness.boot_id, liveness.process_start)
        assert LeaseOwnerIdentity.local_process("o", "i").liveness == liveness

    def test_may_name_its_host(self) -> None:
        """A host id of the caller's is kept."""
        liveness = LeaseOwnerIdentity.local_process("o", "i", "my host").liveness
        assert isinstance(liveness, LocalProcess)
        assert liveness.host_id == "my host"

    def test_is_the_same_incarnation_by_its_two_ids(self) -> None:
        """Owner id and incarnation id make the incarnation, liveness does not."""
        assert owner("a", "1").same_incarnation(living_owner("a", "1"))
        assert not owner("a", "1").same_incarnation(owner("a", "2"))
        assert not owner("a", "1").same_incarnation(owner("b", "1"))

    def test_of_another_process_differs(self) -> None:
        """Two processes are never the same process."""
        assert dead_owner("o", "1") != living_owner("o", "1")


def arguments_of(kind: type[StoreError]) -> tuple[Any, ...]:
    """Arguments for an error's constructor, by their names."""
    given: dict[str, Any] = {
        "expected": 3,
        "actual": 4,
        "what": "the handle",
        "path": "/some/path",
        "reason": "it is short",
        "record_kind": "head",
    }
    if "__init__" not in vars(kind):
        return ("what went wrong",)
    names = list(inspect.signature(kind).parameters)
    return tuple(given.get(name, f"<{name}>") for name in names)


ERRORS = sorted(
    name
    for name in localstore.__all__
    if inspect.isclass(getattr(localstore, name)) and issubclass(getattr(localstore, name), StoreError)
)

FACTS = {
    "AttachmentNotFound": ["attachment_id"],
    "CorruptRecord": ["path", "reason"],
    "HeadRevisionConflict": ["expected", "actual"],
    "InvalidRecordSchemaVersion": ["record_kind", "actual", "expected"],
    "MissingRecordSchemaVersion": ["record_kind", "expected"],
    "NodeNotFound": ["node_id"],
    "PendingTurnInputSourceKeyConflict": ["session_id", "source_key", "existing_input_id"],
    "QueuedWorkClaimExpired": ["session_id", "claim_id"],
    "RuntimeTurnCommitConflict": ["session_id", "turn_id"],
    "SessionBindingMismatch": ["bound_session_id", "attempted_session_id"],
    "SessionExecutionLeaseExpired": ["session_id"],
    "SessionNotFound": ["session_id"],
    "TurnInputClaimExpired": ["session_id", "claim_id"],
    "UnsupportedRecordSchemaVersion": ["record_kind", "actual", "expected"],
}


class TestErrors:
    """The errors."""

    @pytest.mark.parametrize("name", ERRORS)
    def test_pickle(self, name: str) -> None:
        """An error comes back from a pickle with its class, message and facts."""
        kind = getattr(localstore, name)
        error = kind(*arguments_of(kind))
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert type(again) is kind
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))

    @pytest.mark.parametrize("name", FACTS)
    def test_have_their_facts_as_attributes(self, name: str) -> None:
        """The facts of an error are its attributes, in the contract's order, and its message tells them."""
        kind = getattr(localstore, name)
        assert list(inspect.signature(kind).parameters) == FACTS[name]
        given = arguments_of(kind)
        error = kind(*given)
        assert [getattr(error, fact) for fact in FACTS[name]] == list(given)
        assert all(str(value).strip("<>") in str(error) for value in given)

    @pytest.mark.parametrize("name", ERRORS)
    def test_are_store_errors(self, name: str) -> None:
        """Every error is a StoreError."""
        assert issubclass(getattr(localstore, name), StoreError)

    def test_of_arguments_are_value_errors(self) -> None:
        """InvalidArgument is a ValueError as well, and says what was wrong."""
        assert issubclass(InvalidArgument, ValueError)
        assert not issubclass(BackendError, ValueError)
