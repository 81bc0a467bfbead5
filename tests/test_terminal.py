"""What only shows on a real terminal or a broken pipe: questions, tables, escapes, and output that fails."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from authctl import names
from authctl.cli.app import COMMANDS
from tests.conftest import EXPORTS, HOSTILE, Authctl, unseen

PROGRAM = [sys.executable, "-P", "-m", "authctl"]


@dataclass(frozen=True)
class Screen:
    """What a person saw, and how it ended."""

    code: int
    text: str


OnTerminal = Callable[..., Screen]


@pytest.fixture
def on_terminal(home: Path) -> OnTerminal:
    """Run the command on a pseudo-terminal and type the answers, each when something was asked."""

    def run(*arguments: str, answers: tuple[str, ...] = (), columns: int = 80, **variables: str) -> Screen:
        controller, terminal = pty.openpty()
        environment = {
            "PATH": os.environ["PATH"],
            "AUTHCTL_HOME": str(home),
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            "LANG": "C.UTF-8",
            **variables,
        }
        process = subprocess.Popen(
            [*PROGRAM, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=environment
        )
        os.close(terminal)
        seen = b""
        waiting = list(answers)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not select.select([controller], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
            if waiting and seen.rstrip(b"\r\n").endswith((b": ", b"] ", b":", b"]")) and not seen.endswith(b"\n"):
                os.write(controller, waiting.pop(0).encode() + b"\n")
        os.close(controller)
        return Screen(process.wait(10), seen.decode().replace("\r\n", "\n"))

    return run


def issue(authctl: Authctl, user: str = "alice", **details: str) -> str:
    """Issue a session; its token."""
    flags = [part for name, value in details.items() for part in (f"--{name.replace('_', '-')}", value)]
    ran = authctl(
        "tokens", "issue", "--user", user, "--application", details.pop("application", "Outlook"), *flags, "-q"
    )
    assert ran.code == 0, ran.err
    return ran.out.strip()


def test_a_missing_note_is_asked_for(installed: Authctl, on_terminal: OnTerminal):
    """On a terminal the note can be typed; a blank answer is refused."""
    issue(installed)
    assert on_terminal("revoke", "--user", "alice", answers=("",)).code == 4
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
    assert "this would revoke 1 session, 0 of them web sessions: alice on Outlook" in screen.text
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


def test_a_table_is_drawn_and_never_cuts_an_id(installed: Authctl, on_terminal: OnTerminal):
    """Fitted to the terminal; ids stay whole however narrow it is; in colour unless told otherwise."""
    issue(installed, "a-user-with-a-very-long-name@example.org", device="a device with a long name too")
    (session,) = installed("sessions", "list", "-o", "json").json
    for columns in (40, 80, 200):
        screen = on_terminal("sessions", "list", columns=columns)
        assert session["id"] in screen.text
        assert "active" in screen.text
        assert session["last_used_at"][:16].replace("T", " ") in screen.text
        assert "\x1b[" in screen.text
    assert "default" in on_terminal("profiles", "list", columns=40).text
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal("sessions", "list", **variables).text
        assert "\x1b[3" not in plain
        assert session["id"] in plain


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
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home), **variables}
    if shell:
        return subprocess.run(
            ["sh", "-c", f'"$@" {shell}', "sh", *PROGRAM, *arguments], env=environment, capture_output=True, check=False
        )
    return subprocess.run([*PROGRAM, *arguments], env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("shell", [">/dev/full", ">&-"])
def test_a_result_that_cannot_be_written_is_exit_8(installed: Authctl, home: Path, shell: str):
    """The deed is done, the result is lost, and that is said."""
    issue(installed)
    ran = run(home, "revoke", "--user", "alice", "--note", "lost device", shell=shell)
    assert (ran.returncode, b"could not be written" in ran.stderr, b"Traceback" in ran.stderr) == (8, True, False)
    assert installed("sessions", "list", "--status", "revoked", "--count").out == "1\n"
    for arguments in (("sessions", "list"), ("audit", "verify"), ("profiles", "list", "-o", "csv")):
        assert run(home, *arguments, shell=shell).returncode == 8
    if shell != ">&-":
        assert run(home, "--help", shell=shell).returncode == 8
        assert run(home, "--version", shell=shell).returncode == 8


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
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home)}
    for command in ([str(script), "sessions", "list"], [str(script), "profiles", "list"], [str(script), "demo"]):
        ran = subprocess.run(command, cwd=trap, env=environment, capture_output=True, check=False)
        assert (ran.returncode, b"planted" in ran.stdout + ran.stderr) == (0, False)


def test_hostile_text_in_every_field(installed: Authctl, home: Path, tmp_path: Path):
    """Whatever is stored, every command that shows it shows escapes, one row a session, in every format."""
    for text in HOSTILE:
        details = dict.fromkeys(("device", "platform", "application-version", "user-agent", "referrer", "ip"), text)
        issue(installed, **details)
    installed("revoke", "--user", "alice", "--note", "note " + "".join(HOSTILE), "--actor", "actor " + HOSTILE[0])
    ids = installed("sessions", "list", "-o", "id").out.split()
    (tmp_path / "evil.yaml").write_bytes(
        'version: 1\nprofiles: {"\\e[31m": {idle_timeout: "\\e[31m"}}\n\u202e: 1\n'.encode()
    )
    (tmp_path / "evil.csv").write_text(f"{HOSTILE[0]};{HOSTILE[1]}\n1;2\n")
    (tmp_path / "evil.jsonl").write_text(json.dumps({"u": HOSTILE[0], "t": HOSTILE[1]}) + "\n")
    (tmp_path / "map.yaml").write_text("fields: {username: u, at: t}\nkey: [username]\n")
    (tmp_path / "held.yaml").write_text(
        "version: 1\ndefault_profile: default\nprofiles:\n  default: {idle_timeout: 3d, continuity: true, on_revoke: wipe}\n"
        "  strict: {conditions: {networks: [10.0.0.0/8]}}\n  elsewhere: {authenticator: nowhere}\n"
        "  asking: {authenticator: staff, cache: {}}\n"
    )
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text("version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")
    assert installed("profiles", "apply", str(tmp_path / "held.yaml"), "--note", "for outages").code == 0
    (tmp_path / "choice.yaml").write_bytes(b'version: 1\nprofiles: {a: {tokens: "\\e[31m", bind: "\\e[31m"}}\n')
    evil = HOSTILE[0] + "\u202e"
    for form in ("table", "json", "ndjson", "csv", "id"):
        for command in (
            ("sessions", "list"),
            ("sessions", "list", "--search", evil),
            ("sessions", "show", ids[0]),
            ("sessions", "show", evil),
            ("sessions", "end", evil),
            ("revoke", evil, "--note", "lost device"),
            ("revoke", "--device", evil, "--note", "lost device", "--dry-run"),
            ("revoke", "--user", evil, "--note", "lost device"),
            ("audit", "list"),
            ("audit", "show", str(len(HOSTILE) + 2)),
            ("profiles", "show", evil),
            ("profiles", "list"),
            ("cleanup", "--older-than", evil),
            ("tokens", "verify", evil),
            ("sessions", "import", str(tmp_path / "evil.jsonl"), "--map", str(tmp_path / "map.yaml")),
            ("sessions", "import", evil, "--map", evil),
            ("sessions", "import", str(tmp_path / "evil.csv"), "--map", str(tmp_path / "map.yaml")),
            ("sessions", "import", str(tmp_path / "evil.csv"), "--map", str(tmp_path / "map.yaml"), "--encoding", evil),
            ("sessions", "list", "--group-by", "platform"),
            ("sessions", "list", "--group-by", "application"),
            ("users", "list"),
            ("users", "show", evil),
            ("users", "show", "bob"),
            ("users", "disable", evil, "--note", "lost device"),
            ("users", "disable", "bob", "--note", "note " + "".join(HOSTILE), "--actor", "actor " + HOSTILE[0]),
            ("users", "enable", evil, "--note", "lost device"),
            ("users", "password-changed", "bob", "--note", evil + "why"),
            ("continuity", "start", "--profile", evil, "--note", "lost device"),
            ("continuity", "start", "--until", evil, "--note", "lost device"),
            ("continuity", "start", "--note", "note " + "".join(HOSTILE), "--actor", "actor " + HOSTILE[0]),
            ("continuity", "status"),
            ("continuity", "end", "--profile", evil, "--note", "lost device"),
            ("continuity", "end", "--note", "note " + "".join(HOSTILE)),
            ("tokens", "wipe-done", evil),
            ("tokens", "verify", evil, "--ip", evil, "--platform", evil),
            ("tokens", "issue", "--user", "erin", "--application", evil, "--profile", "strict", "--ip", evil),
            ("sessions", "list", "--wipe", evil),
            ("sessions", "list", "--wipe", "pending"),
            ("login", "--user", evil, "--application", "A"),
            ("login", "--user", "erin", "--application", evil, "--profile", "asking", "--kind", "web"),
            ("login", "--user", "erin", "--application", evil, "--profile", "elsewhere"),
            ("doctor",),
            ("doctor", "--accept-clock", "--note", "note " + "".join(HOSTILE)),
            ("keys", "list"),
            ("keys", "rotate", "--note", "note " + "".join(HOSTILE)),
            ("keys", "retire", evil, "--note", "lost key"),
            ("backup", evil + "/copy"),
            ("restore", evil, "--note", "disk failed"),
            ("audit", "accept", "--note", "note " + "".join(HOSTILE)),
            ("cache", "list"),
            ("cache", "list", "--user", evil),
            ("cache", "clear", "--user", "nobody", "--note", "note " + "".join(HOSTILE)),
            ("tokens", "refresh", evil),
            ("tokens", "revoke", evil, "--note", "lost device"),
            ("tokens", "issue", "--user", "bob", "--application", "A", f"--lifetime={evil}"),
            ("tokens", "issue", "--user", evil, "--application", "A"),
        ):
            ran = installed(*command, "-o", form, stdin="secret\n" if command[0] == "login" else "")
            assert ran.code != 1, (command, ran.err)
            assert unseen(ran.out + ran.err) == [], (command, form)
        assert len(installed("sessions", "list", "-o", "csv").out.splitlines()) == len(HOSTILE) + 1
    for command in (
        ("profiles", "check", str(tmp_path / "evil.yaml")),
        ("profiles", "check", str(tmp_path / "choice.yaml")),
        ("profiles", "check", evil),
        (evil,),
        ("--home", evil, "cleanup"),
    ):
        ran = installed(*command)
        assert ran.code not in (0, 1)
        assert unseen(ran.out + ran.err) == []
    exact = installed("sessions", "list", "-o", "json").json
    assert [one["device"] for one in exact] == HOSTILE[::-1]


def test_hostile_text_on_a_terminal(installed: Authctl, on_terminal: OnTerminal):
    """On a terminal too: only our own colours get through."""
    import re

    for text in HOSTILE:
        issue(installed, device=text, platform=text)
    installed("revoke", "--user", "alice", "--note", "note " + "".join(HOSTILE))
    installed("users", "disable", "bob", "--note", "note " + "".join(HOSTILE))
    (first, *_) = installed("sessions", "list", "-o", "id").out.split()
    for command in (
        ("sessions", "list"),
        ("sessions", "show", first),
        ("audit", "list"),
        ("sessions", "show", HOSTILE[0]),
        ("sessions", "list", "--group-by", "platform"),
        ("users", "show", HOSTILE[0]),
        ("users", "list"),
        ("users", "password-changed", "alice", "--note", "note " + "".join(HOSTILE)),
    ):
        text = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(*command, columns=300).text)
        assert unseen(text) == []
        assert "title" not in text.replace("\\x1b]0;title\\x07", "")


def test_naughty_strings(installed: Authctl):
    """Half a thousand strings that break programs: as users, devices, notes and searches."""
    file = EXPORTS / "nasty" / "blns.json"
    if not file.exists():
        pytest.skip("the big list of naughty strings is not here")
    for text in json.loads(file.read_text()):
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


def test_every_command_was_met_here_or_in_the_contract():
    """A new command must be added to the tests of hostile text."""
    assert set(COMMANDS) == {
        "init",
        "demo",
        "sessions",
        "revoke",
        "tokens",
        "users",
        "continuity",
        "login",
        "cache",
        "keys",
        "backup",
        "restore",
        "doctor",
        "audit",
        "profiles",
        "cleanup",
    }
