"""Lists that a terminal shows a screenful of say so, each with the option for the rest; no pipe is cut."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Authctl, every_command

ROWS = 55
LISTS = [
    ("audit", "list"),
    ("users", "list"),
    ("cache", "list"),
    ("imports", "list"),
    ("deliveries", "list"),
    ("sessions", "list", "--group-by", "user"),
]
WHOLE = [("keys", "list"), ("mappings", "list"), ("profiles", "list"), ("receivers", "list")]


@pytest.fixture
def terminal(authctl: Authctl, monkeypatch: pytest.MonkeyPatch) -> Authctl:
    """The command line, which takes its standard output for a terminal."""
    monkeypatch.setattr("authctl.cli.context.is_terminal", lambda stream: stream is sys.stdout)
    return authctl


@pytest.fixture
def filled(installed: Authctl, home: Path) -> Authctl:
    """An installation with more of everything than a screen shows."""
    (home / "staff").write_text("".join(f"user{number:02}:{{PLAIN}}\n" for number in range(ROWS)))
    rules = "default: {idle_timeout: 3d, authenticator: staff, cache: {max_age: 24h}}"
    (home / "profiles.yaml").write_text(f"version: 1\nprofiles:\n  {rules}\n")
    program = "import sys; sys.stdin.read(); sys.exit(0)"
    command = json.dumps([sys.executable, "-c", program])
    (home / "authenticators.yaml").write_text(f"version: 1\nauthenticators:\n  staff: {{command: {command}}}\n")
    (home / "authenticators.yaml").chmod(0o600)
    ran = installed("profiles", "apply", "--note", "for the screen")
    assert ran.code == 0, ran.err
    for number in range(ROWS):
        ran = installed("login", "-q", "--user", f"user{number:02}", "--application", "A", stdin="secret\n")
        assert ran.code == 0, ran.err
    (home / "receivers.yaml").touch(0o600)
    (home / "receivers.yaml").write_text("version: 1\nreceivers: {a: {command: [/x], events: [session-ended]}}\n")
    for session_id in installed("sessions", "list", "-o", "id").out.split():
        assert installed("sessions", "end", session_id, "-q").code == 0
    (home / "map.yaml").write_text("fields: {username: user, at: at}\nkey: [user]\n")
    raw = json.dumps({"user": "user00", "at": "2026-01-01T00:00:00Z"})
    for _ in range(ROWS):
        ran = installed("sessions", "import", "-", "--map", str(home / "map.yaml"), stdin=raw)
        assert ran.code == 0, ran.err
    return installed


def test_every_list_that_is_cut_says_so(filled: Authctl, request: pytest.FixtureRequest):
    """One line names the option for the rest; with a limit, in a pipe or in another format nothing is cut unsaid."""
    for command in (*LISTS, ("sessions", "list")):
        piped = filled(*command)
        assert len(piped.out.splitlines()) > ROWS, command
        assert "for more" not in piped.err
    terminal = request.getfixturevalue("terminal")
    for command in (*LISTS, ("sessions", "list")):
        cut = terminal(*command)
        assert cut.code == 0
        assert "authctl: the list was cut after 50 rows; for more: --limit N\n" in cut.err, command
        assert ("authctl: more: --after p1." in cut.err) == (command == ("sessions", "list"))
        whole = terminal(*command, "--limit", "1000")
        assert whole.err == "", command
        assert len(whole.out) > len(cut.out)
        assert len(terminal(*command, "-o", "csv").out.splitlines()) > ROWS


def test_no_other_command_cuts_a_list():
    """Whatever can be limited is among those that are tried here; what cannot is never cut."""
    limited = {path for path, options in every_command().items() if "limit" in {one.name for one in options}}
    assert limited == {path[:2] for path in LISTS}
    assert {path for path in every_command() if path[-1] == "list"} - limited == {path[:2] for path in WHOLE}
