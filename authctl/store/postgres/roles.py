"""The statements for a database administrator: a database, its owner, and the role of the application.

The owner makes and upgrades the registry. The role of the application can neither change nor remove events of the audit log, nor
change the schema; a host that only works with the registry has that role.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from authctl.errors import InvalidInput
from authctl.names import quoted
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection
from authctl.store.postgres.library import psycopg
from authctl.visible_text import visible

AUDIT_LOG = "audit_events"

_STATEMENTS = """\
-- As a superuser, once: psql --set ON_ERROR_STOP=1 --dbname postgres --file THIS_FILE
-- Give the roles passwords by \\password, or another way to log in by pg_hba.conf; none is in this file.
CREATE ROLE {owner} LOGIN;
CREATE ROLE {application} LOGIN;
-- Texts are ordered by their bytes, and letters of every script are letters.
CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';
-- Advisory locks have no rights: whoever may connect could hold the lock of the registry.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {application};
\\connect {quoted_for_psql}
CREATE EXTENSION IF NOT EXISTS pg_trgm;
-- What {shown_owner} makes, {shown_application} may use. `authctl init` as {shown_owner} then takes from it the right to change the audit log.
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {application};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {application};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {application};
"""

CHANGES_OF_EVENTS = "UPDATE, DELETE, TRUNCATE, TRIGGER"
"""The rights by which a role could change events: a trigger could leave them out."""
_GRANTEES = (
    "SELECT DISTINCT a.grantee = c.relowner, coalesce(quote_ident(rolname), 'PUBLIC')"
    " FROM pg_class c CROSS JOIN aclexplode(coalesce(relacl, acldefault('r', relowner))) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
    " WHERE c.oid = %s::regclass"
)
_ACTS_AS_OWNER = (
    "SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c JOIN pg_roles r ON r.rolname = current_user"
    " WHERE c.oid = %s::regclass AND r.oid <> c.relowner AND NOT r.rolsuper AND pg_has_role(c.relowner, 'MEMBER')"
)


def statements(address: Address) -> str:
    """The statements that make the database of an address: its owner is the user of the address. Raises InvalidInput without one."""
    # as libpq finds both: the user of the system owns no registry, so that one is not taken
    owner = address.parameters.get("user") or os.environ.get("PGUSER")
    if not owner:
        raise InvalidInput(f"the address names no owner of the database: {address}", "postgresql://OWNER@HOST/DATABASE")
    database = address.parameters.get("dbname") or os.environ.get("PGDATABASE") or owner
    application = f"{database}_app"
    if owner == application:
        message = f"the address names the role of the hosts, {visible(owner)}, which cannot own the database"
        raise InvalidInput(message, f"name another owner: postgresql://{database}_owner@HOST/DATABASE")
    return _STATEMENTS.format(
        database=_quoted(database),
        owner=_quoted(owner),
        application=_quoted(application),
        quoted_for_psql=_quoted(database),
        shown_owner=owner,
        shown_application=application,
    )


def protect_audit_log(connection: Connection) -> None:
    """Take from every role, the owner too, the rights to change or remove events of the audit log (decision 302)."""
    for _, grantee in _grantees(connection, AUDIT_LOG):
        connection.execute(f"REVOKE {CHANGES_OF_EVENTS} ON {AUDIT_LOG} FROM {grantee}")


def take_spare_rights(connection: Connection, needed: Mapping[str, Iterable[str]]) -> None:
    """Take from every role but the owner the rights on some tables that no host needs; `needed` are those that stay, by table."""
    for table, rights in needed.items():
        spare = ", ".join(right for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE") if right not in rights)
        for is_owner, grantee in _grantees(connection, table):
            if not is_owner:
                connection.execute(f"REVOKE {spare} ON {table} FROM {grantee}")


def _grantees(connection: Connection, table: str) -> list[tuple[Any, ...]]:
    """Whether each role with a right on a table is its owner, and the name of the role."""
    return connection.execute(_GRANTEES, (table,)).fetchall()


def can_change_audit_log(connection: Connection) -> bool:
    """Whether the role of a connection could change events."""
    row = connection.execute(
        f"SELECT has_table_privilege('{AUDIT_LOG}', '{CHANGES_OF_EVENTS}') OR has_any_column_privilege('{AUDIT_LOG}', 'UPDATE')"
    ).fetchone()
    return bool(row and row[0])


def is_another_owner(connection: Connection) -> str | None:
    """The owner of the audit log, if the role of a connection is another one that may act as the owner; a superuser is none."""
    row = connection.execute(_ACTS_AS_OWNER, (AUDIT_LOG,)).fetchone()
    return row[0] if row else None


def _quoted(name: str) -> str:
    """A name as an identifier of SQL. Raises InvalidInput for one that no line can hold."""
    if not name.isprintable():
        raise InvalidInput(f"not a name of a role or database: {quoted(name)}")
    return psycopg.sql.Identifier(name).as_string(None)
