"""Cursors: the position of a walk through a list as a text that a shell takes as it is, and that no session's id could be.

`p1.` and, in base64 for addresses (RFC 4648, section 5), a checksum and JSON. It is no secret, and nobody is believed: what comes back
is read strictly, and has one spelling. The checksum is CRC-32: every list with a next page loads this module, and `hashlib` loads
OpenSSL (decision 196).

See docs/glossary.md#cursor.
"""

import json
from binascii import a2b_base64, b2a_base64, crc32
from typing import Any

from authctl import names
from authctl.errors import InvalidInput
from authctl.registry.pages import SessionList, WalkPosition
from authctl.store.protocol.cursors import Cursor, MoveCounters

_BEGINNING = "p1."
_LONGEST = 100_000
"""Characters: the key of a name of a thousand letters may have eighteen letters for each."""

_CHECKED = 4
_STANDARD, _FOR_ADDRESSES = b"+/", b"-_"
"""The two characters that differ between base64 and base64 for addresses."""

_LARGEST = 2**63
_INSTANTS = {"created_since", "created_before", "used_since", "unused_since", "expires_before"}


def is_cursor(text: str) -> bool:
    """Whether a text is meant as a cursor, and not as a session's id."""
    return text.startswith(_BEGINNING) or names.id_prefix(text) is None


def write_cursor(listed: SessionList, position: WalkPosition) -> str:
    """The cursor of a position in a list."""
    key = None if position.key is None else position.key.key
    parts = [_name_of(listed), key, position.number, position.counters, position.event]
    parts += [] if position.registry is None else [position.registry]
    raw = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    return _BEGINNING + _encoded(_checksum(raw) + raw)


def read_cursor(listed: SessionList, text: str) -> WalkPosition:
    """The position in a list that a cursor names. Raises InvalidInput for any other text, and for the cursor of another list."""
    try:
        name, position = _read(text)
        # One spelling: base64 has several for the same bytes, and a cursor that was changed by hand must not be guessed at.
        is_written_so = write_cursor(listed, position) == text or name != _name_of(listed)
    except (ValueError, TypeError, RecursionError):
        is_written_so = False
    if not is_written_so:
        raise no_cursor(text)
    if name != _name_of(listed):
        raise InvalidInput("this cursor belongs to another list", "give the filters and the order of the page before")
    return position


def no_cursor(text: str) -> InvalidInput:
    """The error for a text that is not a cursor."""
    message = f"{names.quoted(text)} is not a cursor, or is incomplete"
    return InvalidInput(message, "give the whole cursor that the page before printed after --after")


def is_sort_key(key: tuple[Any, ...]) -> bool:
    """Whether this could be the key of a position in an order that was asked for: a text, a number or nothing, and a number."""
    return len(key) == len(("key", "number")) and type(key[1]) is int


def _read(text: str) -> tuple[object, WalkPosition]:
    """The content of a cursor. Raises ValueError or TypeError if it has another form."""
    if len(text) > _LONGEST or not text.startswith(_BEGINNING):
        raise ValueError
    whole = _decoded(text.removeprefix(_BEGINNING))
    raw = whole[_CHECKED:]
    if whole[:_CHECKED] != _checksum(raw):
        raise ValueError
    # decision 161: cursors of an earlier version have no registry
    name, key, number, counters, last, *registry = json.loads(raw)
    cursor = None if key is None else Cursor(tuple(_part(part) for part in key))
    behind = None if number is None else _whole(number)
    # A walk is in one of its two passes: a key belongs to the first, a number to the second.
    if cursor is not None and behind is not None:
        raise ValueError
    seq, hash_ = last
    event, counted = (_whole(seq), str(hash_)), MoveCounters(*map(_whole, counters))
    return name, WalkPosition(cursor, behind, counted, event, *map(str, registry))


def _part(value: Any) -> int | str | None:
    return value if value is None or type(value) is str else _whole(value)


def _whole(value: Any) -> int:
    """A number that a database takes."""
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise ValueError
    return value


def _checksum(raw: bytes) -> bytes:
    return crc32(raw).to_bytes(_CHECKED)


def _encoded(raw: bytes) -> str:
    """Bytes in base64 for addresses, without padding."""
    translation = bytes.maketrans(_STANDARD, _FOR_ADDRESSES)
    return b2a_base64(raw, newline=False).translate(translation).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """The bytes of such a text. Raises ValueError if it is none."""
    translation = bytes.maketrans(_FOR_ADDRESSES, _STANDARD)
    return a2b_base64(text.encode("ascii").translate(translation) + b"=" * (-len(text) % 4))


def _name_of(listed: SessionList) -> str:
    """The parts that distinguish a list from others: its order, and its criteria without the instants, which move where an age was given."""
    # `--used-since 7d` is another instant on each page, and still the same list.
    criteria = {
        name: None
        if name in _INSTANTS
        else sorted({names.fold(str(text)) for text in (value if isinstance(value, list) else [value])})
        for name, value in listed.selection.criteria().items()
    }
    description = json.dumps([listed.sort, criteria], sort_keys=True)
    return _checksum(description.encode()).hex()
