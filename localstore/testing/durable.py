"""What takes reopening and several processes: for a star import beside a `backend` fixture."""

from .cases.processes import TestProcesses
from .cases.reopen import TestReopening

__all__ = [
    "TestProcesses",
    "TestReopening",
]
