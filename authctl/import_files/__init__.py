"""Reading another system's export: bytes to rows, each with its line.

Pure: the meaning of a row is the business of `import_mappings`. JSON lines, JSON documents and texts
with columns are told apart by their first character, or by the layout of the mapping; encodings by their byte order mark,
or by name; gzip by its first bytes.
"""

import json
from collections.abc import Iterator
from itertools import chain
from json.scanner import make_scanner
from typing import Any, BinaryIO

from authctl.errors import InvalidInput, reason
from authctl.import_files import encodings
from authctl.import_files.compression import unpacked
from authctl.import_files.documents import documents
from authctl.import_files.encodings import known_encoding
from authctl.import_files.json_text import JsonText
from authctl.import_files.tables import table
from authctl.import_files.values import LONGEST_LINE, PLAIN, Export, Layout, Line, NoRows, Rejected
from authctl.names import quoted

__all__ = ["LONGEST_LINE", "PLAIN", "Export", "Layout", "NoRows", "Rejected", "known_encoding", "read"]


_DECODE = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # its stub asks for a scanner
_LINE_ENDS = ("\n", "\r\n", "")


def read(file: BinaryIO, name: str, encoding: str | None = None, layout: Layout = PLAIN) -> Export:
    """The rows of a file, which may be packed with gzip; `name` is its name in errors.

    A byte order mark decides the encoding; without one the named encoding, by default UTF-8. A line that is no
    JSON, or has more or fewer cells than there are columns, is a rejected row. Raises InvalidInput, at once or while the
    rows are read, when the file cannot be read to its end: the wrong encoding, a line beyond 16 MiB, broken quotes, a last row
    that is incomplete, damaged gzip, or no rows at the place that `layout` gives.
    """
    # decision 40: otherwise every text would be a file with all rows rejected
    codec = known_encoding(encoding or "utf-8")
    try:
        head, file = unpacked(file, name)
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {reason(error)}") from None
    codec = encodings.encoding_of(head, codec)
    begins = encodings.first_text(head, codec)
    _check_is_text(begins, name)
    character, is_text = begins.lstrip()[:1], bool(layout.columns or layout.delimiter)
    if layout.rows is not None and character not in ("", "{", "["):
        raise InvalidInput(f"{name}: no JSON, and the mapping asks for rows at {quoted(layout.rows.text)}")
    if not is_text and character and (character == "[" or layout.rows is not None):
        return Export(documents(JsonText(encodings.pieces(file, name, codec), name), layout))
    return _by_lines(encodings.lines(file, name, codec), name, layout, is_text=is_text)


def _by_lines(lines: Iterator[Line], name: str, layout: Layout, *, is_text: bool) -> Export:
    first = next((line for line in lines if line[1].strip()), None)
    if first is None:
        return Export(iter(()))
    _check_is_text(first[1], name, first[0])
    if is_text or first[1].lstrip()[0] not in "{[":
        return table(first, lines, name, layout)
    if layout.rows is None and _is_row(first[1]):
        return Export(_json_lines(first, lines, name))
    pieces = (line for _, line in chain([first], lines))
    return Export(documents(JsonText(pieces, name, first[0]), layout))


def _check_is_text(begins: str, name: str, number: int | None = None) -> None:
    stripped = begins.lstrip()
    line = stripped.partition("\n")[0]
    if "\0" in line:
        number = number or 1 + begins.count("\n", 0, len(begins) - len(stripped))
        message = f"{name}: line {number} has NUL characters, which no text has"
        raise InvalidInput(message, "if it is UTF-16 without a byte order mark, name it: --encoding UTF-16LE")


def _json_lines(first: Line, lines: Iterator[Line], name: str) -> Iterator[tuple[int, Any]]:
    yield first[0], json.loads(first[1])
    for number, line in lines:
        if line.isspace():
            continue
        try:
            yield number, _value(line)
        except (ValueError, RecursionError):
            if not line.endswith("\n"):
                raise InvalidInput(f"{name}: the file is incomplete in line {number}") from None
            yield number, Rejected("not JSON")


def _value(line: str) -> Any:
    """The JSON value of a line. `json.loads`, which looks for white space on both sides of it, takes 1 µs more."""
    try:
        value, end = _DECODE(line, 0)
    except StopIteration:  # white space comes first, or it is no JSON
        return json.loads(line)
    return value if line[end:] in _LINE_ENDS else json.loads(line)


def _is_row(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
