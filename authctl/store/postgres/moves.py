"""Moves of a registry in PostgreSQL: its marks, the opening of one that has arrived, and the removal of one that was given up."""

from contextlib import closing

from authctl.errors import Refused, RegistryUnavailable
from authctl.store import move_marks
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect
from authctl.store.postgres.errors import translated_errors
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.table_names import made_names
from authctl.store.protocol.moves import Marks

_PATIENCE = 30.0


def read_marks(connection: Connection) -> Marks | None:
    """The marks of the registry in a database; None if there is none. Raises Refused if there are other tables of those names."""
    there = _there(connection)
    if not there:
        return None
    try:
        row = connection.execute(f"SELECT id, {move_marks.COLUMNS} FROM registry", prepare=False).fetchone()
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
        row = connection.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    if row is None or not row[0]:
        message = f"the registry at {address} cannot be made: the role may make no tables there"
        raise RegistryUnavailable(message, "name the owner of the database; to make one: authctl init --print-sql")


def drop(connection: Connection) -> None:
    """Remove a copy whose move was given up, in an open transaction."""
    for kind, name in reversed(made_names()):
        connection.execute(f"DROP {kind} {name}", prepare=False)
    connection.execute("DROP FUNCTION audit_events_keep()", prepare=False)


def drop_arrived(address: Address, registry_id: str) -> None:
    """Remove the copy of that registry at an address, if it has not been opened."""
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        connection.execute("BEGIN", prepare=False)
        marks = read_marks(connection)
        if marks is not None and marks.registry_id == registry_id and marks.arriving_from is not None:
            drop(connection)
        connection.execute("COMMIT", prepare=False)


def open_arrived(address: Address) -> None:
    """Open a registry that has arrived."""
    _update(address, "arriving_from = NULL")


def finish(address: Address) -> None:
    """Record in a closed registry that its new place is open."""
    _update(address, "moving_to = NULL WHERE moved_to IS NOT NULL")


def _update(address: Address, assignment: str) -> None:
    with translated_errors(str(address)), closing(connect(address, patience=_PATIENCE)) as connection:
        connection.execute(f"UPDATE registry SET {assignment}", prepare=False)


def _there(connection: Connection) -> list[str]:
    """Which of their names are taken in the database."""
    names = [name for _, name in made_names()]
    sql = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    return [name for (name,) in connection.execute(sql, (names,)).fetchall()]
