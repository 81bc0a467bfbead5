"""What a person agreed to is what is done: the operation is bounded by the set that its preview showed.

On a real pseudo-terminal, with somebody else changing the registry between the question and its answer.
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter
from tests import places
from tests.conftest import Authctl, Clock, Install, Start

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-P", "-m", "authctl"]
PATIENCE = 60
OURS = re.compile(r"\x1b\[[0-9;]*m")
ISSUE_MANY = """
import sys
from authctl import Registry
with Registry.open() as registry:
    for number in range(int(sys.argv[1])):
        registry.issue(username=f"user{number}", application="Teams")
"""


class Terminal:
    """A command on a pseudo-terminal, and the person in front of it."""

    def __init__(self, home: Path, arguments: tuple[str, ...], columns: int) -> None:
        self.controller, terminal = pty.openpty()
        environment = {
            "PATH": os.environ["PATH"],
            "AUTHCTL_HOME": str(home),
            **places.environment(),
            "LOGNAME": "tester",
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            "LANG": "C.UTF-8",
        }
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        self.process = subprocess.Popen([*PROGRAM, *arguments], env=environment, start_new_session=True, **streams)
        os.close(terminal)
        self.seen = ""

    def read(self) -> bool:
        """Read what has come; whether there may be more."""
        if not select.select([self.controller], [], [], PATIENCE)[0]:
            pytest.fail(f"nothing more came after: {self.seen}")
        try:
            part = os.read(self.controller, 65536)
        except OSError:
            return False
        self.seen += OURS.sub("", part.decode().replace("\r\n", "\n"))
        return bool(part)

    def wait_for(self, question: str) -> str:
        """Read until a question stands last; everything that was seen until then."""
        while not self.seen.rstrip(" ").endswith(question):
            assert self.read(), self.seen
        return self.seen

    def type(self, text: str) -> None:
        """Press those keys."""
        self.seen += "<"
        os.write(self.controller, text.encode())

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and answer it."""
        self.wait_for(question)
        self.type(f"{text}\n")

    def end(self) -> tuple[int, list[str]]:
        """Read to the end; the exit code, and the lines on the screen since the last answer."""
        while self.read():
            pass
        return self.process.wait(PATIENCE), self.seen.rsplit("<", 1)[-1].splitlines()


OnTerminal = Callable[..., Terminal]

YES = "[y/N]"
WHY = "later):"


@pytest.fixture
def terminal(home: Path) -> Iterator[OnTerminal]:
    """Start a command on a pseudo-terminal."""
    begun: list[Terminal] = []

    def run(*arguments: str, columns: int = 100) -> Terminal:
        begun.append(Terminal(home, arguments, columns))
        return begun[-1]

    yield run
    for one in begun:
        one.process.kill()
        one.process.wait()
        os.close(one.controller)


def issue(authctl: Authctl, user: str, *flags: str, application: str = "Teams") -> str:
    """Register a session; its id."""
    ran = authctl("tokens", "issue", "--user", user, "--application", application, *flags, "-o", "json")
    assert ran.code == 0, ran.err
    return ran.json["session"]["id"]


def counted(authctl: Authctl, status: str) -> int:
    """How many sessions have that status."""
    return int(authctl("sessions", "list", "--kind", "all", "--status", status, "--count").out)


def nothing_done(authctl: Authctl, action: str) -> bool:
    """Whether the log has no such operation."""
    return authctl("audit", "list", "--action", action, "-o", "json").json == []


# Bounded by the preview


def test_sessions_issued_before_the_answer_are_not_revoked_unseen(
    installed: Authctl, terminal: OnTerminal, start: Start
):
    """Shown three, a hundred more signed in before the answer: refused, with the new count, and nobody is revoked."""
    for user in ("alice", "bob", "carol"):
        issue(installed, user)
    screen = terminal("revoke", "--application", "Teams", "--note", "product retired")
    assert "this would revoke 3 sessions" in screen.wait_for(YES)
    assert start("-c", ISSUE_MANY, "100").wait(PATIENCE) == 0
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, counted(installed, "active"), counted(installed, "revoked")) == (4, 103, 0)
    assert "103 sessions would be revoked now, and 100 of them were not in the preview" in "\n".join(lines)
    assert nothing_done(installed, "session.revoke")


def test_fewer_than_were_shown_are_revoked(installed: Authctl, terminal: OnTerminal):
    """One of the three was revoked by somebody else meanwhile: the other two are revoked, and it keeps its note."""
    first, *_ = [issue(installed, user) for user in ("alice", "bob", "carol")]
    screen = terminal("revoke", "--application", "Teams", "--note", "product retired")
    screen.wait_for(YES)
    assert installed("revoke", first, "--note", "lost device").code == 0
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, lines[-1]) == (0, "authctl: revoked 2 sessions; 1 revoked before")
    notes = [one["note"] for one in installed("sessions", "list", "--status", "revoked", "-o", "json").json]
    assert sorted(notes) == ["lost device", "product retired", "product retired"]


def imported(authctl: Authctl, folder: Path, device: str, at: str) -> None:
    """Tell of a use of one session, from that device."""
    rows, fields = folder / "rows.jsonl", folder / "map.yaml"
    rows.write_text(json.dumps({"u": "dora", "t": at, "d": device}) + "\n")
    fields.write_text("fields: {username: u, at: t, device: d}\nkey: [username]\n")
    assert authctl("sessions", "import", str(rows), "--map", str(fields), "-q").code == 0


def test_another_session_that_comes_to_match_is_not_revoked(installed: Authctl, terminal: OnTerminal, tmp_path: Path):
    """As many as were shown, but not the same: an import moved another session onto the device, and one was revoked."""
    imported(installed, tmp_path, "DESK-1", "2026-01-01")
    shown = issue(installed, "alice", "--device", "DESK-2")
    screen = terminal("revoke", "--device", "DESK-2", "--note", "lost device")
    assert "this would revoke 1 session" in screen.wait_for(YES)
    assert installed("revoke", shown, "--note", "seen before").code == 0
    imported(installed, tmp_path, "DESK-2", "2026-01-02")
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, counted(installed, "revoked")) == (4, 1)
    assert "1 session would be revoked now, and 1 of them was not in the preview" in "\n".join(lines)


def test_a_session_that_ends_before_the_answer_is_not_revoked_with_the_expired(
    installed: Authctl, terminal: OnTerminal
):
    """`--status expired`: a session that was active when the preview was made is none of those that were shown."""
    living, over = (issue(installed, user) for user in ("alice", "bob"))
    assert installed("sessions", "end", over).code == 0
    screen = terminal("revoke", "--status", "expired", "--note", "tidied up")
    screen.wait_for(YES)
    assert installed("sessions", "end", living).code == 0
    screen.type("y\n")
    assert (screen.end()[0], counted(installed, "revoked")) == (4, 0)


def test_time_alone_brings_no_session_beyond_the_bound(registry: Registry, clock: Clock):
    """What expires between preview and operation is not revoked with the expired; what was shown is, when it was looked at again."""
    registry.issue(username="alice", application="Teams")
    clock.forward(days=2)
    registry.issue(username="bob", application="Teams")
    clock.forward(days=2)
    expired = SessionFilter(status="expired")
    preview = registry.revocation_previews.make(expired)
    assert (preview.summary.total, preview.sessions[0].username) == (1, "alice")
    clock.forward(days=2)
    with pytest.raises(Refused, match="2 sessions would be revoked now, and 1 of them was not in the preview"):
        registry.revoke(expired, note="tidied up", bound=preview.bound)
    assert registry.count(SessionFilter(status="revoked")) == 0
    again = registry.revocation_previews.make(expired)
    assert registry.revoke(expired, note="tidied up", bound=again.bound).revoked == 2


def test_all_means_whoever_signs_in_meanwhile_and_says_so(installed: Authctl, terminal: OnTerminal):
    """In a breach nobody is spared for having signed in after the preview; the question says that."""
    issue(installed, "alice")
    screen = terminal("revoke", "--all", "--note", "breach drill")
    assert "whoever signs in before this is done is revoked, too" in screen.wait_for("Type 1 to revoke them:")
    issue(installed, "mallory")
    screen.type("1\n")
    assert (screen.end()[0], counted(installed, "revoked"), counted(installed, "active")) == (0, 2, 0)


def test_yes_is_bounded_by_max_affected_alone(installed: Authctl):
    """Nobody looked at a preview: what is there is meant, up to the limit."""
    for user in ("alice", "bob"):
        issue(installed, user)
    arguments = ("revoke", "--application", "Teams", "--note", "product retired", "--yes")
    assert installed(*arguments, "--max-affected", "1").code == 4
    assert counted(installed, "revoked") == 0
    assert installed(*arguments, "--max-affected", "2").code == 0
    assert counted(installed, "revoked") == 2


def test_all_with_yes_waits_for_no_preview(installed: Authctl):
    """Nobody is asked, and nothing is bounded: nothing is counted before everybody is revoked. The limit holds all the same."""
    for user in ("alice", "bob"):
        issue(installed, user)
    arguments = ("revoke", "--all", "--note", "breach drill", "--yes")
    assert installed(*arguments, "--max-affected", "1").code == 4
    ran = installed(*arguments)
    assert (ran.code, ran.err.splitlines()) == (0, ["authctl: revoked 2 sessions"])


def test_a_key_takes_no_session_with_it_that_was_not_shown(installed: Authctl, terminal: OnTerminal, home: Path):
    """A session that a process with an older key ring signs before the answer is not ended unseen, nor the key retired."""
    key = installed("keys", "list", "-o", "id").out.strip()
    first, second = (issue(installed, user) for user in ("alice", "bob"))
    ring, older, newer = home / "keys.json", home / "older.json", home / "newer.json"
    shutil.copy2(ring, older)
    assert installed("keys", "rotate", "--note", "every year").code == 0
    shutil.copy2(ring, newer)
    arguments = ("keys", "retire", key, "--sign-out", "--note", "every year")
    screen = terminal(*arguments)
    assert "this would end 2 active sessions" in screen.wait_for("retire? [y/N]")
    shutil.copy2(older, ring)
    issue(installed, "carol")
    shutil.copy2(newer, ring)
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, counted(installed, "active"), installed("keys", "list", "-o", "json").json[0]["sessions"]) == (
        4,
        3,
        3,
    )
    assert "3 sessions would end now, and 1 of them was not in the preview" in "\n".join(lines)
    assert nothing_done(installed, "key.retire")
    screen = terminal(*arguments)
    screen.wait_for("retire? [y/N]")
    assert installed("sessions", "end", first).code == 0
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, lines[-1]) == (0, f"authctl: retired key {key}; 2 active sessions ended")
    assert installed("sessions", "show", second, "-o", "json").json["status"] == "expired"


def test_tighter_profiles_end_no_session_that_was_not_shown(installed: Authctl, terminal: OnTerminal, tmp_path: Path):
    """A sign-in before the answer that the tighter profile would end, too, is not ended unseen; nothing is put in force."""
    issue(installed, "alice")
    time.sleep(1.1)
    file = tmp_path / "tight.yaml"
    file.write_text("version: 1\nprofiles: {default: {idle_timeout: 1s}}\n")
    screen = terminal("profiles", "apply", str(file), "--note", "tightened")
    seen = screen.wait_for("apply? [y/N]")
    assert "authctl: profile default: " in seen
    assert "idle_timeout 3d -> 1s\n" in seen
    assert "this would end 1 active session" in seen
    issue(installed, "bob")
    time.sleep(1.1)
    screen.type("y\n")
    code, lines = screen.end()
    assert (code, counted(installed, "active")) == (4, 2)
    assert "2 sessions would end now, and 1 of them was not in the preview" in "\n".join(lines)
    assert installed("profiles", "list", "-o", "json").json[0]["idle_timeout"] == "3d"
    screen = terminal("profiles", "apply", str(file), "--note", "tightened")
    screen.answer("apply? [y/N]", "y")
    code, lines = screen.end()
    assert (code, counted(installed, "active")) == (0, 0)
    assert lines[-1].endswith("0 active sessions shortened, 0 lengthened, 2 ended")


def test_what_ends_nobody_is_not_asked_about_and_still_bounded(install: Install, clock: Clock):
    """A preview without sessions has a bound that allows none."""
    registry = install()
    wanted = registry.profiles.in_force()._replace(
        profiles={"default": registry.profiles.in_force().profiles["default"]._replace(idle_timeout=3_600_000_000)}
    )
    preview = registry.profiles.preview(wanted)
    assert preview.ending.summary.total == 0
    registry.issue(username="alice", application="Teams")
    clock.forward(hours=2)
    with pytest.raises(Refused, match="1 session would end now"):
        registry.profiles.apply(wanted, note="tightened", bound=preview.ending.bound)
    everything = registry.revocation_previews.make(SessionFilter(everything=True))
    assert (everything.summary.total, everything.bound) == (1, None)


# What is shown, and in which order


def test_a_preview_is_counts_then_a_table_then_the_question_then_the_note(installed: Authctl, terminal: OnTerminal):
    """What a person needs before saying yes: whom, what, in which status, and on which devices; the note comes last."""
    for number in range(12):
        issue(installed, f"user{number % 7}", "--device", f"PC-{number:02}")
    issue(installed, "user0", "--kind", "web", "--device", "BROWSER")
    over = issue(installed, "user1", "--device", "OLD")
    assert installed("sessions", "end", over).code == 0
    screen = terminal("revoke", "--application", "teams")
    before = screen.wait_for("revoke 14 sessions? [y/N]").splitlines()
    assert before[:4] == [
        "authctl: this would revoke 14 sessions, 1 of them web sessions",
        "authctl: by user: 'user0' 3, 'user1' 3, 'user2' 2, 'user3' 2, 'user4' 2, and 2 more",
        "authctl: by application: 'Teams' 14",
        "authctl: by status: active 13, expired 1",
    ]
    assert before[4] == "authctl: the 10 most recently used of them:"
    assert before[5].split() == ["id", "username", "application", "device", "status"]
    assert len(before) == 6 + 10 + 1
    assert before[6].split()[1:] == ["user1", "Teams", "OLD", "expired"]
    screen.type("y\n")
    for saying_nothing in ("", " .. "):
        screen.answer(WHY, saying_nothing)
    screen.answer(WHY, "product retired")
    code, lines = screen.end()
    assert (code, lines[-1]) == (0, "authctl: revoked 14 sessions")
    assert "a note needs at least three letters or digits" in screen.seen
    listed = installed("sessions", "list", "--status", "revoked", "--kind", "all", "-o", "json").json
    assert {one["note"] for one in listed} == {"product retired"}


def test_a_narrow_terminal_cuts_no_id_in_a_preview(installed: Authctl, terminal: OnTerminal):
    """The table fits the terminal, and an id is whole."""
    shown = issue(installed, "a-user-with-a-very-long-name@example.org", "--device", "a device with a long name")
    screen = terminal("revoke", "--application", "Teams", "--note", "product retired", columns=50)
    table = screen.wait_for(YES).splitlines()[4:6]
    assert table[1].startswith(shown)
    assert max(map(len, table)) <= 50


def test_a_declined_question_is_exit_4_and_asks_for_no_note(installed: Authctl, terminal: OnTerminal):
    """Whoever says no is not asked why."""
    issue(installed, "alice")
    for answer in ("n\n", "\n", "\x04"):
        screen = terminal("revoke", "--application", "Teams")
        screen.wait_for(YES)
        screen.type(answer)
        code, _ = screen.end()
        assert (code, "why?" in screen.seen, counted(installed, "revoked")) == (4, False, 0)


@pytest.mark.parametrize("nothing", [("\n",) * 3, ("\x04",), ("..\n", "\x04")])
def test_no_note_is_exit_4(installed: Authctl, terminal: OnTerminal, nothing: tuple[str, ...]):
    """Three answers that say nothing, or Ctrl-D: nothing is done."""
    issue(installed, "alice")
    screen = terminal("revoke", "--application", "Teams")
    screen.answer(YES, "y")
    for keys in nothing:
        screen.wait_for(WHY)
        screen.type(keys)
    code, lines = screen.end()
    assert (code, counted(installed, "revoked")) == (4, 0)
    assert "authctl: error: not done: no note was given" in lines


@pytest.mark.parametrize(
    "command", [("revoke", "--application", "Teams"), ("keys", "retire", "k"), ("profiles", "apply")]
)
def test_a_note_that_says_nothing_is_refused_before_anything_is_shown(
    installed: Authctl, terminal: OnTerminal, command: tuple[str, ...]
):
    """A note that was given is not asked for again."""
    issue(installed, "alice")
    screen = terminal(*command, "--note", "..")
    code, lines = screen.end()
    assert (code, len(lines)) == (4, 2)
    assert "the note is too short" in lines[0]


def test_with_yes_and_quiet_nothing_is_shown(installed: Authctl, tmp_path: Path):
    """For scripts: not a word; with --yes alone the preview is on standard error."""
    file = tmp_path / "tight.yaml"
    file.write_text("version: 1\nprofiles: {default: {idle_timeout: 1s}}\n")
    issue(installed, "alice")
    spoken = installed("revoke", "--application", "Teams", "--note", "product retired", "--yes", "-o", "json")
    assert (spoken.code, spoken.json["revoked"]) == (0, 1)
    assert "by user: 'alice' 1\n" in spoken.err
    issue(installed, "bob")
    key = installed("keys", "list", "-o", "id").out.strip()
    installed("keys", "rotate", "--note", "every year", "-q")
    silent = [("keys", "retire", key, "--sign-out"), ("profiles", "apply", str(file)), ("revoke", "--all")]
    issue(installed, "carol")
    time.sleep(1.1)
    for command in silent:
        ran = installed(*command, "--note", "product retired", "--yes", "-q")
        assert (ran.code, ran.out, ran.err) == (0, "", ""), command


def test_what_applying_changes_is_said_in_words(installed: Authctl, tmp_path: Path):
    """Fields, and parts of fields, with what they were and will be; what is added and withdrawn; settings; as a dry run, too."""
    files = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    files[0].write_text(
        "version: 1\ndefault_profile: default\nprofiles:\n  default: {idle_timeout: 3d, description: for all}\n"
        "  pairs: {tokens: pair, refresh: {grace: 30s}}\n  old: {}\n"
    )
    files[1].write_text(
        "version: 1\nretention: 1 year\ndefault_profile: new\n"
        'assignments: [{user: "admin-*", application: Teams, profile: pairs}]\nprofiles:\n'
        "  default: {idle_timeout: 1d, continuity: true}\n  pairs: {tokens: pair, refresh: {grace: 1m}}\n  new: {}\n"
    )
    first = installed("profiles", "apply", str(files[0]), "--note", "as decided")
    assert "authctl: profile pairs: added, idle_timeout 3d, absolute_timeout never\n" in first.err
    for flags in (("--dry-run",), ("--note", "as decided")):
        said = installed("profiles", "apply", str(files[1]), *flags).err.splitlines()
        assert said[:7] == [
            "authctl: retention 6 months -> 1 year",
            "authctl: default_profile default -> new",
            "authctl: assignment added: user 'admin-*', application 'Teams' -> profile 'pairs'",
            "authctl: profile default: description 'for all' -> none, idle_timeout 3d -> 1d, continuity false -> true",
            "authctl: profile pairs: refresh.grace 30s -> 1m",
            "authctl: profile new: added, idle_timeout 3d, absolute_timeout never",
            "authctl: profile old: withdrawn; its present sessions keep its rules",
        ]
    assert "->" not in installed("profiles", "apply", str(files[1]), "--note", "once more").err


def test_the_verdict_is_the_last_line_after_a_screenful_of_rows(
    installed: Authctl, terminal: OnTerminal, start: Start, tmp_path: Path
):
    """Every operation that shows rows: what it came to stands last, rows are cut to a screenful, and where the rest is seen is said."""
    many = 'for number in range(60): registry.issue(username=sys.argv[1], application="Teams")'
    code = f"import sys\nfrom authctl import Registry\nwith Registry.open() as registry:\n    {many}\n"

    def sixty(user: str) -> list[str]:
        assert start("-c", code, user).wait(PATIENCE) == 0
        return installed("sessions", "list", "--user", user, "--status", "active", "-o", "id").out.split()

    def retire() -> tuple[str, ...]:
        key = installed("keys", "list", "-o", "json").json[-1]["id"]
        installed("keys", "rotate", "--note", "every year")
        return ("keys", "retire", key, "--sign-out", "--note", "every year", "--yes")

    operations = [
        (lambda _: ("revoke", "--user", "alice", "--note", "lost device"), "revoked 60 sessions", "revoked"),
        (lambda _: ("users", "password-changed", "alice", "--note", "reset"), "60 active sessions ended", "expired"),
        (lambda found: ("sessions", "end", *found), "ended 60 sessions; 0 had already ended", "expired"),
        (lambda _: retire(), "60 active sessions ended", "expired"),
        (lambda _: ("users", "disable", "alice", "--note", "left"), "60 active sessions ended; no new", "expired"),
    ]
    for command, verdict, status in operations:
        found = sixty("alice")
        assert len(found) == 60
        code_, lines = terminal(*command(found)).end()
        *_, cut, last = lines
        rest = f"authctl sessions list --status {status} --kind all --limit 60"
        assert (code_, verdict in last) == (0, True), last
        assert cut == f"authctl: only 50 of the 60 sessions are listed; to see all of them: {rest}"
        assert sum(line.split()[:1] != [] and line.split()[0] in found for line in lines[:-2]) >= 50
        listed = installed(*rest.split()[1:], "-o", "id").out.split()
        assert set(found) == set(listed)


def test_the_verdict_is_said_where_the_rows_cannot_be_written(installed: Authctl, home: Path):
    """The operation is done, and that is said, though nobody can read the rows."""
    issue(installed, "alice")
    command = [*PROGRAM, "revoke", "--user", "alice", "--note", "lost device"]
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home), **places.environment(), "LOGNAME": "tester"}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    assert ran.returncode == 8
    assert ran.stderr.splitlines()[0] == "authctl: revoked 1 session"


def test_a_preview_that_nobody_can_read_keeps_nothing_from_being_done(installed: Authctl, home: Path):
    """Standard error is full or closed: --yes is enough."""
    for redirected in ("2>/dev/full", "2>&-"):
        issue(installed, "alice")
        command = ["sh", "-c", f'"$@" {redirected}', "sh", *PROGRAM]
        operation = ["revoke", "--application", "Teams", "--note", "retired", "--yes"]
        environment = {
            "PATH": os.environ["PATH"],
            "AUTHCTL_HOME": str(home),
            **places.environment(),
            "LOGNAME": "tester",
        }
        ran = subprocess.run([*command, *operation], env=environment, capture_output=True, check=False)
        assert (ran.returncode, counted(installed, "active")) == (0, 0), redirected
