"""Reading another system's export: bytes to rows, each with its line.

Pure: nothing here knows what a row means, which is `importing`'s business. JSON lines, one JSON list or object, and
CSV are told apart by their first character; encodings by their byte order mark, or by name.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from authctl.errors import InvalidInput, reason
from authctl.names import quoted

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is no row of an export."""

MOST_COLUMNS = 1_000

_LONGEST_HEADER = 1024 * 1024
_CHUNK = 64 * 1024
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_DELIMITERS = ",;\t|"
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
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

Line = tuple[int, str]


class Rejected(NamedTuple):
    """A row that cannot be used, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Export:
    """What a file holds: its rows, each with the number of the line it begins on, and the columns of a CSV file."""

    rows: Iterator[tuple[int, Any | Rejected]]
    columns: tuple[str, ...] | None = None


def known_encoding(name: str) -> str:
    """The encoding of that name, however it is spelled. Raises InvalidInput for one that is not read."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        codec = ""
    if codec not in _NAMES:
        raise InvalidInput(f"no such encoding: {quoted(name)}", f"one of: {', '.join(_NAMES.values())}")
    return codec


def read(file: BinaryIO, name: str, encoding: str | None = None) -> Export:
    """The rows of a file; `name` is what it is called in errors.

    A byte order mark says how it is encoded; else the encoding that is named does, by default UTF-8. A line that is no
    JSON, or has more or fewer cells than the header, is a rejected row. Raises InvalidInput, at once or
    while the rows are read, when the file cannot be read to its end: the wrong encoding, a line beyond 16 MiB, broken
    quotes, or a last row that breaks off.
    """
    # decision 40
    lines = _lines(file, name, encoding)
    first = next((line for line in lines if line[1].strip()), None)
    if first is None:
        return Export(iter(()))
    if "\0" in first[1]:
        message = f"{name}: line {first[0]} has NUL characters, which no text has"
        raise InvalidInput(message, "if it is UTF-16 without a byte order mark, name it: --encoding UTF-16LE")
    if first[1].lstrip()[0] not in "{[":
        return _csv(first, lines, name)
    return Export(_json_lines(first, lines, name) if _is_row(first[1]) else _json(first, lines, name))


# JSON


def _json(first: Line, lines: Iterator[Line], name: str) -> Iterator[tuple[int, Any]]:
    number = first[0]
    whole = "".join(line for _, line in chain([first], lines))
    try:
        document = json.loads(whole)
    except RecursionError:
        raise InvalidInput(f"{name}: nested too deeply") from None
    except ValueError as error:
        at = error if isinstance(error, json.JSONDecodeError) else None
        where = f"line {number - 1 + at.lineno}: {at.msg}" if at else str(error)
        raise InvalidInput(f"{name}: neither JSON lines nor JSON: {where}") from None
    yield from _elements(document, whole, number) if isinstance(document, list) else [(number, document)]


def _elements(document: list[Any], text: str, number: int) -> Iterator[tuple[int, Any]]:
    """The elements of a JSON list that was read already, each with the line it begins on."""
    decoder = json.JSONDecoder()
    counted, position = 0, text.index("[") + 1
    for element in document:
        begins = _BETWEEN.match(text, position).end()  # type: ignore[union-attr]
        number += text.count("\n", counted, begins)
        yield number, element
        counted, position = begins, decoder.raw_decode(text, begins)[1]


def _json_lines(first: Line, lines: Iterator[Line], name: str) -> Iterator[tuple[int, Any]]:
    yield first[0], json.loads(first[1])
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            if not line.endswith("\n"):
                raise InvalidInput(f"{name}: the file breaks off in line {number}") from None
            yield number, Rejected("not JSON")


def _is_row(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


# CSV


def _csv(first: Line, lines: Iterator[Line], name: str) -> Export:
    if len(first[1]) > _LONGEST_HEADER:
        raise InvalidInput(f"{name}: the header is longer than {_LONGEST_HEADER:,} characters")
    cells = _Cells(first, lines, name)
    columns = tuple(column.strip() for column in next(cells)[1])
    if len(columns) > MOST_COLUMNS:
        raise InvalidInput(f"{name}: {len(columns):,} columns are more than {MOST_COLUMNS:,}")
    return Export(_csv_rows(cells, columns, name), columns)


def _csv_rows(cells: "_Cells", columns: Sequence[str], name: str) -> Iterator[tuple[int, Any]]:
    for number, row in cells:
        if len(row) <= 1 and not "".join(row).strip():
            continue
        if len(row) == len(columns):
            yield number, dict(zip(columns, row, strict=True))
        elif len(row) < len(columns) and not cells.last.endswith("\n"):
            raise InvalidInput(f"{name}: the file breaks off in line {number}")
        else:
            yield number, Rejected(f"it has {len(row):,} cells, and the header {len(columns):,}")


class _Cells:
    """The rows of a CSV file as lists of cells, as RFC 4180 has it, with any of the usual delimiters."""

    def __init__(self, first: Line, lines: Iterator[Line], name: str) -> None:
        self.name = name
        self.last = ""
        """The line that was read last."""
        self._before = first[0] - 1
        self._reader = csv.reader(self._texts(chain([first], lines)), delimiter=_delimiter(first[1]), strict=True)

    def _texts(self, lines: Iterator[Line]) -> Iterator[str]:
        for _, self.last in lines:
            yield self.last

    def __iter__(self) -> "_Cells":
        return self

    def __next__(self) -> tuple[int, list[str]]:
        begins = self._before + self._reader.line_num + 1
        try:
            return begins, next(self._reader)
        except csv.Error as error:
            raise InvalidInput(f"{self.name}: line {begins}: not CSV: {error}") from None


def _delimiter(header: str) -> str:
    """The delimiter that divides the header most; the comma of equals."""

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=delimiter)))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=columns)


# Lines


def _lines(file: BinaryIO, name: str, encoding: str | None) -> Iterator[Line]:
    number = 0
    codec = known_encoding(encoding or "utf-8")
    try:
        first = file.readline(LONGEST_LINE + 1)
        codec = next((marked for mark, marked in _MARKS.items() if first.startswith(mark)), codec)
        raws = chain([first], iter(lambda: file.readline(LONGEST_LINE + 1), b""))
        for text in _by_line(raws, codec) if codec in _BY_LINE else _decoded(first, file, codec):
            number += 1
            if text is None:
                raise InvalidInput(f"{name}: line {number} is longer than {LONGEST_LINE:,} bytes")
            yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeError as error:
        exact = codec in _BY_LINE and isinstance(error, UnicodeDecodeError)
        at = f", at byte {error.start + 1} of the line" if exact else ""  # type: ignore[attr-defined]
        raise InvalidInput(f"{name}: line {number + 1} is not {_NAMES[codec]}{at}", _HINTS.get(codec)) from None
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {reason(error)}") from None


def _by_line(raws: Iterable[bytes], codec: str) -> Iterator[str | None]:
    """The lines, each decoded by itself; None for one that is too long, and is the last."""
    for raw in raws:
        yield raw.decode(codec) if len(raw) <= LONGEST_LINE else None


def _decoded(first: bytes, file: BinaryIO, codec: str) -> Iterator[str | None]:
    """The same for an encoding in which lines cannot be told apart before it is decoded."""
    decoder = codecs.getincrementaldecoder(codec)()
    pending = ""
    for raw in chain([first], iter(lambda: file.read(_CHUNK), b"")):
        *whole, pending = (pending + decoder.decode(raw)).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(pending) > LONGEST_LINE:
            yield None
    pending += decoder.decode(b"", final=True)
    if pending:
        yield pending
