"""Sessions in SQLite: read by id and number, registered, used, refreshed and ended.

See docs/glossary.md#hard-end.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from authctl.model import Session, Status
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION
from authctl.store.sqlite.dialect import EACH_NUMBER, OPEN, TABLES, UNREVOKED
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.lifetimes import Deadlines
    from authctl.model import ActiveSession, NewSession, SessionFilter
    from authctl.store.sqlite.library import sqlite3

_BY_NUMBER = f"SELECT {{columns}}, s.secret_hash FROM sessions AS s {WITH_REVOCATION} WHERE s.number = {{number}}"
NOW_OR_RECORDED = "max(?1, (SELECT seen_at FROM clock))"
"""The present instant: the first parameter, or the recorded time, if the clock is behind it (decision 80)."""

_LOOK_UP = _BY_NUMBER.format(columns=rows.session_columns(now=NOW_OR_RECORDED), number="?2")

END = (
    "UPDATE sessions AS s INDEXED BY sessions_by_revocation"
    " SET ended_at = :now, ended_reason = :reason, expires_at = :now, moved_in = :move"
)
"""A hard end, which moves the deadline to its own instant (decision 18)."""

_FIRST_DEADLINE = (
    "CASE WHEN {end} > s.expires_at THEN 'continuity_ended' WHEN s.fixed_expires_at <= s.expires_at THEN 'lifetime'"
    " WHEN s.absolute_expires_at <= s.idle_expires_at THEN 'absolute' ELSE 'idle' END"
)
_NEW_DEADLINES = "slid_at = :slid_at, use_due_at = :due, idle_expires_at = :idle, absolute_expires_at = :absolute, expires_at = :expires"


def read_by_number(connection: "sqlite3.Connection", number: int, now: int) -> tuple[Session, bytes | None] | None:
    """The session with that number, with its stored deadlines as real ends, and the hash of its secret."""
    row = connection.execute(_LOOK_UP, (now, number)).fetchone()
    return None if row is None else (rows.session(row), row[-1])


def sessions_by_number(reader: Reader, numbers: Sequence[int], now: int) -> list[Session]:
    """The sessions with those numbers, in the same order."""
    sql = f"SELECT {reader.session_columns} FROM {TABLES.by_numbers} {WITH_REVOCATION} ORDER BY listed.id"
    given = reader.given(now, numbers=json.dumps(list(numbers)))
    return [rows.checked_session(row) for row in reader.all_rows(sql, given)]


def remove_sessions(writer: Writer, numbers: Sequence[int]) -> None:
    """Remove sessions, with all that is stored of them as imported ones."""
    from authctl.store.sqlite import search_index

    # Before the rows go: the index is given their texts to remove them.
    search_index.remove_sessions(writer.connection, numbers)
    for table in ("imported", "imported_rows", "announced_sessions", "deliveries", "sessions"):
        writer.write(f"DELETE FROM {table} WHERE {EACH_NUMBER}", {"numbers": json.dumps(list(numbers))})


class SessionsReader(Reader):
    """`SessionsView` over SQLite."""

    def session(self, session_id: str, now: int) -> Session | None:
        sql = f"SELECT {self.session_columns} FROM sessions AS s {WITH_REVOCATION} WHERE s.id = :id"
        row = self.one_row(sql, self.given(now, id=session_id))
        return rows.checked_session(row) if row else None

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        sql = _BY_NUMBER.format(columns=self.session_columns, number=":number")
        row = self.one_row(sql, self.given(now, number=number))
        return row and (rows.session(row), row[-1])

    def sessions_by_number(self, numbers: Sequence[int], now: int) -> list[Session]:
        return sessions_by_number(self, numbers, now)

    def active_sessions(self, numbers: Sequence[int], now: int) -> "list[ActiveSession]":
        from authctl.model import ActiveSession
        from authctl.store.sql.filters import has_status

        columns = ", ".join(f"s.{name}" for name in ActiveSession._fields)
        is_active = has_status(Status.ACTIVE, self.continuity, now)
        sql = f"SELECT {columns} FROM {TABLES.by_numbers} WHERE {is_active} ORDER BY s.number"
        return [ActiveSession(*row) for row in self.all_rows(sql, self.given(now, numbers=json.dumps(list(numbers))))]

    def ids_beginning(self, prefix: str, limit: int) -> list[str]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)  # the first text after all that begin with the prefix
        sql = "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        return [row[0] for row in self.all_rows(sql, (prefix, end, limit))]

    def recent_names(self, field: Literal["application", "device", "platform"]) -> list[str]:
        from authctl.store.sqlite import beginnings

        return beginnings.recent_names(self.connection, field)

    def sources_beginning(self, key: str, limit: int) -> list[str]:
        from authctl.store.sqlite import beginnings

        return beginnings.sources(self.connection, key, limit)

    def numbers(self, selection: "SessionFilter", now: int) -> Sequence[int]:
        from authctl.store.sqlite import previews

        return previews.numbers(self.connection, self.select(selection, now))

    def count_ended(self) -> int:
        return self.one_number("SELECT count(*) FROM sessions INDEXED BY sessions_by_end WHERE ended_at IS NOT NULL")


class SessionsWriter(Writer):
    """`SessionsChange` over SQLite."""

    def add_session(self, session: "NewSession", revocation_id: int | None = None) -> Session:
        from authctl.store.sqlite import search_index

        values = rows.columns(session)
        number = self.connection.execute(insertion(tuple(values)), (*values.values(), revocation_id)).lastrowid
        row = self.one_row(_LOOK_UP, (session.last_used_at, number))
        assert row is not None
        search_index.add_batch_at(self.connection, row[0])
        return rows.session(row)

    def record_uses(self, uses: "Sequence[tuple[int, int, Deadlines]]") -> None:
        recorded = self.one_number("SELECT seen_at FROM clock")
        for is_late in (False, True):
            some = [_use(*use) for use in uses if (use[1] <= recorded) is is_late]
            if some:
                moved = f", moved_in = {self.move}" if is_late else ""
                sql = f"UPDATE sessions SET last_used_at = :used_at, {_NEW_DEADLINES}{moved} WHERE number = :number"
                self.connection.executemany(sql, some)

    def _move_if_late(self, used_at: int) -> str:
        """The other columns to write for a use. A use after the recorded time is seen by its instant; another one is a move."""
        recorded = self.one_number("SELECT seen_at FROM clock")
        return f", moved_in = {self.move}" if used_at <= recorded else ""

    def rotate(self, number: int, at: int, deadlines: "Deadlines", access_expires_at: int, key_id: str) -> None:
        sql = (
            f"UPDATE sessions SET last_used_at = max(last_used_at, :used_at), {_NEW_DEADLINES}, refreshed_at = :used_at,"
            " generation = generation + 1, access_expires_at = :access, key_id = :key_id"
            f"{self._move_if_late(at)} WHERE number = :number"
        )
        self.write(sql, {**_use(number, at, deadlines), "access": access_expires_at, "key_id": key_id})

    def end_sessions(self, numbers: Sequence[int], at: int, reason: str) -> None:
        sql = (
            "UPDATE sessions SET ended_at = :at, ended_reason = :reason, expires_at = :at, moved_in = :move"
            f" WHERE {EACH_NUMBER}"
        )
        if numbers:
            self.write(sql, {"numbers": json.dumps(numbers), "at": at, "reason": reason, "move": self.move})

    def end_all(self, at: int, reason: str) -> int:
        from authctl.store.sql.filters import has_status

        sql = f"{END} WHERE {has_status(Status.ACTIVE, self.continuity, at)}"
        return self.write(sql, self.given(at, reason=reason, move=self.move))

    def end_after_clock_change(self, at: int, recorded: int) -> int:
        from authctl.store.sql.filters import has_status

        # decision 81: over at the recorded time, and active again by the clock
        was_held = self.continuity.holds(recorded) or "FALSE"
        is_active = has_status(Status.ACTIVE, self.continuity, at)
        is_revived = f"{is_active} AND s.expires_at <= {int(recorded)} AND NOT {was_held}"
        sql = (
            f"{END.replace(':reason', _FIRST_DEADLINE.format(end=self.continuity.end('s.expires_at')))}"
            f" WHERE {UNREVOKED} AND s.ended_at IS NULL"
            f" AND (max(s.created_at, s.slid_at, s.last_used_at) > :now OR {is_revived})"
        )
        return self.write(sql, self.given(at, move=self.move))


@cache
def insertion(columns: tuple[str, ...]) -> str:
    """The statement that registers a session. It takes those columns, and the session's revocation, or None."""
    given = ", ".join("?" for _ in columns)
    return f"INSERT INTO sessions ({', '.join(columns)}, revocation_id) VALUES ({given}, coalesce(?, {OPEN}))"


def _use(number: int, used_at: int, deadlines: "Deadlines") -> dict[str, Any]:
    """The parameters of a statement that writes a use."""
    return {
        "number": number,
        "used_at": used_at,
        "slid_at": deadlines.slid_at,
        "due": deadlines.use_due_at,
        "idle": deadlines.idle_expires_at,
        "absolute": deadlines.absolute_expires_at,
        "expires": deadlines.expires_at,
    }
