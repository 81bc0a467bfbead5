"""Proofs that a server can hold a registry: by `init`, and again by the doctor.

Each check tries the thing itself where it can: there are servers that speak the protocol, and whose advisory locks do nothing.
"""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from authctl.errors import Refused
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect
from authctl.store.postgres.errors import is_too_late, translated_errors
from authctl.store.postgres.library import psycopg
from authctl.store.protocol.health import Health

Checks = Iterator[tuple[str, Health]]

OLDEST_VERSION = 15
_PATIENCE = 15.0
_TURN = 5.0
"""How long one connection waits for an answer while another one is in a transaction, in seconds."""
_MAKE_ANEW = (
    "CREATE DATABASE NAME OWNER USER TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
    " (all of it: authctl init --print-sql)"
)
_ITSELF = "a server of PostgreSQL itself, whose pooler, if there is one, is in transaction mode and gives two hosts two connections"
_SAMPLES = {"Cyrillic": "жук", "Japanese": "日本語"}
_RIGHTS = {
    "rolsuper": "is a superuser",
    "rolcreaterole": "may create roles",
    "rolreplication": "may replicate",
    "rolbypassrls": "may bypass row security",
}
_PREDEFINED = (
    "pg_execute_server_program",
    "pg_read_all_data",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
)
"""Roles of PostgreSQL that are worth more than a registry: they read or write other databases of the server, its files, or run programs."""
_POWERFUL = (
    "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname <> current_user AND pg_has_role(oid, 'MEMBER')"
    f" AND (rolname = ANY (%s::text[]) OR {' OR '.join(_RIGHTS)}) ORDER BY rolname"
)
_DURABLE = (
    "SELECT name, current_setting(name), source, quote_ident(session_user), quote_ident(current_database()) FROM pg_settings"
    " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name"
)
_RESETS = {
    "client": "take {name} out of the address, PGOPTIONS or the service file",
    "database": "as the owner: ALTER DATABASE {database} RESET {name}",
    "user": "as a superuser: ALTER ROLE {role} RESET {name}",
    "database user": "as a superuser: ALTER ROLE {role} IN DATABASE {database} RESET {name}",
    "global": "as a superuser: ALTER ROLE ALL RESET {name}",
}
"""The step that mends a setting, by the source of its value in `pg_settings`; any other one is a file of the server."""


def check_server(address: Address) -> None:
    """Raise Refused if a registry cannot be made on that server: every proof that fails, and the statement that mends it."""
    # decision 301: each proof tries the thing itself: some servers only claim to have it
    with translated_errors(str(address)):
        failed = [health for _, health in proofs(address) if not health.ok]
    if failed:
        found = "; ".join(health.found for health in failed)
        hints = dict.fromkeys(health.hint for health in failed if health.hint)
        raise Refused(f"no registry can be made at {address}: {found}", "; ".join(hints))


def proofs(address: Address) -> Checks:
    """Every check, each by its name. Raises psycopg.Error if the server cannot be asked."""
    with closing(connect(address, patience=_PATIENCE)) as connection:
        yield "server", version(connection)
        yield "encoding", _encoding(connection)
        yield "search", _trigrams(connection)
        yield "durability", _durability(connection)
        yield "locks", _locks(address)
        yield "role", _role(connection)


def one_row(connection: Connection, sql: str, *given: Any) -> tuple[Any, ...]:
    """The only row of a statement."""
    row = connection.execute(sql, given or None).fetchone()
    assert row is not None
    return row


def version(connection: Connection) -> Health:
    """The name and version of the server, and whether it will do."""
    (text,) = one_row(connection, "SELECT version()")
    name = " ".join(text.split()[:2])
    number = connection.info.server_version // 10_000
    if not text.startswith("PostgreSQL ") or "YugabyteDB" in text or "-YB-" in text:
        return Health(ok=False, found=f"{name} is not PostgreSQL", hint=f"PostgreSQL {OLDEST_VERSION} or newer")
    if number < OLDEST_VERSION:
        return Health(ok=False, found=f"{name} is too old", hint=f"PostgreSQL {OLDEST_VERSION} or newer")
    return Health(ok=True, found=name)


def _encoding(connection: Connection) -> Health:
    (encoding,) = one_row(connection, "SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        return Health(ok=False, found=f"the encoding of the database is {encoding}, not UTF8", hint=_MAKE_ANEW)
    return Health(ok=True, found=encoding)


def _trigrams(connection: Connection) -> Health:
    """Whether trigrams see letters beyond ASCII; the extension is made for the moment where it is not there."""
    connection.execute("BEGIN")
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        (schema,) = one_row(
            connection,
            "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_trgm'",
        )
        blind = [
            name
            for name, word in _SAMPLES.items()
            if not one_row(connection, f"SELECT {schema}.show_trgm(%s)", word)[0]
        ]
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.UndefinedFile,
    ) as error:
        why = str(error).splitlines()[0]
        return Health(ok=False, found=f"pg_trgm cannot be made: {why}", hint="as a superuser: CREATE EXTENSION pg_trgm")
    except psycopg.errors.UntranslatableCharacter:  # the encoding has no such letters
        blind = list(_SAMPLES)
    finally:
        with suppress(psycopg.OperationalError):  # a server that has ended the connection has given its reason
            connection.execute("ROLLBACK")
    if blind:
        return Health(
            ok=False, found=f"searching would not find {' and '.join(blind)} texts: LC_CTYPE", hint=_MAKE_ANEW
        )
    return Health(ok=True, found="trigrams of every script")


def _durability(connection: Connection) -> Health:
    """Whether the server keeps the changes that it acknowledges."""
    for name, setting, source, role, database in connection.execute(_DURABLE).fetchall():
        if setting == "off":
            mends = _RESETS.get(source, "as a superuser: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")
            return Health(
                ok=False,
                found=f"{name} is off: the server can lose changes that it acknowledged",
                hint=mends.format(name=name, role=role, database=database),
            )
    return Health(ok=True, found="acknowledged changes last")


def _locks(address: Address) -> Health:
    """Whether two connections work at once, and an advisory lock of one keeps the other one out, and lets it in afterwards."""
    try:
        answers = _answers(address)
    except psycopg.Error as error:
        if not is_too_late(error):
            raise
        found = "a connection gets no answer while another one is in a transaction: two hosts could not work at once"
        return Health(ok=False, found=found, hint=_ITSELF)
    if answers != [True, True, False, True, False, False, True]:
        found = "advisory locks lock nothing on this server: two hosts would change the registry at once"
        return Health(ok=False, found=found, hint=_ITSELF)
    return Health(ok=True, found="advisory locks lock")


def _answers(address: Address) -> list[bool]:
    """Whether each of two connections gets a lock: both shared, then one alone; at last a lock that was let go of."""
    key = int.from_bytes(os.urandom(8), signed=True)
    shared, alone = f"pg_try_advisory_xact_lock_shared({key})", f"pg_try_advisory_xact_lock({key})"
    with closing(connect(address, patience=_TURN)) as one, closing(connect(address, patience=_TURN)) as other:
        one.execute("BEGIN")
        answers = [_try(one, shared), _try(other, shared), _try(other, alone)]
        one.execute("COMMIT")
        one.execute("BEGIN")
        answers += [_try(one, alone), _try(other, shared), _try(other, alone)]
        one.execute("COMMIT")
        answers += [_try(other, alone)]
    return answers


def _try(connection: Connection, lock: str) -> bool:
    """Try to take a lock; outside a transaction it is let go of at once."""
    return bool(one_row(connection, f"SELECT {lock}")[0])


def _role(connection: Connection) -> Health:
    """Whether the role has no right that it does not need, itself or by a role that it belongs to (decision 377)."""
    name, *has = one_row(connection, f"SELECT rolname, {', '.join(_RIGHTS)} FROM pg_roles WHERE rolname = current_user")
    too_many = [words for words, right in zip(_RIGHTS.values(), has, strict=True) if right]
    if not too_many:  # a superuser counts as a member of every role
        rows = connection.execute(_POWERFUL, (list(_PREDEFINED),)).fetchall()
        too_many = [f"belongs to the role {powerful}" for (powerful,) in rows]
    if too_many:
        return Health(
            ok=False,
            found=f"the role {name} has more rights than a registry needs: it {', '.join(too_many)}",
            hint="a role of its own: authctl init --print-sql",
        )
    return Health(ok=True, found=name)
