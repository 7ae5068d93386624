"""The whole suite for a backend: for a star import beside a `backend` fixture."""

from . import durable, inline
from .durable import *  # noqa: F403 - that is what the module is for
from .inline import *  # noqa: F403

__all__ = [*durable.__all__, *inline.__all__]  # noqa: PLE0604 - both are lists of names
