"""A connection that threads share, one at a time: opened when it is first used, and again where the server has closed it."""

import select
import threading
from contextlib import suppress
from typing import Any

from authctl.errors import RegistryUnavailable
from authctl.store import move_marks
from authctl.store.postgres import versions
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.rights import HIDDEN_ROWS, check_rows, check_schema
from authctl.store.postgres.upgrades import VERSION, check_version, upgrade

LOOK_UP_SECONDS = 10.0
"""How long a look-up, or a statement of a shared change, waits for the answer of a server that is there and silent."""

_SETTINGS = (
    "SELECT pg_is_in_recovery(), current_setting('synchronous_commit'), current_setting('fsync'),"
    " current_setting('full_page_writes'), current_setting('server_encoding'), pg_backend_pid(), to_regclass('registry') IS NULL,"
    f" {HIDDEN_ROWS}"
)
_MARKS = f"SELECT {move_marks.COLUMNS} FROM registry"


def check_in_force(address: Address, marks: tuple[Any, ...] | None) -> None:
    """Raise RegistryMoved if the registry is at another place now; RegistryUnavailable if it has not arrived at this one yet."""
    if marks is not None and marks != (None, marks[1], None):
        move_marks.check(str(address), *marks)


class SharedConnection:
    """A connection that is opened when it is first used, and the lock that lets one thread at a time use it."""

    def __init__(self, address: Address, *, patience: float | None = None) -> None:
        self.lock = threading.RLock()
        self.address = address
        self._patience = patience
        self._connection: Connection | None = None
        self._readable = select.poll()
        self._descriptor = -1

    def connection(self) -> Connection:
        """The open connection, or a new one in the place of one that the server closed."""
        if self._connection is not None:
            # A server that ended the connection has said so: nothing else is sent to a client that waits for nothing.
            if not self._readable.poll(0) or self._is_alive(self._connection):
                return self._connection
            self.drop()
        self._connection = self._open()
        self._descriptor = self._connection.fileno()
        self._readable.register(self._descriptor, select.POLLIN)
        return self._connection

    def _open(self) -> Connection:
        # decision 378: a server that answers no short statement, or a table that somebody keeps locked, must not hold a command for ever
        connection = connect(self.address, patience=LOOK_UP_SECONDS)
        try:
            self.set_up(connection)
            connection.patience = self._patience
        except BaseException:
            connection.close()
            raise
        return connection

    def set_up(self, connection: Connection) -> None:
        """Refuse a server that could lose an acknowledged change; notice a pooler."""
        standby, commits, syncs, whole_pages, encoding, process, is_empty, hidden = one_row(connection, _SETTINGS)
        if standby:
            raise RegistryUnavailable(f"the registry at {self.address} cannot be used: the server is a standby")
        if is_empty:
            check_schema(connection, self.address)
            raise RegistryUnavailable(f"there is no registry at {self.address}", "authctl init")
        check_rows(self.address, hidden)
        unsafe = {"synchronous_commit": commits, "fsync": syncs, "full_page_writes": whole_pages}
        for name, value in unsafe.items():
            if value == "off":
                raise RegistryUnavailable(
                    f"the registry at {self.address} cannot be used: the server can lose changes ({name} = off)",
                    "authctl doctor",  # which has the statement that mends it
                )
        if encoding != "UTF8":
            raise RegistryUnavailable(f"the registry at {self.address} cannot be used: its encoding is {encoding}")
        version = one_row(connection, VERSION)[0]
        check_version(version, self.address)
        if version < versions.SCHEMA_VERSION:
            upgrade(self.address)
        check_in_force(self.address, connection.execute(_MARKS, prepare=False).fetchone())
        # a pooler has a number of its own for the process of the server
        if process != connection.info.backend_pid:
            connection.prepare_threshold = None

    def _is_alive(self, connection: Connection) -> bool:
        """Whether the server only told of a setting, and did not close the connection."""
        with suppress(psycopg.Error):
            connection.pgconn.consume_input()
        return not connection.closed and not self._readable.poll(0)

    def drop(self) -> None:
        """Close the connection, if it is open."""
        if self._connection is not None:
            with suppress(KeyError):
                self._readable.unregister(self._descriptor)
            self._connection.close()
            self._connection = None


def one_row(connection: Connection, sql: str) -> tuple[Any, ...]:
    """The only row of a statement."""
    row = connection.execute(sql, prepare=False).fetchone()
    if row is None:
        raise RegistryUnavailable("the registry is incomplete: its creation was interrupted")
    return row
