"""Self-checked lines: `{"sum":"<crc32>",` and then the rest of a JSON object, which the sum is over.

A line is checked without being parsed. The CRC finds every burst of damage up to 32 bits; what must not be trusted at
all - whole node files, blobs, attachments - is named by its SHA-256 beside.
"""

from __future__ import annotations

from zlib import crc32

_OPEN = b'{"sum":"'
_CLOSE = b'",'
SUM_AT = len(_OPEN)
BODY_AT = SUM_AT + 8 + len(_CLOSE)
"""Where the summed rest of a line begins."""


def encode_line(body: bytes) -> bytes:
    """The line, newline included, for `body`: the JSON text of an object with at least one field."""
    rest = body[1:]
    return b'{"sum":"%08x",%s\n' % (crc32(rest), rest)


def check_line(line: bytes) -> bytes | None:
    """What follows the sum in `line` (given without its newline), or `None` where the line is damaged."""
    rest = line[BODY_AT:]
    return rest if rest and line[:BODY_AT] == b'{"sum":"%08x",' % crc32(rest) else None


def sum_of(line: bytes) -> str:
    """The sum that a line says."""
    return line[SUM_AT : SUM_AT + 8].decode("ascii", "replace")
