"""The store without files."""

import pytest

from localstore import Clock, InMemoryStore
from localstore.testing import Backend, Capability, StoreFace
from localstore.testing.inline import *  # noqa: F403


class Memory(Backend):
    capabilities = frozenset(Capability) - {Capability.DURABLE, Capability.MULTI_PROCESS}

    def open(self, clock: Clock) -> StoreFace:
        return InMemoryStore(clock=clock)


@pytest.fixture
def backend() -> Memory:
    return Memory()
