"""A role that lacks a right: each command is refused and has changed nothing, and the doctor gives the statement that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.errors import OutcomeUnknown, RegistryUnavailable
from tests.conftest import Authctl
from tests.new_places import MakePlace
from tests.postgres_server import Server, why_not

pytestmark = [pytest.mark.skipif(why_not() is not None, reason=why_not() or ""), pytest.mark.in_a_file]
if why_not() is None:
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import connect
    from authctl.store.postgres.library import psycopg
    from authctl.store.postgres.table_names import made_names

APPLICATION = "clerk"


class Place:
    """A registry, its owner and a role of the application that has what `init --print-sql` gives."""

    def __init__(self, server: Server, owner: str) -> None:
        self.owner = owner
        self.database = read_address(owner).parameters["dbname"]
        self.url = server.url(self.database, APPLICATION)
        self._server = server

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """As the superuser, in the database."""
        return self._server.execute(sql, self.database)


@pytest.fixture
def place(postgres_server: Server, installed_at: MakePlace) -> Iterator[Place]:
    """A registry with a user, and the role of its application."""
    owner = str(installed_at("server"))
    made = Place(postgres_server, owner)
    postgres_server.execute(
        f"CREATE ROLE {APPLICATION} LOGIN; GRANT CONNECT ON DATABASE {made.database} TO {APPLICATION}"
    )
    made.execute(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APPLICATION};"
        f" GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {APPLICATION};"
        f" REVOKE UPDATE, DELETE ON audit_events FROM {APPLICATION}"
    )
    yield made
    made.execute(f"DROP OWNED BY {APPLICATION}")
    postgres_server.execute(f"DROP OWNED BY {APPLICATION}; DROP ROLE {APPLICATION}")


@pytest.fixture
def as_application(authctl: Authctl, place: Place) -> Authctl:
    """Runs commands as the role of the application."""
    return lambda *arguments, **how: authctl("--registry", place.url, *arguments, **how)


def finding(ran) -> dict[str, str]:
    """What the doctor found about the rights."""
    return next(found for found in ran.json if found["check"] == "rights")


def test_the_role_of_the_application_lacks_nothing(as_application: Authctl):
    """What `init --print-sql` gives is enough."""
    found = finding(as_application("doctor", "-o", "json"))
    assert (found["ok"], found["found"]) == (True, "clerk has all rights that a registry needs")


def test_each_right_that_is_taken_is_named_with_the_statement_that_gives_it(place: Place, as_application: Authctl):
    """Every table and sequence of a registry, also those that PostgreSQL made for numbers of rows."""
    numbered = [f"{table}_{column}_seq" for table, column in (("sessions", "number"), ("revocations", "id"))]
    for kind, name in [*made_names(), *(("SEQUENCE", name) for name in numbered)]:
        on = f"{'SEQUENCE ' if kind == 'SEQUENCE' else ''}{name}"
        rights = place.execute(
            f"SELECT string_agg(privilege_type, ', ') FROM pg_class, aclexplode(relacl) AS a WHERE oid = '{name}'::regclass"
            f" AND grantee = '{APPLICATION}'::regrole"
        )[0][0]
        place.execute(f"REVOKE ALL ON {on} FROM {APPLICATION}")
        with closing(connect(read_address(place.url))) as connection:
            from authctl.store.postgres import rights as checked

            health = checked.diagnosis(connection)
        assert not health.ok
        assert re.fullmatch(rf"clerk lacks [A-Z, ]+ on {name}", health.found), health.found
        assert re.fullmatch(rf"GRANT [A-Z, ]+ ON {on} TO clerk", health.hint or "")
        if name not in ("schema_version", "registry", "audit_events"):
            assert set(re.findall("[A-Z]{5,}", health.found)) == set(re.findall("[A-Z]{5,}", str(rights))), name
        place.execute(health.hint or "")
        with closing(connect(read_address(place.url))) as connection:
            assert checked.diagnosis(connection).ok


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ("USAGE, UPDATE ON SEQUENCE changes", "it may not use the sequence changes"),
        ("INSERT ON audit_events", "permission denied for table audit_events"),
        ("INSERT ON sessions", "permission denied for table sessions"),
        ("UPDATE ON clock", "permission denied for table clock"),
        ("SELECT ON users", "permission denied for table users"),
    ],
)
def test_a_sign_in_without_a_right_is_refused_and_made_not(
    place: Place, as_application: Authctl, right: str, words: str
):
    """Exit 6, with what is missing; the hint leads to the statement."""
    place.execute(f"REVOKE {right} FROM {APPLICATION}")
    ran = as_application("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert ran.code == 6
    assert "the role has too few rights" in ran.err
    assert words in ran.err
    assert place.execute("SELECT count(*) FROM sessions") == [(0,)]
    found = finding(as_application("doctor", "-o", "json"))
    assert not found["ok"]
    place.execute(found["next"])
    assert as_application("tokens", "issue", "--user", "alice", "--application", "Outlook").code == 0


def test_a_change_without_an_event_is_refused_before_it_is_made(place: Place, home: Path):
    """The role may not count the change, which is done after the commit: nothing has changed, and the outcome is known."""
    place.execute(f"REVOKE USAGE, UPDATE ON SEQUENCE changes FROM {APPLICATION}")
    with Registry.open(home, registry=place.url) as registry:
        for change in (
            lambda: registry.issue(username="alice", application="Outlook"),
            lambda: registry.revoke(SessionFilter(username="alice"), note="lost device"),
            lambda: registry._installation.store.change(shared=True).__enter__(),
        ):
            with pytest.raises(RegistryUnavailable, match="may not use the sequence changes") as raised:
                change()
            assert raised.value.hint == "GRANT USAGE ON SEQUENCE changes TO clerk"
    assert place.execute("SELECT count(*) FROM sessions") == [(0,)]


def test_a_right_that_is_taken_from_an_open_registry(place: Place, home: Path):
    """The change that meets it is in force and not confirmed; the next one is refused."""
    with Registry.open(home, registry=place.url) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
        place.execute(f"REVOKE USAGE, UPDATE ON SEQUENCE changes FROM {APPLICATION}")
        with pytest.raises(OutcomeUnknown):
            registry.end([token])
        assert place.execute("SELECT ended_reason FROM sessions") == [("signed_out",)]
        with pytest.raises(RegistryUnavailable, match="may not use the sequence changes"):
            registry.issue(username="alice", application="Outlook")


def test_a_role_that_may_not_flush_is_refused(place: Place, as_application: Authctl):
    """A commit would be in force, and a crash of the server could lose it."""
    named = "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'pg_logical_emit_message' AND proargtypes[2] = 'text'::regtype"
    [(function,)] = place.execute(named)  # PostgreSQL 17 gave it a fourth parameter
    place.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    try:
        ran = as_application("tokens", "issue", "--user", "alice", "--application", "Outlook")
        assert ran.code == 6
        assert "it may not use the function pg_logical_emit_message" in ran.err
        assert f"GRANT EXECUTE ON FUNCTION {function} TO clerk" in ran.err
        assert place.execute("SELECT count(*) FROM sessions") == [(0,)]
    finally:
        place.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")


def test_a_schema_that_the_role_may_not_use(place: Place, as_application: Authctl):
    """It sees no table; that no registry is there would be a wrong answer."""
    place.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    for command in (("sessions", "list"), ("doctor",), ("tokens", "issue", "--user", "a", "--application", "b")):
        ran = as_application(*command)
        assert ran.code in (6, 9)
        assert "it may not use the schema public" in ran.out + ran.err
        assert "GRANT USAGE ON SCHEMA public TO clerk" in ran.out + ran.err


def test_a_reader_without_rights_is_told_so(place: Place, as_application: Authctl):
    """A list, a look-up and the doctor, of a role that may connect and nothing else."""
    place.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {APPLICATION}")
    for command in (("sessions", "list"), ("audit", "list"), ("users", "list")):
        ran = as_application(*command)
        assert (ran.code, "permission denied for table" in ran.err) == (6, True), ran.err
        assert ran.err.rstrip().endswith(" doctor")
    found = finding(as_application("doctor", "-o", "json"))
    place.execute(found["next"])
    assert as_application("sessions", "list").code == 0


def test_row_level_security_hides_nothing_in_silence(as_application: Authctl, place: Place):
    """A role that may see no rows is refused by each command, with the table and the statement; nothing is reported as not there."""
    assert as_application("tokens", "issue", "--user", "alice", "--application", "A", "-q").code == 0
    for table in ("sessions", "audit_events"):
        place.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        for command in (
            ("sessions", "list"),
            ("revoke", "--all", "--note", "breach drill", "--yes"),
            ("audit", "verify"),
        ):
            ran = as_application(*command)
            assert (ran.code, f"row-level security may hide rows of {table} from the role" in ran.err) == (6, True), (
                command
            )
            assert f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" in ran.err
        finding = next(one for one in as_application("doctor", "-o", "json").json if not one["ok"])
        assert f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" in finding["next"]
        place.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    place.execute("CREATE TABLE elsewhere (); ALTER TABLE elsewhere ENABLE ROW LEVEL SECURITY")
    revoked = as_application("revoke", "--all", "--note", "breach drill", "--yes", "-o", "json")
    assert revoked.json["revoked"] == 1, "the table of another owner does not count"


def test_row_level_security_that_comes_later(place: Place, tmp_path: Path, home: Path):
    """A registry that is open then is refused, too: its connections were asked before."""
    with Registry.open(home, registry=place.url) as registry:
        issued = registry.issue(username="alice", application="A")
        assert registry.lists.page(SessionFilter()).sessions  # so that its connection was asked before
        place.execute("ALTER TABLE sessions ENABLE ROW LEVEL SECURITY")
        for call in (
            lambda: registry.verify(issued.access_token),
            lambda: registry.lists.page(SessionFilter()),
            lambda: registry.revoke(SessionFilter(everything=True), note="breach drill"),
        ):
            with pytest.raises(RegistryUnavailable, match="row-level security"):
                call()
        place.execute("ALTER TABLE sessions DISABLE ROW LEVEL SECURITY")
        assert registry.revoke(SessionFilter(everything=True), note="breach drill").revoked == 1


def test_the_doctor_names_what_protects_the_audit_log_no_more(as_application: Authctl, place: Place):
    """Each with the statements that mend it: triggers that are disabled, missing or altered, and rights by any way."""

    def finding() -> dict[str, str]:
        return next(one for one in as_application("doctor", "-o", "json").json if one["check"] == "audit_log")

    owner = read_address(place.owner).parameters["user"]
    assert finding()["ok"]
    for fault in (
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",  # as a load that broke off leaves them
        "ALTER TABLE audit_events ENABLE REPLICA TRIGGER audit_events_keep_all",
        "DROP TRIGGER audit_events_keep ON audit_events",
        "ALTER TRIGGER audit_events_keep_all ON audit_events RENAME TO other",
        "CREATE OR REPLACE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        (
            "CREATE OR REPLACE TRIGGER audit_events_keep BEFORE INSERT OR UPDATE OR DELETE ON audit_events FOR EACH ROW"
            " WHEN (NULL IS NOT NULL) EXECUTE FUNCTION audit_events_keep()"
        ),
    ):
        place.execute(fault)
        found = finding()
        assert not found["ok"], fault
        place.execute(f"SET ROLE {owner}; {found['next'].removeprefix('as the owner: ')}")
        assert finding()["ok"], fault
        for change in ("UPDATE audit_events SET note = ''", "TRUNCATE audit_events"):
            with pytest.raises(psycopg.errors.RaiseException):
                place.execute(change)
    for right in ("DELETE", "TRIGGER", "UPDATE (note)"):
        place.execute(f"GRANT {right} ON audit_events TO {APPLICATION}")
        statement = f"REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER ON audit_events FROM {APPLICATION}, PUBLIC"
        assert finding()["next"] == f"as the owner of the tables: {statement}", right
        place.execute(statement)
        assert finding()["ok"]
    for fault, mended in (
        (f"GRANT {owner} TO {APPLICATION}", f"REVOKE {owner} FROM {APPLICATION}"),
        (
            f"ALTER ROLE {APPLICATION} SET session_replication_role = replica",
            f"ALTER ROLE {APPLICATION} RESET session_replication_role",
        ),
    ):
        place.execute(fault)
        assert (finding()["ok"], finding()["next"]) == (False, f"as a superuser: {mended}")
        place.execute(mended)
        assert finding()["ok"]


def test_a_role_that_may_make_no_tables_is_told_whose_database_it_is(
    authctl: Authctl, place: Place, postgres_server: Server, tmp_path: Path
):
    """`init` by the role of the hosts: the hint names the owner, whose address makes the registry."""
    with postgres_server.fresh_database("registrar") as empty:
        database = read_address(empty).parameters["dbname"]
        postgres_server.execute(f"GRANT CONNECT ON DATABASE {database} TO {APPLICATION}")
        postgres_server.execute("CREATE EXTENSION pg_trgm", database)
        ran = authctl("--home", str(tmp_path / "new"), "--registry", postgres_server.url(database, APPLICATION), "init")
        assert ran.code == 6
        assert "the role may make no tables there" in ran.err
        assert "as the owner of the database: postgresql://registrar@HOST/DATABASE" in ran.err


def test_a_role_that_only_reads_by_default_is_told_so(authctl: Authctl, place: Place):
    """As a standby, it takes no changes: the hint names both."""
    place.execute(f"ALTER ROLE {APPLICATION} SET default_transaction_read_only = on")
    ran = authctl("--registry", place.url, "sessions", "list")
    assert (ran.code, "default_transaction_read_only" in ran.err) == (6, True)
