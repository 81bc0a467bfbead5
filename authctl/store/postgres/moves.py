"""Moves of a registry in PostgreSQL: its marks, the opening of one that has arrived, and the removal of one that was given up."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from authctl.errors import Refused, RegistryUnavailable
from authctl.store import move_marks
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import BEGIN, Connection, connect, gate_key
from authctl.store.postgres.errors import translated_errors
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.shared_connection import one_row
from authctl.store.postgres.table_names import made_names
from authctl.store.protocol.moves import Marks

if TYPE_CHECKING:
    from authctl.store.postgres.change import PostgresChange

_PATIENCE = 30.0
_MAY_CREATE = (
    "SELECT has_schema_privilege(current_schema(), 'CREATE'), pg_get_userbyid(datdba)"
    " FROM pg_database WHERE datname = current_database()"
)
_LAST = "(SELECT hash FROM audit_events ORDER BY seq DESC LIMIT 1)"


def read_marks(connection: Connection) -> Marks | None:
    """The marks of the registry in a database; None if there is none. Raises Refused if there are other tables of those names."""
    there = _there(connection)
    if not there:
        return None
    try:
        row = connection.execute(f"SELECT id, {move_marks.COLUMNS}, {_LAST} FROM registry", prepare=False).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        row = None
    if row is None:
        raise Refused(f"the database is not empty: it has a table or sequence {there[0]}", "use an empty database")
    return Marks(*row)


def marks_at(address: Address) -> Marks | None:
    """The same for the database of an address. Raises RegistryUnavailable if the server cannot be asked."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        return read_marks(connection)


def check_rights(address: Address) -> None:
    """Raise RegistryUnavailable if the role may not make tables."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        check_may_create(connection, address)


def check_may_create(connection: Connection, address: Address) -> None:
    """The same by an open connection; the hint names the owner of the database."""
    may_create, owner = one_row(connection, _MAY_CREATE)
    if not may_create:
        message = f"the registry at {address} cannot be made: the role may make no tables there"
        name = quote(owner, safe="")
        raise RegistryUnavailable(message, f"as the owner of the database: postgresql://{name}@HOST/DATABASE")


def drop(connection: Connection) -> None:
    """Remove a copy whose move was given up, in an open transaction."""
    for kind, name in reversed(made_names()):
        connection.execute(f"DROP {kind} {name}", prepare=False)
    connection.execute("DROP FUNCTION audit_events_keep()", prepare=False)


def drop_arrived(address: Address, registry_id: str) -> bool:
    """Remove the copy of that registry at an address, if it never opened. Returns whether there was one."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        connection.execute(BEGIN, prepare=False)
        if read_marks(connection) is None:
            return False
        # nobody opens it between the question and the removal
        connection.execute("LOCK TABLE registry IN ACCESS EXCLUSIVE MODE", prepare=False)
        marks = read_marks(connection)
        is_copy = marks is not None and marks.registry_id == registry_id and marks.arriving_from is not None
        if is_copy:
            drop(connection)
        connection.execute("COMMIT", prepare=False)
        return is_copy


def open_arrived(address: Address, last_hash: str) -> bool:
    """Open a registry that has arrived, if its last event has that hash. Returns whether it is open."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        sql = f"UPDATE registry SET arriving_from = NULL WHERE {_LAST} = %s"
        try:
            return connection.execute(sql, (last_hash,), prepare=False).rowcount == 1
        except psycopg.errors.UndefinedTable:
            return False


@contextmanager
def reopening(address: Address) -> Iterator["PostgresChange | None"]:
    """The transaction in which a closed registry opens again; None if it is not closed."""
    from authctl.store.postgres.change import PostgresChange
    from authctl.store.postgres.facts import READ_FACTS, facts

    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        marks = read_marks(connection)
        key = gate_key(marks.registry_id if marks else "")
        connection.execute(f"{BEGIN}; SELECT pg_advisory_xact_lock({key})", prepare=False)
        sql = (
            "UPDATE registry SET moved_to = NULL, moving_to = NULL WHERE moved_to IS NOT NULL AND moving_to IS NOT NULL"
        )
        if marks is None or not connection.execute(sql, prepare=False).rowcount:
            yield None
            return
        yield PostgresChange(connection, facts(one_row(connection, READ_FACTS[True])), shared=False)
        connection.execute("COMMIT", prepare=False)


def finish(address: Address) -> None:
    """Record in a closed registry that its new place is open."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        connection.execute("UPDATE registry SET moving_to = NULL WHERE moved_to IS NOT NULL", prepare=False)


def _there(connection: Connection) -> list[str]:
    """Which of their names are taken in the database."""
    names = [name for _, name in made_names()]
    sql = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    return [name for (name,) in connection.execute(sql, (names,)).fetchall()]
