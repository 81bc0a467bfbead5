"""The schema in PostgreSQL: an older one is upgraded behind the gate, and an older authctl is refused, also while it has the registry open.

The next version is made up: a process of another authctl gets one step more.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from authctl import RegistryUnavailable, SessionFilter
from authctl.cli.exit_codes import exit_code_of
from authctl.registry.doctor import examine
from authctl.settings import Home
from authctl.store.postgres.versions import SCHEMA_VERSION as PRESENT
from tests.postgres_homes import opened
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg

REFUSED = rf"newer authctl \(schema {PRESENT + 1}, this one knows {PRESENT}\)"

NEWER = """\
import sys
from authctl.store.postgres import versions

versions.SCHEMA_VERSION += 1
versions.UPGRADES[versions.SCHEMA_VERSION] = tuple(sys.argv[3:])

from authctl import Registry
from authctl.errors import AuthctlError
from authctl.store import open_store

try:
    with open_store(sys.argv[2]).view() as view:
        print(view.registry_id(), flush=True)
    if "ADD" in sys.argv[3]:
        with Registry.open(sys.argv[1], registry=sys.argv[2]) as registry:
            print(registry.issue(username="newer", application="Outlook").session.username)
except AuthctlError as error:
    sys.exit(f"{error.message} | {error.hint}")
"""
"""An authctl whose schema is one version newer."""

ADDED = "ALTER TABLE sessions ADD COLUMN colour text"
RENAMED = "ALTER TABLE sessions RENAME COLUMN device TO machine"
TYPED = "ALTER TABLE sessions ALTER COLUMN generation TYPE numeric"


def newer(home: Home, *statements: str, registry: str | None = None) -> "subprocess.Popen[str]":
    """Begin a process of the newer authctl."""
    command = [sys.executable, "-c", NEWER, str(home.folder), registry or str(home.registry), *statements]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def version(home: Home) -> int:
    """The version of the schema that is there."""
    with psycopg.connect(str(home.registry)) as connection:
        ((found,),) = connection.execute("SELECT version FROM schema_version").fetchall()
        return int(found)


@pytest.mark.parametrize("statement", [ADDED, RENAMED, TYPED])
def test_an_older_authctl_that_has_it_open_is_refused_at_its_next_use(home_on_server: Home, statement: str):
    """Verify, a sign-in, a list, a revocation and a client say that a newer one was there, whatever it did to the tables."""
    with opened(home_on_server) as registry, opened(home_on_server) as fresh:
        token = registry.issue(username="alice", application="Outlook", device="PC").access_token
        for _ in range(3):
            assert registry.verify(token).username == "alice"
        process = newer(home_on_server, statement)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert out.split()[1:] == (["newer"] if statement == ADDED else [])
        assert version(home_on_server) == PRESENT + 1
        uses: tuple[Callable[[], object], ...] = (
            lambda: registry.verify(token),
            lambda: registry.issue(username="bob", application="Outlook"),
            lambda: list(registry.sessions()),
            lambda: registry.revoke(SessionFilter(username="alice"), note="lost", actor="admin"),
            lambda: registry.verify(token),
            lambda: fresh.verify(token),
            lambda: opened(home_on_server).verify(token),
        )
        for use in uses:
            with pytest.raises(RegistryUnavailable, match=REFUSED) as refused:
                use()
            assert refused.value.hint == "upgrade authctl"
            assert exit_code_of(type(refused.value)) == 6
    with psycopg.connect(str(home_on_server.registry)) as connection:
        assert connection.execute("SELECT count(*) FROM revocations WHERE at IS NOT NULL").fetchone() == (0,)


def test_an_upgrade_waits_for_its_turn_and_keeps_no_reader_waiting(home_on_server: Home):
    """While somebody reads a long list it begins again and again, and whoever looks up a session waits for half a second at most."""
    with opened(home_on_server) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
        with psycopg.connect(str(home_on_server.registry)) as reading:
            reading.execute("SELECT count(*) FROM sessions")
            process = newer(home_on_server, ADDED)
            longest, until = 0.0, time.monotonic() + 4
            while time.monotonic() < until:
                began = time.monotonic()
                assert registry.verify(token).username == "alice"
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.01)
            assert process.poll() is None
            assert version(home_on_server) == PRESENT
            assert longest < 4, "it waited for as long as the list was read"
            assert registry.issue(username="bob", application="Outlook").session.status == "active"
        assert process.communicate(timeout=120)[1] == ""
    assert version(home_on_server) == PRESENT + 1


def test_two_upgrades_at_once_are_one(home_on_server: Home):
    """The second process finds the first one's tables; a change under way is waited for."""
    with opened(home_on_server) as registry:
        inside, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with registry._installation.store.change():
                inside.set()
                go_on.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        inside.wait(30)
        processes = [newer(home_on_server, ADDED) for _ in range(2)]
        time.sleep(1.5)
        assert version(home_on_server) == PRESENT
        go_on.set()
        holder.join()
    for process in processes:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    assert version(home_on_server) == PRESENT + 1


def test_an_upgrade_that_fails_leaves_the_older_schema_whole(home_on_server: Home):
    """All of its steps, or none: the older authctl goes on."""
    with opened(home_on_server) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
        process = newer(home_on_server, ADDED, "SELECT 1 FROM no_such_table")
        assert "no_such_table" in process.communicate(timeout=120)[1]
        assert (process.returncode, version(home_on_server)) == (1, PRESENT)
        assert registry.verify(token).username == "alice"
        assert registry.issue(username="bob", application="Outlook").session.status == "active"
    with psycopg.connect(str(home_on_server.registry)) as connection, pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute("SELECT colour FROM sessions")


def test_a_role_that_owns_no_table_does_not_upgrade(home_on_server: Home, postgres_server: Server, prepared_url: str):
    """It is told who can, and changes nothing."""
    database = prepared_url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[1]
    role = f"{database}_app"
    postgres_server.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {database} TO {role}; GRANT USAGE ON SCHEMA public TO {role};"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        database,
    )
    process = newer(home_on_server, ADDED, registry=postgres_server.url(database, role))
    err = process.communicate(timeout=120)[1]
    assert f"older authctl (schema {PRESENT}), and only the owner of its tables may upgrade it | open it once" in err
    assert (process.returncode, version(home_on_server)) == (1, PRESENT)


def test_the_doctor_that_upgrades_finds_no_fault_in_the_older_schema(home_on_server: Home):
    """It looks at the triggers before it opens the registry: an older function is no altered one."""
    with psycopg.connect(str(home_on_server.registry), autocommit=True) as connection:
        older = "IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_events) THEN RAISE EXCEPTION 'no'; END IF"
        connection.execute(
            "CREATE OR REPLACE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql"
            f" AS $$ BEGIN {older}; RETURN NEW; END $$"
        )
        faults = {one.check for one in examine(home_on_server) if not one.ok}
        assert faults == {"audit_log"}
        connection.execute("UPDATE schema_version SET version = 2")
    assert [one.found for one in examine(home_on_server) if not one.ok] == []
    assert version(home_on_server) == PRESENT
    assert [one.found for one in examine(home_on_server) if not one.ok] == []
