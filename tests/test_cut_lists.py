"""Lists that a terminal shows a screenful of say so, each with the option for the rest; no pipe is cut."""

import json
import sys
from itertools import product
from math import ceil
from pathlib import Path

import pytest

from tests.conftest import Authctl, OnTerminal, Ran, every_command

ROWS = 52
LISTS = [
    ("audit", "list"),
    ("users", "list"),
    ("cache", "list"),
    ("imports", "list"),
    ("deliveries", "list"),
    ("sessions", "list", "--group-by", "user"),
]
WHOLE = [(noun, "list") for noun in ("clients", "examples", "keys", "mappings", "profiles", "receivers")]


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


def test_every_list_that_is_cut_says_so(
    filled: Authctl, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    """One line names the option for the rest; with a limit or in a pipe nothing is cut."""
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
        check_other_formats(terminal, command)
    check_low_terminals(terminal, monkeypatch)


def check_other_formats(terminal: Authctl, command: tuple[str, ...]) -> None:
    """A terminal shows 50 rows in each format, and says so; with a limit all of them (decision 364)."""
    for form in ("csv", "id", "ndjson", "json"):
        ran = terminal(*command, "-o", form)
        shown = len(ran.json) if form == "json" else len(ran.out.splitlines()) - (form == "csv")
        assert shown == 50, (command, form)
        assert "authctl: the list was cut after 50 rows; for more: --limit N\n" in ran.err, (command, form)
        assert len(terminal(*command, "-o", form, "--limit", "1000").out) > len(ran.out), (command, form)


def lines_on_screen(ran: Ran, columns: int) -> int:
    """The lines that a command takes on a screen of that width, and the prompt of the shell after it."""
    return sum(max(1, ceil(len(line) / columns)) for line in (ran.out + ran.err).splitlines()) + 1


def rows_of(ran: Ran) -> int:
    """The rows of a table."""
    return len(ran.out.splitlines()) - 1


def check_low_terminals(terminal: Authctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Header, rows, messages and prompt fit a low terminal; a limit wins, and formats and high terminals have 50 rows."""
    for command, columns in product((*LISTS, ("sessions", "list")), (60, 200)):
        monkeypatch.setenv("COLUMNS", str(columns))
        for height in (15, 24):
            monkeypatch.setenv("LINES", str(height))
            ran = terminal(*command)
            assert lines_on_screen(ran, columns) <= height, (command, height)
            assert rows_of(ran) >= height - 9, (command, height)
            assert f"the list was cut after {rows_of(ran)} rows; for more: --limit N" in ran.err
        assert rows_of(terminal(*command, "--limit", "45")) == 45
        assert rows_of(terminal(*command, "-o", "csv")) == 50, "no row of these is fitted to the height"


@pytest.fixture
def many(installed: Authctl, tmp_path: Path) -> Authctl:
    """An installation with more sessions than a screen shows."""
    (tmp_path / "map.yaml").write_text("fields: {username: user, application: {value: A}, at: at}\nkey: [user]\n")
    rows = [{"user": f"user{number:02}", "at": "2026-01-01T00:00:00Z"} for number in range(ROWS)]
    ran = installed("sessions", "import", "-", "--map", str(tmp_path / "map.yaml"), stdin=json.dumps(rows))
    assert ran.code == 0, ran.err
    return installed


def test_heights(many: Authctl, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """A high terminal and an unknown height have 50 rows, a very low one five."""
    piped = many("users", "list").out
    terminal = request.getfixturevalue("terminal")
    rows = {"1000": 50, "0": 50, "x": 50, "-3": 50, "": 50, "54": 50, "53": 50, "52": 49, "2": 5}
    for height, expected in rows.items():
        monkeypatch.setenv("LINES", height)
        assert rows_of(terminal("users", "list")) == expected, height
    assert len(piped.splitlines()) == ROWS + 1


def test_the_next_page_of_a_low_terminal(
    many: Authctl, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    """The cursor of a list that was cut to the terminal leads to the rest of it."""
    everyone = many("sessions", "list", "-o", "id").out.split()
    terminal = request.getfixturevalue("terminal")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "200")
    ran = terminal("sessions", "list")
    cursor = ran.err.split("more: --after ")[1].strip()
    rest = terminal("sessions", "list", "-o", "id", "--after", cursor).out.split()
    assert rest == everyone[rows_of(ran) :] != []


@pytest.mark.slow
def test_the_height_of_a_real_terminal(many: Authctl, on_terminal: OnTerminal):
    """The terminal itself is asked for its height."""
    assert many("users", "list").code == 0
    low, unknown = on_terminal("users", "list", lines=24), on_terminal("users", "list")
    assert "cut after 21 rows" in low.text
    assert "cut after 50 rows" in unknown.text


def test_no_other_command_cuts_a_list():
    """Whatever can be limited is among those that are tried here; what cannot is never cut."""
    limited = {path for path, options in every_command().items() if "limit" in {one.name for one in options}}
    assert limited == {path[:2] for path in LISTS}
    assert {path for path in every_command() if path[-1] == "list"} - limited == {path[:2] for path in WHOLE}


def test_a_hint_to_the_sessions_of_an_operation_lists_them(
    many: Authctl, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    """The command lists exactly the sessions that the operation itself ended, and there is none where it ended none."""
    monkeypatch.setenv("LINES", "20")
    terminal: Authctl = request.getfixturevalue("terminal")
    hint = "; to see those {}: "
    assert many("revoke", "--application", "A", "--note", "lost device", "--yes", "-q").code == 0
    for begin, action, words in (
        (("revoke", "--note", "lost device", "--application"), "revoke", "revoked now"),
        (("sessions", "end"), "end", "that ended now"),
    ):
        before = many("sessions", "list", "-o", "id").out.split()
        for number in (3, 0):
            new = [issued(many) for _ in range(number)]
            operands = ["A", "--yes"] if action == "revoke" else [*before, *new]
            ran = terminal(*begin, *operands)
            assert ran.code == 0, ran.err
            cut = next(line for line in ran.err.splitlines() if " sessions are listed" in line)
            assert cut.endswith(" sessions are listed") == (not new), cut
            if new:
                rest = cut.partition(hint.format(words))[2].removeprefix("authctl ").split()
                assert sorted(many(*rest, "-o", "id").out.split()) == sorted(new)
            before += new


def issued(authctl: Authctl) -> str:
    """The id of a new session."""
    ran = authctl("tokens", "issue", "--user", "alice", "--application", "A", "-o", "json")
    assert ran.code == 0, ran.err
    return str(json.loads(ran.out)["session"]["id"])
