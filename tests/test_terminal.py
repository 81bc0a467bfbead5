"""What only shows on a real terminal or a broken pipe: questions, tables, escapes, and output that fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from authctl import names
from tests import places
from tests.conftest import EXPORTS, HOSTILE, PROGRAM, Authctl, OnTerminal, every_command, unseen
from tests.hostile import command_lines

pytestmark = pytest.mark.slow


def issue(authctl: Authctl, user: str = "alice", **details: str) -> str:
    """Issue a session; its token."""
    flags = [part for name, value in details.items() for part in (f"--{name.replace('_', '-')}", value)]
    ran = authctl(
        "tokens", "issue", "--user", user, "--application", details.pop("application", "Outlook"), *flags, "-q"
    )
    assert ran.code == 0, ran.err
    return ran.out.strip()


def test_a_missing_note_is_asked_for(installed: Authctl, on_terminal: OnTerminal):
    """On a terminal the note can be typed, and is asked for again while it says nothing; three times are enough."""
    issue(installed)
    assert on_terminal("revoke", "--user", "alice", answers=("", "..", "")).code == 4
    assert installed("sessions", "list", "--status", "revoked", "--count").out == "0\n"
    screen = on_terminal("revoke", "--user", "alice", answers=("lost device",))
    assert screen.code == 0
    assert "revoked 1 session" in screen.text
    assert installed("sessions", "list", "--status", "revoked", "-o", "json").json[0]["note"] == "lost device"


def test_a_filter_asks_and_a_declined_question_is_exit_4(installed: Authctl, on_terminal: OnTerminal):
    """What would be hit is shown; only a yes does it."""
    issue(installed)
    arguments = ("revoke", "--application", "outlook", "--note", "product retired")
    screen = on_terminal(*arguments, answers=("n",))
    assert screen.code == 4
    assert "this would revoke 1 session, 0 of them web sessions\n" in screen.text
    assert installed("sessions", "list", "--status", "revoked", "--count").out == "0\n"
    assert on_terminal(*arguments, answers=("y",)).code == 0
    assert installed("sessions", "list", "--status", "revoked", "--count").out == "1\n"


def test_all_asks_for_the_count_to_be_typed(installed: Authctl, on_terminal: OnTerminal):
    """A yes is not enough for everybody; --yes is."""
    for user in ("alice", "bob", "carol"):
        issue(installed, user)
    arguments = ("revoke", "--all", "--note", "breach drill")
    for answer in ("y", "yes", "2", ""):
        assert on_terminal(*arguments, answers=(answer,)).code == 4
    assert installed("sessions", "list", "--status", "active", "--count").out == "3\n"
    assert on_terminal(*arguments, answers=("3",)).code == 0
    issue(installed)
    assert on_terminal(*arguments, "--yes").code == 0


def test_a_table_is_drawn_and_fitted(installed: Authctl, on_terminal: OnTerminal):
    """Fitted to the terminal; where room is short an id is a unique beginning; in colour unless told otherwise."""
    issue(installed, "a-user-with-a-very-long-name@example.org", device="a device with a long name too")
    (session,) = installed("sessions", "list", "-o", "json").json
    for columns in (40, 80, 200):
        screen = on_terminal("sessions", "list", columns=columns)
        assert session["id"][: 16 if columns == 200 else 8] in screen.text
        assert "active" in screen.text
        assert ("just now" in screen.text) == (columns > 40)
        assert "\x1b[" in screen.text
    exact = on_terminal("sessions", "list", "--exact", columns=200).text
    assert session["last_used_at"][:19].replace("T", " ") in exact
    assert "used (UTC)" in exact
    assert "default" in on_terminal("profiles", "list", columns=40).text
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal("sessions", "list", **variables).text
        assert "\x1b" not in plain
        assert session["id"][:8] in plain


def test_fifty_on_a_terminal(installed: Authctl, on_terminal: OnTerminal, tmp_path: Path):
    """A screenful by default, and a word about the rest."""
    rows, fields = tmp_path / "rows.jsonl", tmp_path / "map.yaml"
    rows.write_text("".join(json.dumps({"u": f"user{n:02}", "t": "2026-01-01"}) + "\n" for n in range(60)))
    fields.write_text("fields: {username: u, at: t}\nkey: [username]\n")
    assert installed("sessions", "import", str(rows), "--map", str(fields), "-q").code == 0
    screen = on_terminal("sessions", "list")
    assert screen.text.count("user") == 50 + 1
    assert "for more: --limit N" in screen.text
    assert on_terminal("sessions", "list", "--limit", "55").text.count("expired") == 55
    assert len(installed("sessions", "list", "-o", "id").out.split()) == 60


def run(home: Path, *arguments: str, shell: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process, perhaps with its streams redirected by a shell."""
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home), **places.environment(), **variables}
    if shell:
        return subprocess.run(
            ["sh", "-c", f'"$@" {shell}', "sh", *PROGRAM, *arguments], env=environment, capture_output=True, check=False
        )
    return subprocess.run([*PROGRAM, *arguments], env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("shell", [">/dev/full", ">&-"])
def test_a_result_that_cannot_be_written_is_exit_8(installed: Authctl, home: Path, shell: str):
    """The operation is done, the result is lost, and that is said."""
    issue(installed)
    ran = run(home, "revoke", "--user", "alice", "--note", "lost device", shell=shell)
    assert (ran.returncode, b"could not be written" in ran.stderr, b"Traceback" in ran.stderr) == (8, True, False)
    assert installed("sessions", "list", "--status", "revoked", "--count").out == "1\n"
    for arguments in (("sessions", "list"), ("audit", "verify"), ("profiles", "list", "-o", "csv")):
        assert run(home, *arguments, shell=shell).returncode == 8
    for arguments in (
        ("--version",),
        ("--help",),
        ("sessions", "--help"),
        ("sessions", "list", "--help"),
        ("help", "times"),
    ):
        ran = run(home, *arguments, shell=shell)
        assert (ran.returncode, b"could not be written" in ran.stderr) == (8, True)


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback(installed: Authctl, home: Path, shell: str):
    """Nobody listening to messages is no failure."""
    issue(installed)
    for command in (("cleanup",), ("tokens", "verify"), ("revoke", "-", "--note", "lost device"), ("sessions", "list")):
        ran = run(home, *command, shell=shell)
        assert ran.returncode in (0, 3, 5, 8)
        assert b"Traceback" not in ran.stderr + ran.stdout
        assert b"Exception" not in ran.stderr + ran.stdout
    assert installed("audit", "verify").code == 0


def test_a_reader_that_stops_is_quiet(installed: Authctl, home: Path, tmp_path: Path):
    """`sessions list | head -1` leaves no complaint."""
    rows, fields = tmp_path / "rows.jsonl", tmp_path / "map.yaml"
    rows.write_text("".join(json.dumps({"u": f"user{n}", "t": "2026-01-01"}) + "\n" for n in range(5_000)))
    fields.write_text("fields: {username: u, at: t}\nkey: [username]\n")
    installed("sessions", "import", str(rows), "--map", str(fields), "-q")
    for form in ("table", "ndjson", "json", "csv", "id"):
        ran = run(home, "sessions", "list", "-o", form, shell="| head -1")
        assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize(
    "variables", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_other_locales(installed: Authctl, home: Path, variables: dict[str, str]):
    """Whatever the locale, every character comes out or is escaped; JSON is ASCII anyway."""
    issue(installed, "zoë", device="Büro 東京")
    for arguments in (("sessions", "list"), ("sessions", "list", "-o", "csv"), ("sessions", "list", "-o", "json")):
        ran = run(home, *arguments, **variables)
        assert (ran.returncode, ran.stderr) == (0, b"")
    assert json.loads(run(home, "sessions", "list", "-o", "json", **variables).stdout)[0]["device"] == "Büro 東京"
    assert run(home, "revoke", "nöbody", "--note", "lost device", **variables).returncode == 3


def test_arguments_that_are_not_text(installed: Authctl, home: Path):
    """Bytes that are no UTF-8 are refused or unknown, and shown escaped."""
    issue(installed)
    raw = os.fsdecode(b"al\xffice")
    for arguments, code in (
        (("revoke", raw, "--note", "lost device"), 3),
        (("revoke", "--user", raw, "--note", "lost device"), 2),
        (("revoke", "--user", "alice", "--note", f"lost {raw}"), 2),
        (("tokens", "verify", raw), 5),
        (("sessions", "list", "--search", raw), 2),
        (("sessions", "list", "--device", raw), 2),
        (("sessions", "list", "--limit", raw), 2),
    ):
        ran = run(home, *arguments)
        assert ran.returncode == code, (arguments, ran.stderr)
        assert b"\xff" not in ran.stdout + ran.stderr


def test_files_in_the_working_directory_are_ignored(installed: Authctl, home: Path, tmp_path: Path):
    """Nothing planted beside the administrator is run or read."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("typer.py", "rich.py", "sqlite3.py", "yaml.py", "authctl.py", "sitecustomize.py"):
        (trap / name).write_text("raise SystemExit('planted')\n")
    (trap / "profiles.yaml").write_text("nonsense")
    script = Path(sys.executable).with_name("authctl")
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home), **places.environment()}
    for command in ([str(script), "sessions", "list"], [str(script), "profiles", "list"], [str(script), "demo"]):
        ran = subprocess.run(command, cwd=trap, env=environment, capture_output=True, check=False)
        assert (ran.returncode, b"planted" in ran.stdout + ran.stderr) == (0, False)


def test_hostile_text_in_a_pipe(installed: Authctl, home: Path, tmp_path: Path):
    """Whatever is stored, every command that shows it shows escapes, one row a session, in every format."""
    commands = command_lines(installed, home, tmp_path)
    for form in ("table", "json", "ndjson", "csv", "id"):
        for command in commands:
            ran = installed(*command, "-o", form, stdin="secret\n" if command[0] == "login" else "")
            assert ran.code != 1, (command, ran.err)
            assert unseen(ran.out + ran.err) == [], (command, form)
        count = int(installed("sessions", "list", "--count").out)
        assert len(installed("sessions", "list", "-o", "csv").out.splitlines()) == count + 1 > len(HOSTILE)
    exact = installed("sessions", "list", "--user", "alice", "-o", "json").json
    assert [one["device"] for one in exact] == HOSTILE[::-1]


OURS = re.compile(r"\r?\x1b\[[?0-9;]*[A-Za-z]")
"""Colours, and how a bar of progress is drawn over; the colour of the hostile texts is none of ours."""

ASKED = ("why? (the note", "revoke them:", "[y/N] ", "retire? [y/N]", "apply? [y/N]", "token: ", "password: ")


def test_hostile_text_on_a_terminal(installed: Authctl, on_terminal: OnTerminal, home: Path, tmp_path: Path):
    """On a terminal too, questions and hostile answers included: only our own colours get through."""
    screens = []
    for command in command_lines(installed, home, tmp_path):
        screen = on_terminal(*command, columns=300, answers=("\x1b[31mn",) * 3)
        assert screen.code != 1, (command, screen.text)
        assert "\x1b[5;41m" not in screen.text, command
        assert unseen(OURS.sub("", screen.text)) == [], command
        screens.append(screen.text)
    assert [asked for asked in ASKED if asked not in "".join(screens)] == []


def test_every_command_is_met_by_hostile_text(installed: Authctl, home: Path, tmp_path: Path):
    """A new command must be added to the list that both go through; the demo alone takes and shows nothing of anybody's."""
    met = command_lines(installed, home, tmp_path)
    commands = every_command()
    assert {path for path in commands if not any(line[: len(path)] == path for line in met)} == {("demo",)}


def test_naughty_strings(installed: Authctl):
    """Half a thousand strings that break programs: as users, devices, notes and searches."""
    file = EXPORTS / "nasty" / "blns.json"
    if not file.exists():
        pytest.skip("the big list of naughty strings is not here")
    texts = json.loads(file.read_text())
    assert len(texts) > 200
    for text in texts:
        if "\0" in text:
            continue
        users = installed("tokens", "issue", f"--user={text}", "--application=A", "-q")
        devices = installed("tokens", "issue", "--user=alice", "--application=A", f"--device={text}", "-q")
        searches = installed("sessions", "list", f"--search={text}", "--limit", "2")
        notes = installed("revoke", "--user=nobody", f"--note={text}")
        found = (0,) if names.fold(text) else (2,)
        assert (users.code in (0, 2), devices.code, notes.code in (2, 3, 4)) == (True, 0, True), text
        assert searches.code in found, text
        for ran in (users, devices, searches, notes):
            assert unseen(ran.out + ran.err) == []
        if users.code == 0:
            assert installed("sessions", "list", f"--user={text}", "--count").out != "0\n", text
        if names.fold(text):
            assert installed("sessions", "list", f"--search={text}", "--count").out != "0\n", text
    assert installed("audit", "verify").code == 0
