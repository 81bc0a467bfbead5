"""Reading another system's export: bytes to rows, each with its line.

Pure: nothing here knows what a row means, which is `importing`'s business.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from authctl.errors import InvalidInput, reason

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is no row of an export."""

_BETWEEN = re.compile(r"[ \t\r\n,]*")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be used, and why."""

    reason: str


def rows(file: BinaryIO, name: str) -> Iterator[tuple[int, Any | Rejected]]:
    """The rows of JSON lines, or of one JSON list or object, each with the number of the line it begins on.

    A line that is no JSON is a rejected row. Raises InvalidInput when the file cannot be read to its end: not
    UTF-8, a line beyond 16 MiB, or a last row that breaks off.
    """
    lines = _lines(file, name)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    number, line = first
    if _is_row(line):
        yield from _json_lines(first, lines, name)
        return
    whole = "".join([line, *(line for _, line in lines)])
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


def _json_lines(first: tuple[int, str], lines: Iterator[tuple[int, str]], name: str) -> Iterator[tuple[int, Any]]:
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


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise InvalidInput(f"{name}: line {number} is longer than {LONGEST_LINE:,} bytes")
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: line {number} is not UTF-8, at byte {error.start + 1} of the line") from None
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {reason(error)}") from None
