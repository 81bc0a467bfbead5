"""Where the registries of tests are: a file in the home, or with AUTHCTL_TEST_STORE=postgres a database of its own on a real server."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from authctl.registry_locations import Location
from authctl.store.sqlite.library import sqlite3
from tests.postgres_server import Server
from tests.prepared_databases import SCHEMA, name_of

ON_POSTGRES = os.environ.get("AUTHCTL_TEST_STORE") == "postgres"
"""Whether registries of tests are in PostgreSQL."""

_servers: list[tuple[Server, str]] = []
_databases: dict[str, ExitStack] = {}
_of_home: dict[Path, str] = {}


def environment() -> dict[str, str]:
    """The variables by which a process of a test finds its registry, where that is not the file in the home."""
    found = os.environ.get("AUTHCTL_REGISTRY") if ON_POSTGRES else None
    return {"AUTHCTL_REGISTRY": found} if found else {}


@contextmanager
def on_server(server: Server, prepared: str) -> Iterator[None]:
    """Make databases on that server meanwhile, as copies of the one with that name (`tests/prepared_databases.py`)."""
    _servers[:] = [(server, prepared)]
    yield
    for database in _databases.values():
        database.close()


def place_in(home: Path) -> Location:
    """The place of the registry of a home: a file in it, or a database, which is empty at first."""
    if not ON_POSTGRES:
        return home / "registry.db"
    if home in _of_home:
        return _of_home[home]
    server, prepared = _servers[0]
    return _keep(home, server.fresh_database(copy_of=prepared))


def named(home: Path) -> tuple[str, ...]:
    """The option that names the registry of a home to a command, where that is not the file in it."""
    return ("--registry", str(place_in(home))) if ON_POSTGRES else ()


def copy_home(home: Path, copy: Path) -> None:
    """Copy a home with its registry, which nobody has open."""
    shutil.copytree(home, copy)
    if ON_POSTGRES:
        _keep(copy, _servers[0][0].fresh_database(copy_of=name_of(_of_home[home])))


def _keep(home: Path, made: AbstractContextManager[str]) -> str:
    """Keep a new database as that of a home."""
    database = ExitStack()
    address = database.enter_context(made)
    _of_home[home] = address
    _databases[address] = database
    return address


def is_there(home: Path) -> bool:
    """Whether a registry is in that place."""
    from authctl.store import is_there as registry_is_there

    return registry_is_there(place_in(home))


def take_away(home: Path) -> None:
    """Remove the registry of a home, as an accident does."""
    if ON_POSTGRES:
        change_in(home, f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        change_in(home, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION pg_trgm")
        return
    for name in ("registry.db", "registry.db-wal", "registry.db-shm"):
        (home / name).unlink(missing_ok=True)


@contextmanager
def away(home: Path) -> Iterator[None]:
    """No registry is in the place of that home meanwhile."""
    if ON_POSTGRES:
        change_in(home, "ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public")
        yield
        change_in(home, "DROP SCHEMA public; ALTER SCHEMA elsewhere RENAME TO public")
    else:
        (home / "registry.db").rename(home / "elsewhere.db")
        yield
        (home / "elsewhere.db").rename(home / "registry.db")


def put_in(home: Path, file: Path) -> None:
    """Put a portable copy in the place of the registry of a home, behind authctl's back."""
    take_away(home)
    if ON_POSTGRES:
        from authctl.store import load_store

        with load_store(str(place_in(home)), file):
            pass
    else:
        shutil.copy(file, home / "registry.db")


def damage(home: Path) -> None:
    """Damage a registry so that it cannot be read."""
    if ON_POSTGRES:
        change_in(home, "ALTER TABLE audit_events DROP COLUMN detail; ALTER TABLE registry DROP COLUMN moves")
        return
    for name in ("registry.db-wal", "registry.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "registry.db").write_bytes(b"damage" * 5000)


def change_in(home: Path, sql: str) -> None:
    """Change the tables of a registry by hand."""
    with closing(_connection(home)) as connection:
        if ON_POSTGRES:
            connection.execute(sql)
            connection.commit()
        else:
            connection.executescript(sql)


def tamper(home: Path, sql: str) -> None:
    """Change the audit log of a registry by hand, as its owner can."""
    if ON_POSTGRES:
        on, off = (f"ALTER TABLE audit_events {word} TRIGGER USER" for word in ("ENABLE", "DISABLE"))
        give, take = (
            f"{word} CURRENT_USER"
            for word in ("GRANT UPDATE, DELETE ON audit_events TO", "REVOKE UPDATE, DELETE ON audit_events FROM")
        )
        change_in(home, f"{off}; {give}; {sql}; {take}; {on}")
    else:
        triggers = ("next", "no_update", "no_delete")
        change_in(home, "; ".join((*(f"DROP TRIGGER IF EXISTS audit_events_{name}" for name in triggers), sql)))


@contextmanager
def refused_updates(home: Path, table: str) -> Iterator[None]:
    """The database refuses to change any row of a table meanwhile."""
    event = f"BEFORE UPDATE ON {table}"
    if ON_POSTGRES:
        body = "BEGIN RAISE EXCEPTION ''refused''; END"
        change_in(home, f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
        change_in(home, f"CREATE TRIGGER refusal {event} FOR EACH ROW EXECUTE FUNCTION refuse()")
        yield
        change_in(home, f"DROP TRIGGER refusal ON {table}; DROP FUNCTION refuse()")
    else:
        change_in(home, f"CREATE TRIGGER refusal {event} BEGIN SELECT RAISE(ABORT, 'refused'); END")
        yield
        change_in(home, "DROP TRIGGER refusal")


def ask(home: Path, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Run a statement on the tables of a registry; its rows."""
    with closing(_connection(home)) as connection:
        cursor = connection.execute(sql.replace("?", "%s") if ON_POSTGRES else sql, parameters)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return list(rows)


def add_event(home: Path, event: tuple[Any, ...]) -> None:
    """Write an audit event by hand, the next one of the log; its values are in the order of the columns."""
    values = (*event, "") if ON_POSTGRES else event  # on a server the last one is the text for searches
    ask(home, f"INSERT INTO audit_events VALUES ({', '.join('?' * len(values))})", values)


def rows_in(home: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query of the registry of a home, as its tables have them."""
    with closing(_connection(home)) as connection:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _connection(home: Path) -> Any:
    if not ON_POSTGRES:
        return sqlite3.connect(home / "registry.db")
    from authctl.store.postgres.library import psycopg

    return psycopg.connect(_of_home[home])


def remove(place: Location) -> None:
    """Remove the database of a registry; a file goes with its folder."""
    if isinstance(place, str):
        _databases.pop(place).close()
        for home in [home for home, address in _of_home.items() if address == place]:
            del _of_home[home]


@contextmanager
def held(place: Location) -> Iterator[None]:
    """Hold the registry, as another process that changes it."""
    if isinstance(place, str):
        from authctl.store.postgres.addresses import read_address
        from authctl.store.postgres.connections import PostgresConnections

        other = PostgresConnections(read_address(place))
        with other.writer():
            yield
        other.close()
        return
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
