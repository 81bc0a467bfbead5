"""Copies of a registry: taken while others write, and put in the place of one that others have open.

SQLite's own backup, in one step: a snapshot of the source, and one transaction of the target.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_folder, check_private, resolved, sync, sync_directory
from authctl.store.format import check_complete, draft_beside, finish_creation, has_log
from authctl.store.reading import SqliteView
from authctl.store.sqlite import PATIENCE, SqliteStore, explained
from authctl.store.writing import SqliteChange

_COUNTED = ("sessions", "revocations")
_STEP = 16
"""Pages that are put in place at once: fewer than any registry has, so that something can be done in between."""


def back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy a registry to a new file, whole and private. Raises Refused when something is there."""
    with draft_beside(path) as draft, said_of_backup(path, draft, path), explained(path):
        check_folder(path.parent)
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            source.backup(target)
            check(target, path)
        _appear(draft, path)


def take(source: Path, draft: Path) -> None:
    """Copy a backup into a draft. Raises RegistryUnavailable where others can touch it, IntegrityFailure where it is damaged."""
    source = resolved(source)  # its log lies beside the file itself
    finish_creation(source)
    check_private(source, "backup", missing=f"see: ls {source.parent}")
    with explained(source):
        frozen = "" if has_log(source) else "&immutable=1"  # so that nothing is left beside it
        address = f"file:{quote(os.fsencode(source))}?mode=ro{frozen}"
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection,
            closing(sqlite3.connect(draft, isolation_level=None)) as target,
        ):
            connection.backup(target)
            check(target, source)


@contextmanager
def said_of_backup(backup: Path, draft: Path, path: Path) -> Iterator[None]:
    """Let errors name the backup, and not the draft that is made of it or for it; a full disk, the file that was to be there."""
    try:
        yield
    except DiskFull:
        raise DiskFull(f"cannot write {path}: the disk is full") from None
    except AuthctlError as error:
        message = error.message
        for file in (resolved(draft), resolved(backup)):
            message = message.replace(f"the registry at {file} ", f"the backup at {backup} ").replace(
                str(file), str(backup)
            )
        raise type(error)(message, error.hint) from None


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
        target.execute("PRAGMA busy_timeout = 100")
        source.backup(target, pages=_STEP, progress=_patience(path, source, store), sleep=0.05)


def _patience(path: Path, source: sqlite3.Connection, store: SqliteStore) -> Callable[[int, int, int], None]:
    """Gives up where the target stays locked: SQLite's backup would wait for ever.

    From the first step on the target is locked, so that what was given or seen until then is all that has to be gone on behind.
    """
    until = monotonic() + PATIENCE
    is_locked = False

    def waited(status: int, _remaining: int, _total: int) -> None:
        nonlocal is_locked
        if status == sqlite3.SQLITE_OK and not is_locked:
            is_locked = True
            with store.view() as present:
                go_on_behind(SqliteChange(source), present)
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and monotonic() > until:
            raise RegistryUnavailable(f"the registry at {path} cannot be used: it is locked by another process")

    return waited


def go_on_behind(tx: SqliteChange, present: SqliteView) -> None:
    """Let no number that a registry has given to a session or revocation come back, nor an instant before what it has seen."""
    tx.saw(present.seen_at())
    given = present.connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    for name, seq in given:
        if name in _COUNTED:
            had = tx.connection.execute("DELETE FROM sqlite_sequence WHERE name = ? RETURNING seq", (name,)).fetchall()
            tx.connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, max([seq, *(n for (n,) in had)])))


def check_vacant(path: Path) -> None:
    """Raise Refused where something is, or the log of something that was: it would be taken for that of what is put there."""
    for there in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        if there.exists() or there.is_symlink():
            raise Refused(f"it exists already: {there}", f"move {there} away")


def _appear(draft: Path, path: Path) -> None:
    check_vacant(path)
    check_complete(draft, path)
    try:
        sync(draft)
        os.link(draft, path)
        sync_directory(path.parent)
    except FileExistsError:
        raise Refused(f"it exists already: {path}") from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
