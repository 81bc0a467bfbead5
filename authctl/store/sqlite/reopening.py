"""The opening of a registry in a file that an unfinished move has closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authctl.names import fold
from authctl.store.sqlite import moves
from authctl.store.sqlite.change import SqliteChange


@contextmanager
def reopening(path: Path) -> Iterator[SqliteChange | None]:
    """The transaction in which a closed registry opens again; None if no unfinished move has closed it. Raises sqlite3.Error."""
    with moves.opened_file(path, "mode=rw") as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.create_function("folded", 1, fold, deterministic=True)
        connection.execute("BEGIN IMMEDIATE")
        if moves.reopen(connection):
            yield SqliteChange(connection)
            connection.execute("COMMIT")
        else:
            yield None
