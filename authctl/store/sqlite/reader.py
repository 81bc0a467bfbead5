"""A snapshot of one connection, and a change on it: the methods that the views and changes of all nouns share."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from authctl.model import Kind
from authctl.names import fold
from authctl.store.sql import rows
from authctl.store.sqlite.dialect import SQLITE, UNREVOKED

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent, SessionFilter
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.selections import Selection
    from authctl.store.sqlite.library import sqlite3

_USUAL_CACHE_KIB = 2_000

_FIRST_PROFILE = (
    f"SELECT min(profile_key) FROM sessions AS s INDEXED BY sessions_by_expiry WHERE {UNREVOKED} AND kind = :kind"
)
# One look-up finds the first profile, the next one the first after it, and so on: as many as there are profiles.
_PROFILES = (
    f"WITH RECURSIVE found (key) AS ({_FIRST_PROFILE} UNION ALL SELECT ({_FIRST_PROFILE} AND profile_key > key) FROM found"
    " WHERE key IS NOT NULL) SELECT key FROM found WHERE key IS NOT NULL"
)


def continuity_events(connection: "sqlite3.Connection") -> "list[ContinuityEvent]":
    """All continuity events, the earliest first."""
    return [rows.continuity(row) for row in connection.execute(f"SELECT {rows.CONTINUITY} FROM continuity ORDER BY id")]


class Reader:
    """The open transaction of a connection, to read from."""

    def __init__(self, connection: "sqlite3.Connection") -> None:
        self.connection = connection
        self._continuity: Continuity | None = None

    @property
    def continuity(self) -> "Continuity":
        """The continuity events of this snapshot."""
        if self._continuity is None:
            from authctl.store.sql.continuity import Continuity

            self._continuity = Continuity(SQLITE, continuity_events(self.connection))
        return self._continuity

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

    def given(self, now: int, **parameters: Any) -> dict[str, Any]:
        """The parameters of a query with `session_columns`, or with a condition on a status."""
        # Events stand in the SQL by number, their profiles as parameters: a name never becomes SQL.
        return {**parameters, "now": now, **self.continuity.parameters}

    def profile_keys(self) -> list[str]:
        """The keys of the profiles with sessions that are not revoked."""
        return sorted({row[0] for kind in Kind for row in self.all_rows(_PROFILES, {"kind": kind.value})})

    def search(self, selection: "SessionFilter") -> tuple[Sequence[int] | None, bool]:
        """The numbers of a selection's search, by the search index, and whether it is better to walk along the list.

        There are no numbers if nothing is searched, if another criterion leaves fewer sessions to look at, or if too many
        sessions contain the text. A walk soon meets many, if nothing but the kind narrows them (decision 104).
        """
        if selection.search is None or selection.username is not None or selection.ids:
            return None, False
        from authctl.store.sqlite import search_index

        # Another criterion that leaves few sessions is the better entrance: the text is then compared in their rows.
        numbers = search_index.find(self.connection, fold(selection.search))
        if numbers is None or len(numbers) <= search_index.MOST_SORTED:
            return numbers, False
        return None, set(selection.criteria()) <= {"search", "kind"}

    def select(self, selection: "SessionFilter", now: int) -> "Selection":
        """The SQL of a filter."""
        from authctl.store.sql.selections import select

        return select(selection, now, self.continuity, self.profile_keys, self.search(selection)[0])


class Writer(Reader):
    """The open transaction of a connection, to write in."""

    def write(self, sql: str, parameters: Any = ()) -> int:
        """Execute a statement. Returns the number of rows that it changed."""
        return self.connection.execute(sql, parameters).rowcount

    def limit_page_cache(self, kib: int = _USUAL_CACHE_KIB) -> None:
        """Let the connection keep that many KiB of pages in memory from now on, by default as many as SQLite does by itself."""
        # decision 202: with a small cache, an import reads pages of the indexes again and again
        self.write(f"PRAGMA cache_size = -{kib}")

    @cached_property
    def move(self) -> int:
        """The number of this change, written to each session that it moves in a list (decision 125); made for the first one."""
        return self.one_number("UPDATE registry SET moves = moves + 1 RETURNING moves")
