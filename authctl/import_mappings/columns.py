"""Checks of a file against its mapping: the columns of its text, and rows that are one level down."""

from collections.abc import Sequence
from typing import Any

from authctl.errors import InvalidInput
from authctl.import_mappings.file import MappingFile, Source, TimeSource, paths_of
from authctl.import_paths import Kind, Path
from authctl.names import quoted

_COLUMNS_NAMED = 8


def check_columns(file: MappingFile, columns: Sequence[str]) -> None:
    """Raise InvalidInput if a text lacks a column that every row needs, or has two of one that is read."""
    fields = file.fields
    times = [*fields.at.sources, *fields.last_used_at.sources, *(fields.created_at or ())]
    needed: dict[str, Sequence[Source | TimeSource]] = {"username": fields.username, "at": times}
    for name, sources in needed.items():
        paths = [path for source in sources for path in source.path or ()]
        is_constant = any(source.path is None for source in sources) or (name == "at" and fields.uses_listing_time)
        if not is_constant and not any(_column(path, columns) for path in paths):
            there = ", ".join(map(quoted, columns[:_COLUMNS_NAMED]))
            more = ", …" if len(columns) > _COLUMNS_NAMED else ""
            wanted = " or ".join(quoted(path.text) for path in paths)
            raise InvalidInput(f"no column {wanted} for {name}; the header has {there}{more}")
    for _, path in paths_of(file):
        column = _column(path, columns)
        # Only columns that are read: other programs write columns of the same name, and they do no harm.
        if column is not None and columns.count(column) > 1:
            raise InvalidInput(f"the header has column {quoted(column)} twice")


def _column(path: Path, columns: Sequence[str]) -> str | None:
    """The column in which a path begins: the column of its whole name, or a column whose cells are JSON objects."""
    begins = path.steps[0].name if path.steps else path.text
    return next((name for name in (path.text, begins) if name in columns), None)


def rows_below(document: dict[str, Any], usernames: Sequence[Path]) -> str | None:
    """The path of rows one level down in an object that was read as a row, if users are there and none is in the object."""
    if any(path.at(document) is not None for path in usernames):
        return None
    for name, value in document.items():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        inner = next(iter(parts), None)
        if isinstance(inner, dict) and any(path.at(inner) is not None for path in usernames):
            return f"{_step_text(name)}.*"
    return None


def _step_text(name: str) -> str:
    """A name as one step of a path, in quotes where it needs them."""
    try:
        steps = Path(name).steps
    except InvalidInput:
        steps = ()
    is_plain = name and len(steps) == 1 and steps[0].kind is Kind.NAME and steps[0].name == name
    return name if is_plain else '"' + name.replace('"', '""') + '"'
