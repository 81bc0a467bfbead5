"""Restores into a registry in PostgreSQL that several hosts have open: all of it or nothing, and nobody is let in by it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from authctl import (
    IntegrityFailure,
    NotFound,
    Refused,
    Registry,
    RegistryUnavailable,
    SessionFilter,
    TokenEnded,
)
from authctl.errors import AuthctlError
from authctl.registry.backups import RestoreOutcome, restore
from authctl.settings import Home, find_home
from tests.postgres_homes import opened
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg

RESTORING = """\
import sys
from pathlib import Path
from authctl.registry.backups import restore
from authctl.settings import find_home

restore(find_home(sys.argv[1], sys.argv[2]), Path(sys.argv[3]), note="disk failed")
"""
"""The restore as a process that can be killed."""


def another_host(home: Home) -> Home:
    """Another host of the same registry, which has seen the same events."""
    folder = home.folder.parent / "second"
    folder.mkdir(mode=0o700)
    for name in ("keys.json", "audit.head"):
        shutil.copy(home.folder / name, folder / name)
    return find_home(folder, home.registry)


def backed_up(registry: Registry, file: Path) -> Path:
    """A backup in that file."""
    registry.backups.create(file)
    return file


def test_another_host_that_has_it_open_goes_on_with_the_restored_one(home_on_server: Home, tmp_path: Path):
    """It accepts no token from before, and its next change is in the restored registry; a new process asks for the new head."""
    second = another_host(home_on_server)
    with opened(home_on_server) as registry, opened(second) as other:
        kept = registry.issue(username="alice", application="Outlook")
        copy = backed_up(registry, tmp_path / "copy.db")
        lost = other.issue(username="bob", application="Outlook")
        assert (other.verify(kept.access_token).username, other.verify(lost.access_token).username) == ("alice", "bob")
        outcome = restore(home_on_server, copy, note="disk failed")
        with pytest.raises(TokenEnded, match="restored"):
            other.verify(kept.access_token)
        with pytest.raises(AuthctlError):
            other.verify(lost.access_token)
        after = other.issue(username="carol", application="Outlook")
        assert after.session.number > lost.session.number
        assert registry.verify(after.access_token).username == "carol"
    with opened(second) as again, pytest.raises(IntegrityFailure, match=r"audit\.head names event 3"):
        again.verify(after.access_token)
    shutil.copy(home_on_server.folder / "audit.head", second.folder / "audit.head")
    with opened(second) as again:
        assert again.verify(after.access_token).username == "carol"
        assert again.audit.verify().seq == outcome.seq + 1
        event = again.audit.event(outcome.seq)
        assert (event.action, event.note) == ("registry.restore", "disk failed")


def test_sign_ins_beside_a_restore_are_either_ended_by_it_or_made_after_it(home_on_server: Home, tmp_path: Path):
    """Every sign-in that was acknowledged is of one side or the other, and none from before the restore is active."""
    sign_ins = SignIns()
    with opened(home_on_server) as registry:
        for number in range(30):
            registry.issue(username=f"user{number}", application="Outlook")
        copy = backed_up(registry, tmp_path / "copy.db")
        with sign_ins.by(home_on_server, home_on_server):
            sign_ins.wait_for(20)
            outcome = restore(home_on_server, copy, note="disk failed")
            done = time.monotonic()
            sign_ins.wait_for(20)
        assert not sign_ins.failed
        active = {one.id for one in registry.sessions(SessionFilter(status="active"))}
        assert all(registry.session(id_).created_at >= outcome.at for id_ in active)
        after_it = {id_ for began, id_, _ in sign_ins.made if began > done}
        assert after_it
        assert after_it <= active <= {id_ for _, id_, _ in sign_ins.made}
        for _, id_, token in sign_ins.made:
            with nullcontext() if id_ in active else pytest.raises(AuthctlError):
                assert registry.verify(token).id == id_
        assert registry.audit.verify().seq == outcome.seq + len(active)


class SignIns:
    """Sign-ins by threads, each acknowledged: when it began, the id of its session, and its token."""

    def __init__(self) -> None:
        self.made: list[tuple[float, str, str]] = []
        self.failed: list[AuthctlError] = []
        self._ended = threading.Event()

    @contextmanager
    def by(self, *hosts: Home) -> Iterator[None]:
        """Let each host sign in users as fast as it can, during the block."""
        threads = [threading.Thread(target=self._sign_in, args=(place, f"busy{n}")) for n, place in enumerate(hosts)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def wait_for(self, count: int) -> None:
        """Wait for so many more."""
        before = len(self.made)
        while len(self.made) < before + count and not self.failed:
            time.sleep(0.01)

    def _sign_in(self, place: Home, name: str) -> None:
        with opened(place) as registry:
            while not self._ended.is_set() and not self.failed:
                began = time.monotonic()
                try:
                    one = registry.issue(username=name, application="Outlook")
                except IntegrityFailure:
                    time.sleep(0.01)  # restored, and audit.head is not written yet: it was told so
                except AuthctlError as error:
                    self.failed.append(error)
                else:
                    self.made.append((began, one.session.id, one.access_token))


def test_only_the_owner_can_restore(home_on_server: Home, tmp_path: Path, postgres_server: Server, prepared_url: str):
    """The role of the hosts may look at what would happen; it is refused before anything is done."""
    with opened(home_on_server) as registry:
        registry.issue(username="alice", application="Outlook")
        copy = backed_up(registry, tmp_path / "copy.db")
    database = prepared_url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[1]
    role = f"{database}_app"
    postgres_server.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {database} TO {role}; GRANT USAGE ON SCHEMA public TO {role};"
        f" GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role};"
        f" GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        database,
    )
    hosts = home_on_server._replace(registry=postgres_server.url(database, role))
    files = sorted(home_on_server.folder.iterdir())
    assert restore(hosts, copy, note=None, dry_run=True).ended == 1
    with pytest.raises(Refused, match="not the owner") as refused:
        restore(hosts, copy, note="disk failed")
    assert "OWNER" in (refused.value.hint or "")
    assert sorted(home_on_server.folder.iterdir()) == files
    with opened(home_on_server) as registry:
        assert registry.count(SessionFilter(status="active")) == 1


Kill = Callable[[subprocess.Popen[str], str], None]


def _kill(process: subprocess.Popen[str], _url: str) -> None:
    process.send_signal(signal.SIGKILL)


def _cut(_process: subprocess.Popen[str], url: str) -> None:
    """End its connections, as an administrator or a failing network does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state <> 'idle in transaction'"
        )


STOPS = {
    "while the former rows go": "LOCK TABLE users IN SHARE MODE",
    "while the rows come": "INSERT INTO users (username_key, username) VALUES ('user7', 'user7')",
}
"""Statements of a transaction that stays open: a restore waits for it at that point."""


@pytest.mark.parametrize("end", [_kill, _cut])
@pytest.mark.parametrize("stop", STOPS)
def test_a_restore_that_is_interrupted_did_not_happen(
    home_on_server: Home, tmp_path: Path, prepared_url: str, stop: str, end: Kill
):
    """The registry and its files are the former ones, others go on, and a restore after that is as good as any."""
    with opened(home_on_server) as registry:
        registry.users.disable("user7", note="left")
        registry.issue(username="alice", application="Outlook")
        copy = backed_up(registry, tmp_path / "copy.db")
        late = registry.issue(username="late", application="Outlook").access_token
    script = tmp_path / "restoring.py"
    script.write_text(RESTORING)
    command = [sys.executable, str(script), str(home_on_server.folder), prepared_url, str(copy)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with psycopg.connect(prepared_url, autocommit=True) as other:
        other.execute("DELETE FROM users")
        files = {path: path.read_bytes() for path in home_on_server.folder.iterdir()}
        other.execute(f"BEGIN; {STOPS[stop]}")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        _wait_until(prepared_url, "wait_event_type = 'Lock'")
        with opened(home_on_server) as registry:  # readers wait for nothing
            assert registry.verify(late).username == "late"
            assert registry.count(SessionFilter(status="active")) == 2
        end(process, prepared_url)
        _out, err = process.communicate(timeout=60)
        other.execute("ROLLBACK")
    assert process.returncode, err
    if end is _cut:
        assert "RegistryUnavailable" in err, err
        assert {path: path.read_bytes() for path in home_on_server.folder.iterdir()} == files
    with opened(home_on_server) as registry:
        assert registry.verify(late).username == "late"
        assert registry.issue(username="next", application="Outlook").session.status == "active"
        outcome: RestoreOutcome = restore(home_on_server, copy, note="once more")
        assert registry.audit.verify().seq == outcome.seq
        assert registry.count(SessionFilter(status="active")) == 0
        assert registry.users.get("user7").user.note == "left"


def _wait_until(url: str, condition: str) -> None:
    """Wait until a connection to the database is in that state."""
    sql = f"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    until = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute(sql).fetchone():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_restore_makes_the_registry_where_the_database_is_empty(
    home_on_server: Home, tmp_path: Path, prepared_url: str
):
    """A new database after the loss of the old one; and a database that cannot be reached is no empty one."""
    with opened(home_on_server) as registry:
        registry.issue(username="alice", application="Outlook")
        copy = backed_up(registry, tmp_path / "copy.db")
        with pytest.raises(NotFound):
            registry.session("zzzzzzzzzzzzzzzz")
    with psycopg.connect(prepared_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    nowhere = home_on_server._replace(registry=prepared_url.replace("registry_", "nowhere_"))
    with pytest.raises(RegistryUnavailable):
        restore(nowhere, copy, note="disk failed")
    outcome = restore(home_on_server, copy, note="disk failed")
    assert (outcome.carried, outcome.ended, outcome.replaced_kept_as) == (None, 1, None)
    with opened(home_on_server) as registry:
        assert registry.audit.verify().seq == outcome.seq
        assert registry.issue(username="bob", application="Outlook").session.number == 2
