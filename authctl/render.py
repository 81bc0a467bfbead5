"""Records to text: table, JSON, CSV, ids. The only module that builds rich tables, and only for a terminal.

Foreign text never gets out raw: in tables and CSV what cannot be seen is an escape, in JSON everything beyond ASCII is.
"""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import Any, NamedTuple, TextIO
from unicodedata import normalize

from authctl.model.fields import PROFILE_FIELDS, SESSION_FIELDS
from authctl.records import Record
from authctl.visible_text import visible


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ID = "id"


class Shape(NamedTuple):
    """How one kind of record is laid out: every field, in order, and the columns of its table, its id first."""

    fields: tuple[str, ...]
    columns: tuple[str, ...]
    nothing: str
    """The message for an empty list."""


def _shape(fields: str, columns: str, nothing: str = "nothing is listed") -> Shape:
    return Shape(tuple(fields.split()), tuple(columns.split()), nothing)


SESSIONS = _shape(
    " ".join(SESSION_FIELDS),
    "id username application device platform status last_used_at",
    "no session matches",
)
REVOKED_SESSIONS = _shape(
    " ".join(SESSIONS.fields), "id username application device status revoked_at revoked_by note", "no session matches"
)
WIPED_SESSIONS = _shape(
    " ".join(SESSIONS.fields), "id username application device wipe revoked_at revoked_by note", "no session matches"
)
SESSIONS_OF_SOURCES = _shape(
    " ".join(SESSIONS.fields),
    "id username application device status last_used_at source source_id",
    "no session matches",
)
REVOKED = _shape("id username application status_before", "id username application status_before")
PREVIEWED = _shape(" ".join(SESSIONS.fields), "id username application device status")
ENDED = _shape(" ".join(SESSIONS.fields), "id username application status ended_reason")
EVENTS = _shape(
    "seq at actor action subject note detail hash prev_hash", "seq at actor action subject note", "no event matches"
)
GROUPS = _shape(
    "group active expired revoked total last_used_at",
    "group active expired revoked total last_used_at",
    "no session matches",
)
CONTINUITY = _shape(
    "profile started_at until held_sessions actor note ended_by end_note",
    "profile started_at until held_sessions actor note",
    "no continuity event is running",
)
CACHED_LOGINS = _shape(
    "username profile authenticator authenticated_at last_used_at expires_at",
    "username profile authenticator authenticated_at last_used_at expires_at",
    "no login is remembered",
)
KEYS = _shape(
    "id state created_at retired_at sessions retire_after retirable",
    "id state created_at sessions retire_after retirable",
)
FINDINGS = _shape("check ok found next", "check ok found next")
USERS = _shape(
    "username disabled disabled_at disabled_by note password_changed_at active expired revoked total last_used_at",
    "username disabled active expired revoked total last_used_at",
    "no user is listed",
)
PROFILES = _shape(
    f"name default {' '.join(PROFILE_FIELDS)} assignments retention",
    "name default tokens idle_timeout absolute_timeout description",
)
DIFFERENCES = _shape(
    "name change shortened lengthened ended unmet_conditions idle_timeout_before idle_timeout_after absolute_timeout_before"
    " absolute_timeout_after fields",
    "name change shortened lengthened ended unmet_conditions fields",
)

IMPORTS = _shape(
    "id at finished_at actor source file files rows keys taken_at complete users registered updated unchanged used_after_end"
    " returned adopted not_listed undone_at undone_by note undoable obstacle undo",
    "id at source file rows registered updated not_listed undone_at undoable",
    "no import is recorded",
)
MAPPINGS = _shape("name system rows complete complete_for title", "name system rows complete_for title")

_IDS = ("id", "seq", "name", "username")  # decision 25
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NARROWEST = 6
_COLOURS = {"active": "green", "expired": "yellow", "revoked": "red"}


def cell(value: Any) -> str:
    """One value for a table: blank for nothing, JSON for what has parts, and nothing that cannot be seen."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return visible(str(value))


def csv_cell(value: Any) -> str:
    """The same for CSV; what a spreadsheet would run as a formula is made text by an apostrophe."""
    shown = cell(value)
    runs = isinstance(value, str) and normalize("NFKC", value[:1]).startswith(_FORMULA)
    return f"'{shown}" if runs else shown


def many(out: TextIO, records: Iterable[Record], shape: Shape, form: Format, *, terminal: bool) -> None:
    """Print a list; rows go out as they come, except for a table on a terminal. Nothing does when the first one fails."""
    rest = iter(records)
    records = chain(list(islice(rest, 1)), rest)
    if form is Format.JSON:
        _json_list(out, records)
    elif form is Format.NDJSON:
        out.writelines(json.dumps(record) + "\n" for record in records)
    elif form is Format.ID:
        out.writelines(f"{cell(record[shape.columns[0]])}\n" for record in records)
    elif form is Format.CSV:
        _csv(out, records, shape.fields)
    elif terminal:
        _drawn(out, records, shape.columns)
    else:
        out.write("\t".join(shape.columns) + "\n")
        out.writelines("\t".join(cell(record[name]) for name in shape.columns) + "\n" for record in records)


def one(out: TextIO, record: Record, form: Format, *, terminal: bool) -> None:
    """Print a single record: in a table a line a field, its id first."""
    if form is Format.JSON:
        out.write(json.dumps(record, indent=2) + "\n")
    elif form is Format.NDJSON:
        out.write(json.dumps(record) + "\n")
    elif form is Format.ID:
        name, value = next(iter(record.items()))
        out.write(f"{cell(value)}\n" if name in _IDS else "")
    elif form is Format.CSV:
        _csv(out, [record], tuple(record))
    elif terminal:
        width = max(map(len, record))
        out.writelines(f"{name:<{width}}  {cell(value)}".rstrip() + "\n" for name, value in record.items())
    else:
        out.writelines(f"{name}\t{cell(value)}\n" for name, value in record.items())


def _json_list(out: TextIO, records: Iterable[Record]) -> None:
    # Written as it comes: a list of a million sessions is never in memory as a whole.
    separator = "[\n"
    for record in records:
        out.write(separator + json.dumps(record))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _csv(out: TextIO, records: Iterable[Record], fields: tuple[str, ...]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([csv_cell(record[name]) for name in fields] for record in records)


def _drawn(out: TextIO, records: Iterable[Record], columns: tuple[str, ...]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [[_short(name, record[name]) for name in columns] for record in records]
    console = Console(file=out, markup=False, highlight=False, emoji=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    cells = [columns, *rows]
    # Cells of a terminal and not characters: a Chinese character takes two of them.
    natural = [max(cell_len(row[index]) for row in cells) for index in range(len(columns))]
    widths = _fitted(natural, columns, console.width - 2 * (len(columns) - 1))
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name.replace("_", " "), no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in row))
    # A column that may not be cut makes the table wider than the terminal: a cut id would be of no use.
    console.width = max(console.width, sum(widths) + 2 * len(widths))
    console.print(table)


def _fitted(natural: Sequence[int], columns: Sequence[str], available: int) -> list[int]:
    """Column widths for a terminal: the widest of those that may be cut give way first, down to a few characters."""
    widths = list(natural)
    may_be_cut = [index for index, name in enumerate(columns) if not _is_whole(name, index)]
    while sum(widths) > available and may_be_cut:
        widest = max(may_be_cut, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _is_whole(name: str, index: int) -> bool:
    """Whether a column is never cut: what identifies a record, its status, and instants."""
    return index == 0 or name == "status" or name.endswith("at")


def _short(name: str, value: Any) -> str:
    return f"{value[:10]} {value[11:16]}" if name.endswith("at") and isinstance(value, str) else cell(value)
