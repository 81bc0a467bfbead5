"""Restores into a registry on a server: a copy of a backup, which is a registry in a file, takes its place (decision 319).

The restrictions are carried over between two files: the copy, and a portable copy of the registry that is replaced. The former becomes
the registry, in one transaction, and the latter stays as the file in which the replaced registry is kept.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from authctl.errors import OutcomeUnknown, Refused
from authctl.store.portable import fill_draft, source_in, write_file
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect
from authctl.store.postgres.connections import PostgresConnections
from authctl.store.postgres.creation import is_there, loading
from authctl.store.postgres.errors import translated_errors
from authctl.store.postgres.facts import SERVER_CLOCK
from authctl.store.postgres.loading import lift_limits, load_over
from authctl.store.postgres.upgrades import is_owner
from authctl.store.protocol.restores import Done, MakeReady
from authctl.store.sqlite.backups import errors_about_backup, read_backup, vacant_path
from authctl.store.sqlite.connections import translated_errors as translated_file_errors
from authctl.store.sqlite.registry_file import draft_beside
from authctl.store.sqlite.restores import make_ready_beside
from authctl.store.sqlite.store import SqliteStore
from authctl.store.sqlite.view import SqliteView

_DRAFT = "registry"
"""The name in the folder beside which the draft lies."""


class _DraftStore(SqliteStore):
    """The copy of a backup. Its time is the server's, which is the time of the registry that it becomes."""

    def __init__(self, path: Path, address: Address, clock: Connection) -> None:
        super().__init__(path, is_draft=True)
        self._address = address
        self._server_clock = clock

    def clock(self) -> int | None:
        with translated_errors(str(self._address)):
            row = self._server_clock.execute(f"SELECT {SERVER_CLOCK}", prepare=False).fetchone()
            return int(row[0]) if row else None


@contextmanager
def server_draft(backup: Path, address: Address, folder: Path) -> Iterator["ServerDraft"]:
    """A copy of a backup that may take the place of the registry on a server; its files lie in the folder while it is made."""
    with draft_beside(folder / _DRAFT) as draft, errors_about_backup(backup, draft, folder / _DRAFT):
        read_backup(backup, draft)
        with translated_errors(str(address)):
            clock = connect(address)
        with closing(clock), closing(_DraftStore(draft, address, clock)) as store:
            yield ServerDraft(store, backup, address, folder)


class ServerDraft:
    """`Draft` over a file, for a registry on a server."""

    def __init__(self, store: SqliteStore, backup: Path, address: Address, folder: Path) -> None:
        self.store = store
        self._backup = backup
        self._address = address
        self._folder = folder

    def preview(self, make_ready: MakeReady[Done]) -> Done:
        if not is_there(self._address):
            return make_ready(None, None, False)
        with draft_beside(self._folder / _DRAFT) as present, closing(PostgresConnections(self._address)) as connections:
            with connections.reader() as connection, translated_file_errors(present):
                fill_draft(connection, present)
            return self._make_ready(present, lambda view: make_ready(view, None, False))

    def replace_registry(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        if is_there(self._address):
            self._check_role()
            # Most of the work is done before the gate is closed. Behind it, only what changed since then is left.
            self.preview(make_ready)
            return self._replace(kept_name, make_ready)
        done = make_ready(None, None, True)
        with source_in(self.store.path) as source, loading(self._address, source):
            pass
        return done

    def _replace(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        kept = vacant_path(self._folder, kept_name)
        is_written = False
        try:
            with closing(PostgresConnections(self._address)) as connections, connections.writer() as connection:
                lift_limits(connection)
                # Nobody changes the registry any more, so that this copy has its last state, and nothing else happens to it.
                write_file(connection, kept)
                is_written = True
                done = self._make_ready(kept, lambda view: make_ready(view, kept, True))
                with source_in(self.store.path) as source:
                    load_over(connection, source)
                with self.store.view() as view:
                    last = view.last_event()
                # By it, the outcome of a commit whose answer was lost is found out.
                connection.last_event = last and (last.seq, last.hash)
        except OutcomeUnknown:  # perhaps it was replaced, and then this file is all that is left of it
            raise
        except Exception:  # nothing was replaced; a kill alone leaves the file
            if is_written:
                kept.unlink(missing_ok=True)
            raise
        return done

    def _make_ready(self, present: Path, make_ready: Callable[[SqliteView], Done]) -> Done:
        """Make the copy ready beside a portable copy of the registry that it replaces."""
        with closing(SqliteStore(present, is_draft=True)) as store, store.view() as view:
            return make_ready_beside(self.store, self._backup, view, present, lambda: make_ready(view))

    def _check_role(self) -> None:
        """Raise Refused where the role cannot replace the audit log: a host that only works with the registry cannot."""
        with translated_errors(str(self._address)), closing(connect(self._address)) as connection:
            if not is_owner(connection):
                raise Refused(
                    f"the role at {self._address} may not replace the registry: it is not the owner of its tables",
                    "restore with the address of the owner: --registry postgresql://OWNER@HOST/DATABASE",
                )
