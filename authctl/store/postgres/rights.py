"""The rights that a role needs to work with a registry, and the statements that give it those that it lacks.

By the statements of `roles.py` a role gets all of them. What a role lacks is found before anything is changed where its lack would
show after a commit; everywhere else the statement that needs it fails, and nothing has changed.
"""

from typing import TYPE_CHECKING, Any

from authctl.errors import RegistryUnavailable
from authctl.store.protocol.health import Health

if TYPE_CHECKING:
    from authctl.store.postgres.addresses import Address
    from authctl.store.postgres.connection import Connection

_OF_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE")
_OF_SEQUENCES = ("USAGE", "SELECT", "UPDATE")
FEWER = {"schema_version": ("SELECT",), "registry": ("SELECT", "UPDATE"), "audit_events": ("SELECT", "INSERT")}
"""The tables that need fewer rights than the others: the audit log is only added to."""

# PostgreSQL 17 gave it a fourth parameter
_FLUSHING = "SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' AND proargtypes[2] = 'text'::regtype"
READ_AFTER_COMMIT = (
    "has_sequence_privilege('changes', 'USAGE, UPDATE'),"
    f" (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM ({_FLUSHING}) AS flushing)"
)
"""Columns: whether a role has each of the rights that a change needs after its commit."""
_GRANT_FLUSHING = (
    "SELECT 'as a superuser: GRANT EXECUTE ON FUNCTION ' || string_agg(oid::regprocedure::text, ', ') || ' TO ' || quote_ident(current_user)"
    f" FROM ({_FLUSHING}) AS flushing"
)
_AFTER_COMMIT = (
    ("the sequence changes", "SELECT 'GRANT USAGE ON SEQUENCE changes TO ' || quote_ident(current_user)"),
    ("the function pg_logical_emit_message", _GRANT_FLUSHING),
)
"""The thing that each right is for, and the SQL whose row is the statement that grants it."""
_ROLE = "SELECT quote_ident(current_user)"

# for the next number of a sequence, USAGE or UPDATE is enough
_LACKING = """
    WITH tables AS (SELECT to_regclass(quote_ident(name)) AS oid FROM unnest(%s::text[]) AS name),
    owned AS (
        SELECT objid AS oid FROM pg_depend
        WHERE deptype IN ('i', 'a') AND classid = 'pg_class'::regclass AND refobjid IN (SELECT oid FROM tables)
    )
    SELECT c.relkind = 'S', c.relname, quote_ident(c.relname), p.name
    FROM pg_class AS c CROSS JOIN unnest(CASE c.relkind WHEN 'S' THEN %s::text[] ELSE %s::text[] END) WITH ORDINALITY AS p (name, place)
    WHERE c.oid IN (SELECT oid FROM tables UNION SELECT oid FROM owned) AND c.relkind IN ('r', 'S')
        AND NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, replace(p.name, 'USAGE', 'USAGE, UPDATE')) ELSE has_table_privilege(c.oid, p.name) END
    ORDER BY c.relkind DESC, c.relname, p.place
"""
_HIDDEN = (
    "SELECT quote_ident(n.nspname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relname = 'audit_events' AND c.relkind = 'r' AND NOT has_schema_privilege(n.oid, 'USAGE') LIMIT 1"
)

HIDDEN_ROWS = (
    "(SELECT min(quote_ident(c.relname)) FROM pg_class AS c JOIN pg_class AS r ON r.oid = to_regclass('registry')"
    " WHERE c.relrowsecurity AND c.relnamespace = r.relnamespace AND c.relowner = r.relowner AND row_security_active(c.oid))"
)
"""Column: a table of which the role sees only the rows that a policy allows; the tables are those of the owner of the registry."""


def check_rows(address: "Address", table: str | None) -> None:
    """Raise RegistryUnavailable if a table has row-level security for the role; `table` is the column HIDDEN_ROWS.

    Rows that the role does not see would be missing without a word: from lists, and from a revocation of everything.
    """
    # decision 368: some managed servers enable it for new tables, and the owner, who made the registry, is exempt from it
    if table is not None:
        message = f"the registry at {address} cannot be used: row-level security may hide rows of {table} from the role"
        raise RegistryUnavailable(message, f"as the owner: ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def check_after_commit(connection: "Connection", address: "Address", *has: bool) -> None:
    """Raise RegistryUnavailable if a role lacks a right that a change needs after its commit; `has` are the columns of READ_AFTER_COMMIT.

    Without this check the change would be in force, and the error would leave open whether it is (decision 333).
    """
    for (needed, grant), is_there in zip(_AFTER_COMMIT, has, strict=True):
        if not is_there:
            message = f"the registry at {address} cannot be used: the role has too few rights: it may not use {needed}"
            raise RegistryUnavailable(message, _one(connection, grant))


def check_schema(connection: "Connection", address: "Address") -> None:
    """Raise RegistryUnavailable if the tables of a registry are in a schema that the role may not use, so that it sees none."""
    if schema := _one(connection, _HIDDEN):
        message = (
            f"the registry at {address} cannot be used: the role has too few rights: it may not use the schema {schema}"
        )
        raise RegistryUnavailable(message, f"GRANT USAGE ON SCHEMA {schema} TO {_one(connection, _ROLE)}")


def diagnosis(connection: "Connection") -> Health:
    """The finding of the doctor: each right that the role lacks, with the statements that give it."""
    from authctl.store.postgres.table_names import made_names

    given = ([name for _, name in made_names()], list(_OF_SEQUENCES), list(_OF_TABLES))
    lacking: dict[tuple[str, str], list[str]] = {}
    for is_sequence, name, shown, right in connection.execute(_LACKING, given).fetchall():
        if is_sequence or right in FEWER.get(name, _OF_TABLES):
            lacking.setdefault(("SEQUENCE " if is_sequence else "", shown), []).append(right)
    role = _one(connection, _ROLE)
    if not lacking:
        return Health(ok=True, found=f"{role} has all rights that a registry needs")
    alike: dict[tuple[str, str], list[str]] = {}
    for (kind, name), rights in lacking.items():
        alike.setdefault((kind, ", ".join(rights)), []).append(name)
    found = "; ".join(f"{rights} on {', '.join(names)}" for (_, rights), names in alike.items())
    grants = (f"GRANT {rights} ON {kind}{', '.join(names)} TO {role}" for (kind, rights), names in alike.items())
    return Health(ok=False, found=f"{role} lacks {found}", hint="; ".join(grants))


def _one(connection: "Connection", sql: str) -> Any:
    """The only column of the first row; None if there is no row."""
    row = connection.execute(sql, prepare=False).fetchone()
    return row[0] if row else None
