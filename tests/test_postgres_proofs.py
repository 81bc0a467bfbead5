"""What `init` proves of a server, and the doctor checks again: each against a server that fails it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from authctl.errors import InvalidInput, Refused
from authctl.store.postgres.tables import TRIGGERS
from authctl.store.postgres.versions import SCHEMA_VERSION
from tests.postgres_server import Server, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres import proofs as module
    from authctl.store.postgres.addresses import Address, read_address
    from authctl.store.postgres.connection import Connection, connect
    from authctl.store.postgres.connections import PostgresConnections
    from authctl.store.postgres.diagnosis import diagnosis
    from authctl.store.postgres.only_runner import only_runner
    from authctl.store.postgres.proofs import check_server, proofs
    from authctl.store.postgres.roles import can_change_audit_log, protect_audit_log, statements
    from authctl.store.protocol.health import Health

SCHEMA = f"""
CREATE TABLE registry (id text NOT NULL, moved_to text, moving_to text, arriving_from text, turn bigint);
CREATE TABLE schema_version (version integer NOT NULL);
INSERT INTO schema_version VALUES ({SCHEMA_VERSION});
INSERT INTO registry VALUES ('r1');
CREATE TABLE audit_events (seq bigint PRIMARY KEY, hash text NOT NULL);
CREATE SEQUENCE changes;
CREATE TABLE sessions (number bigint PRIMARY KEY);
{";".join(TRIGGERS)};
REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER ON audit_events FROM CURRENT_USER
"""


def failures(address: "Address") -> "dict[str, Health]":
    """The proofs that fail."""
    return {name: health for name, health in proofs(address) if not health.ok}


def found(address: "Address", name: str) -> "Health":
    """What the doctor finds by one check."""
    return dict(diagnosis(address))[name]


@pytest.fixture
def address(postgres_url: str) -> "Address":
    """A database with what the checks themselves ask for."""
    address = read_address(postgres_url)
    with closing(connect(address)) as connection:
        connection.execute(SCHEMA)
    return address


def test_a_database_that_its_owner_made_as_said_proves_all(postgres_url: str):
    """No superuser is needed, and nothing is left behind."""
    address = read_address(postgres_url)
    check_server(address)
    assert [name for name, _ in proofs(address)] == ["server", "encoding", "search", "durability", "locks", "role"]
    with closing(connect(address)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'").fetchone() == (0,)


@pytest.fixture
def odd_database(postgres_server: Server) -> Iterator[str]:
    """The name of a database of its own; the test makes it."""
    yield "odd"
    postgres_server.execute("DROP DATABASE IF EXISTS odd WITH (FORCE)")


@pytest.mark.parametrize(
    ("how", "check", "words"),
    [
        ("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", "encoding", "SQL_ASCII, not UTF8"),
        ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "encoding", "LATIN1, not UTF8"),
        ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "search", "Cyrillic and Japanese"),
        ("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", "search", "Cyrillic and Japanese"),
    ],
)
def test_a_database_that_was_made_otherwise(
    postgres_server: Server, odd_database: str, how: str, check: str, words: str
):
    """Its hint is the statement that makes it right."""
    postgres_server.execute(f"CREATE DATABASE {odd_database} OWNER registrar TEMPLATE template0 {how}")
    address = read_address(postgres_server.url(odd_database, "registrar"))
    health = failures(address)[check]
    assert words in health.found
    assert health.hint
    assert health.hint.startswith("CREATE DATABASE")
    with pytest.raises(Refused) as raised:
        check_server(address)
    assert words in raised.value.message
    assert health.hint in (raised.value.hint or "")


@pytest.mark.parametrize("right", ["SUPERUSER", "CREATEROLE", "REPLICATION", "BYPASSRLS"])
def test_a_role_with_too_many_rights(postgres_server: Server, address: "Address", right: str):
    """The hint leads to the statements for a role of its own."""
    assert failures(address) == {}
    postgres_server.execute(f"ALTER ROLE registrar {right}")
    try:
        health = failures(address)["role"]
    finally:
        postgres_server.execute(f"ALTER ROLE registrar NO{right}")
    assert "the role registrar has more rights than a registry needs" in health.found
    assert health.hint == "a role of its own: authctl init --print-sql"


@pytest.mark.parametrize("powerful", ["pg_execute_server_program", "pg_write_all_data", "postgres", "guild"])
def test_a_role_that_belongs_to_one_with_too_many_rights(postgres_server: Server, address: "Address", powerful: str):
    """It has them by `SET ROLE`, or inherits them: they count as its own, also through a third role."""
    postgres_server.execute("CREATE ROLE guild CREATEROLE; CREATE ROLE between")
    try:
        postgres_server.execute(f"GRANT {powerful} TO between; GRANT between TO registrar")
        health = failures(address)["role"]
        assert f"belongs to the role {powerful}" in health.found
        with pytest.raises(Refused, match="more rights than a registry needs"):
            check_server(address)
    finally:
        postgres_server.execute("DROP ROLE between; DROP ROLE guild")
    assert failures(address) == {}


@pytest.mark.parametrize("of", ["ROLE registrar", "DATABASE {database}", "ROLE registrar IN DATABASE {database}"])
def test_a_setting_of_the_role_or_database_is_mended_there(postgres_server: Server, address: "Address", of: str):
    """The hint names where the setting is: a setting of the server would not win against it."""
    of = of.format(database=address.parameters["dbname"])
    postgres_server.execute(f"ALTER {of} SET synchronous_commit = off")
    try:
        health = failures(address)["durability"]
        assert health.hint
        assert health.hint.endswith(f": ALTER {of} RESET synchronous_commit")
    finally:
        postgres_server.execute(f"ALTER {of} RESET synchronous_commit")
    assert failures(address) == {}


def test_locks_that_only_pretend(monkeypatch: pytest.MonkeyPatch, address: "Address"):
    """As those of an engine that has the functions, and does nothing in them."""
    real = Connection.execute

    def execute(self, query, *given, **options):
        return real(self, "SELECT true" if "pg_try_advisory" in str(query) else query, *given, **options)

    monkeypatch.setattr(module.Connection, "execute", execute)
    assert "two hosts would change the registry at once" in failures(address)["locks"].found


def test_settings_that_lose_changes():
    """Each names itself in the hint."""
    with new_server(fsync="off") as server, server.fresh_database() as url:
        health = failures(read_address(url))["durability"]
        assert "fsync is off" in health.found
        assert health.hint
        assert "ALTER SYSTEM SET fsync = on" in health.hint


def test_the_doctor_finds_nothing_in_a_good_place(address: "Address"):
    """Every check has something to tell, and none a problem."""
    checks = dict(diagnosis(address))
    assert {name for name, health in checks.items() if not health.ok} == set()
    assert list(checks)[-6:] == ["replication", "transactions", "gate", "vacuum", "pooler", "audit_log"]
    assert all(health.found for health in checks.values())


def test_the_doctor_of_an_empty_database_tells_of_the_server_alone(postgres_url: str):
    """There is no registry to look at."""
    assert len(dict(diagnosis(read_address(postgres_url)))) == 6


def test_who_holds_the_gate_and_who_stands_still(monkeypatch: pytest.MonkeyPatch, address: "Address"):
    """By process and role, after a minute as a problem; the only runner is none."""
    from authctl.store.postgres import diagnosis as checks

    one = PostgresConnections(address)
    with only_runner(address, "r1") as holds, one.writer(shared=True) as connection:
        assert holds
        pid = connection.info.backend_pid
        health = found(address, "gate")
        assert health.ok
        assert f"held by process {pid} (registrar, authctl)" in health.found
        monkeypatch.setattr(checks, "_HELD_SECONDS", -1)
        monkeypatch.setattr(checks, "_IDLE_SECONDS", 0)
        assert not found(address, "gate").ok
        idle = found(address, "transactions")
        assert not idle.ok
        assert f"pg_terminate_backend({pid})" in (idle.hint or "")
    assert found(address, "gate").found == "free"
    one.close()


def test_others_that_could_hold_the_gate(postgres_server: Server, address: "Address"):
    """Advisory locks have no rights: whoever connects can hold them."""
    name = address.parameters["dbname"]
    postgres_server.execute("CREATE ROLE stranger LOGIN")
    try:
        assert found(address, "gate").ok
        postgres_server.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
        health = found(address, "gate")
        assert not health.ok
        assert health.hint == f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
        postgres_server.execute(health.hint)
        postgres_server.execute(f"GRANT CONNECT ON DATABASE {name} TO stranger")
        assert found(address, "gate").ok
    finally:
        postgres_server.execute(f"REVOKE CONNECT ON DATABASE {name} FROM stranger")
        postgres_server.execute("DROP ROLE stranger")


def test_settings_of_replication_and_vacuum():
    """What would lose changes in a failover, or make every change wait."""
    with new_server() as server, server.fresh_database() as url:
        address = read_address(url)
        with closing(connect(address)) as connection:
            connection.execute(SCHEMA)
        for setting, value, check, words in (
            ("autovacuum", "off", "vacuum", "autovacuum is off"),
            ("synchronous_standby_names", "'other'", "replication", "no standby is connected"),
            ("synchronous_commit", "local", "replication", "a failover can lose revocations"),
        ):
            server.execute(f"ALTER SYSTEM SET {setting} = {value}")
            server.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
            health = found(address, check)
            assert not health.ok
            assert words in health.found


def test_the_statements_for_an_administrator(postgres_server: Server):
    """Followed by psql, they make a database in which the application can change no event of the audit log."""
    target = read_address(postgres_server.url('the "registry"', "its owner"))
    script = postgres_server.folder / "statements.sql"
    script.write_text(statements(target))
    script.chmod(0o644)
    try:
        postgres_server.run(
            "psql", "--set", "ON_ERROR_STOP=1", "--dbname", "postgres", "--file", str(script), "--quiet"
        )
        check_server(target)
        with closing(connect(target)) as owner:
            owner.execute("CREATE SCHEMA authctl; SET search_path = authctl, public; " + SCHEMA.rpartition("REVOKE")[0])
            protect_audit_log(owner)
            assert not can_change_audit_log(owner)
        application = read_address(postgres_server.url('the "registry"', 'the "registry"_app'))
        with closing(connect(application)) as connection:
            connection.execute("SET search_path = authctl")
            connection.execute(
                "INSERT INTO audit_events VALUES (1, 'h'); INSERT INTO sessions VALUES (1); DELETE FROM sessions"
            )
            assert not can_change_audit_log(connection)
            for change in (
                "UPDATE audit_events SET hash = ''",
                "DELETE FROM audit_events",
                "TRUNCATE audit_events",
                "CREATE TABLE t ()",
            ):
                with pytest.raises(module.psycopg.errors.InsufficientPrivilege):
                    connection.execute(change)
    finally:
        postgres_server.execute('DROP DATABASE IF EXISTS "the ""registry""" WITH (FORCE)')
        postgres_server.execute('DROP ROLE IF EXISTS "its owner"')
        postgres_server.execute('DROP ROLE IF EXISTS "the ""registry""_app"')


def test_the_statements_are_those_of_the_database_that_the_address_names(monkeypatch: pytest.MonkeyPatch):
    """Without a database it is that of its user, as libpq has it; the role of the hosts owns nothing."""
    for name in ("PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    assert 'CREATE DATABASE "keeper" OWNER "keeper"' in statements(read_address("postgresql://keeper@localhost"))
    with pytest.raises(InvalidInput, match="names no owner"):
        statements(read_address("postgresql://localhost/registry"))
    with pytest.raises(InvalidInput, match="the role of the hosts, registry_app"):
        statements(read_address("postgresql://registry_app@localhost/registry"))
    monkeypatch.setenv("PGUSER", "keeper")
    assert 'CREATE DATABASE "registry" OWNER "keeper"' in statements(read_address("postgresql://localhost/registry"))
