"""Copies of a registry: taken while others write, and put in the place of one that others have open.

SQLite's own backup, in one step: a snapshot of the source, and one transaction of the target.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from authctl.errors import IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_private, sync_directory
from authctl.store.format import draft_name
from authctl.store.sqlite import SqliteStore, explained

_COUNTED = ("sessions", "revocations")


@contextmanager
def draft_beside(path: Path) -> Iterator[Path]:
    """An empty private file beside a path, under a name of its own, that is removed afterwards."""
    beginning, end = draft_name(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=beginning, suffix=end, dir=path.parent)
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm"), Path(f"{draft}-journal")):
            with suppress(FileNotFoundError):
                leftover.unlink()


def back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy a registry to a new file, whole and private. Raises Refused when something is there."""
    with draft_beside(path) as draft, explained(path):
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            source.backup(target)
            check(target, path)
        _appear(draft, path)


def take(source: Path, draft: Path) -> None:
    """Copy a backup into a draft. Raises RegistryUnavailable where others can touch it, IntegrityFailure where it is damaged."""
    check_private(source, "backup")
    with explained(source):
        address = f"file:{quote(os.fsencode(source))}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection,
            closing(sqlite3.connect(draft, isolation_level=None)) as target,
        ):
            connection.backup(target)
            check(target, source)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise IntegrityFailure where SQLite finds a database damaged."""
    found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise IntegrityFailure(f"{path} is damaged: {found[0]}")


def put(draft: Path, path: Path) -> None:
    """Put a draft in the place of a registry that others may have open, or where there is none."""
    if not path.exists():
        _appear(draft, path)
        return
    with (
        closing(SqliteStore(path)) as store,
        closing(sqlite3.connect(draft, isolation_level=None)) as source,
        store.exclusively() as target,
    ):
        source.backup(target)


def numbers_given(store: SqliteStore) -> dict[str, int]:
    """The largest numbers that a registry has given to sessions and revocations."""
    with store.view() as view:
        found = view.connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    return {name: seq for name, seq in found if name in _COUNTED}


def give_no_less(store: SqliteStore, given: dict[str, int]) -> None:
    """Let a registry go on behind those numbers, so that none that was given comes back."""
    with store.change() as tx:
        for name, seq in given.items():
            present = tx.connection.execute(
                "DELETE FROM sqlite_sequence WHERE name = ? RETURNING seq", (name,)
            ).fetchall()
            tx.connection.execute(
                "INSERT INTO sqlite_sequence VALUES (?, ?)", (name, max([seq, *(n for (n,) in present)]))
            )


def _appear(draft: Path, path: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        raise Refused(f"it exists already: {path}") from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
    draft.unlink()
    sync_directory(path.parent)
