"""Outages of a server as commands meet them: real commands and a real server, each case with its exit code and message.

The table in docs/postgres.md ("Outages") has the same cases.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server, new_server, why_not
from tests.test_postgres_stalls import wait_until_stopped

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

ROOT = Path(__file__).parents[1]
PATIENCE = 90

ISSUE = ("tokens", "issue", "--user", "bob", "--application", "Outlook")
VERIFY = ("tokens", "verify", "-")
LIST = ("sessions", "list")
REVOKE = ("revoke", "--user", "alice", "--note", "lost device")
COMMANDS = {"sign-in": ISSUE, "verify": VERIFY, "list": LIST, "revocation": REVOKE}

STOPPING = "from tests.stalling import stand_still_at_commit; stand_still_at_commit()"
HOURS_APART = "import time; real = time.time_ns; time.time_ns = lambda: real() + {hours} * 3_600_000_000_000"


class Place(NamedTuple):
    """A server of its own, a registry in it with a session of alice, and her token."""

    server: Server
    url: str
    home: Path
    token: str

    def start(self, *arguments: str, before: str = "") -> subprocess.Popen[str]:
        """A command in a process of its own; Python that it runs first."""
        program = f"{before}\nimport sys\nfrom authctl.__main__ import main\nsys.exit(main())"
        environment = {**os.environ, "AUTHCTL_HOME": str(self.home), "AUTHCTL_REGISTRY": self.url, "LOGNAME": "tester"}
        environment.pop("AUTHCTL_OUTPUT", None)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments], cwd=ROOT, env=environment, text=True, **pipes
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """The exit code of a command and its messages."""
        try:
            _out, err = process.communicate(f"{self.token}\n", timeout=PATIENCE)
        finally:
            process.kill()
        assert "Traceback" not in err, err
        return process.returncode, err

    def run(self, *arguments: str, before: str = "") -> tuple[int, str]:
        """Run a command to its end."""
        return self.end(self.start(*arguments, before=before))

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.url.split("/", 3)[3].split("?")[0]

    def sessions(self) -> int:
        """How many sessions there are, by the server itself."""
        return int(str(self.server.execute("SELECT count(*) FROM sessions", self.database)[0][0]))

    @contextmanager
    def locked(self, statement: str) -> Iterator[None]:
        """Somebody else's open transaction that holds a lock."""
        import psycopg

        with closing(psycopg.connect(self.server.url(self.database))) as other:
            other.execute(statement)
            yield

    def wait_for_lock(self) -> None:
        """Wait until somebody waits for a lock."""
        until = time.monotonic() + PATIENCE
        while not self.server.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert time.monotonic() < until
            time.sleep(0.02)


def made(server: Server, url: str, home: Path) -> Place:
    """A registry in an empty database, with a session of alice."""
    raw = profiles.DEFAULT_FILE.encode()
    create(find_home(home, url), profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    with Registry.open(home, registry=url) as registry:
        return Place(server, url, home, registry.issue(username="alice", application="Outlook").access_token)


@pytest.fixture
def place(postgres_server: Server, postgres_url: str, tmp_path: Path) -> Place:
    """A registry on the server that tests share."""
    return made(postgres_server, postgres_url, tmp_path / "home")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """A registry on a server that a test may stop."""
    with new_server() as server, server.fresh_database() as url:
        yield made(server, url, tmp_path / "home")


ALL_TABLES = "LOCK TABLE sessions, registry, schema_version IN ACCESS EXCLUSIVE MODE"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("statement_timeout", "the server cancelled the statement\nauthctl: hint: see: statement_timeout of the role"),
        ("lock_timeout", "it is locked by another process"),
    ],
)
def test_a_time_out_of_the_server(place: Place, command: str, setting: str, words: str):
    """Exit 6: the statement waited for longer than an administrator allows; nothing has changed."""
    place.server.execute(f"ALTER DATABASE {place.database} SET {setting} = '300ms'")
    with place.locked(ALL_TABLES):
        code, err = place.run(*COMMANDS[command])
    assert (code, words in err) == (6, True), err
    assert place.sessions() == 1
    assert place.run(*COMMANDS[command])[0] == 0


@pytest.mark.slow
def test_a_change_that_waits_for_its_turn(place: Place):
    """Exit 6 after 30 seconds: somebody else holds the lock of all changes."""
    from authctl.store.postgres.connection import gate_key

    registry_id = str(place.server.execute("SELECT id FROM registry", place.database)[0][0])
    with place.locked(f"SELECT pg_advisory_xact_lock({gate_key(registry_id)})"):
        assert place.run(*VERIFY)[0] == 0  # nobody waits to look up
        code, err = place.run(*ISSUE)
    assert (code, "it is locked by another process" in err) == (6, True), err
    assert place.sessions() == 1


def test_a_command_that_stands_still(place: Place):
    """Exit 6: the server ends its transaction after 10 seconds; nothing has changed."""
    process = place.start(*REVOKE, before=STOPPING)
    wait_until_stopped(process.pid)
    until = time.monotonic() + PATIENCE
    held = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'authctl%' AND state = 'idle in transaction'"
    while place.server.execute(held):
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGCONT)
    code, err = place.end(process)
    assert (code, "the transaction stood still for too long, and the server ended it" in err) == (6, True), err
    assert place.run(*VERIFY)[0] == 0


def test_a_sign_in_that_stands_still(place: Place):
    """It holds nothing: a revocation of everything passes, and the sign-in is done afterwards."""
    process = place.start(*ISSUE, before=STOPPING)
    wait_until_stopped(process.pid)
    assert place.run("revoke", "--all", "--yes", "--note", "breach")[0] == 0
    os.kill(process.pid, signal.SIGCONT)
    code, err = place.end(process)
    assert code == 0, err
    active = (
        "SELECT username FROM sessions JOIN revocations ON revocations.id = revocation_id WHERE revocations.at IS NULL"
    )
    assert place.server.execute(active, place.database) == [("bob",)]


def test_a_server_that_is_not_there(own: Place):
    """Exit 6 for every command, 9 for the doctor, which reports it; and all is as before when it is there again."""
    own.server.stop()
    for command in COMMANDS.values():
        code, err = own.run(*command)
        assert (code, "No such file or directory" in err) == (6, True), err
    assert own.run("doctor")[0] == 9
    own.server.start()
    assert [own.run(*command)[0] for command in COMMANDS.values()] == [0, 0, 0, 0]


@pytest.mark.parametrize("command", ["sign-in", "revocation", "list"])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (signal.SIGINT, ("the server is shutting down, or an administrator ended the connection",)),
        (signal.SIGQUIT, ("the server crashed", "shutting down")),
    ],
)
@pytest.mark.parametrize("is_back", [True, False], ids=["there again", "away"])
def test_a_server_that_is_restarted_during_a_command(
    own: Place, command: str, how: signal.Signals, words: tuple[str], is_back: bool
):
    """Exit 6: nothing has changed, and the next command connects again.

    The message of a sign-in has the commit in it: while the server is away, nobody knows whether it was done (exit 8).
    """
    # a change waits when it writes, and not for what it reads before
    mode = "ACCESS EXCLUSIVE" if command == "list" else "SHARE"
    with own.locked(f"LOCK TABLE sessions IN {mode} MODE"):
        process = own.start(*COMMANDS[command])
        assert process.stdin
        process.stdin.write(f"{own.token}\n")
        process.stdin.flush()
        own.wait_for_lock()
        own.server.stop(how)
        if is_back:
            own.server.start()
        # a look-up connects once more, and a change that had its turn does not
        code, err = own.end(process)
    if not is_back:
        own.server.start()
    if is_back and command == "list":
        assert code in (0, 6), err
    elif not is_back and command == "sign-in":
        assert (code, "whether it is done is not known" in err) == (8, True), err
    else:
        assert (code, any(word in err for word in (*words, "connection"))) == (6, True), err
    assert own.sessions() == 1
    assert [own.run(*one)[0] for one in (VERIFY, COMMANDS[command])] == [0, 0]


@pytest.mark.parametrize(
    ("statement", "undo", "words", "hint"),
    [
        (
            "ALTER ROLE registrar CONNECTION LIMIT 0",
            "ALTER ROLE registrar CONNECTION LIMIT -1",
            "too many connections",
            "a larger max_connections, or a pooler",
        ),
        (
            "ALTER ROLE registrar NOLOGIN",
            "ALTER ROLE registrar LOGIN",
            "not permitted to log in",
            "ALTER ROLE NAME LOGIN",
        ),
        (
            "ALTER DATABASE {database} RENAME TO away",
            "ALTER DATABASE away RENAME TO {database}",
            'database "{database}" does not exist',
            "init --print-sql",
        ),
        (
            "ALTER DATABASE {database} OWNER TO postgres; REVOKE ALL ON DATABASE {database} FROM PUBLIC, registrar",
            "ALTER DATABASE {database} OWNER TO registrar",
            'permission denied for database "{database}"',
            "GRANT CONNECT ON DATABASE NAME TO ROLE",
        ),
    ],
)
def test_a_server_that_refuses_the_connection(own: Place, statement: str, undo: str, words: str, hint: str):
    """Exit 6, the reason that the server gives, and what mends it."""
    own.server.execute(statement.format(database=own.database))
    try:
        for command in COMMANDS.values():
            code, err = own.run(*command)
            assert (code, words.format(database=own.database) in err, hint in err) == (6, True, True), err
    finally:
        own.server.execute(undo.format(database=own.database))
    assert own.sessions() == 1


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_host_whose_clock_is_hours_apart(place: Place, hours: int):
    """The time is the server's: its sign-ins are of now, tokens are verified, and neither it nor another host is refused."""
    apart = HOURS_APART.format(hours=hours)
    process = place.start(*ISSUE, "-o", "json", before=apart)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    issued = json.loads(out)
    now = place.server.execute("SELECT extract(epoch FROM now()) - 600, extract(epoch FROM now()) + 600")[0]
    created = place.server.execute(
        "SELECT created_at / 1000000 FROM sessions ORDER BY number DESC LIMIT 1", place.database
    )[0][0]
    assert now[0] < created < now[1]  # type: ignore[operator]
    of_apart = place._replace(token=issued["access_token"])
    assert of_apart.run(*VERIFY)[0] == 0
    for command in (VERIFY, LIST, ISSUE, REVOKE):
        code, err = place.run(*command, before=apart)
        assert (code, "clock" in err) == (0, False), err
    assert [place.run(*command)[0] for command in (ISSUE, VERIFY, ("audit", "verify"))] == [0, 5, 0]
