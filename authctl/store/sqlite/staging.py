"""Staging of an import: a temporary SQLite database, in a file that has no name.

See docs/glossary.md#digest-of-rows.
"""

import marshal
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from authctl import errors
from authctl.errors import RegistryUnavailable
from authctl.store.protocol.imports import StagedKey, StagedRow
from authctl.store.sqlite.library import sqlite3

_TABLES = (
    "staged (key BLOB, key_without_user BLOB, at INTEGER, content BLOB, line INTEGER, listed_at INTEGER)",
    "seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID",
)
_ROWS_AT_ONCE = 1_000
_ROW = "at, content, line, listed_at"
_NEW = tuple.__new__
_IDS_AT_ONCE = 10_000
_BITMAP_BYTES = 8 * 2**20
"""The size of the bitmap of event ids: of ten million ids, one in seven has the bit of another."""

_DECODE = marshal.loads  # of a temporary file that nobody else has
_MARSHAL_VERSION = 2
"""The last format in which the same details always give the same bytes; in later ones the bytes also depend on the identity of objects."""


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        cause = errors.reason(error) if isinstance(error, OSError) else error
        message = f"the rows of the import cannot be kept in a temporary file: {cause}"
        raise RegistryUnavailable(
            message, "where there is room: SQLITE_TMPDIR=DIR authctl sessions import ..."
        ) from error


_SHARED = "coalesce(key_without_user, key)"
# where each key has one row, a sort takes 1.6 µs a row at a million, and the window 5.1
# decision 113: in the order of time and not of keys, so that neighbours in a batch are neighbours in the indexes
_BY_ROW = f"SELECT key, key_without_user, {_ROW} FROM staged ORDER BY at, {_SHARED}"
# GROUP BY sorts. `count(DISTINCT key)` makes an index of random keys: 3.9 µs a row at a million instead of 1.2.
_COUNT = (
    "SELECT sum(number), count(*), sum(is_of_several) FROM"
    f" (SELECT count(*) AS number, min(key) <> max(key) AS is_of_several FROM staged GROUP BY {_SHARED})"
)
_BY_FIRST_ROW = f"""
SELECT key, key_without_user, {_ROW}
FROM (SELECT *, {_SHARED} AS shared, min(at) OVER (PARTITION BY {_SHARED}) AS first FROM staged)
ORDER BY first, shared, key, {_ROW}
"""


_FOLDERS = ("/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108  # a file there gets a random name, and loses it at once
"""The folders in which SQLite looks for a place for its own temporary files, after those that the environment names."""


@_translated_errors()
def _temporary_database() -> sqlite3.Connection:
    """A database in a file without a name, with empty tables.

    SQLite has temporary databases of its own. pysqlite3 keeps them in memory, however large they are (decision 172).
    """
    import tempfile

    named = [os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR")]
    folder = next((path for path in (*named, *_FOLDERS) if path and os.access(path, os.W_OK | os.X_OK)), None)
    descriptor, path = tempfile.mkstemp(prefix="authctl-import-", dir=folder)
    os.close(descriptor)
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        # Nothing to roll back to: after an error the whole file is thrown away. Nobody else opens it, and it need not last.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            connection.execute(f"PRAGMA {pragma}")
        for table in _TABLES:
            connection.execute(f"CREATE TABLE {table}")
    finally:
        Path(path).unlink()
    return connection


class _Counted(NamedTuple):
    """The numbers of staged rows and keys."""

    rows: int
    keys: int
    has_shared_keys: bool
    """Whether two users have the same key without the user."""
    has_row_per_key: bool
    """Whether no two rows have the same key, nor the same one without the user: each is the oldest of its key."""


class SqliteStaging:
    """`Staging` over SQLite."""

    def __init__(self) -> None:
        self.connection = _temporary_database()
        self._event_ids = _EventIds(self.connection)
        self.connection.execute("BEGIN")
        self._waiting: list[tuple[Any, ...]] = []
        self._counted: _Counted | None = None
        """The numbers of rows and keys, where they were counted since the last row."""

    def seen(self, event_id: str) -> bool:
        return not self._event_ids.add(event_id)

    def add(self, row: StagedRow, key: bytes, key_without_user: bytes | None = None) -> None:
        at, details, line, *content, listed_at = row
        self._waiting.append((key, key_without_user, at, _encoded((details, at, *content)), line, listed_at))
        if len(self._waiting) == _ROWS_AT_ONCE:
            self._stage()

    @_translated_errors()
    def _stage(self) -> None:
        if not self._waiting:
            return
        self._counted = None
        self.connection.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    def keys(self) -> int:
        return self._count().keys

    @_translated_errors()
    def keys_of_several_users(self) -> set[bytes]:
        if not self._count().has_shared_keys:
            return set()
        sql = (
            "SELECT key_without_user FROM staged WHERE key_without_user IS NOT NULL"
            " GROUP BY key_without_user HAVING min(key) <> max(key)"
        )
        return {row[0] for row in self.connection.execute(sql)}

    @_translated_errors()
    def _count(self) -> _Counted:
        """The numbers of rows and keys. One sort gives all of them where no two users share a key."""
        self._stage()
        if self._counted is None:
            rows, shared, of_several = self.connection.execute(_COUNT).fetchone()
            keys = shared
            if of_several:
                sql = "SELECT count(*) FROM (SELECT 1 FROM staged GROUP BY key)"
                keys = self.connection.execute(sql).fetchone()[0]
            self._counted = _Counted(rows or 0, keys, bool(of_several), has_row_per_key=rows == shared)
        return self._counted

    def by_key(self) -> Iterator[StagedKey]:
        by_row = self._count().has_row_per_key
        return chain.from_iterable(map(_staged, self._ordered(_BY_ROW))) if by_row else self._by_several_rows()

    def _by_several_rows(self) -> Iterator[StagedKey]:
        ordered = chain.from_iterable(self._ordered(_BY_FIRST_ROW))
        for (key, without_user), group in groupby(ordered, key=itemgetter(0, 1)):
            rows, contents = [], []
            for _, _, _, content, line, listed_at in group:
                contents.append(content)
                rows.append(_row(content, line, listed_at))
            yield StagedKey(key, without_user, rows, _digest(b"".join(contents)))

    def _ordered(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """All rows. Keys that are equal without the user come one after another, in the order of their oldest rows."""
        with _translated_errors():
            ordered = self.connection.execute(sql)
            while rows := ordered.fetchmany(_ROWS_AT_ONCE):
                yield rows

    def close(self) -> None:
        self.connection.close()


def _staged(rows: list[tuple[Any, ...]]) -> list[StagedKey]:
    """The keys of rows that have one each."""
    return [
        _NEW(StagedKey, (key, without_user, [_row(content, line, listed_at)], _digest(content)))
        for key, without_user, _, content, line, listed_at in rows
    ]


def _row(content: bytes, line: int, listed_at: int | None) -> StagedRow:
    details, at, created_at, is_exact, ended_at, reason = _DECODE(content)
    row: StagedRow = _NEW(StagedRow, (at, details, line, created_at, is_exact, ended_at, reason, listed_at))
    return row


def _digest(contents: bytes) -> bytes:
    """The digest of the rows of a key. Each content tells its own length, so that no others give the same bytes."""
    return blake2b(contents, digest_size=16).digest()


class _EventIds:
    """The event ids of an import. They are stored in batches: 1.8 µs an id at a million, where one by one took 4.9."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._bitmap = bytearray(_BITMAP_BYTES)
        """A bit for each hash of an id: an id whose bit is not set is new, and needs no look into the table."""
        self._waiting: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Add an id; whether it is new."""
        # Two ids may share a bit. Then the table decides, so that the answer is always right.
        byte, bit = divmod(hash(event_id) % (8 * _BITMAP_BYTES), 8)
        if self._bitmap[byte] >> bit & 1 and (event_id in self._waiting or self._is_stored(event_id)):
            return False
        self._bitmap[byte] |= 1 << bit
        self._waiting.add(event_id)
        if len(self._waiting) == _IDS_AT_ONCE:
            self._store()
        return True

    @_translated_errors()
    def _is_stored(self, event_id: str) -> bool:
        return self._connection.execute("SELECT 1 FROM seen WHERE event_id = ?", (event_id,)).fetchone() is not None

    @_translated_errors()
    def _store(self) -> None:
        """Store the ids that wait, in the order of the table, so that neighbours share a page."""
        self._connection.executemany("INSERT INTO seen VALUES (?)", ((number,) for number in sorted(self._waiting)))
        self._waiting.clear()


def _encoded(content: Any) -> bytes:
    """A row as bytes: JSON takes four times as long. The same details in the same order give the same bytes."""
    return marshal.dumps(content, _MARSHAL_VERSION)
