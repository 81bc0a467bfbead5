"""Databases that already have the tables of a registry: to make them takes half a second each time, and a copy a tenth.

They lie in a schema of their own. An `init` in this process, which is the real one else, moves them to their place instead of making them.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from authctl import profiles
from authctl.model import ProfileSet
from tests.postgres_server import Server

SCHEMA = "prepared"


def _moving(one: str, other: str) -> str:
    """The statement that moves the tables, sequences and functions of a registry into another schema; the extension stays."""
    kind = "CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END"
    own = "NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = o.oid AND d.deptype IN ('a', 'i', 'e'))"
    found = (
        f"SELECT {kind} || ' {one}.' || quote_ident(relname) AS name FROM pg_class o"
        f" WHERE relnamespace = '{one}'::regnamespace AND relkind IN ('r', 'S') AND {own}"
        f" UNION ALL SELECT 'FUNCTION ' || o.oid::regprocedure FROM pg_proc o"
        f" WHERE pronamespace = '{one}'::regnamespace AND {own}"
    )
    moved = f"EXECUTE 'ALTER ' || it.name || ' SET SCHEMA {other}'"
    return f"DO $$ DECLARE it record; BEGIN FOR it IN {found} LOOP {moved}; END LOOP; END $$"


def name_of(address: str) -> str:
    """The name of the database in an address."""
    return urlsplit(address).path.removeprefix("/")


@pytest.fixture(scope="session")
def prepared_database(postgres_server: Server) -> Iterator[str]:
    """The name of the database of which those are copies."""
    import psycopg

    from authctl.store import create_store
    from authctl.store.postgres import creation, schema

    with postgres_server.fresh_database() as address:
        in_force = profiles.read(profiles.DEFAULT_FILE.encode(), "profiles.yaml")
        with create_store(address, "0" * 16, in_force):
            pass
        with psycopg.connect(address) as connection:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
            connection.execute(_moving("public", SCHEMA))
        with pytest.MonkeyPatch.context() as patch:
            make = schema.create_schema
            patch.setattr(creation, "create_schema", lambda *given: _take_tables(*given) or make(*given))
            yield name_of(address)


def _take_tables(connection: Any, registry_id: str, in_force: ProfileSet) -> bool:
    """Move the tables to their place; False where there are none."""
    if connection.execute(f"SELECT to_regnamespace('{SCHEMA}') IS NULL", prepare=False).fetchone()[0]:
        return False
    connection.execute(_moving(SCHEMA, "public"), prepare=False)
    connection.execute(f"DROP SCHEMA {SCHEMA}", prepare=False)
    document = json.dumps(in_force.to_document(), ensure_ascii=False)
    connection.execute("UPDATE registry SET id = %s, profiles = %s", (registry_id, document), prepare=False)
    return True


@pytest.fixture
def prepared_url(postgres_server: Server, prepared_database: str) -> Iterator[str]:
    """The address of such a database, for one test."""
    with postgres_server.fresh_database(copy_of=prepared_database) as url:
        yield url
