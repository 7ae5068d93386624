"""The records, the errors and the abstract base, which no backend changes."""

from localstore.testing.contract import *  # noqa: F403
