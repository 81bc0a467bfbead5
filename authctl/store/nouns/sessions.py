"""Sessions: read by id and number, registered, used, refreshed and ended.

See docs/glossary.md#hard-end.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from authctl.model import Session, Status
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION, tables

if TYPE_CHECKING:
    from authctl.lifetimes import Deadlines
    from authctl.model import ActiveSession, NewSession, SessionFilter
    from authctl.store.sql.dialect import Dialect

_BY_NUMBER = f"SELECT {{columns}}, s.secret_hash FROM sessions AS s {WITH_REVOCATION} WHERE s.number = :number"

_FIRST_DEADLINE = (
    "CASE WHEN {end} > s.expires_at THEN 'continuity_ended' WHEN s.fixed_expires_at <= s.expires_at THEN 'lifetime'"
    " WHEN s.absolute_expires_at <= s.idle_expires_at THEN 'absolute' ELSE 'idle' END"
)
_NEW_DEADLINES = "slid_at = ?, idle_expires_at = ?, absolute_expires_at = ?, expires_at = ?, use_due_at = ?"
"""The columns of `Deadlines`, in the order of its fields. A value by its place takes less time to bind than one by its name."""


@cache
def end_of_unrevoked(dialect: "Dialect", reason: str = ":reason") -> str:
    """The statement that writes a hard end, which moves the deadline to its own instant; without its conditions."""
    # decision 18: a hard end moves the deadline to its own instant
    table = dialect.table("sessions", "s", "sessions_by_revocation")
    return f"UPDATE {table} SET ended_at = :now, ended_reason = {reason}, expires_at = :now, moved_in = :move"


@cache
def _look_up(dialect: "Dialect") -> str:
    """The query of a session with its stored deadlines as real ends, read at `:now` or the recorded time (decision 80)."""
    now = dialect.greatest(":now", "(SELECT max(seen_at) FROM clock)")
    return _BY_NUMBER.format(columns=rows.session_columns(now=now))


def sessions_by_number(reader: Reader, numbers: Sequence[int], now: int, *, brief: bool = False) -> list[Session]:
    """The sessions with those numbers, in the same order."""
    columns, session = reader.form(brief=brief)
    sql = f"SELECT {columns} FROM {reader.tables.by_numbers} {WITH_REVOCATION} ORDER BY listed.id"
    given = reader.given(now, numbers=reader.dialect.list_of(numbers))
    return list(map(session, reader.all_rows(sql, given)))


class SessionsReader(Reader):
    """`SessionsView` over any database."""

    def session(self, session_id: str, now: int) -> Session | None:
        self.keep_unchanged("id = :id", {"id": session_id})
        sql = f"SELECT {self.session_columns} FROM sessions AS s {WITH_REVOCATION} WHERE s.id = :id"
        row = self.one_row(sql, self.given(now, id=session_id))
        return rows.checked_session(row) if row else None

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        self.keep_unchanged("number = :number", {"number": number})
        row = self.one_row(_BY_NUMBER.format(columns=self.session_columns), self.given(now, number=number))
        return row and (rows.session(row), row[-1])

    def sessions_by_number(self, numbers: Sequence[int], now: int, *, brief: bool = False) -> list[Session]:
        return sessions_by_number(self, numbers, now, brief=brief)

    def active_sessions(self, numbers: Sequence[int], now: int) -> "list[ActiveSession]":
        from authctl.model import ActiveSession
        from authctl.store.sql.filters import has_status

        listed = {"numbers": self.dialect.list_of(numbers)}
        self.keep_unchanged(self.tables.each_number, listed)
        columns = ", ".join(f"s.{name}" for name in ActiveSession._fields)
        is_active = has_status(Status.ACTIVE, self.continuity, now)
        sql = f"SELECT {columns} FROM {self.tables.by_numbers} WHERE {is_active} ORDER BY s.number"
        return [ActiveSession(*row) for row in self.all_rows(sql, self.given(now, **listed))]

    def ids_beginning(self, prefix: str, limit: int) -> list[str]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)  # the first text after all that begin with the prefix
        sql = "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        return [row[0] for row in self.all_rows(sql, (prefix, end, limit))]

    def recent_names(self, field: Literal["application", "device", "platform"]) -> list[str]:
        from authctl.store.nouns import beginnings

        return beginnings.recent_names(self, field)

    def sources_beginning(self, key: str, limit: int) -> list[str]:
        from authctl.store.nouns import beginnings

        return beginnings.sources(self, key, limit)

    def numbers(self, selection: "SessionFilter", now: int) -> Sequence[int]:
        from authctl.store.nouns import previews

        return previews.numbers(self, self.select(selection, now))

    def count_ended(self) -> int:
        return self.one_number(f"SELECT count(*) FROM {self.tables.by_hard_end} WHERE ended_at IS NOT NULL")


class SessionsWriter(Writer):
    """`SessionsChange` over any database."""

    def add_session(self, session: "NewSession", revocation_id: int | None = None) -> Session:
        number = self._insert_session(rows.columns(session), revocation_id)
        row = self.one_row(_look_up(self.dialect), {"now": session.last_used_at, "number": number})
        assert row is not None
        return rows.session(row)

    def _insert_session(self, columns: "Mapping[str, Any]", revocation_id: int | None) -> int:
        """Insert the row of a session under a revocation, by default the open one. Returns its number."""
        # Without the columns that are blank: a driver may take longer for a NULL than for a text (decision 352).
        given = {name: value for name, value in columns.items() if value is not None}
        sql = insertion(self.dialect, tuple(given))
        number = self.dialect.insert(self.connection, sql, (*given.values(), revocation_id), "number")
        self.extend_search_at(number)
        return number

    def keep_session(self, number: int) -> None:
        self.keep_unchanged("number = :number", {"number": number})

    def record_uses(self, uses: "Sequence[tuple[int, int, Deadlines]]") -> None:
        recorded = self._recorded()
        # The last use of each session: the one before it would be written after it, if it is late and the last one is not.
        last_uses = {number: (used_at, *deadlines, number) for number, used_at, deadlines in uses}.values()
        for is_late in (False, True):
            some = [use for use in last_uses if (use[0] <= recorded) is is_late]
            if some:
                moved = f", moved_in = {self.move}" if is_late else ""
                sql = f"UPDATE sessions SET last_used_at = ?, {_NEW_DEADLINES}{moved} WHERE number = ?"
                self.connection.executemany(sql, some)

    def _recorded(self) -> int:
        return self.one_number("SELECT max(seen_at) FROM clock")

    def _move_if_late(self, used_at: int) -> str:
        """The other columns to write for a use. A use after the recorded time is seen by its instant; another one is a move."""
        return f", moved_in = {self.move}" if used_at <= self._recorded() else ""

    def rotate(self, number: int, at: int, deadlines: "Deadlines", access_expires_at: int, key_id: str) -> None:
        latest = self.dialect.greatest("last_used_at", "?")
        sql = (
            f"UPDATE sessions SET last_used_at = {latest}, {_NEW_DEADLINES}, refreshed_at = ?, generation = generation + 1,"
            f" access_expires_at = ?, key_id = ?{self._move_if_late(at)} WHERE number = ?"
        )
        self.write(sql, (at, *deadlines, at, access_expires_at, key_id, number))

    def end_sessions(self, numbers: Sequence[int], at: int, reason: str) -> None:
        sql = (
            "UPDATE sessions SET ended_at = :at, ended_reason = :reason, expires_at = :at, moved_in = :move"
            f" WHERE {self.tables.each_number}"
        )
        if numbers:
            listed = self.dialect.list_of(numbers)
            self.write(sql, {"numbers": listed, "at": at, "reason": reason, "move": self.move})

    def end_all(self, at: int, reason: str) -> int:
        from authctl.store.sql.filters import has_status

        sql = f"{end_of_unrevoked(self.dialect)} WHERE {has_status(Status.ACTIVE, self.continuity, at)}"
        return self.write(sql, self.given(at, reason=reason, move=self.move))

    def end_after_clock_change(self, at: int, recorded: int) -> int:
        from authctl.store.sql.filters import has_status

        # decision 81: over at the recorded time, and active again by the clock
        was_held = self.continuity.holds(recorded) or "FALSE"
        is_active = has_status(Status.ACTIVE, self.continuity, at)
        is_revived = f"{is_active} AND s.expires_at <= {int(recorded)} AND NOT {was_held}"
        reason = _FIRST_DEADLINE.format(end=self.continuity.end("s.expires_at"))
        begun = self.dialect.greatest("s.created_at", "s.slid_at", "s.last_used_at")
        sql = (
            f"{end_of_unrevoked(self.dialect, reason)} WHERE {self.tables.unrevoked} AND s.ended_at IS NULL"
            f" AND ({begun} > :now OR {is_revived})"
        )
        return self.write(sql, self.given(at, move=self.move))


@lru_cache(256)
def insertion(dialect: "Dialect", columns: tuple[str, ...]) -> str:
    """The statement that registers a session. It takes those columns, and the session's revocation, or None."""
    given = ", ".join("?" for _ in columns)
    is_open = tables(dialect).open_revocation
    return f"INSERT INTO sessions ({', '.join(columns)}, revocation_id) VALUES ({given}, coalesce(?, {is_open}))"
