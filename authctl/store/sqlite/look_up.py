"""The look-up of `verify`: a session by its number, which reads again only the columns that can change."""

from typing import TYPE_CHECKING

from authctl.instants import check_now, utc_now
from authctl.model import Session
from authctl.store.nouns.reader import continuity_events
from authctl.store.sql import rows
from authctl.store.sql.fixed_columns import FixedColumns, changing_columns, put_together
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.store.sqlite.library import sqlite3

_NOW_OR_RECORDED = "max(?1, (SELECT seen_at FROM clock))"
"""The present instant: the first parameter, or the recorded time, if the clock is behind it (decision 80)."""

_WHOLE = f"SELECT {rows.session_columns(now=_NOW_OR_RECORDED)}, s.secret_hash FROM sessions AS s {WITH_REVOCATION} WHERE s.number = ?2"
_OVER = "coalesce(r.at, s.ended_at, s.wipe_delivered_at, s.wipe_acknowledged_at)"
_CHANGING = (
    f"SELECT {changing_columns(_OVER, _NOW_OR_RECORDED)} FROM sessions AS s {WITH_REVOCATION} WHERE s.number = ?2"
)


class LookUp:
    """Sessions by number, on one connection. One thread at a time may use it."""

    def __init__(self, connection: "sqlite3.Connection") -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._fixed = FixedColumns()

    def session(self, number: int, now: int | None) -> tuple[Session, bytes | None] | None:
        """The session with that number, and the hash of its secret. Without `now`, this machine's clock is that of the store."""
        # decision 158: only the columns that can change are read again; a whole row takes 5 µs more
        # decision 133: without an instant the clock of the store counts, so that several hosts can use one clock
        at = check_now(utc_now()) if now is None else now
        fixed = self._fixed.of(number)
        if fixed is not None:
            row = self._cursor.execute(_CHANGING, (at, number)).fetchone()
            session = row and put_together(fixed, row)
            if session:
                return self._held(session), fixed.secret_hash
        return self._read(number, at)

    def _read(self, number: int, at: int) -> tuple[Session, bytes | None] | None:
        """The session by its whole row; its fixed columns are kept."""
        row = self._cursor.execute(_WHOLE, (at, number)).fetchone()
        if row is None:
            return None
        session, secret_hash = rows.session(row), row[-1]
        self._fixed.keep(session, secret_hash)
        return self._held(session), secret_hash

    def _held(self, session: Session) -> Session:
        """The same with its real ends."""
        # A session within its deadlines needs no event to be active: nearly every verification stops here.
        if session.read_at < session.token_expires_at:
            return session
        return session.held_by(continuity_events(self._connection))
