"""Records to text: table, JSON, CSV, ids. Output for a terminal is drawn by `screens`, which is loaded for a terminal alone.

Foreign text never gets out raw: in tables and CSV invisible characters are escapes, in JSON all characters beyond ASCII are.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TextIO
from unicodedata import normalize

from authctl.model.fields import IMPORT_COUNTS, PROFILE_FIELDS, SESSION_FIELDS
from authctl.records import Record
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.screens.drawing import Line
    from authctl.screens.times import Look


AsJson = Callable[[Any], str]
"""A function that gives the JSON text of one record."""


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ID = "id"


class Shape:  # every command makes all of them: no named tuple, whose class takes as long as a small module (decision 345)
    """How one kind of record is laid out: every field, in order, and the columns of its table, its id first."""

    def __init__(
        self,
        fields: str,
        columns: str,
        nothing: str = "nothing is listed",
        *,
        keep: str = "",
        drawn: str = "",
        view: str | None = None,
        short_ids: bool = False,
    ) -> None:
        self.columns = tuple(columns.split())
        self.nothing = nothing
        """The message for an empty list."""
        self.keep = keep
        """The columns on a terminal, the most important one first; where room is short, those after the last `|` go first."""
        self.view = view
        """The view of the whole list on a terminal, where that is no table."""
        self.short_ids = short_ids
        """Whether a terminal may show unique beginnings of its ids: in lists for reading, never in the result of an operation."""
        self._fields = fields
        self._drawn = drawn or columns

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field."""
        return tuple(self._fields.split())

    @property
    def drawn(self) -> tuple[str, ...]:
        """The columns on a terminal, in order, where they are others than in a pipe."""
        return tuple(self._drawn.split())


_NO_SESSION = "no session matches"
# decision 131: derived, so that a field of a session is declared once
_OF_SESSIONS = " ".join(SESSION_FIELDS)

SESSIONS = Shape(
    _OF_SESSIONS,
    "id username application device platform status last_used_at",
    _NO_SESSION,
    keep="username status application device | last_used_at | platform",
    short_ids=True,
)
REVOKED_SESSIONS = Shape(
    _OF_SESSIONS,
    "id username application device status revoked_at revoked_by note",
    _NO_SESSION,
    keep="username status application device | note revoked_at | revoked_by",
    short_ids=True,
)
WIPED_SESSIONS = Shape(
    _OF_SESSIONS,
    "id username application device wipe revoked_at revoked_by note",
    _NO_SESSION,
    keep="username wipe application device | note revoked_at | revoked_by",
    short_ids=True,
)
SESSIONS_OF_SOURCES = Shape(
    _OF_SESSIONS,
    "id username application device status last_used_at source source_id",
    _NO_SESSION,
    keep="username status application device | source last_used_at | source_id",
    short_ids=True,
)
REVOKED = Shape(
    "id username application status_before",
    "id username application status_before",
    keep="username | application | status_before",
)
LISTED_USERS = Shape(
    "row username result revoked already_revoked reason",
    "row username result revoked already_revoked reason",
    "the list has no rows",
    keep="username result | revoked reason | already_revoked",
)
PREVIEWED = Shape(_OF_SESSIONS, "id username application device status", keep="username status | application device")
ENDED = Shape(
    _OF_SESSIONS, "id username application status ended_reason", keep="username status | application | ended_reason"
)
EVENTS = Shape(
    "seq at actor action subject note detail hash prev_hash",
    "seq at actor action subject note",
    "no event matches",
    keep="action about | at actor | note",
    drawn="seq at actor action about note",
)
GROUPS = Shape(
    "group active expired revoked total last_used_at",
    "group active expired revoked total last_used_at",
    _NO_SESSION,
    keep="active | last_used_at expired revoked | total",
)
CONTINUITY = Shape(
    "profile started_at until held_sessions actor note ended_by end_note",
    "profile started_at until held_sessions actor note",
    "no continuity event is running",
    keep="held_sessions until | note actor | started_at",
)
CACHED_LOGINS = Shape(
    "username profile authenticator authenticated_at last_used_at expires_at",
    "username profile authenticator authenticated_at last_used_at expires_at",
    "no login is remembered",
    keep="expires_at | last_used_at profile authenticated_at | authenticator",
)
CLIENTS = Shape(
    "client_id name may applications cache_for lag facts revoke_note certificate created_at created_by secret_at has_old_secret",
    "client_id name may applications cache_for secret_at",
    "no client was added",
    keep="name may client_id | applications | cache_for secret_at",
)
KEYS = Shape(
    "id state created_at retired_at sessions retire_after retirable",
    "id state created_at sessions retire_after retirable",
    keep="state sessions | advice created_at | retire_after",
    drawn="id state sessions created_at retire_after advice",
)
FINDINGS = Shape("check ok found next", "check ok found next", view="findings")
USERS = Shape(
    "username disabled disabled_at disabled_by note password_changed_at active expired revoked total last_used_at"
    " disabled_until enabled_at enabled_by",
    "username disabled active expired revoked total last_used_at disabled_until",
    "no user is listed",
    keep="disabled active | last_used_at expired revoked | total",
    drawn="username disabled active expired revoked total last_used_at",
)
PROFILES = Shape(
    f"name default {' '.join(PROFILE_FIELDS)} assignments retention",
    "name default tokens idle_timeout absolute_timeout description",
    keep="default idle_timeout | absolute_timeout tokens | description",
)
DIFFERENCES = Shape(
    "name change shortened lengthened ended unmet_conditions idle_timeout_before idle_timeout_after absolute_timeout_before"
    " absolute_timeout_after fields",
    "name change shortened lengthened ended unmet_conditions fields",
    view="differences",
)
IMPORTS = Shape(
    f"id at finished_at actor source file files rows keys taken_at complete users {' '.join(IMPORT_COUNTS)}"
    " undone_at undone_by note undoable obstacle undo",
    "id at source file rows registered updated not_listed undone_at undoable",
    "no import is recorded",
    keep="source at registered | updated not_listed undone_at undoable | rows file",
)
STATISTICS = Shape("statistic name number at", "statistic name number")
MAPPINGS = Shape(
    "name system rows complete complete_for title",
    "name system rows complete_for title",
    keep="system | complete_for rows | title",
)
RECEIVERS = Shape(
    "name channel target events source application profile kind notes timeout give_up_after",
    "name channel target events source notes",
    "no receiver is configured; to begin with a file: authctl examples show receivers.yaml",
    keep="channel | events target | source notes",
)
RUN = Shape(
    "receiver delivered gone refused retried pending reason",
    "receiver delivered gone refused retried pending reason",
    keep="delivered pending | refused gone retried | reason",
)
OUTBOX = Shape(
    "receiver pending oldest_at refused dead",
    "receiver pending oldest_at refused dead",
    "no delivery is recorded",
    keep="pending oldest_at | refused dead",
)
DELIVERIES = Shape(
    "id jti receiver event state attempts next_attempt_at session username created_at delivered_at reason rest revocation_id",
    "id receiver event state session username attempts next_attempt_at created_at delivered_at reason",
    "no delivery matches",
    keep="state receiver event username | created_at reason | session attempts next_attempt_at delivered_at",
)
EXAMPLES = Shape("name title", "name title", keep="name | title")

# decision 25: `-o id` prints the first of these that a record has; commands without ids print nothing
_IDS = ("id", "seq", "name", "username")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> str:
    """One value for a table: blank for nothing, JSON for a list or object, and no invisible character."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return visible(str(value))


def csv_cell(value: Any) -> str:
    """The same for CSV; a text that a spreadsheet would run as a formula begins with an apostrophe."""
    if value is None:
        return ""
    shown = cell(value)
    # A text that is shown as it is has ASCII alone, which NFKC does not change.
    first = value[:1] if shown is value else normalize("NFKC", value[:1]) if isinstance(value, str) else ""
    return f"'{shown}" if first.startswith(_FORMULA) else shown


def many(
    out: TextIO,
    records: Iterable[Any],
    shape: Shape,
    form: Format,
    look: "Look | None" = None,
    as_json: AsJson = json.dumps,
) -> None:
    """Print a list; rows go out as they come, except on a terminal, which has a look. Nothing does when the first one fails.

    In JSON, they may be other values than records, where `as_json` gives the text of one.
    """
    rest = iter(records)
    records = chain(list(islice(rest, 1)), rest)
    if form is Format.JSON:
        _json_list(out, map(as_json, records))
    elif form is Format.NDJSON:
        out.writelines(f"{text}\n" for text in map(as_json, records))
    elif form is Format.ID:
        out.writelines(f"{cell(record[shape.columns[0]])}\n" for record in records)
    elif form is Format.CSV:
        _csv(out, records, shape.fields)
    elif look:
        _draw_many(out, list(records), shape, look)
    else:
        out.write("\t".join(shape.columns) + "\n")
        out.writelines("\t".join(cell(record[name]) for name in shape.columns) + "\n" for record in records)


def one(out: TextIO, record: Record, form: Format, look: "Look | None" = None, view: str = "") -> None:
    """Print a single record: in a table a line a field, its id first; on a terminal, which has a look, by its view."""
    if form is Format.JSON:
        out.write(json.dumps(record, indent=2) + "\n")
    elif form is Format.NDJSON:
        out.write(json.dumps(record) + "\n")
    elif form is Format.ID:
        name, value = next(iter(record.items()))
        out.write(f"{cell(value)}\n" if name in _IDS else "")
    elif form is Format.CSV:
        _csv(out, [record], tuple(record))
    elif look:
        from authctl.screens import views

        # decision 185: in pipes and formats nothing changes, because scripts read them
        _draw_view(out, views.ONE[view](record, look))
    else:
        out.writelines(f"{name}\t{cell(value)}\n" for name, value in record.items())


def _json_list(out: TextIO, encoded: Iterable[str]) -> None:
    # Written as it comes: a list of a million sessions is never in memory as a whole.
    separator = "[\n"
    for text in encoded:
        out.write(separator + text)
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _csv(out: TextIO, records: Iterable[Record], fields: tuple[str, ...]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([csv_cell(record[name]) for name in fields] for record in records)


def _draw_many(out: TextIO, records: Sequence[Record], shape: Shape, look: "Look") -> None:
    from authctl.screens import tables, views

    if shape.view:
        _draw_view(out, views.MANY[shape.view](records, look))
    else:
        from authctl.screens.drawing import terminal_width

        layout = tables.layout(shape.drawn, shape.keep)
        tables.draw(out, records, layout, look if shape.short_ids else look._replace(shorten=None), terminal_width(out))


def _draw_view(out: TextIO, lines: "Iterable[Line]") -> None:
    from authctl.screens.drawing import draw_view, terminal_width

    draw_view(out, lines, terminal_width(out))
