"""Where the registries of tests are: a file in the home, or with AUTHCTL_TEST_STORE=postgres a database of its own on a real server."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from authctl.registry_locations import Location
from authctl.store.sqlite.library import sqlite3
from tests.postgres_server import Server

ON_POSTGRES = os.environ.get("AUTHCTL_TEST_STORE") == "postgres"
"""Whether registries of tests are in PostgreSQL."""

_servers: list[Server] = []
_databases: dict[str, ExitStack] = {}
_of_home: dict[Path, str] = {}


def environment() -> dict[str, str]:
    """The variables by which a process of a test finds its registry, where that is not the file in the home."""
    found = os.environ.get("AUTHCTL_REGISTRY") if ON_POSTGRES else None
    return {"AUTHCTL_REGISTRY": found} if found else {}


def use_server(server: Server) -> None:
    """Make databases on that server from now on."""
    _servers[:] = [server]


def place_in(home: Path) -> Location:
    """The place of a new registry: a file in the home, or an empty database."""
    if not ON_POSTGRES:
        return home / "registry.db"
    database = ExitStack()
    address = database.enter_context(_servers[0].fresh_database())
    _of_home[home] = address
    _databases[address] = database
    return address


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
