"""Moves of a registry in a file: its marks, its closing, and the opening of one that has arrived.

A closed registry lacks two tables under their names, so that every statement which judges a token, a client or a time fails at
once, in every process that has the file open; also in one of an earlier authctl, which knows nothing of moves.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from authctl.errors import RegistryMoved
from authctl.store import move_marks
from authctl.store.protocol.moves import Marks
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import file_uri, has_log, registry_files

_NEEDED_BY_ALL = ("clock", "clients")
_CLOSED = "{table}_before_move"
_LAST = "(SELECT hash FROM audit_events ORDER BY seq DESC LIMIT 1)"


def close(connection: sqlite3.Connection) -> None:
    """Take away the tables that every look-up needs, in an open transaction."""
    # decision 326: so a look-up pays nothing for the question whether the registry was moved
    for table in _NEEDED_BY_ALL:
        connection.execute(f"ALTER TABLE {table} RENAME TO {_CLOSED.format(table=table)}")


def error_of_moved(path: Path) -> RegistryMoved | None:
    """The error for a registry that was moved; None for any other registry, and for a file that cannot be read."""
    try:
        marks = read_marks(path)
    except sqlite3.Error:
        return None
    if marks is None or marks.moved_to is None:
        return None
    return move_marks.moved(path, marks.moved_to, is_finished=marks.moving_to is None)


def read_marks(path: Path) -> Marks | None:
    """The marks of the registry in a file; None if it is no registry, or one of an earlier version, or unreadable.

    Raises sqlite3.Error.
    """
    unchanging = "" if has_log(path) else "&immutable=1"  # so that SQLite leaves no file beside it
    # A damaged file may have bytes that are no text in any name, and a value of any type in any column.
    with suppress(UnicodeDecodeError), opened_file(path, f"mode=ro{unchanging}") as connection:
        columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('registry')")}
        if "arriving_from" not in columns:
            return None
        return _marks(connection)
    return None


def _marks(connection: sqlite3.Connection) -> Marks | None:
    row = connection.execute(f"SELECT id, {move_marks.COLUMNS}, {_LAST} FROM registry").fetchone()
    if row and all(value is None or isinstance(value, str) for value in row):
        return Marks(*row)
    return None


def open_arrived(path: Path, last_hash: str) -> bool:
    """Open a registry that has arrived, if its last event has that hash. Returns whether it is open. Raises sqlite3.Error."""
    with opened_file(path, "mode=rw") as connection:
        connection.execute("PRAGMA synchronous = FULL")
        opened = connection.execute(f"UPDATE registry SET arriving_from = NULL WHERE {_LAST} = ?", (last_hash,))
        return opened.rowcount == 1


def reopen(connection: sqlite3.Connection) -> bool:
    """Open a closed registry again, in an open transaction. Returns whether an unfinished move had closed it."""
    marks = _marks(connection)
    if marks is None or marks.moved_to is None or marks.moving_to is None:
        return False
    for table in _NEEDED_BY_ALL:
        connection.execute(f"ALTER TABLE {_CLOSED.format(table=table)} RENAME TO {table}")
    connection.execute("UPDATE registry SET moved_to = NULL, moving_to = NULL")
    return True


def finish(path: Path) -> None:
    """Record in a closed registry that its new place is open. Raises sqlite3.Error."""
    with opened_file(path, "mode=rw") as connection:
        connection.execute("UPDATE registry SET moving_to = NULL WHERE moved_to IS NOT NULL")


def discard(path: Path, registry_id: str) -> bool:
    """Remove the copy of that registry in a file, if it never opened. Returns whether there was one. Raises OSError, sqlite3.Error."""
    with opened_file(path, "mode=rw") as connection:
        # nobody opens it between the question and the removal
        connection.execute("BEGIN IMMEDIATE")
        marks = _marks(connection)
        if marks is None or marks.registry_id != registry_id or marks.arriving_from is None:
            return False
        for file in registry_files(path):
            file.unlink(missing_ok=True)
        connection.execute("ROLLBACK")
    return True


@contextmanager
def opened_file(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """The file of a registry that may be closed, as a connection. Raises sqlite3.Error."""
    with closing(sqlite3.connect(file_uri(path, mode), uri=True, timeout=30.0, isolation_level=None)) as connection:
        yield connection
