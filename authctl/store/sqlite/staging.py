"""Staging of an import: a temporary SQLite database, in memory or on disk as SQLite decides."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from authctl.errors import RegistryUnavailable
from authctl.store.protocol.imports import StagedKey, StagedRow

_ROWS_AT_ONCE = 1_000
_ENCODE = json.JSONEncoder(sort_keys=True).encode
_ROW = "at, details, line, created_at, is_created_exact, ended_at, ended_reason, listed_at"


def staged_row(row: Sequence[Any]) -> StagedRow:
    """The row of an import from its columns."""
    at, details, line, created_at, is_exact, *rest = row
    return StagedRow(at, json.loads(details), line, created_at, bool(is_exact), *rest)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        message = f"the rows of the import cannot be kept in a temporary file: {error}"
        raise RegistryUnavailable(
            message, "where there is room: SQLITE_TMPDIR=DIR authctl sessions import ..."
        ) from error


class SqliteStaging:
    """`Staging` over SQLite."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect("", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = OFF")
        self.connection.execute("CREATE TABLE seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.execute(
            "CREATE TABLE staged (key BLOB, key_without_user BLOB, at INTEGER, details TEXT, line INTEGER, created_at INTEGER,"
            " is_created_exact INTEGER, ended_at INTEGER, ended_reason TEXT, listed_at INTEGER)"
        )
        self.connection.execute("BEGIN")
        self._waiting: list[tuple[Any, ...]] = []

    @_translated_errors()
    def seen(self, event_id: str) -> bool:
        return not self.connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event_id,)).rowcount

    @_translated_errors()
    def add(self, row: StagedRow, key: bytes, key_without_user: bytes | None = None) -> None:
        self._waiting.append((key, key_without_user, row.at, _ENCODE(row.details), *row[2:]))
        if len(self._waiting) == _ROWS_AT_ONCE:
            self._stage()

    def _stage(self) -> None:
        self.connection.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    @_translated_errors()
    def keys(self) -> int:
        self._stage()
        return int(self.connection.execute("SELECT count(DISTINCT key) FROM staged").fetchone()[0])

    @_translated_errors()
    def keys_of_several_users(self) -> set[bytes]:
        self._stage()
        sql = (
            "SELECT key_without_user FROM staged WHERE key_without_user IS NOT NULL"
            " GROUP BY key_without_user HAVING min(key) <> max(key)"
        )
        return {row[0] for row in self.connection.execute(sql)}

    def by_key(self) -> Iterator[StagedKey]:
        for (key, without_user), rows in groupby(self._ordered(), key=itemgetter(0, 1)):
            yield StagedKey(key, without_user, [staged_row(row[2:]) for row in rows])

    def _ordered(self) -> Iterator[tuple[Any, ...]]:
        """All rows. Keys that are equal without the user come one after another, in the order of their oldest rows."""
        with _translated_errors():
            self._stage()
            ordered = self.connection.execute(
                f"SELECT key, key_without_user, {_ROW}"
                " FROM (SELECT *, coalesce(key_without_user, key) AS shared,"
                " min(at) OVER (PARTITION BY coalesce(key_without_user, key)) AS first FROM staged)"
                f" ORDER BY first, shared, key, {_ROW}"
            )
            while rows := ordered.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    def close(self) -> None:
        self.connection.close()
