"""The values of a row that a field needs: the first text that is not blank, or a part of it, or a constant."""

from collections.abc import Callable, Container, Iterable
from datetime import tzinfo
from typing import Any, NamedTuple

from authctl import names
from authctl.import_mappings.conditions import Condition
from authctl.import_mappings.file import EndSource, Source, TimeSource
from authctl.import_mappings.times import AGE, Read, reader
from authctl.import_paths import DocumentRow, Find, Path, as_text

ReadText = Callable[[dict[str, Any], DocumentRow | None], str | None]
"""Reads a text of a row, which may stand within a document; None where it is blank. Raises Unusable."""

Meets = Callable[[dict[str, Any], DocumentRow | None], bool]
"""A function that returns whether a row, which may stand within a document, meets conditions."""


class Unusable(Exception):
    """The reason for which a row is rejected."""


class Value(NamedTuple):
    """The source of a text: a path, a part of the text at a path, or a constant."""

    path: Path | None
    value: str | None = None
    before: str | None = None
    after: str | None = None


class Moment(NamedTuple):
    """The source of a time, and the function that reads it."""

    text: ReadText
    read: Read
    is_age: bool


class End(NamedTuple):
    """The source of the end of a session: times at paths, or conditions."""

    meets: Meets
    text: ReadText
    """The first text of the moments."""
    moments: list[Moment]
    """Empty where the time of the row is the end."""


def moments_of(source: TimeSource | EndSource, zone: tzinfo | None, blank: Container[str]) -> list[Moment]:
    """The times that a source of a mapping file names, in their order; times without a zone are in `zone`, by default UTC."""
    read = reader(source.format, zone)
    return [Moment(text_reader([value], blank), read, source.format == AGE) for value in _values_at(source)]


def end_of(source: EndSource, zone: tzinfo | None, blank: Container[str]) -> End:
    """The end that a source of a mapping file names."""
    text = text_reader(_values_at(source), blank)
    return End(conditions_of(source.where.items(), blank), text, moments_of(source, zone, blank))


def conditions_of(where: Iterable[tuple[Path, Condition]], blank: Container[str]) -> Meets:
    """A function that returns whether a row meets all of these conditions."""
    asked = [(path.finder(blank), condition.is_met) for path, condition in where]

    def meets(row: dict[str, Any], document_row: DocumentRow | None) -> bool:
        for find, is_met in asked:  # noqa: SIM110  # `all` over a generator takes 0.4 µs more
            if not is_met(find(row, document_row), blank):
                return False
        return True

    return meets


def text_reader(values: Iterable[Value], blank: Container[str]) -> ReadText:
    """A function that reads the first text that is not blank."""
    readers = [_reader_of(value, blank) for value in values]
    if len(readers) == 1:
        return readers[0]

    def first(row: dict[str, Any], document_row: DocumentRow | None) -> str | None:
        for read in readers:
            if (text := read(row, document_row)) is not None:
                return text
        return None

    return first


def _reader_of(value: Value, blank: Container[str]) -> ReadText:
    if value.path is None:
        return lambda _row, _place: value.value
    at = _plain_text if value.path.is_plain else _text_at
    read = at(value.path.finder(blank), value.path.text, blank)
    if value.before is None and value.after is None:
        return read

    def part(row: dict[str, Any], document_row: DocumentRow | None) -> str | None:
        whole = read(row, document_row)
        text = "" if whole is None else _part(whole, value)
        return None if not text.strip() or text in blank else text

    return part


def _plain_text(find: Find, path: str, blank: Container[str]) -> ReadText:
    """The same as `_text_at` for one name of the row. Most values there are texts, which need one call less."""
    other = _text_at(find, path, blank)

    def read(row: dict[str, Any], document_row: DocumentRow | None) -> str | None:
        text = row.get(path)
        if type(text) is not str:
            return other(row, document_row)
        return None if text in blank or text.isspace() else text

    return read


def _text_at(find: Find, path: str, blank: Container[str]) -> ReadText:
    """A function that reads the text at the place that `find` returns."""

    def read(row: dict[str, Any], document_row: DocumentRow | None) -> str | None:
        text = find(row, document_row)
        if type(text) is not str:
            if text is None:
                return None
            if isinstance(text, dict | list):
                raise Unusable(f"{names.quoted(path)} is not a plain value")
            text = as_text(text)
        return None if text in blank or text.isspace() else text

    return read


def _values_at(source: TimeSource | EndSource) -> list[Value]:
    return [value_at(path, source.before, source.after) for path in source.path or ()]


def values_of(sources: Iterable[Source]) -> list[Value]:
    """The values that sources of a mapping file name, in their order."""
    values: list[Value] = []
    for source in sources:
        if source.path is None:
            values.append(Value(None, source.value))
        else:
            values += [value_at(path, source.before, source.after) for path in source.path]
    return values


def value_at(path: Path, before: str | None = None, after: str | None = None) -> Value:
    """The value at a path, or a part of it."""
    return Value(path, None, before, after)


def _part(text: str, value: Value) -> str:
    """The part after `after` and before `before`: nothing if `after` is missing, up to the end if `before` is."""
    if value.after is not None:
        text = text.partition(value.after)[2]
    return text if value.before is None else text.partition(value.before)[0]
