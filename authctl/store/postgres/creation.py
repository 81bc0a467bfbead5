"""Creation of a registry in PostgreSQL: in one transaction, so that it is there whole or not at all."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from authctl.errors import Refused
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.change import PostgresChange
from authctl.store.postgres.connection import BEGIN, Connection, connect, gate_key
from authctl.store.postgres.errors import translated_errors
from authctl.store.postgres.facts import READ_FACTS, SERVER_CLOCK, facts
from authctl.store.postgres.loading import Source, load_new
from authctl.store.postgres.moves import check_may_create, drop, read_marks
from authctl.store.postgres.proofs import check_server
from authctl.store.postgres.schema import create_schema
from authctl.store.postgres.shared_connection import one_row
from authctl.store.postgres.store import PostgresStore

if TYPE_CHECKING:
    from authctl.model import ProfileSet


class _NewStore(PostgresStore):
    """The store of a registry that is being created: its changes belong to the one transaction of the creation."""

    def __init__(self, address: Address, connection: Connection) -> None:
        super().__init__(address)
        self._connection = connection

    def clock(self) -> int | None:
        row = self._connection.execute(f"SELECT {SERVER_CLOCK}").fetchone()
        return int(row[0]) if row else None

    @contextmanager
    def view(self) -> Iterator[PostgresChange]:
        yield PostgresChange(self._connection, facts(one_row(self._connection, READ_FACTS[True])), shared=False)

    @contextmanager
    def change(  # as in the store
        self,
        *,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        synced: bool = True,
        shared: bool = False,
        step: bool = False,
        sign_in: str | None = None,
        revokes_all: bool = False,
    ) -> Iterator[PostgresChange]:
        del timeout, lock_timeouts, synced, shared, step, sign_in, revokes_all  # nobody else knows of the registry
        yield PostgresChange(self._connection, facts(one_row(self._connection, READ_FACTS[True])), shared=False)


@contextmanager
def creating(address: Address, registry_id: str, profiles: "ProfileSet") -> Iterator[PostgresStore]:
    """A new registry in an empty database. It is there when the block has succeeded.

    Raises Refused if a registry is there already, or if the server cannot hold one.
    """
    with _making(address) as connection:
        create_schema(connection, registry_id, profiles)
        yield _NewStore(address, connection)


@contextmanager
def loading(address: Address, source: Source, replaces: str | None = None) -> Iterator[PostgresStore]:
    """A new registry in an empty database, with all that another one has; as `creating`. Raises IntegrityFailure, too.

    `replaces` is the id of a registry whose copy, left by a move that was interrupted, is removed first.
    """
    with _making(address, replaces) as connection:
        load_new(connection, source)
        yield _NewStore(address, connection)


@contextmanager
def _making(address: Address, replaces: str | None = None) -> Iterator[Connection]:
    """A transaction in which a registry is made; nobody else makes one there meanwhile."""
    check_server(address)
    with translated_errors(str(address)), closing(connect(address)) as connection:
        # The second of two `init` at once waits for the first one, and then finds its registry.
        connection.execute(f"{BEGIN}; SELECT pg_advisory_xact_lock({gate_key('', 'creation')})", prepare=False)
        marks = read_marks(connection)
        if marks is not None:
            if marks.registry_id != replaces or marks.arriving_from is None:
                hint = "for another host of it: make a home with mode 0700, and copy keys.json of a host there"
                raise Refused(f"a registry already exists: {address}", hint)
            drop(connection)
        check_may_create(connection, address)
        yield connection
        connection.execute("COMMIT", prepare=False)


def is_there(address: Address) -> bool:
    """Whether a registry is in the database of an address. Raises RegistryUnavailable if nobody can know."""
    with translated_errors(str(address)), closing(connect(address)) as connection:
        return _is_there(connection)


def _is_there(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('registry') IS NOT NULL", prepare=False).fetchone()
    return bool(row and row[0])
