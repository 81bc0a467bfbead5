"""Findings of the doctor about the server of a registry: all that `init` proved, and the settings that may change later."""

from collections.abc import Callable
from contextlib import closing

from authctl.store.postgres import rights
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.audit_log_health import audit_log_health
from authctl.store.postgres.connection import Connection, connect, gate_key
from authctl.store.postgres.errors import translated_error, translated_errors
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.proofs import Checks, one_row, proofs, version
from authctl.store.protocol.health import Health

_IDLE_SECONDS = 60
_HELD_SECONDS = 60
_MOST_DEAD = 10_000
_OFF = "off"
_UNSAFE_COMMITS = ("local", "remote_write")

_STANDBYS = "SELECT count(*), current_setting('synchronous_standby_names'), current_setting('synchronous_commit') FROM pg_stat_replication"
_IDLE = (
    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), extract(epoch FROM now() - state_change)::int"
    " FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%%'"
    " AND state_change < now() - make_interval(secs => %s) AND application_name <> 'authctl changeover'"
    " ORDER BY state_change LIMIT 1"
)
# a key of 64 bits stands in two columns of 32
_HOLDERS = (
    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(extract(epoch FROM now() - xact_start), 0)::int"
    " FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32 | objid::bigint) = %s ORDER BY xact_start"
)
_STRANGERS = (
    "SELECT count(*) FROM pg_roles r, pg_database d WHERE d.datname = current_database() AND r.rolcanlogin AND NOT r.rolsuper"
    " AND r.oid <> d.datdba AND has_database_privilege(r.oid, d.oid, 'CONNECT') AND NOT EXISTS (SELECT 1 FROM aclexplode(d.datacl) a"
    " WHERE a.privilege_type = 'CONNECT' AND a.grantee <> 0 AND pg_has_role(r.oid, a.grantee, 'USAGE'))"
)
_DEAD = (
    "SELECT coalesce(sum(n_dead_tup), 0)::bigint, coalesce(sum(n_live_tup), 0)::bigint, current_setting('autovacuum')"
    " FROM pg_stat_user_tables WHERE relname = 'sessions'"
)


def diagnosis(address: Address) -> Checks:
    """Every check, each by its name. Raises RegistryUnavailable if the server cannot be asked."""
    with translated_errors(str(address)):
        yield from proofs(address)
        with closing(connect(address, patience=15)) as connection:
            if one_row(connection, "SELECT to_regclass('registry') IS NULL")[0]:
                return
            for name, check in _CHECKS.items():
                yield name, _health(connection, check)


def _health(connection: Connection, check: Callable[[Connection], Health]) -> Health:
    """The finding of one check. A right that the role lacks is a finding, too."""
    try:
        return check(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        return Health(ok=False, found=str(translated_error(error, str(connection.address))), hint="see: rights")


def engine(address: Address) -> Health:
    """The name and version of the server."""
    with translated_errors(str(address)), closing(connect(address, patience=15)) as connection:
        return version(connection)


def _replication(connection: Connection) -> Health:
    """Whether a failover could lose an acknowledged change."""
    standbys, names, commits = one_row(connection, _STANDBYS)
    if standbys and not names:
        found = f"{standbys} standby, none of them synchronous: a failover can lose revocations"
        return Health(ok=False, found=found, hint="set synchronous_standby_names")
    if names and commits in _UNSAFE_COMMITS:
        found = f"synchronous_commit is {commits}: a failover can lose revocations"
        return Health(ok=False, found=found, hint="ALTER SYSTEM SET synchronous_commit = on")
    if names and not standbys:
        found = f"synchronous_standby_names is {names}, and no standby is connected: every change waits"
        return Health(ok=False, found=found, hint="start the standby")
    return Health(ok=True, found=f"{standbys} standby, synchronous" if standbys else "no standby")


def _transactions(connection: Connection) -> Health:
    """Whether somebody keeps a transaction open and does nothing in it: it keeps dead rows, and perhaps locks."""
    row = connection.execute(_IDLE, (_IDLE_SECONDS,)).fetchone()
    if row is None:
        return Health(ok=True, found="no transaction stands still")
    pid, role, program, seconds = row
    found = f"process {pid} ({role}, {program or 'no name'}) has stood still in a transaction for {seconds} s"
    return Health(ok=False, found=found, hint=f"if nobody needs it: SELECT pg_terminate_backend({pid})")


def _gate(connection: Connection) -> Health:
    """Who holds the lock that every change needs, and who else could."""
    (registry_id,) = one_row(connection, "SELECT id FROM registry")
    holders = connection.execute(_HOLDERS, (gate_key(registry_id),)).fetchall()
    held = ", ".join(
        f"process {pid} ({role}, {program or 'no name'}) for {age} s" for pid, role, program, age in holders
    )
    if holders and holders[0][3] > _HELD_SECONDS:
        hint = f"if it does not work any more: SELECT pg_terminate_backend({holders[0][0]})"
        return Health(ok=False, found=f"changes wait for {held}", hint=hint)
    (strangers,) = one_row(connection, _STRANGERS)
    if strangers:
        found = f"{strangers} other roles may connect to the database, and could stop every change"
        (name,) = one_row(connection, "SELECT quote_ident(current_database())")
        return Health(ok=False, found=found, hint=f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    return Health(ok=True, found=f"held by {held}" if held else "free")


def _vacuum(connection: Connection) -> Health:
    """Whether rows that are gone are cleared away."""
    dead, alive, works = one_row(connection, _DEAD)
    if works == _OFF:
        return Health(ok=False, found="autovacuum is off", hint="ALTER SYSTEM SET autovacuum = on")
    if dead > max(_MOST_DEAD, alive):
        return Health(ok=False, found=f"{dead:,} dead rows beside {alive:,} sessions", hint="VACUUM ANALYZE sessions")
    return Health(ok=True, found=f"{dead:,} dead rows beside {alive:,} sessions")


def _pooler(connection: Connection) -> Health:
    """Whether somebody stands between, who lends connections: nothing is prepared then."""
    (process,) = one_row(connection, "SELECT pg_backend_pid()")
    return Health(
        ok=True, found="none" if process == connection.info.backend_pid else "a pooler: no statement is prepared"
    )


_CHECKS: dict[str, Callable[[Connection], Health]] = {
    "rights": rights.diagnosis,
    "replication": _replication,
    "transactions": _transactions,
    "gate": _gate,
    "vacuum": _vacuum,
    "pooler": _pooler,
    "audit_log": audit_log_health,
}
