"""Copies of a registry: taken while others write, and put in the place of one that others have open.

SQLite's own backup, in one step: a snapshot of the source, and one transaction of the target.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TypeVar
from urllib.parse import quote

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_folder, check_private, resolved, sync, sync_directory
from authctl.store.format import check_complete, draft_beside, finish_creation, has_log
from authctl.store.reading import SqliteView
from authctl.store.restrictions import SCHEMA
from authctl.store.sqlite import PATIENCE, SqliteStore, explained
from authctl.store.writing import SqliteChange

Done = TypeVar("Done")
MakeReady = Callable[[SqliteView | None, Path | None, bool], Done]

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


class SqliteDraft:
    """`Draft` of `base`."""

    def __init__(self, store: SqliteStore, backup: Path, path: Path) -> None:
        self.store = store
        self._backup = backup
        self._path = path

    def preview(self, make_ready: MakeReady[Done]) -> Done:
        if not self._path.exists():
            check_vacant(self._path)
            return make_ready(None, None, False)
        with closing(SqliteStore(self._path)) as present, present.view() as view:
            return self._made_ready(view, lambda: make_ready(view, None, False))

    def put(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        if self._path.exists():
            self.preview(make_ready)
            return self._replace(kept_name, make_ready)
        check_vacant(self._path)
        done = make_ready(None, None, True)
        self.store.close()
        _appear(self.store.path, self._path)
        return done

    def _replace(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        done: list[Done] = []
        kept: list[Path] = []
        with (
            closing(SqliteStore(self._path)) as present,
            closing(sqlite3.connect(self.store.path, isolation_level=None)) as source,
            present.exclusively() as target,
        ):

            def when_locked() -> None:
                with present.view() as view:
                    kept.append(_keep(view.connection, present.path.parent, kept_name))
                    done.append(self._made_ready(view, lambda: make_ready(view, kept[0], True)))

            target.execute("PRAGMA busy_timeout = 100")
            try:
                source.backup(target, pages=_STEP, progress=_patience(self._path, when_locked), sleep=0.05)
            except Exception:  # nothing was replaced; a kill alone leaves the file
                for file in kept:
                    file.unlink(missing_ok=True)
                raise
        return done[0]

    def _made_ready(self, present: SqliteView, make_ready: Callable[[], Done]) -> Done:
        """Make the copy ready, with the registry that it replaces in reach of what is said to it."""
        with self.store.change() as tx:
            if present.registry_id() != tx.registry_id():
                what = f"{self._backup} is a backup of another registry"
                raise Refused(what, "to use it all the same, move the present one away")
            go_on_behind(tx, present)
        with self.store.exclusively() as connection:
            address = f"file:{quote(os.fsencode(resolved(self._path)))}?mode=ro"
            connection.execute(f"ATTACH DATABASE ? AS {SCHEMA}", (address,))
            try:
                return make_ready()
            finally:
                connection.execute(f"DETACH DATABASE {SCHEMA}")


def _keep(source: sqlite3.Connection, folder: Path, name: str) -> Path:
    """Copy a registry to a new private file whose name begins so: one that nothing has yet."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    path = next(path for path in map(folder.joinpath, names) if not any(map(os.path.lexists, _with_logs(path))))
    with draft_beside(path) as draft, said_of_backup(path, draft, path), explained(path):
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            source.backup(target)
        _appear(draft, path)
    return path


def _patience(path: Path, when_locked: Callable[[], None]) -> Callable[[int, int, int], None]:
    """Does what is to be done once the target is locked, and gives up where it stays locked by others: SQLite's backup would
    wait for ever.

    From the first step on nobody else writes to the target. What is changed in the source by then is met by the next step.
    """
    until = monotonic() + PATIENCE
    is_locked = False

    def waited(status: int, _remaining: int, _total: int) -> None:
        nonlocal is_locked
        if status == sqlite3.SQLITE_OK and not is_locked:
            is_locked = True
            when_locked()
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
    for there in _with_logs(path):
        if os.path.lexists(there):
            raise Refused(f"file already exists: {there}", f"move {there} away")


def _with_logs(path: Path) -> tuple[Path, ...]:
    """A database, and the files that SQLite keeps beside it."""
    return (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal")))


def _appear(draft: Path, path: Path) -> None:
    check_vacant(path)
    check_complete(draft, path)
    try:
        sync(draft)
        os.link(draft, path)
        sync_directory(path.parent)
    except FileExistsError:
        raise Refused(f"file already exists: {path}") from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
