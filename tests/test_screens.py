"""What a person sees on a terminal: every list fits from 40 to 200 columns, and views have what matters first.

The screens are kept in `tests/screens/`, one file a command, as they were looked at. `AUTHCTL_WRITE_SCREENS=1` writes them anew.
"""

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from signal import SIGINT, getsignal
from unicodedata import combining, east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import Registry, SessionFilter, names
from authctl.cli.pager import allowed_pager, paged
from authctl.errors import InvalidInput
from authctl.instants import DAY, HOUR, MINUTE, instant_of, parse_instant, parse_when
from authctl.screens.fitting import GAP, Column, Kind, fit
from authctl.screens.times import Look, in_list, in_short_list, in_view, zone_of
from tests import places
from tests.conftest import Authctl, Clock, Install, OnTerminal

SCREENS = Path(__file__).parent / "screens"
THEN = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
"""Long ago, so that every time is shown as a date, whenever the tests run."""

PROFILES = """\
version: 1
default_profile: steady
profiles:
  steady:
    description: Sessions that stay active until they are revoked
    idle_timeout: never
    continuity: true
  short: {idle_timeout: 2h}
assignments: [{application: Kiosk, profile: short}]
"""
SHORTER = PROFILES.replace("idle_timeout: 2h", "idle_timeout: 1h").replace(" until they are revoked", "")
NOTE = "lost device, reported at the front desk on Friday morning; the police have been told, ticket 4711"

SESSIONS = (
    ("alice", "Outlook", "AL-PC", "Windows 11"),
    ("alice", "Outlook", "AL-PHONE", "iOS 17.4"),
    ("bartholomew.featherstonehaugh@example.org", "Microsoft Teams", "LAPTOP-OF-THE-FINANCE-DEPARTMENT", "Windows 11"),
    ("田中太郎", "電子メール", "東京-PC-01", "Windows 11"),
    ("zo\u0308e\u0301", "Teams", "e\u0301" * 12, "macOS 14"),
    ("carol", "Teams", "CA-PC", "macOS 14"),
    ("dave", "Kiosk", "KIOSK-7", "Linux"),
)

LISTS: dict[str, tuple[str, ...]] = {
    "sessions-list": ("sessions", "list"),
    "sessions-list-revoked": ("sessions", "list", "--status", "revoked"),
    "sessions-list-wipe": ("sessions", "list", "--wipe", "pending"),
    "sessions-list-source": ("sessions", "list", "--source", "okta"),
    "sessions-list-groups": ("sessions", "list", "--group-by", "application"),
    "users-list": ("users", "list"),
    "audit-list": ("audit", "list"),
    "profiles-list": ("profiles", "list"),
    "keys-list": ("keys", "list"),
    "imports-list": ("imports", "list"),
    "mappings-list": ("mappings", "list"),
    "cache-list": ("cache", "list"),
    "continuity-status": ("continuity", "status"),
}
"""Every list that is a table, with the name of its file."""


@pytest.fixture
def filled(install: Install, clock: Clock, tmp_path: Path) -> Registry:
    """An installation with something in every list, all of it long ago."""
    clock.now = THEN
    registry = install(PROFILES)
    for username, application, device, platform in SESSIONS:
        registry.issue(username=username, application=application, device=device, platform=platform, actor="founder")
        clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note=NOTE, actor="bob")
    registry.users.disable("carol", note="left the company", actor="bob")
    registry.keys.rotate(note="yearly rotation", actor="bob")
    clock.forward(hours=2)
    registry.continuity.start(["steady"], note="the identity provider is down", actor="bob")
    rows, mapping = tmp_path / "rows.jsonl", tmp_path / "map.yaml"
    rows.write_text(json.dumps({"u": "erin", "t": "2024-03-01T10:00:00Z", "s": "0a1b2c3d4e5f60718293"}) + "\n")
    mapping.write_text(
        "source: okta\nfields: {username: u, at: t, application: {value: Mail}, source_id: s}\nkey: [username]\n"
    )
    return registry


@pytest.fixture
def imported(filled: Registry, authctl: Authctl, tmp_path: Path) -> Registry:
    """The same with a session of another system."""
    assert filled.count() == len(SESSIONS)
    ran = authctl("sessions", "import", str(tmp_path / "rows.jsonl"), "--map", str(tmp_path / "map.yaml"), "-q")
    assert ran.code == 0, ran.err
    return filled


@pytest.fixture
def terminal(authctl: Authctl, monkeypatch: pytest.MonkeyPatch) -> Authctl:
    """The command line, which takes its standard output for a terminal of `COLUMNS`."""
    monkeypatch.setattr("authctl.cli.context.is_terminal", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("NO_COLOR", "1")
    return authctl


def width(line: str) -> int:
    """The cells that a line takes, by the Unicode Character Database."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in line)


def test_every_list_fits(imported: Registry, terminal: Authctl, monkeypatch: pytest.MonkeyPatch):
    """At 40 to 200 columns every row is one line within them, with its first column; in a pipe nothing is left out."""
    assert imported.count()
    for name, command in LISTS.items():
        rows = len(terminal(*command, "-o", "csv").out.splitlines()) - 1
        for columns in (40, 50, 60, 70, 80, 100, 120, 200):
            monkeypatch.setenv("COLUMNS", str(columns))
            lines = terminal(*command).out.splitlines()
            assert len(lines) == min(rows, 50) + 1 if rows else 1, (name, columns)
            assert max(width(line.rstrip()) for line in lines) <= columns, (name, columns)
            assert all(line.strip() for line in lines), (name, columns)
            if name == "sessions-list":
                assert all({"active", "expired", "revoked", "status"} & set(line.split()) for line in lines), columns


COLUMNS = st.lists(
    st.builds(
        lambda kind, width, shorter, importance: Column(kind, width, min(width, shorter), importance),
        st.sampled_from(Kind),
        st.integers(1, 60),
        st.integers(1, 16),
        st.tuples(st.integers(0, 2), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=9,
)


@given(COLUMNS, st.integers(40, 200))
def test_columns_fit(columns: list[Column], room: int):
    """Whatever the columns: those shown fit the room, in their order, the first always, and none is wider than its texts."""
    fitted = fit(columns, room)
    assert sum(one.width for one in fitted) + GAP * (len(fitted) - 1) <= room
    indexes = [one.index for one in fitted]
    assert indexes == sorted(set(indexes))
    assert indexes[0] == 0
    for one in fitted[1:]:
        column = columns[one.index]
        assert 0 < one.width <= column.width
        if column.kind is Kind.WHOLE:
            assert one.width == column.width
        if column.kind is Kind.SHORTER:
            assert one.width == (column.shorter if one.is_shorter else column.width)
    if sum(column.width for column in columns) + GAP * (len(columns) - 1) <= room:
        assert [one.width for one in fitted] == [column.width for column in columns]


def test_what_is_important_is_whole_first(imported: Registry, terminal: Authctl, monkeypatch: pytest.MonkeyPatch):
    """User, application, device and status are whole at 80 columns, where the id is a beginning of eight characters or more."""
    monkeypatch.setenv("COLUMNS", "80")
    out = terminal("sessions", "list", "--user", "alice").out
    sessions = list(imported.sessions(SessionFilter(username="alice")))
    assert len(sessions) == 2
    for session in sessions:
        (line,) = (line for line in out.splitlines() if line.startswith(session.id[: names.SHORTEST_SHOWN]))
        assert {"alice", "Outlook", session.device, "revoked"} <= set(line.split())
        shown = line.split()[0]
        assert terminal("sessions", "show", shown, "-o", "id").out == f"{session.id}\n"
    assert all(session.id in terminal("sessions", "list", "-o", "table", "-q").out for session in sessions) is False
    monkeypatch.setenv("COLUMNS", "200")
    assert all(session.id in terminal("sessions", "list").out for session in sessions)


def test_a_short_id_is_unique(registry: Registry):
    """It has eight characters or more, names its session alone, and is longer where another id begins in the same way."""
    ids = [registry.issue(username="alice", application="Outlook").session.id for _ in range(30)]
    short = registry.lists.short_ids(ids)
    assert list(short) == ids
    for whole, beginning in short.items():
        assert whole.startswith(beginning)
        assert len(beginning) >= names.SHORTEST_SHOWN
        assert registry.session(beginning).id == whole
    gone = "a" * 16
    assert registry.lists.short_ids([gone]) == {gone: gone}


def test_a_short_id_that_is_no_longer_unique_is_refused(home: Path, registry: Registry):
    """A second session with the same beginning makes the shown id longer, and the old beginning hits nobody."""
    first, second = (registry.issue(username=user, application="Outlook").session.id for user in ("alice", "bob"))
    twin = first[:9] + ("b" if first[9] != "b" else "c") + first[10:]
    places.ask(home, "UPDATE sessions SET id = ? WHERE id = ?", (twin, second))
    assert registry.lists.short_ids([first, twin]) == {first: first[:10], twin: twin[:10]}
    with pytest.raises(InvalidInput, match="not unique") as refused:
        registry.revoke(SessionFilter(ids=(first[:8],)), note="lost device")
    assert twin in (refused.value.hint or "")
    assert registry.count(SessionFilter(status="revoked")) == 0
    assert [one.id for one in registry.revoke(SessionFilter(ids=(first[:10],)), note="lost device").sessions] == [first]


NOW = instant_of(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("apart", "shown"),
    [
        (0, "just now"),
        (MINUTE, "1 min ago"),
        (HOUR, "1 h ago"),
        (DAY - 1, "23 h ago"),
        (DAY, "2026-03-01 09:00"),
        (-1, "in 1 min"),
        (-2 * HOUR, "in 2 h"),
        (-DAY, "2026-03-03 09:00"),
    ],
)
def test_a_time_in_a_list(apart: int, shown: str):
    """Relative within a day of now, else to the minute; where room is short the minute goes."""
    text = _text(NOW - apart)
    look = Look(NOW)
    assert in_list(text, look) == shown
    assert in_short_list(text, look) == (shown[:10] if shown.startswith("2026") else shown)
    assert zone_of([text], look) == ("UTC" if shown.startswith("2026") else None)
    assert in_list(text, Look(NOW, exact=True)) == in_short_list(text, Look(NOW, exact=True))
    assert zone_of([text], Look(NOW, exact=True)) == "UTC"


def _text(instant: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).isoformat()


def test_a_time_of_the_terminals_zone(monkeypatch: pytest.MonkeyPatch):
    """With --local, and named; the first and last day of the calendar stay in UTC where the zone would move them out of it."""
    import time

    monkeypatch.setenv("TZ", "EST5EDT")
    time.tzset()
    try:
        look = Look(NOW, local=True, exact=True)
        assert in_view("2026-01-02T03:04:05Z", look) == "2026-01-01 22:04:05 EST"
        assert zone_of(["2026-01-02T03:04:05Z", "2026-07-02T03:04:05Z"], look) == "EST/EDT"
        assert in_list("0001-01-01T00:00:00Z", look) == "0001-01-01 00:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_no_time_is_shown_as_it_is():
    """An event that was tampered with has any text for a time; a control character in it is visible."""
    assert in_list("17\x1b[31m", Look(NOW)) == "17\\x1b[31m"
    assert in_list(None, Look(NOW)) == ""


@pytest.mark.parametrize(("text", "expected"), [("today", "2026-03-02"), (" Yesterday ", "2026-03-01")])
def test_today_and_yesterday_are_midnight_utc(text: str, expected: str):
    """As every date is, whatever the time of day."""
    assert parse_when(text, NOW) == parse_when(text, NOW + 14 * HOUR) == parse_instant(expected)


def test_every_time_option_says_what_a_date_is(authctl: Authctl):
    """Each help text of an option that takes a time has the zone of a date."""
    commands = (("sessions", "list"), ("revoke",), ("audit", "list"), ("continuity", "start"), ("sessions", "import"))
    for command in commands:
        text = " ".join(authctl(*command, "--help").out.split())
        options = [part for part in re.split(r" (?=--[a-z])", text) if re.match(r"--[a-z-]+ TIME\b", part)]
        assert options, command
        assert [one for one in options if "midnight UTC" not in one] == [], command


def test_a_pipe_has_everything(imported: Registry, authctl: Authctl):
    """No option of the screen changes what a script reads."""
    assert imported.count()
    for command in (
        LISTS["sessions-list"],
        LISTS["sessions-list-revoked"],
        LISTS["audit-list"],
        ("users", "show", "alice"),
    ):
        for form in ("table", "json", "csv", "id"):
            plain = authctl(*command, "-o", form)
            assert plain.code == 0
            assert authctl(*command, "-o", form, "--local", "--exact", "--pager") == plain


def test_a_list_in_a_pipe_loads_nothing_of_the_screen(imported: Registry, home: Path):
    """Neither rich nor the modules that draw: start-up pays for a terminal on a terminal alone."""
    import subprocess

    assert imported.count()
    code = (
        "import sys; from authctl.cli.app import run; run(['sessions', 'list']);"
        " print(*[m for m in sys.modules if m.startswith(('rich', 'authctl.screens', 'authctl.cli.pager'))])"
    )
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home), **places.environment()}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.count("\n") == imported.count() + 2
    assert ran.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("variable", ["SUDO_USER", "SUDO_UID", "DOAS_USER", "PKEXEC_UID"])
def test_no_pager_with_the_rights_of_another_user(monkeypatch: pytest.MonkeyPatch, variable: str):
    """A pager can start a shell, so that it is refused with a warning; a value that is empty counts."""
    monkeypatch.setenv("PAGER", "cat")
    for name in ("SUDO_USER", "SUDO_UID", "DOAS_USER", "PKEXEC_UID"):
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []
    assert allowed_pager(said.append) == ("cat",)
    assert said == []
    monkeypatch.setenv(variable, "")
    assert allowed_pager(said.append) is None
    assert "another user" in said[0]


def test_no_pager_where_real_and_effective_user_differ(monkeypatch: pytest.MonkeyPatch):
    """As in a program that is set-uid."""
    for name in ("SUDO_USER", "SUDO_UID", "DOAS_USER", "PKEXEC_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert allowed_pager(lambda _text: None) is None


@pytest.mark.slow
def test_the_pager_is_secure(filled: Registry, on_terminal: OnTerminal, tmp_path: Path):
    """It gets the whole list on its standard input, `LESSSECURE`, and no program that less would run; a missing one loses nothing."""
    assert filled.count()
    program = tmp_path / "pager"
    program.write_text('#!/bin/sh\necho "secure=$LESSSECURE open=$LESSOPEN"\ncat\n')
    program.chmod(0o755)
    screen = on_terminal("sessions", "list", "--pager", PAGER=str(program), LESSOPEN="|evil %s")
    assert "secure=1 open=\n" in screen.text
    assert "KIOSK-7" in screen.text
    missing = on_terminal("sessions", "list", "--pager", PAGER=str(tmp_path / "none"))
    assert (missing.code, "KIOSK-7" in missing.text) == (0, True)
    refused = on_terminal("sessions", "list", "--pager", PAGER=str(program), SUDO_USER="bob")
    assert "secure=" not in refused.text
    assert "no pager" in refused.text
    assert "KIOSK-7" in refused.text


def views(registry: Registry) -> dict[str, tuple[str, ...]]:
    """The views of one record, each of a thing that has much to show."""
    by_user = {session.username: session.id for session in registry.sessions()}
    revocation = next(event.seq for event in registry.audit.events() if event.action == "session.revoke")
    return {
        "sessions-show-revoked": ("sessions", "show", by_user["alice"]),
        "sessions-show-active": ("sessions", "show", by_user["田中太郎"]),
        "sessions-show-expired": ("sessions", "show", by_user["carol"]),
        "users-show": ("users", "show", "carol"),
        "audit-show": ("audit", "show", str(revocation)),
        "profiles-show": ("profiles", "show", "steady"),
    }


@pytest.mark.slow
def test_the_screens_are_as_they_were_looked_at(filled: Registry, home: Path, on_terminal: OnTerminal, tmp_path: Path):
    """Every list and view on a real terminal of 60, 80 and 120 columns; ids and hashes apart, which are random."""
    changed = tmp_path / "changed.yaml"
    changed.write_text(SHORTER)
    (home / "profiles.yaml").chmod(0o640)  # for `doctor`
    imports = ("imports-list", "sessions-list-source", "mappings-list")
    commands = {name: command for name, command in LISTS.items() if name not in imports} | views(filled)
    commands["profiles-diff"] = ("profiles", "diff", str(changed))
    ids = [session.id for session in filled.sessions()] + [use.key.id for use in filled.keys.list()]
    for name, command in commands.items():
        text = "".join(
            f"{'-' * columns}\n{_still(on_terminal(*command, columns=columns, NO_COLOR='1').text, ids)}"
            for columns in (60, 80, 120)
        )
        file = SCREENS / f"{name}.txt"
        if os.environ.get("AUTHCTL_WRITE_SCREENS"):
            file.write_text(text)
        assert text == file.read_text(), name
        assert all(width(line) <= 120 for line in text.splitlines() if not line.startswith("authctl: "))


def _still(text: str, ids: list[str]) -> str:
    """A screen without what is random, or moves with the years: each character as another one of the same width."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for one in (part for whole in ids for part in (whole, whole[: names.SHORTEST_SHOWN])):
        text = text.replace(one, "x" * len(one))
    text = re.sub(r"\b[0-9a-f]{16,}\b", lambda match: "0" * len(match[0]), text)
    text = re.sub(r"\(\d[\d,]* d ago\)", "(… d ago)", text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


@pytest.mark.slow
def test_the_doctor_begins_with_what_is_wrong(filled: Registry, home: Path, on_terminal: OnTerminal):
    """Each problem with the next command, then one line for what is well."""
    assert filled.count()
    (home / "profiles.yaml").chmod(0o640)
    screen = on_terminal("doctor", columns=80)
    lines = screen.text.splitlines()
    assert screen.code == 9
    problem = next(index for index, line in enumerate(lines) if "open to others" in screen.text and "files" in line)
    well = next(index for index, line in enumerate(lines) if "well" in line)
    assert problem < well
    assert "next: chmod 600" in screen.text
    assert len(lines) <= 24


def test_a_pager_cannot_be_read_from_an_open_quote(monkeypatch: pytest.MonkeyPatch):
    """A value of PAGER with an open quote is no command: a warning, and no pager."""
    for name in ("SUDO_USER", "SUDO_UID", "DOAS_USER", "PKEXEC_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PAGER", "less '")
    warnings: list[str] = []
    assert allowed_pager(warnings.append) is None
    assert warnings == ["no pager: PAGER is not a command"]


def test_the_interrupt_key_belongs_to_the_pager():
    """An interrupt while the pager runs does not end authctl, a pager that leaves early is no failure, and the handler comes back."""
    before = getsignal(SIGINT)
    out = StringIO()
    with paged(("sh", "-c", f"kill -INT {os.getpid()}"), out) as page:
        page.write("x" * 1_000_000)
    assert (out.getvalue(), getsignal(SIGINT)) == ("", before)
