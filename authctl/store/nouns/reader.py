"""A snapshot, and a change: the methods that the views and changes of all nouns share."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from authctl.model import Kind
from authctl.names import fold
from authctl.store.sql import rows
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent, SessionFilter
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.dialect import Dialect
    from authctl.store.sql.executor import Executor
    from authctl.store.sql.selections import Selection
    from authctl.store.sql.tables import Tables

MOST_SORTED = 10_000
"""The most sessions with a searched text that are sorted; more of them are met by a walk along the list."""


def continuity_events(connection: "Executor") -> "list[ContinuityEvent]":
    """All continuity events, the earliest first."""
    return [rows.continuity(row) for row in connection.execute(f"SELECT {rows.CONTINUITY} FROM continuity ORDER BY id")]


@cache
def _profile_keys(dialect: "Dialect") -> str:
    table = dialect.table("sessions", "s", "sessions_by_expiry")
    of_kinds = []
    for kind in Kind:
        first = f"SELECT min(profile_key) FROM {table} WHERE {tables(dialect).unrevoked} AND kind = '{kind}'"
        # One look-up finds the first profile, the next one the first after it, and so on: as many as there are profiles.
        found = (
            f"WITH RECURSIVE found (key) AS ({first} UNION ALL SELECT ({first} AND profile_key > found.key) FROM found"
            " WHERE found.key IS NOT NULL) SELECT key FROM found WHERE key IS NOT NULL"
        )
        of_kinds.append(f"SELECT key FROM ({found}) AS of_{kind}")
    return " UNION ALL ".join(of_kinds)


class Reader:
    """An open transaction, to read from."""

    dialect: "Dialect"
    """The words of the database; a class attribute of each store's own reader."""

    def __init__(self, connection: "Executor") -> None:
        self.connection = connection
        self._continuity: Continuity | None = None

    @property
    def tables(self) -> "Tables":
        """The entrances to the tables."""
        return tables(self.dialect)

    @property
    def continuity(self) -> "Continuity":
        """The continuity events of this snapshot."""
        if self._continuity is None:
            self._continuity = self._continuity_now()
        return self._continuity

    def _continuity_now(self) -> "Continuity":
        """The continuity events, as they are at the moment."""
        from authctl.store.sql.continuity import Continuity, without_events

        if self._is_known_without_events():
            return without_events(self.dialect)
        return Continuity(self.dialect, continuity_events(self.connection))

    def _is_known_without_events(self) -> bool:
        """Whether this transaction has read already that there is no continuity event."""
        return False

    def all_rows(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    def one_row(self, sql: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        """The first row of a query."""
        row: tuple[Any, ...] | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def one_number(self, sql: str, parameters: Any = ()) -> int:
        """The number in the first row of a query; 0 without one."""
        row = self.one_row(sql, parameters)
        return int(row[0] or 0) if row else 0

    @property
    def session_columns(self) -> str:
        """The columns of a session, its real ends among them."""
        return rows.session_columns(self.continuity.end("s.expires_at"), self.continuity.end("s.access_expires_at"))

    def form(self, *, brief: bool) -> "tuple[str, Callable[[tuple[Any, ...]], Any]]":
        """The columns of a session in a list, and the function that makes the value of a row: a ListedSession if brief, else a Session."""
        if not brief:
            return self.session_columns, rows.checked_session
        from authctl.store.sql.listed_rows import listed_columns, listed_session

        return listed_columns(self.continuity.end("s.expires_at")), listed_session

    def given(self, now: int, **parameters: Any) -> dict[str, Any]:
        """The parameters of a query with `session_columns`, or with a condition on a status."""
        # Events stand in the SQL by number, their profiles as parameters: a name never becomes SQL.
        return {**parameters, "now": now, **self.continuity.parameters}

    def profile_keys(self) -> list[str]:
        """The keys of the profiles with sessions that are not revoked."""
        sql = _profile_keys(self.dialect)
        return sorted({row[0] for row in self.all_rows(sql)})

    def columns_of(self, table: str) -> dict[str, bool]:
        """The columns of a table, those of a later schema among them, each with whether it contains bytes."""
        return {name: bool(is_blob) for name, is_blob in self.all_rows(self.dialect.columns_of_table, (table,))}

    def keep_unchanged(self, condition: str, parameters: dict[str, Any]) -> None:
        """Let others leave the sessions of a condition unchanged until this transaction ends, where others may write beside it."""

    def numbers_containing(self, text: str) -> Sequence[int] | None:
        """The numbers of the sessions with a folded text, in themselves or in their note, by the search index.

        Some of them if they are more than `MOST_SORTED`; None if the index is of no help.
        """
        raise NotImplementedError

    def numbers_with_trigram(self, trigram: str, limit: int) -> list[int]:
        """The numbers of up to `limit` sessions with those three letters, by the search index."""
        raise NotImplementedError

    def newest_users(self, limit: int) -> list[str]:
        """The keys of the users of the newest sessions, up to `limit` of these: those that the search index may not have yet."""
        raise NotImplementedError

    def search(self, selection: "SessionFilter") -> tuple[Sequence[int] | None, bool]:
        """The numbers of a selection's search, by the search index, and whether it is better to walk along the list.

        There are no numbers if nothing is searched, if another criterion leaves fewer sessions to look at, or if too many
        sessions contain the text. A walk soon meets many, if nothing but the kind narrows them (decision 104).
        """
        if selection.search is None or selection.username is not None or selection.ids:
            return None, False
        # Another criterion that leaves few sessions is the better entrance: the text is then compared in their rows.
        numbers = self.numbers_containing(fold(selection.search))
        if numbers is None or len(numbers) <= MOST_SORTED:
            return numbers, False
        return None, set(selection.criteria()) <= {"search", "kind"}

    def select(self, selection: "SessionFilter", now: int) -> "Selection":
        """The SQL of a filter."""
        from authctl.store.sql.selections import select

        return select(selection, now, self.continuity, self.profile_keys, self.search(selection)[0])


class Writer(Reader):
    """An open transaction, to write in."""

    held_seconds = 0.0

    def write(self, sql: str, parameters: Any = ()) -> int:
        """Execute a statement. Returns the number of rows that it changed."""
        return self.connection.execute(sql, parameters).rowcount

    def write_later(self, sql: str) -> None:
        """Execute a statement without parameters; before the next one, if the database is asked several at a time."""
        self.write(sql)

    def insert_rows(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows of those columns."""
        names = columns.split(", ")
        self.connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})", rows)

    def next_numbers(self, count: int) -> int:
        """The first of so many numbers for new sessions, one after another, that were never given. Nobody else may write."""
        raise NotImplementedError

    def limit_page_cache(self, kib: int | None = None) -> None:
        """Let the connection keep that many KiB of pages in memory from now on, by default the usual number, if the process has such pages."""

    def extend_search(self) -> None:
        """Let the search index catch up by a batch, if it may be behind."""

    def remove_from_search(self, numbers: Sequence[int]) -> None:
        """Remove sessions from the search index, before they are removed or changed, if it is not written with the row."""

    def remove_notes_from_search(self, condition: str) -> None:
        """Remove the notes of the revocations of a condition from the search index, if it is not written with the row."""

    def return_to_search(self, numbers: Sequence[int]) -> None:
        """Add sessions to the search index again, after they were changed, if it is not written with the row."""

    def extend_search_at(self, number: int) -> None:
        """Let the search index catch up, if the number of a new session or revocation is one at which it does."""

    def add_note_to_search(self, revocation_id: int, note_key: str) -> None:
        """Add the note of a revocation that was open when the search index passed its number."""

    @cached_property
    def move(self) -> int:
        """The number of this change, written to each session that it moves in a list (decision 125); made for the first one."""
        return self.one_number("UPDATE registry SET moves = moves + 1 RETURNING moves")
