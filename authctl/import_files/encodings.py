"""The text of an export: bytes to lines, or to pieces of any length, in the encoding that the file or the mapping names."""

import codecs
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

from authctl.errors import InvalidInput, reason
from authctl.import_files.values import LONGEST_LINE, Line
from authctl.names import quoted

_CHUNK = 64 * 1024
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NAMES = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "cp1252": "Windows-1252",
}
_BY_LINE = ("utf-8", "cp1252")
"""Encodings in which a line feed is one byte, so that a line can be decoded by itself."""

_HINTS = {
    "utf-8": "if it is in another encoding, name it: --encoding Windows-1252",
    "utf-16": "without a byte order mark, name UTF-16LE or UTF-16BE",
}


def known_encoding(name: str) -> str:
    """The encoding of that name, however it is spelled. Raises InvalidInput for one that is not read."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        codec = ""
    if codec not in _NAMES:
        raise InvalidInput(f"no such encoding: {quoted(name)}", f"one of: {', '.join(_NAMES.values())}")
    return codec


def encoding_of(head: bytes, codec: str) -> str:
    """The encoding of a file that begins so: by its byte order mark, else the given one."""
    return next((marked for mark, marked in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), codec)


def first_text(head: bytes, codec: str) -> str:
    """The text of the first bytes of a file, as far as they can be decoded, to recognise the kind of file."""
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeError:
        # Bytes of another encoding: the line that has them is named later, when it is read.
        text = head.decode(codec, "ignore")
    return text.removeprefix("\ufeff")


def lines(file: BinaryIO, name: str, codec: str) -> Iterator[Line]:
    """The lines of a file, with their numbers. Raises InvalidInput for one that is too long or not in that encoding."""
    number = 0
    try:
        first = file.readline(LONGEST_LINE + 1)
        raws = chain([first], iter(partial(file.readline, LONGEST_LINE + 1), b""))
        for text in _by_line(raws, codec) if codec in _BY_LINE else _decoded(first, file, codec):
            number += 1
            if text is None:
                raise InvalidInput(f"{name}: line {number} is longer than {LONGEST_LINE:,} bytes")
            yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeError as error:
        raise _not_in(codec, name, number + 1, error if codec in _BY_LINE else None) from None
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {reason(error)}") from None


def pieces(file: BinaryIO, name: str, codec: str) -> Iterator[str]:
    """The text of a file in pieces that end anywhere. Raises InvalidInput as `lines`."""
    decoder = codecs.getincrementaldecoder(codec)()
    number, is_first = 1, True
    try:
        for raw in chain(iter(lambda: file.read(_CHUNK), b""), [b""]):
            text = decoder.decode(raw, final=not raw)
            yield text.removeprefix("\ufeff") if is_first else text
            number, is_first = number + text.count("\n"), is_first and not text
    except UnicodeError as error:
        if codec in _BY_LINE and isinstance(error, UnicodeDecodeError):
            # The piece was not counted yet: its lines before the fault are added.
            number += error.object[: error.start].count(b"\n")
        raise _not_in(codec, name, number, None) from None
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {reason(error)}") from None


def _not_in(codec: str, name: str, line: int, error: UnicodeError | None) -> InvalidInput:
    at = f", at byte {error.start + 1} of the line" if isinstance(error, UnicodeDecodeError) else ""
    return InvalidInput(f"{name}: line {line} is not {_NAMES[codec]}{at}", _HINTS.get(codec))


def _by_line(raws: Iterable[bytes], codec: str) -> Iterator[str | None]:
    """The lines, each decoded by itself; None for one that is too long, and is the last."""
    for raw in raws:
        yield raw.decode(codec) if len(raw) <= LONGEST_LINE else None


def _decoded(first: bytes, file: BinaryIO, codec: str) -> Iterator[str | None]:
    """The same for an encoding whose lines are known only after decoding."""
    decoder = codecs.getincrementaldecoder(codec)()
    pending = ""
    for raw in chain([first], iter(lambda: file.read(_CHUNK), b"")):
        *whole, pending = (pending + decoder.decode(raw)).split("\n")
        yield from (f"{line}\n" for line in whole)
        # A file without line breaks would else be read into memory as a whole.
        if len(pending) > LONGEST_LINE:
            yield None
    pending += decoder.decode(b"", final=True)
    if pending:
        yield pending
