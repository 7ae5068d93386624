"""Which node is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exits import ExitCode
from .invocation import CommandFailure
from .selecting import as_shown

if TYPE_CHECKING:
    from ..session import SessionStore

_SHOWN = 5


def node_of(session: SessionStore, given: str) -> str:
    """The id of the node whose id is `given`, else the only one that begins so."""
    from ..contract.graph import FullGraph

    if not given:
        raise CommandFailure("a node is named by its id or the beginning of it", ExitCode.USAGE)
    if session.load_node(given) is not None:
        return given
    given = as_shown(given)
    read = session.load_session(FullGraph())
    nodes = () if read is None else read.graph.nodes
    fitting = [node.node_id for node in nodes if node.node_id.startswith(given)]
    if len(fitting) > 1:
        named = ", ".join(map(repr, fitting[:_SHOWN]))
        more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
        raise CommandFailure(f"{given!r} fits {len(fitting)} nodes: {named}{more}; give more of the id", ExitCode.USAGE)
    if not fitting:
        raise CommandFailure(f"no node of the session fits {given!r}; see: localstore tree", ExitCode.NOT_FOUND)
    return fitting[0]
