"""A conformance suite for backends of the contract, and what tests of its users need: clocks and builders.

A backend's own test module is a fixture and a star import:

```python
import pytest

from localstore.testing import Backend
from localstore.testing.suite import *


class OurBackend(Backend):
    def open(self, clock):
        return OurStore(clock=clock)


@pytest.fixture
def backend():
    return OurBackend()
```

`localstore.testing.inline` has only what holds within the life of one store, `localstore.testing.durable` only what
takes reopening and several processes; `suite` is both. Capabilities that a backend does not declare are skipped.
These modules need pytest; this package itself does not.
"""

from .backends import Backend, Capability, StoreFace
from .builders import (
    LAST,
    OTHER,
    PNG,
    SESSION,
    TIMESTAMP,
    TURN,
    UNKNOWN_REF,
    active_input,
    append_commit,
    chain,
    command,
    commit_of,
    frame,
    intent,
    living_owner,
    next_input,
    node,
    owner,
    replace_commit,
    said,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from .clocks import START_MS, ManualClock, SteppedClock
from .identities import dead_owner, dead_process
from .overasync import LoopThread, SyncOverAsync, store_over_async

__all__ = [
    "LAST",
    "OTHER",
    "PNG",
    "SESSION",
    "START_MS",
    "TIMESTAMP",
    "TURN",
    "UNKNOWN_REF",
    "Backend",
    "Capability",
    "LoopThread",
    "ManualClock",
    "SteppedClock",
    "StoreFace",
    "SyncOverAsync",
    "active_input",
    "append_commit",
    "chain",
    "command",
    "commit_of",
    "dead_owner",
    "dead_process",
    "frame",
    "intent",
    "living_owner",
    "next_input",
    "node",
    "owner",
    "replace_commit",
    "said",
    "stamped",
    "store_over_async",
    "unchanged_commit",
    "usage",
    "wake",
]
