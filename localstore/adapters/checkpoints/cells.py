"""What the framework's serialiser makes of a value, and how that is said in a node.

A value is serialised by the saver's own serialiser: the type and bytes that it gives are what it gets back. MessagePack
is said as a tree; bytes of other types are said in base64, `{"$t": [type, "…"]}`, and so is what an
`EncryptedSerializer` encrypts. Nothing is unpickled here; a serialiser that pickles when it is told to is given its
bytes back.
"""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ...contract.errors import CorruptRecord, InvalidArgument
from .phrases import Said, Speaker, digest_of
from .trees import Tree, from_base64, mark_of, to_bytes, to_tree

_NULL: Final = "null"
_PACKED: Final = "msgpack"


class Serialised(NamedTuple):
    """A value as its serialiser gave it, before it is encrypted."""

    type: str
    data: bytes


class Codec:
    """Serialises for one saver. Two values are equal where their bytes are, also if these are encrypted on the way."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._cipher: CipherProtocol | None = None
        self._serde = serde
        # A subclass may serialise in a way of its own.
        if isinstance(serde, EncryptedSerializer) and type(serde) is EncryptedSerializer:
            self._cipher, self._serde = serde.cipher, serde.serde
        self._plain = self._serde if isinstance(self._serde, JsonPlusSerializer) else JsonPlusSerializer()

    def dump(self, value: Any) -> Serialised:
        """Serialise a value."""
        kind, data = self._serde.dumps_typed(value)
        return Serialised(kind, bytes(data))

    def load(self, cell: Serialised) -> Any:
        """The value, made anew."""
        return self._serde.loads_typed((cell.type, cell.data))

    def plain(self, value: dict[str, Any]) -> dict[str, Any]:
        """The tree of what is never encrypted: metadata, versions."""
        tree = self.tree(Serialised(*self._plain.dumps_typed(value)))
        if not isinstance(tree, dict) or mark_of(tree) is not None:
            raise InvalidArgument("a checkpoint's metadata and versions must be made of what MessagePack can tell")
        return tree

    def value(self, tree: dict[str, Any]) -> dict[str, Any]:
        """What `plain` was made of."""
        found: dict[str, Any] = self._plain.loads_typed((_PACKED, to_bytes(tree)))
        return found

    def tree(self, cell: Serialised) -> Tree:
        """The tree of what is not encrypted. A mark `$t` holds what has no other."""
        if cell == (_NULL, b""):
            return None
        if cell.type == _PACKED and cell.data != b"\xc0":
            tree, is_lossless = to_tree(cell.data)
            if is_lossless:
                return tree
        return {"$t": [cell.type, base64.b64encode(cell.data).decode()]}

    def say(self, speaker: Speaker, cell: Serialised) -> Said:
        """Say a value, encrypted if the saver's serialiser encrypts."""
        if self._cipher is None:
            return speaker.say(self.tree(cell))
        name, sealed = self._cipher.encrypt(cell.data)
        said = {"$t": [f"{cell.type}+{name}", base64.b64encode(sealed).decode()]}
        return speaker.seal(said, _digest(cell))

    def is_readable(self) -> bool:
        """Whether what is said can be read by others."""
        return self._cipher is None

    def hear(self, tree: Tree) -> Serialised:
        """The value that a tree holds.

        Raises `CorruptRecord` for what is no value, and whatever the cipher raises for what it cannot decrypt.
        """
        try:
            if tree is None:
                return Serialised(_NULL, b"")
            typed = _typed(tree)
            if typed is None:
                return Serialised(_PACKED, to_bytes(tree))
            kind, data = typed[0], from_base64(typed[1])
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise CorruptRecord("a value in a checkpoint", f"it is none that was said: {error!r}") from error
        if self._cipher is None or "+" not in kind:
            return Serialised(kind, data)
        plain, _, name = kind.partition("+")
        return Serialised(plain, self._cipher.decrypt(name, data))

    def sealed_digest(self, tree: Tree) -> bytes | None:
        """The digest of what was encrypted; `None` for everything else."""
        typed = _typed(tree)
        if self._cipher is None or typed is None or "+" not in typed[0]:
            return None
        return _digest(self.hear(tree))


def _typed(tree: Tree) -> tuple[str, str] | None:
    """What the mark `$t` holds, if the tree is one."""
    if isinstance(tree, dict) and mark_of(tree) == "$t":
        kind, text = tree["$t"]
        return kind, text
    return None


def _digest(cell: Serialised) -> bytes:
    return digest_of(cell.type.encode() + b"\0" + cell.data)
