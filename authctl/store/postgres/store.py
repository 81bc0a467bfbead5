"""The store in PostgreSQL: three connections, and the transactions on them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.postgres import look_up
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.change import PostgresChange
from authctl.store.postgres.connection import Connection
from authctl.store.postgres.connections import PostgresConnections
from authctl.store.postgres.facts import READ_CLOCK, READ_FACTS, READ_VIEW, facts
from authctl.store.postgres.only_runner import only_runner
from authctl.store.postgres.view import PostgresSnapshot, PostgresView

if TYPE_CHECKING:
    from authctl.model import Client, ProfileSet, Session
    from authctl.store.protocol import Staging
    from authctl.store.protocol.health import Health


WriteFile = Callable[[Connection, Path], None]
"""The function that writes a registry, as an open transaction sees it, to a portable file; it belongs to another kind of store."""


class PostgresStore:
    """`Store` over a database of PostgreSQL."""

    def __init__(
        self, address: Address, lock_timeout: float | None = None, write_file: "WriteFile | None" = None
    ) -> None:
        self.address = address
        self._write_file = write_file
        self._connections = PostgresConnections(address, lock_timeout, READ_FACTS, READ_VIEW)
        self._look_ups = look_up.LookUps()

    def by_number(self, number: int, now: int | None = None) -> "tuple[Session, bytes | None] | None":
        with self._connections.hot() as connection:
            return self._look_ups.session(connection, number, now)

    def look_ups(self) -> AbstractContextManager[None]:
        return nullcontext()  # each look-up is one statement, and the server's connection is free for others in between

    def profiles(self) -> "ProfileSet":
        with self._connections.hot() as connection:
            return self._look_ups.profiles(connection)

    def client(self, client_id: str) -> "Client | None":
        with self._connections.hot() as connection:
            return self._look_ups.client(connection, client_id)

    @contextmanager
    def view(self) -> Iterator[PostgresView]:
        with self._connections.reader() as connection:
            yield PostgresSnapshot(connection)

    @contextmanager
    def change(
        self,
        *,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        synced: bool = True,
        shared: bool = False,
        step: bool = False,
        sign_in: str | None = None,
        in_turn: bool = False,
        revokes_all: bool = False,
    ) -> Iterator[PostgresChange]:
        del step  # the server copies its log by itself
        user_key = None if sign_in is None else fold(sign_in)
        with self._connections.writer(
            shared=shared,
            timeout=timeout,
            lock_timeouts=lock_timeouts,
            synced=synced,
            user_key=user_key,
            in_turn=in_turn,
            revokes_all=revokes_all,
        ) as connection:
            begun = monotonic()
            read = None if user_key is None else self._connections.sign_in
            change = PostgresChange(
                connection,
                facts(connection.facts),
                shared=shared,
                user_key=user_key,
                sign_in=read,
                revocation=self._connections.revocation,
            )
            yield change
        change.held_seconds = monotonic() - begun

    def clock(self) -> int | None:
        with self._connections.hot() as connection:
            row = connection.execute(READ_CLOCK).fetchone()
            return int(row[0]) if row else None

    def change_number(self) -> int:
        with self._connections.hot() as connection:
            row = connection.execute("SELECT last_value + is_called::int FROM changes").fetchone()
            return int(row[0]) if row else 0

    def has_events(self, events: Sequence[tuple[int, str]]) -> bool:
        # asked after most changes of a host beside others
        if self._connections.recent_events.has(events):
            return True
        # by one message, without a transaction around it (decision 317)
        with self._connections.hot() as connection:
            return look_up.has_events(connection, events)

    def engine(self) -> "Health":
        from authctl.store.postgres.diagnosis import engine

        return engine(self.address)

    def alone(self) -> AbstractContextManager[bool]:
        with self._connections.reader() as connection:
            registry_id = PostgresSnapshot(connection).registry_id()
        return only_runner(self.address, registry_id)

    def keep_space(self) -> None:
        """Keep nothing: the disk is the server's."""

    def free_space(self) -> bool:
        return False

    def back_up(self, path: Path) -> None:
        assert self._write_file is not None
        with self._connections.reader() as connection:
            self._write_file(connection, path)

    def staging(self) -> "Staging":
        from authctl.store.sqlite.staging import SqliteStaging

        return SqliteStaging()  # decision 306

    def check(self) -> None:
        """Read nothing: the server checks its pages when it reads them."""

    def close(self) -> None:
        self._connections.close()
