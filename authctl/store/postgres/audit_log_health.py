"""The finding of the doctor about the audit log: who could change events, and whether what keeps them is as authctl made it."""

from typing import TYPE_CHECKING

from authctl.store.postgres.roles import AUDIT_LOG, CHANGES_OF_EVENTS, can_change_audit_log, is_another_owner
from authctl.store.postgres.tables import TRIGGERS
from authctl.store.postgres.versions import SCHEMA_VERSION
from authctl.store.protocol.health import Health

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection

_FUNCTION, *_BY_TRIGGER = TRIGGERS
_BODY = " ".join(_FUNCTION.partition("$$")[2].rpartition("$$")[0].split())
# An older schema has another function, until the doctor opens the registry and so upgrades it.
# bits of tgtype: 1 for each row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate
_KEEPERS = """
    SELECT count(*), count(*) FILTER (WHERE tgenabled IN ('O', 'A'))
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE tgrelid = to_regclass('audit_events') AND tgqual IS NULL AND tgattr = ''
        AND (tgname, tgtype) IN (('audit_events_keep', 31), ('audit_events_keep_all', 34))
        AND ((SELECT version FROM schema_version) < %s OR trim(regexp_replace(prosrc, '[[:space:]]+', ' ', 'g')) = %s)
"""
_ALL = len(_BY_TRIGGER)
_MADE_AGAIN = "; ".join(
    (
        f"GRANT TRIGGER ON {AUDIT_LOG} TO CURRENT_USER",
        *(" ".join(statement.split()).replace("CREATE ", "CREATE OR REPLACE ", 1) for statement in TRIGGERS),
        f"REVOKE TRIGGER ON {AUDIT_LOG} FROM CURRENT_USER",
    )
)
"""The statements that make the function and the triggers as they were; the owner gave up the right to make triggers of that table."""
_ORIGIN = "origin"


def audit_log_health(connection: "Connection") -> Health:
    """Whether the role could change the audit log, and whether its triggers keep everybody from it, the owner too."""
    role, replication = connection.execute(
        "SELECT quote_ident(current_user), current_setting('session_replication_role')"
    ).fetchone() or ("", _ORIGIN)
    if owner := is_another_owner(connection):
        found = f"the role may do all that the owner of the audit log may, {owner}: it could change events"
        return Health(ok=False, found=found, hint=f"as a superuser: REVOKE {owner} FROM {role}")
    if can_change_audit_log(connection):
        found = "the role may change events of the audit log"
        hint = f"as the owner of the tables: REVOKE {CHANGES_OF_EVENTS} ON {AUDIT_LOG} FROM {role}, PUBLIC"
        return Health(ok=False, found=found, hint=hint)
    if replication != _ORIGIN:
        found = (
            f"no trigger keeps the audit log from being changed by this role: session_replication_role is {replication}"
        )
        return Health(ok=False, found=found, hint=f"as a superuser: ALTER ROLE {role} RESET session_replication_role")
    there, enabled = connection.execute(_KEEPERS, (SCHEMA_VERSION, _BODY)).fetchone() or (0, 0)
    if there < _ALL:
        found = "triggers that keep the audit log from being changed are missing or altered"
        return Health(ok=False, found=found, hint=f"as the owner: {_MADE_AGAIN}")
    if enabled < _ALL:
        found = "triggers that keep the audit log from being changed are disabled"
        return Health(ok=False, found=found, hint=f"as the owner: ALTER TABLE {AUDIT_LOG} ENABLE TRIGGER USER")
    return Health(ok=True, found="the role cannot change events")
