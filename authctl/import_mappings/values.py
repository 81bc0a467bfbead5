"""The values of a row that a field asks for: the first text that is not blank, or a part of it, or a constant."""

from collections.abc import Container, Iterable
from datetime import tzinfo
from typing import Any, NamedTuple

from authctl import names
from authctl.import_mappings.conditions import Condition
from authctl.import_mappings.file import EndSource, Source, TimeSource
from authctl.import_mappings.times import AGE, Read, reader
from authctl.import_paths import Path, PlacedRow, as_text


class Unusable(Exception):
    """Why a row is rejected."""


class Value(NamedTuple):
    """Where a text is: at a path, or a part of what is there, or the text itself."""

    path: Path | None
    value: str | None = None
    before: str | None = None
    after: str | None = None
    name: str | None = None
    """The path, where it is one name of the row and no more."""

    @property
    def text(self) -> str:
        """The path as it is written."""
        return self.path.text if self.path is not None else ""


class Moment(NamedTuple):
    """Where a time is, and how it is read."""

    where: Value
    read: Read
    is_age: bool


class End(NamedTuple):
    """Where the end of a session is: at paths, or where conditions hold."""

    where: tuple[tuple[Path, Condition], ...]
    moments: list[Moment]
    """Empty where the time of the row is the end."""


def moments_of(source: TimeSource | EndSource, zone: tzinfo | None) -> list[Moment]:
    """The times that a source of a mapping file names, in their order; times without a zone are in `zone`, by default UTC."""
    read = reader(source.format, zone)
    values = (value_at(path, source.before, source.after) for path in source.path or ())
    return [Moment(value, read, source.format == AGE) for value in values]


def end_of(source: EndSource, zone: tzinfo | None) -> End:
    """The end that a source of a mapping file names."""
    return End(tuple(source.where.items()), moments_of(source, zone))


def first_text(
    row: dict[str, Any], place: PlacedRow | None, values: Iterable[Value], blank: Container[str]
) -> str | None:
    """The first text that is not blank."""
    for value in values:
        if value.name is not None:
            content = row.get(value.name)
        elif value.path is None:
            return value.value
        else:
            content = value.path.at(row, place, blank)
        if content is None:
            continue
        if isinstance(content, str):
            text = content
        elif not isinstance(content, dict | list):
            text = as_text(content)
        else:
            raise Unusable(f"{names.quoted(value.text)} is not a plain value")
        if not text.strip() or text in blank:
            continue
        if value.before is not None or value.after is not None:
            text = _part(text, value)
            if not text.strip() or text in blank:
                continue
        return text
    return None


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
    return Value(path, None, before, after, path.text if path.is_plain else None)


def _part(text: str, value: Value) -> str:
    """The part after `after` and before `before`: nothing if `after` is missing, up to the end if `before` is."""
    if value.after is not None:
        text = text.partition(value.after)[2]
    return text if value.before is None else text.partition(value.before)[0]
