"""Each behaviour is judged on both stores, as those of the history are."""

from tests.history.conftest import live, on_files

__all__ = ["live", "on_files"]
