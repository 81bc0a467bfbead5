"""Where an import's rows wait: a temporary SQLite database of its own, in memory or on disk as SQLite sees fit."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from authctl.errors import RegistryUnavailable

_TOGETHER = 1_000
_ENCODE = json.JSONEncoder(sort_keys=True).encode


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        what = f"the rows of the import cannot be kept in a temporary file: {error}"
        raise RegistryUnavailable(what, "where there is room: SQLITE_TMPDIR=DIR authctl sessions import ...") from error


class SqliteStaging:
    """`Staging` of `base`."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect("", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = OFF")
        self.connection.execute("CREATE TABLE seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.execute("CREATE TABLE staged (key BLOB, at INTEGER, details TEXT)")
        self.connection.execute("BEGIN")
        self._waiting: list[tuple[bytes, int, str]] = []

    @_explained()
    def seen(self, event_id: str) -> bool:
        return not self.connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event_id,)).rowcount

    @_explained()
    def add(self, key: bytes, at: int, details: dict[str, Any]) -> None:
        self._waiting.append((key, at, _ENCODE(details)))
        if len(self._waiting) == _TOGETHER:
            self._stage()

    def _stage(self) -> None:
        self.connection.executemany("INSERT INTO staged VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

    @_explained()
    def keys(self) -> int:
        self._stage()
        return int(self.connection.execute("SELECT count(DISTINCT key) FROM staged").fetchone()[0])

    def by_key(self) -> Iterator[tuple[bytes, list[tuple[int, dict[str, Any]]]]]:
        for key, rows in groupby(self._ordered(), key=lambda row: row[0]):
            yield key, [(at, json.loads(details)) for _, at, details in rows]

    def _ordered(self) -> Iterator[tuple[bytes, int, str]]:
        with _explained():
            self._stage()
            found = self.connection.execute(
                "SELECT key, at, details FROM (SELECT *, min(at) OVER (PARTITION BY key) AS first FROM staged)"
                " ORDER BY first, key, at, details"
            )
            while rows := found.fetchmany(1_000):
                yield from rows

    def close(self) -> None:
        self.connection.close()
