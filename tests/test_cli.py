"""The command line as a contract: formats, exit codes, what goes where, and acting safely."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, names, render
from authctl.cli.app import COMMANDS
from tests.conftest import Authctl, every_command

FIELDS = [
    "id",
    "username",
    "application",
    "application_version",
    "platform",
    "device",
    "ip",
    "user_agent",
    "kind",
    "profile",
    "status",
    "created_at",
    "last_used_at",
    "expires_at",
    "idle_expires_at",
    "absolute_expires_at",
    "ended_at",
    "ended_reason",
    "revoked_at",
    "revoked_by",
    "revocation_id",
    "note",
    "signed_in_with",
    "referrer",
    "wipe",
    "source",
    "source_id",
]
IN_A_FILE = pytest.mark.in_a_file
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z")


def issue(authctl: Authctl, *users: str, **options: str) -> list[dict]:
    """Issue a session for each user through the command."""
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    issued = []
    for user in users:
        ran = authctl("tokens", "issue", "--user", user, "--application", "Outlook", *flags, "-o", "json")
        assert ran.code == 0, ran.err
        issued.append(ran.json)
    return issued


def test_session_json(installed: Authctl):
    """Every field, in the documented order; blank is null, never is null, instants are RFC 3339 with Z."""
    (issued,) = issue(installed, "alice", device="AL-PC")
    assert list(issued) == ["session", "access_token", "token_type", "expires_at", "refresh_token"]
    assert (issued["token_type"], issued["refresh_token"]) == ("Bearer", None)
    session = issued["session"]
    assert list(session) == FIELDS
    assert tuple(FIELDS) == render.SESSIONS.fields
    shown = installed("sessions", "show", session["id"], "-o", "json").json
    assert shown == session | {
        "expires_by": "idle",
        "tokens": "single",
        "sealed": False,
        "bound_to": None,
        "refreshed_at": None,
        "access_expires_at": None,
        "held_by_continuity": False,
        "held_until": None,
        "has_conditions": False,
        "wipe_on_revoke": False,
        "wipe_delivered_at": None,
        "wipe_acknowledged_at": None,
        "used_after_end_at": None,
        "deliveries": [],
    }
    assert installed("sessions", "list", "-o", "json").json == [session]
    assert INSTANT.fullmatch(session["created_at"])
    assert (session["absolute_expires_at"], session["ended_reason"], session["revocation_id"]) == (None, None, None)


def test_every_format_of_a_list(installed: Authctl):
    """Table in a pipe is tab-separated with a header, id first; csv has every field; id is one a line."""
    issued = issue(installed, "alice", "bob")
    ids = [one["session"]["id"] for one in reversed(issued)]
    table = [line.split("\t") for line in installed("sessions", "list").out.splitlines()]
    assert table[0] == ["id", "username", "application", "device", "platform", "status", "last_used_at"]
    assert [line[0] for line in table[1:]] == ids
    rows = list(csv.DictReader(io.StringIO(installed("sessions", "list", "-o", "csv").out)))
    assert [list(one) for one in rows] == [FIELDS, FIELDS]
    assert [one["id"] for one in rows] == ids
    assert installed("sessions", "list", "-o", "id").out.split() == ids
    lines = installed("sessions", "list", "-o", "ndjson").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    assert [one["id"] for one in installed("sessions", "list", "-o", "json").json] == ids


def test_a_list_of_revoked_sessions_shows_the_note(installed: Authctl):
    """Where only revoked sessions are listed, the table says when, by whom and why."""
    issue(installed, "alice")
    installed("revoke", "--user", "alice", "--note", "lost\tdevice", "--actor", "bob")
    header, line = (one.split("\t") for one in installed("sessions", "list", "--status", "revoked").out.splitlines())
    assert header == list(render.REVOKED_SESSIONS.columns)
    assert (line[4], line[6:]) == ("revoked", ["bob", "lost\\tdevice"])


def test_every_format_of_an_empty_list(installed: Authctl):
    """A list with no rows is exit 0: a header where there is one, an empty array, or nothing."""
    expected = {
        "json": "[]\n",
        "ndjson": "",
        "id": "",
        "csv": ",".join(FIELDS) + "\n",
        "table": "\t".join(render.SESSIONS.columns) + "\n",
    }
    for form, out in expected.items():
        ran = installed("sessions", "list", "--device", "none", "-o", form)
        assert (ran.code, ran.out, ran.err) == (0, out, "authctl: no session matches\n")


def test_the_output_variable(installed: Authctl, monkeypatch: pytest.MonkeyPatch):
    """AUTHCTL_OUTPUT says how to print; the option beats it; nonsense is a usage error."""
    monkeypatch.setenv("AUTHCTL_OUTPUT", "json")
    assert installed("sessions", "list").out == "[]\n"
    assert installed("sessions", "list", "-o", "id").out == ""
    monkeypatch.setenv("AUTHCTL_OUTPUT", "xml")
    assert installed("sessions", "list").code == 2


def test_count(installed: Authctl):
    """The bare integer, or an object."""
    issue(installed, "alice", "bob")
    for form in ("table", "csv", "id"):
        assert installed("sessions", "list", "--count", "-o", form).out == "2\n"
    assert installed("sessions", "list", "--count", "-o", "json").json == {"count": 2}
    assert installed("sessions", "list", "--user", "ALICE", "--count").out == "1\n"


def test_limit(installed: Authctl):
    """At most so many; none in a pipe; zero is no limit."""
    issue(installed, *["alice"] * 3)
    assert len(installed("sessions", "list", "-o", "id", "--limit", "2").out.split()) == 2
    assert installed("sessions", "list", "--limit", "0").code == 2


def test_a_token_is_alone_on_standard_output(installed: Authctl):
    """The session goes to standard error, and quietly nowhere."""
    ran = installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert re.fullmatch(r"acat_[0-9a-f]{124}\n", ran.out)
    assert re.match(r"authctl: registered session [a-z0-9]{16} of alice", ran.err)
    ran = installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q")
    assert ran.err == ""
    assert installed("tokens", "verify", stdin=ran.out).code == 0


def test_a_token_among_the_arguments_is_warned_of(installed: Authctl):
    """It works, with a warning; from standard input and with `-` there is none."""
    token = issue(installed, "alice")[0]["access_token"]
    ran = installed("tokens", "verify", token)
    assert ran.code == 0
    assert "warning" in ran.err
    for arguments in ((), ("-",)):
        ran = installed("tokens", "verify", *arguments, stdin=token + "\r\n")
        assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", 5),
        ("nonsense", 5),
        ("acat_" + "0" * 124, 5),
        ("\x1b[31mred", 5),
        ("ÿ" * 50, 5),
        (b"\xff\x00\xfe", 5),
        ("x" * 4096, 5),
        ("x" * 4097, 2),
        ("x" * 1_000_000, 2),
    ],
)
def test_tokens_of_any_shape(installed: Authctl, token: str | bytes, code: int):
    """Whatever stands on standard input is a refusal, or too long: nothing else."""
    ran = installed("tokens", "verify", stdin=token)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("authctl: error: ")


def test_quiet(installed: Authctl):
    """Operations are silent; what was asked for with -o is still printed; errors always are."""
    issue(installed, "alice", "bob")
    for command in (("revoke", "--user", "alice", "--note", "lost device"), ("cleanup",), ("audit", "verify")):
        ran = installed(*command, "-q")
        assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert installed("cleanup", "-q", "-o", "json").json["removed"] == 0
    assert installed("revoke", "--device", "none", "--note", "lost device", "--yes", "-q").err.startswith(
        "authctl: error: "
    )


def test_revoke_json(installed: Authctl):
    """The documented fields, what happened to each, and exit 3 when some ids were unknown."""
    issued = issue(installed, "alice", "alice", "bob")
    ids = [one["session"]["id"] for one in issued]
    installed("revoke", ids[0], "--note", "first note")
    ran = installed("revoke", *ids, "nosuch", "--note", "second note", "--actor", "eve", "-o", "json")
    assert ran.code == 3
    assert list(ran.json) == [
        "revocation_id", "at", "actor", "note", "selected", "revoked", "already_revoked", "not_found", "dry_run", "sessions",
            "by_source", "kept", "plan", "effect", "deliveries",
    ]  # fmt: skip
    assert (ran.json["selected"], ran.json["revoked"], ran.json["already_revoked"]) == (3, 2, 1)
    assert (ran.json["not_found"], ran.json["dry_run"], ran.json["actor"]) == (["nosuch"], False, "eve")
    assert list(ran.json["sessions"][0]) == ["id", "username", "application", "status_before"]
    shown = installed("sessions", "show", ids[2], "-o", "json").json
    assert (shown["revoked_by"], shown["note"], shown["revocation_id"]) == (
        "eve",
        "second note",
        ran.json["revocation_id"],
    )
    again = installed("revoke", *ids, "--note", "third note", "-o", "json")
    assert (again.code, again.json["revoked"], again.json["revocation_id"]) == (0, 0, None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("revoke", "--note", "lost device"), 2),
        (("revoke", "--except", "abcdefgh", "--note", "lost device"), 2),
        (("revoke", "--all", "--user", "alice", "--note", "lost device", "--yes"), 2),
        (("revoke", "--all", "--application", "Outlook", "--note", "lost device", "--yes"), 2),
        (("revoke", "--user", "nobody", "--note", "lost device"), 3),
        (("revoke", "--application", "Nothing", "--note", "lost device", "--yes"), 3),
        (("revoke", "zzzzzzzz", "--note", "lost device"), 3),
        (("revoke", "-", "--note", "lost device"), 3),
        (("revoke", "abc", "--note", "lost device"), 2),
        (("revoke", "--user", "alice"), 4),
        (("revoke", "--user", "alice", "--note", "\u200b \u3164"), 4),
        (("revoke", "--user", "alice", "--note", "x" * 4001), 2),
        (("revoke", "--user", "al\u200bice", "--note", "lost device"), 2),
        (("revoke", "--all", "--note", "lost device"), 4),
        (("revoke", "--application", "Outlook", "--note", "lost device"), 4),
        (("revoke", "--user", "alice", "--note", "lost device", "--max-affected", "0"), 4),
        (("revoke", "--unused-for", "90", "--note", "lost device", "--yes"), 2),
        (("revoke", "--created-before", "tomorrow", "--note", "lost device", "--yes"), 2),
        (("sessions", "show", "nobody"), 3),
        (("sessions", "show", "abc"), 2),
        (("sessions", "end", "nobody"), 3),
        (("sessions", "end", "zzzzzzzz"), 3),
        (("sessions", "list", "--user", "a\u202eb"), 2),
        (("sessions", "list", "--status", "gone"), 2),
        (("sessions", "list", "--nonsense"), 2),
        (("sessions",), 2),
        (("nonsense",), 2),
        (("tokens", "issue", "--user", "bob"), 2),
        (("tokens", "issue", "--user", "bob", "--application", "Outlook", "--profile", "none"), 3),
        (("tokens", "issue", "--user", "bob", "--application", "Outlook", "--kind", "robot"), 2),
        (("tokens", "issue", "--user", "bob", "--application", "Outlook", "--lifetime", "1h"), 4),
        (("tokens", "issue", "--user", "bob", "--application", "Outlook", "--lifetime", "60"), 2),
        (("tokens", "refresh"), 5),
        (("tokens", "refresh", "nonsense"), 5),
        (("tokens", "revoke"), 4),
        (("tokens", "revoke", "nonsense", "--note", "--"), 4),
        (("tokens", "revoke", "x" * 5000, "--note", "lost device"), 2),
        (("users", "show", "nobody"), 3),
        (("users", "enable", "nobody", "--note", "came back"), 3),
        (("users", "disable", "alice"), 4),
        (("users", "disable", "alice", "--note", " "), 4),
        (("users", "disable", "alice", "--dry-run", "--note", " "), 4),
        (("users", "disable", "al\u200bice", "--note", "lost device"), 2),
        (("users", "disable", "", "--note", "lost device"), 2),
        (("users", "password-changed", "alice"), 4),
        (("users", "password-changed"), 2),
        (("sessions", "list", "--group-by", "colour"), 2),
        (("continuity", "start"), 4),
        (("continuity", "start", "--note", "provider down"), 4),
        (("continuity", "start", "--profile", "none", "--note", "provider down"), 3),
        (("continuity", "start", "--profile", "a\u200b", "--note", "provider down"), 2),
        (("continuity", "start", "--until", "soon", "--note", "provider down"), 2),
        (("continuity", "end"), 4),
        (("continuity", "end", "--note", "it is back"), 3),
        (("explain",), 2),
        (("explain", "zzzzzzzz"), 3),
        (("tokens", "explain", "acat_cut", "--at", "soon"), 2),
        (("tokens", "explain", "acat_cut", "--at", "2999-01-01"), 2),
        (("tokens", "wipe-done"), 5),
        (("tokens", "wipe-done", "nonsense"), 5),
        (("sessions", "list", "--wipe", "begun"), 2),
        (("login", "--user", "bob"), 2),
        (("login", "--user", "bob", "--application", "Outlook"), 2),
        (("login", "--user", "bo\u200bb", "--application", "Outlook"), 2),
        (("keys", "rotate"), 4),
        (("keys", "retire"), 2),
        (("keys", "retire", "ffffffff", "--note", "lost key"), 3),
        (("keys", "retire", "ffffffff"), 4),
        (("backup",), 2),
        (("backup", "/nowhere/copy.db"), 6),
        (("restore", "/nowhere/copy.db"), 4),
        (("restore", "/nowhere/copy.db", "--dry-run"), 6),
        (("restore", "/nowhere/copy.db", "--note", "disk failed", "--yes"), 6),
        (("restore", "/nowhere/copy.db", "--note", "disk failed"), 6),
        (("registry",), 2),
        (("registry", "move"), 2),
        (("registry", "move", "--to", ""), 2),
        (("registry", "move", "--to", "/nowhere/registry.db"), 6),
        (("registry", "move", "--to", "/tmp"), 4),
        (("registry", "move", "--to", "/tmp/new", "--note", " "), 4),
        (("registry", "move", "--to", "/tmp/new", "--give-up"), 2),
        (("registry", "move", "--to", "/tmp/new", "--copy-lost"), 2),
        (("registry", "move", "--give-up"), 4),
        (("registry", "move", "--give-up", "--note", "not needed any more"), 4),
        (("audit", "accept"), 4),
        (("audit", "accept", "--note", "nothing to accept"), 4),
        (("--keys", "", "sessions", "list"), 2),
        (("stats", "--days", "0"), 2),
        (("stats", "--days", "367"), 2),
        (("stats", "--html", "/dev/null"), 4),
        (("stats", "--html", "/nowhere/page.html"), 6),
        (("stats", "--prometheus", "/"), 6),
        (("cache", "clear"), 4),
        (("cache", "clear", "--note", " "), 4),
        (("cache", "clear", "--user", "b\u200bob", "--note", "new rules"), 2),
        (("cache", "clear", "--user", "", "--note", "new rules"), 2),
        (("cache", "list", "--user", ""), 2),
        (("audit", "show", "99"), 3),
        (("audit", "export", "--format", "xml"), 2),
        (("audit", "export", "--after", "x"), 2),
        (("audit", "show", "x"), 2),
        (("audit", "show", "9" * 30), 2),
        (("audit", "list", "--limit", "9" * 30), 2),
        (("audit", "list", "--session", "abc"), 2),
        (("sessions", "list", "--limit", "9" * 30), 2),
        (("sessions", "list", "--profile", "a\u200b"), 2),
        (("cleanup", "--batch-size", "9" * 30), 2),
        (("audit", "list", "--since", ""), 2),
        (("sessions", "list", "--search", " "), 2),
        (("revoke",), 2),
        (("--home", "", "sessions", "list"), 2),
        (("--registry", "mysql://host/db", "sessions", "list"), 2),
        (("--home", "/tmp/" + "x" * 300, "init"), 6),
        pytest.param(("--home", "/tmp/" + "x" * 300, "sessions", "list"), 6, marks=IN_A_FILE),
        pytest.param(("--home", "/dev/null/home", "sessions", "list"), 6, marks=IN_A_FILE),
        (("profiles", "show", "none"), 3),
        (("receivers", "show", "none"), 3),
        (("receivers", "example", "none"), 3),
        (("receivers", "test", "none"), 3),
        (("cleanup", "--check", "--max-age", "x"), 2),
        (("cleanup", "--max-age", "1h"), 2),
        (("cleanup", "--check", "--dry-run"), 2),
        (("cleanup", "--check", "--older-than", "1d"), 4),
        (("deliver", "--check", "--max-age", "x"), 2),
        (("deliver", "--max-age", "1h"), 2),
        (("deliver", "--watch", "--check"), 2),
        (("deliveries", "list", "--state", "lost"), 2),
        (("deliveries", "list", "--user", ""), 2),
        (("deliveries", "show", "1"), 3),
        (("deliveries", "show", "x"), 2),
        (("deliveries", "show", "9" * 30), 2),
        (("deliveries", "retry", "1.2"), 3),
        (("deliveries", "drop", "1"), 4),
        (("deliveries", "drop", "1", "--note", "shut down"), 3),
        (("imports", "show", "1"), 3),
        (("imports", "show", "0"), 2),
        (("imports", "show", "x"), 2),
        (("imports", "undo", "1"), 4),
        (("imports", "undo", "1", "--note", " "), 4),
        (("imports", "undo", "1", "--note", "wrong mapping"), 3),
        (("imports", "undo", "1", "--dry-run"), 3),
        (("imports", "undo", "9" * 30, "--note", "wrong mapping"), 2),
        (("console",), 2),
        (("mappings", "show", "none"), 3),
        (("mappings", "show"), 2),
        (("examples", "show", "none"), 3),
        (("examples", "show", "../topics/times.md"), 3),
        (("help", "none"), 2),
        (("help", ""), 2),
        (("help", "sessions", "none"), 2),
        (("help", "revoke", "none"), 2),
        (("help", "times", "none"), 2),
        (("help", "sessions", "times"), 2),
        (("help", "../topics/times"), 2),
        (("sessions", "import", "/dev/null", "--map", "none"), 2),
        (("profiles", "check", "/nonexistent"), 2),
        (("profiles", "apply"), 4),
        (("cleanup", "--older-than", "5 months"), 4),
        (("cleanup", "--older-than", "6"), 2),
        (("init",), 4),
        pytest.param(("--home", "/nonexistent/home", "sessions", "list"), 6, marks=IN_A_FILE),
        (("--registry", "/dev/null", "sessions", "list"), 6),
    ],
)  # fmt: skip
def test_exit_codes(installed: Authctl, arguments: tuple[str, ...], code: int):
    """Each refusal has its documented code, one clear error, nothing on standard output, and changes nothing."""
    issue(installed, "alice")
    before = installed("audit", "list", "-o", "id").out
    ran = installed(*arguments)
    assert ran.code == code, ran.err
    assert ran.out in ("", "\t".join(render.REVOKED.columns) + "\n", "\t".join(render.ENDED.columns) + "\n")
    first = next(line for line in ran.err.splitlines() if "error" in line)
    assert re.match(r"authctl: error: [^A-Z]", first)
    assert not first.endswith(".")
    assert "Traceback" not in ran.err
    assert installed("audit", "list", "-o", "id").out == before
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"


def test_revoke_reads_ids_from_a_list(installed: Authctl):
    """A piped list of any shape will do: the first tab-separated field counts, blank lines are ignored."""
    issued = issue(installed, "alice", "bob", "carol")
    listed = installed("sessions", "list", "--user", "alice").out.splitlines()[1]
    stdin = f"\n{listed}\n  \n{issued[1]['session']['id'].upper()}\r\n"
    ran = installed("revoke", "-", "--note", "lost device", "-o", "json", stdin=stdin)
    assert (ran.code, ran.json["revoked"]) == (0, 2)
    table = installed("sessions", "list").out
    assert table.startswith("id\t")
    assert installed("revoke", "-", "--note", "lost device", stdin=table).code == 0
    assert installed("sessions", "list", "--status", "active", "--count").out == "0\n"
    assert installed("revoke", "-", "--note", "lost device", stdin=b"\xff\xfe\n").code == 3


def test_filters_need_yes_without_a_terminal(installed: Authctl):
    """What a filter hits is done with --yes, and in a dry run nothing is asked and nothing written."""
    issue(installed, "alice", "bob")
    issue(installed, "carol", kind="web")
    dry = installed("revoke", "--application", "outlook", "--dry-run", "-o", "json")
    assert (dry.code, dry.json["revoked"], dry.json["dry_run"], dry.json["note"]) == (0, 3, True, None)
    assert "nothing was changed" in dry.err
    assert (
        installed("revoke", "--application", "outlook", "--note", "blank", "--dry-run", "--max-affected", "2").code == 4
    )
    ran = installed("revoke", "--application", "outlook", "--note", "product retired", "--yes")
    assert "1 of them web" in ran.err
    assert ran.code == 0
    assert installed("sessions", "list", "--kind", "all", "--status", "revoked", "--count").out == "3\n"


def test_end_by_id_and_token(installed: Authctl):
    """`sessions end -` takes an id or a token a line, and never repeats a token."""
    one, two, three = issue(installed, "alice", "bob", "carol")
    stdin = f"{one['session']['id']}\n{two['access_token']}\nacat_{'0' * 124}\n"
    broken = f"{three['access_token'][:60]}\n{three['access_token'][60:]}\n{three['access_token'].upper()}\n"
    ran = installed("sessions", "end", "-", stdin=broken)
    assert ran.code == 3
    assert three["access_token"][40:58] not in (ran.out + ran.err).lower()
    ran = installed("sessions", "end", "-", "-o", "json", stdin=stdin)
    assert (ran.code, ran.json["ended"], ran.json["not_found"]) == (3, 2, ["acat_..."])
    assert "acat_0" not in ran.out + ran.err
    again = installed("sessions", "end", one["session"]["id"], "-o", "json")
    assert (again.code, again.json["already_ended"]) == (0, 1)
    assert installed("sessions", "list", "--status", "active", "-o", "id").out.split() == [three["session"]["id"]]


def test_times_and_ages(installed: Authctl):
    """Dates, RFC 3339 and ages select; an age of --expires-before counts ahead."""
    issue(installed, "alice")
    counts = {
        ("--created-since", "1h"): 1,
        ("--created-since", "2100-01-01"): 0,
        ("--created-before", "2100-01-01T00:00:00Z"): 1,
        ("--created-before", "1h"): 0,
        ("--used-since", "36h"): 1,
        ("--unused-for", "7d"): 0,
        ("--expires-before", "4d"): 1,
        ("--expires-before", "2d"): 0,
        ("--expires-before", "6 months"): 1,
    }
    for (option, value), count in counts.items():
        assert installed("sessions", "list", option, value, "--count").out == f"{count}\n", (option, value)


def test_who_did_it(installed: Authctl, monkeypatch: pytest.MonkeyPatch):
    """--actor, else AUTHCTL_ACTOR, else the user behind sudo, else LOGNAME."""

    def actor(*arguments: str) -> str:
        assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook", *arguments).code == 0
        return installed("audit", "list", "--limit", "1", "-o", "json").json[0]["actor"]

    assert actor() == "tester"
    monkeypatch.setenv("SUDO_USER", "sudoer")
    assert actor() == "sudoer"
    monkeypatch.setenv("AUTHCTL_ACTOR", "variable")
    assert actor() == "variable"
    assert actor("--actor", "option") == "option"


def test_audit_json(installed: Authctl):
    """The documented fields, newest first, and one event by its number."""
    issue(installed, "alice")
    installed("revoke", "--user", "alice", "--note", "lost device")
    events = installed("audit", "list", "-o", "json").json
    assert [event["action"] for event in events] == ["session.revoke", "session.issue", "registry.init"]
    assert list(events[0]) == ["seq", "at", "actor", "action", "subject", "note", "detail", "hash", "prev_hash"]
    assert events[0]["prev_hash"] == events[1]["hash"]
    assert installed("audit", "show", "3", "-o", "json").json == events[0]
    assert installed("audit", "verify", "-o", "json").json == {"seq": 3, "hash": events[0]["hash"]}
    assert tuple(events[0]) == render.EVENTS.fields


def test_profiles(installed: Authctl, home: Path, tmp_path: Path):
    """Listed, shown, checked and applied; a change that ends active sessions needs --yes."""
    issue(installed, "alice")
    listed = installed("profiles", "list", "-o", "json").json
    assert tuple(listed[0]) == render.PROFILES.fields
    shown = {"name": "default", "default": True, "idle_timeout": "3d", "absolute_timeout": "never"}
    assert {name: listed[0][name] for name in shown} == shown
    assert installed("profiles", "show", "DEFAULT", "-o", "json").json == listed[0]
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 1\nprofiles:\n  default:\n    idle_timeout: 90\n    colour: red\n")
    ran = installed("profiles", "check", str(broken))
    assert ran.code == 2
    assert f"authctl: error: {broken}:4:19: " in ran.err
    assert f"authctl: error: {broken}:5:5: unknown field 'colour'" in ran.err
    assert installed("profiles", "apply", str(broken), "--note", "tightened").code == 2
    (home / "profiles.yaml").write_text("version: 1\nprofiles: {default: {idle_timeout: 1s}}\n")
    assert installed("profiles", "check", str(home / "profiles.yaml")).code == 0
    import time

    time.sleep(1.1)
    (difference,) = installed("profiles", "diff", "-o", "json").json
    assert tuple(difference) == render.DIFFERENCES.fields
    assert (difference["change"], difference["ended"]) == ("changed", 1)
    assert (difference["idle_timeout_before"], difference["idle_timeout_after"]) == ("3d", "1s")
    dry = installed("profiles", "apply", "--dry-run", "-o", "json")
    assert (dry.code, dry.json["ended"], dry.json["dry_run"]) == (0, 1, True)
    assert installed("profiles", "apply", "--note", "tightened").code == 4
    done = installed("profiles", "apply", "--note", "tightened", "--yes", "-o", "json")
    assert (done.code, done.json["ended"], done.json["changed"]) == (0, 1, ["default"])
    assert installed("profiles", "list", "-o", "json").json[0]["idle_timeout"] == "1s"


def test_profiles_diff_says_what_else_changes(installed: Authctl, tmp_path: Path):
    """Retention, default profile and assignments decide as much as timeouts do."""
    wanted = tmp_path / "wanted.yaml"
    wanted.write_text(
        'version: 1\nretention: 1 year\ndefault_profile: b\nassignments: [{user: "*", profile: b}]\n'
        "profiles: {default: {idle_timeout: 3d}, b: {}}\n"
    )
    for command in (("diff",), ("apply", "--note", "as decided")):
        said = installed("profiles", *command[:1], str(wanted), *command[1:]).err
        assert "authctl: retention 6 months -> 1 year\n" in said
        assert "authctl: default_profile default -> b\n" in said
        assert "authctl: assignment added: user '*' -> profile 'b'\n" in said
    assert "->" not in installed("profiles", "diff", str(wanted)).err


def test_ids_of_operations(installed: Authctl):
    """`-o id` is ids and nothing else: of what has none, nothing."""
    ids = [one["session"]["id"] for one in issue(installed, "alice", "bob")]
    assert installed("cleanup", "-o", "id").out == ""
    assert installed("profiles", "apply", "--note", "as it was", "-o", "id").out == ""
    assert installed("audit", "verify", "-o", "id").out == "7\n"
    assert installed("sessions", "end", ids[0], "-o", "id").out == f"{ids[0]}\n"
    assert installed("revoke", "--user", "bob", "--note", "lost device", "-o", "id").out == f"{ids[1]}\n"


@IN_A_FILE
def test_init(authctl: Authctl, home: Path, tmp_path: Path):
    """An empty folder is used, the given profiles are in force, and a second time is refused."""
    home.mkdir()
    (home / "lost+found").mkdir()
    mine = tmp_path / "mine.yaml"
    mine.write_text("version: 1\nprofiles: {mine: {idle_timeout: 1d}}\n")
    assert authctl("init", "--profiles", str(tmp_path / "none.yaml")).code == 2
    ran = authctl("init", "--profiles", str(mine))
    assert (ran.code, ran.err) == (0, f"authctl: created {home}\n")
    assert (home / "profiles.yaml").read_text() == mine.read_text()
    assert authctl("profiles", "list", "-o", "id").out == "mine\n"
    assert authctl("init").code == 4
    for name in ("audit.head", "registry.db-wal"):
        other = tmp_path / name
        other.mkdir()
        (other / name).touch()
        assert authctl("--home", str(other), "init").code == 4


def test_a_registry_elsewhere(authctl: Authctl, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """--registry names the database alone; the option beats the variable."""
    elsewhere = tmp_path / "elsewhere.db"
    assert authctl("--registry", str(elsewhere), "init", "-q").code == 0
    assert not (home / "registry.db").exists()
    assert authctl("sessions", "list").code == 6
    monkeypatch.setenv("AUTHCTL_REGISTRY", str(elsewhere))
    assert authctl("sessions", "list").code == 0
    assert authctl("--registry", str(tmp_path / "none.db"), "sessions", "list").code == 6


def test_csv_neutralises_formulas(installed: Authctl):
    """A cell that a spreadsheet would run is text there, and exact in JSON."""
    devices = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "plain"]
    for device in devices:
        issue(installed, "alice", device=device)
    rows = list(csv.DictReader(io.StringIO(installed("sessions", "list", "-o", "csv").out)))
    assert [row["device"][0] for row in rows] == ["p"] + ["'"] * 7
    exact = [row["device"] for row in installed("sessions", "list", "-o", "json").json]
    assert exact == devices[::-1]


def test_help_of_everything(authctl: Authctl):
    """Every command and every option has help; the version is one line; nothing at all is help."""
    assert authctl("--version").out.startswith("authctl ")
    assert authctl().out == authctl("--help").out
    for command in COMMANDS:
        ran = authctl(command, "--help")
        assert ran.code == 0
        assert "Usage: authctl" in ran.out


def test_a_defect_is_exit_1_without_a_traceback(installed: Authctl, monkeypatch: pytest.MonkeyPatch):
    """Even what nobody foresaw is one line."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division \x1b by zero")

    monkeypatch.setattr(Registry, "count", broken)
    ran = installed("sessions", "list", "--count")
    assert (ran.code, ran.err.splitlines()[0]) == (
        1,
        "authctl: error: unexpected failure: ZeroDivisionError: division \\x1b by zero",
    )


def test_no_secret_is_shown_or_kept(installed: Authctl, home: Path):
    """A full run leaves neither the token, nor its secret, nor a key in any output, in the registry or in a portable copy of it."""
    said = []
    issued = issue(installed, "alice")[0]
    token = issued["access_token"]
    for command in (
        ("tokens", "verify"), ("sessions", "list", "-o", "json"), ("sessions", "end", "-"), ("audit", "list", "-o", "json"),
        ("revoke", "--user", "alice", "--note", "lost device", "-o", "json"), ("tokens", "verify"), ("tokens", "verify", token + "x"),
        ("revoke", token, "--note", "lost device"), ("cleanup",), ("sessions", "show", token),
    ):  # fmt: skip
        ran = installed(*command, stdin=token)
        said.append(ran.out + ran.err)
    keys = json.loads((home / "keys.json").read_bytes())["keys"]
    secrets = [token[33:65], token[65:], keys[0]["secret"]]
    assert installed("backup", str(home / "registry.copy")).code == 0  # of a registry on a server, too
    stored = b"".join(path.read_bytes() for path in home.iterdir() if path.name.startswith("registry"))
    assert b"alice" in stored
    for secret in secrets:
        assert secret not in "".join(said)
        assert bytes.fromhex(secret) not in stored
        assert secret.encode() not in stored


def test_names_are_what_the_registry_matches(installed: Authctl, home: Path):
    """`%`, `_` and `*` are literal in users, filters and searches."""
    issue(installed, "a%", "a_", "a*", "ab")
    for user in ("a%", "a_", "a*"):
        assert installed("sessions", "list", "--user", user, "--count").out == "1\n"
        assert installed("sessions", "list", "--search", user, "--count").out == "1\n"
    with Registry.open(home) as registry:
        assert registry.count(SessionFilter(username=names.username("A%"))) == 1


def test_links_that_lead_to_each_other(installed: Authctl, home: Path, tmp_path: Path):
    """A loop in the place of any file is unavailable, or found by the doctor; where it is the audit head, the operation stands."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert installed("--home", str(loop), "doctor").code == 9
    assert installed("--registry", str(loop), "doctor").code == 9
    assert installed("--registry", str(loop), "sessions", "list").code == 6
    assert installed("--keys", str(loop), "keys", "rotate", "--note", "yearly").code == 6
    (home / "audit.head").unlink()
    (home / "audit.head").symlink_to(home / "audit.head")
    rotated = installed("keys", "rotate", "--note", "yearly")
    assert (rotated.code, "done, but the head of the audit log could not be written" in rotated.err) == (0, True)


def test_a_restore_to_where_no_file_can_be(installed: Authctl, tmp_path: Path):
    """A name that is too long for the file system is unavailable."""
    copy = tmp_path / "copy.db"
    assert installed("backup", str(copy)).code == 0
    ran = installed("--registry", str(tmp_path / ("n" * 300)), "restore", str(copy), "--note", "disk failed")
    assert (ran.code, "file name too long" in ran.err) == (6, True)


def test_a_list_goes_on_after_a_session(installed: Authctl):
    """Page by page each session comes once, in every list's own order; what is not in a list is no place to go on from."""
    for number in range(7):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    installed("revoke", "--user", "user1", "--note", "lost device")
    installed("revoke", "--user", "user4", "--note", "lost device")
    for status in (
        (),
        ("--status", "active"),
        ("--status", "revoked"),
        ("--sort", "username"),
        ("--sort", "-created_at"),
    ):
        whole = installed("sessions", "list", *status, "-o", "id").out.split()
        paged: list[str] = []
        while page := installed(
            "sessions", "list", *status, "--limit", "2", *(("--after", paged[-1]) if paged else ()), "-o", "id"
        ).out.split():
            paged += page
        assert paged == whole
    (active, *_) = installed("sessions", "list", "--status", "active", "-o", "id").out.split()
    for arguments, code in (
        (("--status", "revoked", "--after", active), 2),
        (("--status", "revoked", "--sort", "username", "--after", active), 2),
        (("--status", "expired", "--after", active), 2),
        (("--after", "zzzzzzzzzzzzzzzz"), 3),
        (("--after", active, "--count"), 2),
        (("--sort", "username", "--group-by", "user"), 2),
        (("--sort", "secret_hash"), 2),
        (("--sort", "--"), 2),
    ):
        ran = installed("sessions", "list", *arguments)
        assert ran.code == code, (arguments, ran.err)


def test_a_list_is_sorted_as_asked(installed: Authctl):
    """By any field, either way; spellings of one text together, what is blank first, equals by when they were registered."""
    devices = ["beta", None, "Alpha", "ALPHA", "gamma"]
    for number, device in enumerate(devices):
        given = () if device is None else ("--device", device)
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A", *given)

    def users(*arguments: str) -> list[str]:
        return [one["username"][-1] for one in installed("sessions", "list", *arguments, "-o", "json").json]

    assert users("--sort", "device") == ["1", "2", "3", "0", "4"]
    assert users("--sort", "-device") == ["4", "0", "3", "2", "1"]
    assert users("--sort", "-device", "--limit", "2") == ["4", "0"]
    assert users("--sort", "username", "--search", "alpha") == ["2", "3"]
    installed("revoke", "--user", "user3", "--note", "lost device")
    assert users("--sort", "-revoked_at")[0] == "3"
    assert users("--sort", "created_at", "--status", "active") == ["0", "1", "2", "4"]


HEAVY = ("rich", "sqlite_utils", "pydantic", "yaml", "cryptography", "passlib", "packaging")
SELDOM = (
    "authctl.lifetimes",
    "authctl.model.sorts",
    "authctl.model.told_events",
    "authctl.model.uses",
    "authctl.registry.batches",
    "authctl.store.sqlite.errors",
    "authctl.version",
)
"""Modules that most commands can do without (decision 273)."""


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (
            ("sessions", "list"),
            (
                *HEAVY,
                "itsdangerous",
                "authctl.model.profiles",
                "authctl.registry.tokens.issue",
                "authctl.model.audit",
                *SELDOM,
            ),
        ),
        (("sessions", "list", "--search", "alice"), HEAVY),
        (
            ("tokens", "verify"),
            (
                *HEAVY,
                "secrets",
                "authctl.registry.tokens.issue",
                "authctl.registry.tokens.refresh",
                "authctl.registry.tokens.wipe",
                *SELDOM,
            ),
        ),
        (
            ("revoke", "--user", "alice", "--note", "lost device"),
            (*HEAVY, "authctl.screens", "authctl.store.sqlite.imports"),
        ),
        (("cleanup",), HEAVY),
    ],
)
def test_a_command_imports_no_more_than_it_uses(
    installed: Authctl, home: Path, arguments: tuple[str, ...], spared: tuple[str, ...]
):
    """Start-up is most of what a command costs: libraries for other commands stay out of `sys.modules`."""
    token = installed("tokens", "issue", "-q", "--user", "alice", "--application", "A").out
    code = "import sys; from authctl.cli.app import run; code = run(sys.argv[1:]); sys.stderr.write(' '.join(sys.modules)); sys.exit(code)"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, "--home", str(home), *arguments],
        input=token,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(spared) & set(ran.stderr.split()) == set()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("sessions", "list", "--home", "x"), "--home goes before the command", "authctl --home DIR sessions list"),
        (("doctor", "--version"), "--version goes before the command", "authctl --version doctor"),
        (("-o", "json", "sessions", "list"), "-o goes after the command", "authctl sessions list -o <table"),
        (("-o", "json"), "-o goes after the command", "hint: authctl --help"),
        (("sessions", "-o", "json", "list"), "-o goes after the command", "hint: authctl sessions list -o <table|"),
        (
            ("sessions", "--status", "x", "list"),
            "--status goes after the command",
            "hint: authctl sessions list --status",
        ),
        (("sessions", "--status", "x"), "--status goes after the command", "hint: authctl sessions --help"),
        (("--dry-run", "revoke"), "--dry-run goes after the command", "hint: authctl revoke --dry-run\n"),
        (("--note", "x", "completion"), "no such option: --note", "hint: authctl --help"),
        (("sessions", "--home", "x", "list"), "--home goes before the command", "authctl --home DIR sessions list"),
        (("sessions", "rm"), "no such command 'rm'", "hint: commands of authctl sessions: list, show, end, import\n"),
        (("ls",), "no such command 'ls'", "hint: authctl --help"),
        (("revoke", "--list"), "no such option: --list", "hint: authctl revoke --help"),
        (("--nothing", "sessions", "list"), "no such option: --nothing", "authctl --help"),
        (("--home",), "option '--home' requires an argument", ""),
        (("sessions",), "missing command", "commands of authctl sessions: list, show, end, import"),
        (
            ("sessions", "list", "--limit", "0"),
            "invalid value for '--limit': '0' is not a whole number of 1 or more",
            "--help",
        ),
        (
            ("sessions", "list", "--limit", "9" * 20),
            f"invalid value for '--limit': '{'9' * 20}' is more than 4,611,686,018,427,387,904",
            "--help",
        ),
        (("imports", "show", "0"), "invalid value for 'ID': '0' is not a whole number of 1 or more", "--help"),
    ],
)
def test_a_usage_error_names_the_right_place(authctl: Authctl, arguments: tuple[str, ...], message: str, hint: str):
    """An option in the wrong place, a noun without a verb, a number out of range: exit 2, and what is right."""
    ran = authctl(*arguments)
    assert ran.code == 2
    assert f"authctl: error: {message}" in ran.err
    assert hint in ran.err


def test_no_help_has_a_range_of_a_database(authctl: Authctl):
    """A person reads what an option is for, and not how large a number can be."""
    for path in every_command():
        assert "<=x" not in authctl(*path, "--help").out, path
