"""Statistics as SQL. A day is the instant at which the UTC day begins.

Each text but the one of revocations is a pass over all sessions: no index has all names, or the instants of creation, and
to read a row by its index takes several times as long as to read it in a pass.

See docs/glossary.md#continuity-event.
"""

from typing import TYPE_CHECKING

from authctl.instants import DAY
from authctl.model import Status
from authctl.model.statistics import Property
from authctl.store.sql.filters import has_status

if TYPE_CHECKING:
    from authctl.store.sql.continuity import Continuity

# By the spelled names: folded keys beside them would be twice as many texts to sort.
_NAMES = ", ".join(f"s.{name}" for name in Property)


def active_groups(continuity: "Continuity", now: int) -> str:
    """The active sessions by their names and the day of their end: the names, the day and the count."""
    entrances = continuity.tables
    day = entrances.dialect.least(_day(continuity.end("s.expires_at")), ":until")
    is_active = has_status(Status.ACTIVE, continuity, now)
    return f"SELECT {_NAMES}, {day} AS day, count(*) FROM {entrances.anywhere} WHERE {is_active} GROUP BY {_NAMES}, day"


def sign_ins_by_day(continuity: "Continuity") -> str:
    """The sessions by the day of their creation."""
    table = continuity.tables.anywhere
    return _by_day("s.created_at", f"{table} WHERE s.created_at >= :since AND s.created_at <= :now")


def ends_by_day(continuity: "Continuity", now: int) -> str:
    """The expired sessions by the day of their end."""
    end = continuity.end("s.expires_at")
    is_over = f"{has_status(Status.EXPIRED, continuity, now)} AND {end} >= :since AND {end} <= :now"
    return _by_day(end, f"{continuity.tables.anywhere} WHERE {is_over}")


def revocations_by_day(continuity: "Continuity") -> str:
    """The revoked sessions by the day of their revocation."""
    return _by_day("r.at", f"{continuity.tables.revoked} WHERE r.at >= :since AND r.at <= :now")


def _by_day(instant: str, sessions: str) -> str:
    return f"SELECT {_day(instant)} AS day, count(*) FROM {sessions} GROUP BY day"


def _day(instant: str) -> str:
    return f"({instant}) / {DAY} * {DAY}"
