"""The sorted index of a node file: from the hash of a key to the offsets of lines, a few small reads each.

It is two texts of base64 without line breaks, cut so that any part can be read by itself:

- *entries*: 15 bytes a key, 20 characters: hash of the key (8 bytes), offset of the line (6), kind of the line (1);
  sorted as numbers, so that of two entries with one hash the later line comes last.
- *pages*: the entries of evenly cut ranges of hashes, some 28 each, 64 characters a page: number of the first entry
  (3 bytes), number of entries (3), checksum of their text (3), a Bloom filter of their hashes (36: 48 characters of 6
  bits), checksum of the 60 characters before (3).

The page of a hash is the upper half of the hash, times the number of pages, divided by 2^32. Its five bits in the
filter come from its lower 45 bits, nine each, from the lowest up. A checksum is the lower 24 bits of the CRC-32,
started with the page's number: a page that was damaged, or that is not the one asked for, is noticed before it answers.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

from ..contract.errors import CorruptRecord
from .system import system

T = TypeVar("T")

MAX_ENTRIES: Final = 2**24 - 1
MAX_OFFSET: Final = 2**48 - 1
ENTRY_CHARS: Final = 20
PAGE_CHARS: Final = 64

_ENTRY: Final = 15
_PER_PAGE: Final = 28
_FILTER_AT: Final = 12
_FILTER_CHARS: Final = 48
_SUM_AT: Final = 60
_PROBES: Final = 5
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BITS: Final = bytes(max(_ALPHABET.find(character), 0) for character in range(256))
# For nine bits of a hash: the character in the page and the bit in it.
_PLACES: Final = tuple(
    (_FILTER_AT + bit // 6, 1 << bit % 6) for bit in (nine * _FILTER_CHARS * 6 >> 9 for nine in range(512))
)
# The same as a bit of the whole filter, taken as a number.
_MASKS: Final = tuple(mask << 8 * (_FILTER_AT + _FILTER_CHARS - 1 - place) for place, mask in _PLACES)

# All pages of a file are kept in memory once they were asked often enough, if they are small enough.
_ASKED_OFTEN: Final = 32
_MAX_KEPT: Final = 1 << 20
_ENTRIES_AT_ONCE: Final = 1 << 14


Entry = tuple[int, int]
"""Where a line starts, in bytes, and the code of its kind."""


class Extent(NamedTuple):
    """A part of the file: its offset, how many items it has, the CRC-32 of its text."""

    offset: int
    items: int
    checksum: int


def hash_key(key: str) -> int:
    """The first 64 bits of the SHA-256 of the key's UTF-8."""
    return int.from_bytes(sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def packed(hashed: int, offset: int, kind: int) -> int:
    """An entry as a number; `build` takes them in any order."""
    return hashed << 56 | offset << 8 | kind


def build(entries: list[int]) -> tuple[bytes, bytes]:
    """The texts of pages and entries for `packed` numbers, which are sorted in place."""
    entries.sort()
    page_count = max(1, -(-len(entries) // _PER_PAGE))
    ranges: list[list[int]] = [[] for _ in range(page_count)]
    for entry in entries:
        ranges[(entry >> 88) * page_count >> 32].append(entry)
    pages = []
    texts = []
    first = 0
    for number, held in enumerate(ranges):
        text = _encoded(b"".join([entry.to_bytes(_ENTRY, "big") for entry in held]))
        texts.append(text)
        pages.append(_page(number, first, held, text))
        first += len(held)
    return b"".join(pages), b"".join(texts)


def _page(number: int, first: int, held: Iterable[int], text: bytes) -> bytes:
    bloom = 0
    for entry in held:
        a, b, c, d, e = entry >> 56, entry >> 65, entry >> 74, entry >> 83, entry >> 92
        bloom |= _MASKS[a & 511] | _MASKS[b & 511] | _MASKS[c & 511] | _MASKS[d & 511] | _MASKS[e & 511]
    bits = bloom.to_bytes(_FILTER_CHARS, "big")
    facts = (first, len(text) // ENTRY_CHARS, _checksum(text, number))
    page = _encoded(b"".join([fact.to_bytes(3, "big") for fact in facts])) + bits.translate(_ALPHABET.ljust(256, b"A"))
    return page + _encoded(_checksum(page, number).to_bytes(3, "big"))


def _checksum(text: bytes, number: int) -> int:
    return crc32(text, number) & 0xFFFFFF


def _encoded(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)


def _matching(text: bytes, hashed: bytes) -> list[Entry]:
    # Six bytes are eight characters exactly, so the text can be searched as it is.
    wanted = b2a_base64(hashed[:6], newline=False)
    found: list[Entry] = []
    at = text.find(wanted)
    while at >= 0:
        if at % ENTRY_CHARS == 0:
            entry = a2b_base64(text[at : at + ENTRY_CHARS])
            if len(entry) != _ENTRY:
                raise Base64Error("padding within")
            if entry.startswith(hashed):
                found.append((int.from_bytes(entry[8:14], "big"), entry[14]))
        at = text.find(wanted, at + 1)
    found.reverse()
    return found


Probe = tuple[bytes | None, int, T]
"""The pages of an index that are in memory, or `None`; how many they are; whose they are."""


def perhaps(probes: Iterable[Probe[T]], hashed: int) -> list[T]:
    """Whose index may have this hash. It is asked of every file at each call of a session, so it reads nothing."""
    high = hashed >> 32
    one, one_mask = _PLACES[hashed & 511]
    two, two_mask = _PLACES[hashed >> 9 & 511]
    found = []
    for pages, count, owner in probes:
        if pages is not None:
            page = (high * count >> 32) * PAGE_CHARS
            if not (_BITS[pages[page + one]] & one_mask and _BITS[pages[page + two]] & two_mask):
                continue
        found.append(owner)
    return found


class KeyIndex:
    """The index of an open node file. Everything read is checked before it is used.

    Args:
        path: the file, for messages.
        fd: its descriptor; whoever closes it sets it to -1.
        pages: the text of the pages.
        entries: the text of the entries.
    """

    __slots__ = ("_asked", "_entries", "_kept", "_page_count", "_pages", "_path", "fd")

    def __init__(self, path: str, fd: int, pages: Extent, entries: Extent) -> None:
        self._path = path
        self.fd = fd
        self._pages = pages
        self._page_count = pages.items
        self._entries = entries
        self._kept: bytes | None = None
        self._asked = 0

    def probe(self, owner: T) -> Probe[T]:
        """What `perhaps` needs of this index."""
        return self._kept, self._page_count, owner

    def find(self, hashed: int) -> list[Entry]:
        """The entries with this hash of 64 bits, the latest line first; mostly one or none."""
        number = (hashed >> 32) * self._page_count >> 32
        kept = self._kept
        if kept is not None:
            start = number * PAGE_CHARS
            page = kept[start : start + PAGE_CHARS]
        else:
            page = self._read_page(number)
        bits = hashed
        for _ in range(_PROBES):
            place, mask = _PLACES[bits & 511]
            if not _BITS[page[place]] & mask:
                return []
            bits >>= 9
        try:
            facts = int.from_bytes(a2b_base64(page[:_FILTER_AT]), "big")
            first, count = facts >> 48, facts >> 24 & 0xFFFFFF
            if first + count > self._entries.items:
                raise self._damaged("a page of the index", self._pages.offset + number * PAGE_CHARS)
            at = self._entries.offset + first * ENTRY_CHARS
            text = system.pread(self.fd, count * ENTRY_CHARS, at)
            if len(text) != count * ENTRY_CHARS or crc32(text, number) & 0xFFFFFF != facts & 0xFFFFFF:
                raise self._damaged("a part of the index", at)
            return _matching(text, hashed.to_bytes(8, "big"))
        except Base64Error as error:
            raise self._misspelt(error) from error

    def entries(self) -> Iterator[Entry]:
        """All entries, in the order of their hashes."""
        return ((number >> 8 & MAX_OFFSET, number & 0xFF) for number in self.packed())

    def packed(self) -> Iterator[int]:
        """All entries as `packed` numbers, in order. Holds a part of the text at a time, and checks it at the end."""
        offset, count, checksum = self._entries
        found = 0
        for start in range(0, count, _ENTRIES_AT_ONCE):
            size = min(_ENTRIES_AT_ONCE, count - start)
            text = system.pread(self.fd, size * ENTRY_CHARS, offset + start * ENTRY_CHARS)
            found = crc32(text, found)
            try:
                octets = a2b_base64(text)
            except Base64Error as error:
                raise self._misspelt(error) from error
            if len(octets) != size * _ENTRY:
                raise self._damaged("a part of the index", offset + start * ENTRY_CHARS)
            for at in range(0, len(octets), _ENTRY):
                yield int.from_bytes(octets[at : at + _ENTRY], "big")
        if found != checksum:
            raise self._damaged("the entries of the index", offset)

    def _read_page(self, number: int) -> bytes:
        offset, count, checksum = self._pages
        self._asked += 1
        if self._asked > _ASKED_OFTEN and count * PAGE_CHARS <= _MAX_KEPT:
            pages = system.pread(self.fd, count * PAGE_CHARS, offset)
            if len(pages) == count * PAGE_CHARS and crc32(pages) == checksum:
                self._kept = pages
            self._asked = 0
        at = offset + number * PAGE_CHARS
        page = system.pread(self.fd, PAGE_CHARS, at)
        expected = _encoded(_checksum(page[:_SUM_AT], number).to_bytes(3, "big"))
        if len(page) != PAGE_CHARS or page[_SUM_AT:] != expected:
            raise self._damaged("a page of the index", at)
        return page

    def _misspelt(self, error: Exception) -> CorruptRecord:
        return CorruptRecord(self._path, f"its index is not base64: {error}")

    def _damaged(self, what: str, offset: int) -> CorruptRecord:
        return CorruptRecord(self._path, f"{what}, at offset {offset}, does not match its checksum")
