"""A registry in PostgreSQL as a portable file, which is a registry in SQLite (decision 304), and back again (decision 311).

The tables of both have the same names and columns; each store has a few more, which only it needs.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authctl.files import check_folder
from authctl.store.postgres.loading import Facts
from authctl.store.sqlite import search_index
from authctl.store.sqlite.backups import check, errors_about_backup, put_in_place
from authctl.store.sqlite.connections import connect, translated_errors
from authctl.store.sqlite.creation import make_tables
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import draft_beside

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection

_OWN_TABLES = ("clock", "registry", "search_index", "_sqlite_migrations")
"""Tables that are filled by hand, and those of SQLite alone; so are all that the search index consists of."""
_ROWS_AT_ONCE = 5_000
_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " AND name NOT LIKE '%\\_found%' ESCAPE '\\' ORDER BY rowid"
)
_LAST_NUMBER = (
    "SELECT pg_get_serial_sequence(quote_ident(c.relname), a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.oid = to_regclass(quote_ident(%s)) AND a.attidentity <> ''"
)


def write_file(source: "Connection", path: Path) -> None:
    """Copy a registry, from an open transaction that sees one snapshot of it, to a new private file. Raises Refused if one is there."""
    with draft_beside(path) as draft, errors_about_backup(path, draft, path), translated_errors(path):
        check_folder(path.parent)
        fill_draft(source, draft)
        put_in_place(draft, path)


def fill_draft(source: "Connection", draft: Path) -> None:
    """Copy a registry, from an open transaction that sees one snapshot of it, to an empty file."""
    make_tables(draft, *_row(source, "SELECT id, profiles FROM registry"))
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        _fill(source, target)
        check(target, draft)


def _fill(source: "Connection", target: sqlite3.Connection) -> None:
    """Copy every row, and let the search index grow."""
    target.execute("PRAGMA synchronous = OFF")  # the file appears when all of it is on the disk
    target.execute("BEGIN")
    target.execute("DELETE FROM revocations")  # the open one comes with the others
    for (table,) in target.execute(_TABLES).fetchall():
        if table not in _OWN_TABLES:
            _copy(source, target, table)
    target.execute(
        "UPDATE registry SET restored_at = ?, moves = ?", _row(source, "SELECT restored_at, moves FROM registry")
    )
    target.execute(
        "UPDATE clock SET seen_at = ?, leapt_at = ?", _row(source, "SELECT max(seen_at), max(leapt_at) FROM clock")
    )
    target.execute("COMMIT")
    while search_index.extend(target):
        pass
    target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(source: "Connection", target: sqlite3.Connection, table: str) -> None:
    """Copy the rows of a table, in the order of its key."""
    info = target.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)).fetchall()
    columns = ", ".join(f'"{name}"' for name, _ in info)
    key = ", ".join(f'"{name}"' for name, place in sorted(info, key=lambda column: column[1]) if place)
    order = f" ORDER BY {key}" if key else ""
    marks = ", ".join("?" * len(info))
    rows = _rows(source, f'SELECT {columns} FROM "{table}"{order}')
    target.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', rows)
    _keep_sequence(source, target, table)


def _rows(source: "Connection", sql: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, a part at a time."""
    with source.cursor("portable") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(sql)
        yield from cursor


def _keep_sequence(source: "Connection", target: sqlite3.Connection, table: str) -> None:
    """Let the next number of a table follow the last one that was ever given: none is given twice."""
    found = source.execute(_LAST_NUMBER, (table,)).fetchone()
    if found and found[0]:
        (last,) = _row(source, f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {found[0]}")
        target.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        if last:
            target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def _row(source: "Connection", sql: str) -> tuple[Any, ...]:
    """The only row of a query."""
    row = source.execute(sql).fetchone()
    assert row is not None
    return row


class FileSource:
    """`loading.Source` over the file of a registry, through a connection in a transaction that sees one snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def facts(self) -> Facts:
        """The facts of the registry that are in no table with the same columns everywhere."""
        return Facts(
            *self._one("SELECT id, profiles, restored_at, moves FROM registry"),
            *self._one("SELECT seen_at, leapt_at FROM clock"),
        )

    def columns(self, table: str) -> Sequence[str]:
        """The columns of a table."""
        return [name for (name,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The rows of a table, as SQLite keeps them: in the order of its key."""
        listed = ", ".join(f'"{name}"' for name in columns)
        return self._connection.execute(f'SELECT {listed} FROM "{table}" NOT INDEXED')

    def last_number(self, table: str) -> int:
        """The last number that the table has given."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(row[0]) if row else 0

    def _one(self, sql: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(sql).fetchone()
        return row


@contextmanager
def source_in(file: Path) -> Iterator[FileSource]:
    """The registry in a file, in one snapshot; an older one is upgraded. Raises RegistryUnavailable or IntegrityFailure."""
    with translated_errors(file), closing(connect(file)) as connection:
        connection.execute("BEGIN")
        yield FileSource(connection)
