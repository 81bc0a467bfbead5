"""Restores: a copy of a backup that takes the place of a registry which others have open.

SQLite's own backup writes the copy into the registry, in one transaction (decision 82).
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

from authctl.errors import Refused, RegistryUnavailable
from authctl.files import resolved
from authctl.store.protocol.restores import Done, MakeReady
from authctl.store.sqlite import connections
from authctl.store.sqlite.backups import errors_about_backup, keep_copy, put_in_place, read_backup
from authctl.store.sqlite.change import SqliteChange
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import check_vacant, draft_beside, file_uri
from authctl.store.sqlite.restrictions import SCHEMA
from authctl.store.sqlite.store import SqliteStore
from authctl.store.sqlite.view import SqliteView

_COUNTED_TABLES = ("sessions", "revocations")
_STEP_PAGES = 16
"""Pages of the first step: fewer than any registry has, so that something can be done between the steps."""


@contextmanager
def file_draft(backup: Path, path: Path) -> Iterator["SqliteDraft"]:
    """A copy of a backup that may take the place of the registry in a file."""
    with draft_beside(path) as draft, errors_about_backup(backup, draft, path):
        read_backup(backup, draft)
        with closing(SqliteStore(draft, is_draft=True)) as store:
            yield SqliteDraft(store, backup, path)


class SqliteDraft:
    """`Draft` over SQLite files."""

    def __init__(self, store: SqliteStore, backup: Path, path: Path) -> None:
        self.store = store
        self._backup = backup
        self._path = path

    def preview(self, make_ready: MakeReady[Done]) -> Done:
        if not self._path.exists():
            check_vacant(self._path)
            return make_ready(None, None, False)
        with closing(SqliteStore(self._path)) as present, present.view() as view:
            return self._make_ready(view, lambda: make_ready(view, None, False))

    def replace_registry(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        if self._path.exists():
            # Most of the work is done before the lock. Inside it, only what changed since then is left.
            self.preview(make_ready)
            return self._replace(kept_name, make_ready)
        check_vacant(self._path)
        # No registry is there: the draft itself becomes it, under its name, in one step.
        done = make_ready(None, None, True)
        self.store.close()
        put_in_place(self.store.path, self._path)
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
                    kept.append(keep_copy(view.connection, present.path.parent, kept_name))
                    done.append(self._make_ready(view, lambda: make_ready(view, kept[0], True)))

            # Short: the progress function is called between two tries, and ends the wait itself.
            target.execute("PRAGMA busy_timeout = 100")
            try:
                source.backup(target, pages=_STEP_PAGES, progress=_progress(self._path, when_locked), sleep=0.05)
            except Exception:  # nothing was replaced; a kill alone leaves the file
                for file in kept:
                    file.unlink(missing_ok=True)
                raise
        return done[0]

    def _make_ready(self, present: SqliteView, make_ready: Callable[[], Done]) -> Done:
        return make_ready_beside(self.store, self._backup, present, self._path, make_ready)


def make_ready_beside(
    draft: SqliteStore, backup: Path, present: SqliteView, path: Path, make_ready: Callable[[], Done]
) -> Done:
    """Make a copy of a backup ready, with the registry that it replaces, a file at that path, attached to its connection."""
    with draft.change() as tx:
        if present.registry_id() != tx.registry_id():
            message = f"{backup} is a backup of another registry"
            raise Refused(message, "to use it, move the present registry away first")
        continue_numbers(tx, present)
    with draft.exclusively() as connection:
        connection.execute(f"ATTACH DATABASE ? AS {SCHEMA}", (file_uri(resolved(path), "mode=ro"),))
        try:
            return make_ready()
        finally:
            connection.execute(f"DETACH DATABASE {SCHEMA}")


def _progress(path: Path, when_locked: Callable[[], None]) -> Callable[[int, int, int], None]:
    """A progress function: it calls `when_locked` once the target is locked, and gives up if others keep it locked.

    SQLite's backup alone would wait for ever. From its first step on nobody else writes to the target. A change of the source meanwhile
    is copied by the next step.
    """
    until = monotonic() + connections.LOCK_TIMEOUT_SECONDS
    is_locked = False

    def check_wait(status: int, _remaining: int, _total: int) -> None:
        nonlocal is_locked
        if status == sqlite3.SQLITE_OK and not is_locked:
            is_locked = True
            when_locked()
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and monotonic() > until:
            raise RegistryUnavailable(f"the registry at {path} cannot be used: it is locked by another process")

    return check_wait


def continue_numbers(tx: SqliteChange, present: SqliteView) -> None:
    """Let the copy never give a number again that the registry has given, and record no earlier time."""
    tx.record_time(present.recorded_time())
    # A token names its session by number. A number that is given twice could lead the token to the session of another user.
    numbers = present.connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    for name, seq in numbers:
        if name in _COUNTED_TABLES:
            # sqlite_sequence has no unique index: the row is removed and written again, whether it was there or not.
            own = tx.connection.execute("DELETE FROM sqlite_sequence WHERE name = ? RETURNING seq", (name,)).fetchall()
            tx.connection.execute(
                "INSERT INTO sqlite_sequence VALUES (?, ?)", (name, max([seq, *(number for (number,) in own)]))
            )
