"""Rows that an import tells of late: each rule of section "An import is late knowledge" in docs/importing.md, by one example."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import InvalidFile, InvalidInput, Registry, Session, SessionFilter, profiles
from authctl.import_mappings import Mapping, read_mapping
from authctl.instants import HOUR, instant_of
from authctl.registry.imports.file import ImportOutcome
from tests.conftest import START, Authctl, Clock, Install
from tests.test_upgrade import of_0_1_0  # noqa: F401  # a fixture

FIELDS = "fields: {username: user, application: app, device: dev, platform: os, ip: ip, at: at}\n"
BY_SID = read_mapping(f"{FIELDS}key: [sid]\n".encode(), "map.yaml")
BY_USER = read_mapping(f"{FIELDS}key: [username, application, device]\n".encode(), "map.yaml")
NOON = START + timedelta(hours=3)
"""When operations are done here; the rows are of ten o'clock unless something else is said."""


def at(hours: float) -> str:
    """An instant of the day, so many hours after nine."""
    return (START + timedelta(hours=hours)).isoformat()


def row(user: str = "alice", hours: float = 1, sid: str = "s1", **details: str) -> dict[str, str]:
    """A row of a listing."""
    return {"sid": sid, "user": user, "app": "Mail", "dev": "A-1", "os": "iOS", "at": at(hours), **details}


def load(registry: Registry, *rows: dict[str, str], mapping: Mapping = BY_SID, **options: object) -> ImportOutcome:
    """Import rows as JSON lines."""
    raw = "\n".join(map(json.dumps, rows)).encode()
    return registry.imports.run(io.BytesIO(raw), mapping, **options)  # type: ignore[arg-type]


def named(registry: Registry, user: str = "alice") -> list[Session]:
    """The sessions of a user that an import registered, the earliest first."""
    selected = registry.sessions(SessionFilter(username=user, application="Mail"))
    return sorted(selected, key=lambda session: session.created_at)


@pytest.fixture
def at_noon(registry: Registry, clock: Clock) -> Registry:
    """A registry at noon, with a session that every criterion below meets, so that a revocation by it is recorded."""
    registry.issue(username="alice", application="Mail", device="A-1", platform="iOS", ip="10.0.0.1")
    clock.now = NOON
    return registry


CRITERIA = {
    "username": "alice",
    "application": "mail",
    "device": "a-1",
    "platform": "IOS",
    "profile": "default",
    "kind": "application",
    "search": "A-1",
    "created_since": instant_of(START),
    "created_before": instant_of(NOON),
    "used_since": instant_of(START),
    "unused_since": instant_of(NOON),
    "expires_before": instant_of(NOON + timedelta(days=30)),
    "status": "active",
}


@pytest.mark.parametrize("name", CRITERIA)
def test_a_row_from_before_a_revocation_comes_under_it(at_noon: Registry, name: str):
    """Whatever the criterion is: the session is registered as revoked, with the note and instant of that revocation."""
    outcome = at_noon.revoke(SessionFilter(**{name: CRITERIA[name]}), note=f"by {name}")
    load(at_noon, row())
    late = next(s for s in named(at_noon) if s.created_at == instant_of(START) + HOUR)
    assert (late.status, late.note, late.revocation_id) == ("revoked", f"by {name}", outcome.revocation_id)


@pytest.mark.parametrize("late", [row("bob", dev="B-2"), row(hours=4)], ids=["another user", "after it"])
def test_a_row_that_does_not_meet_it_is_untouched(at_noon: Registry, clock: Clock, late: dict[str, str]):
    """Another user's session, and one from after the revocation, are active."""
    at_noon.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(hours=2)
    load(at_noon, late)
    assert named(at_noon, late["user"])[-1].status == "active"


def test_rows_on_both_sides_are_two_sessions(at_noon: Registry, clock: Clock):
    """The part up to the revocation is revoked, and the part after it is active, in whatever order they are told."""
    at_noon.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(hours=2)
    load(at_noon, row(hours=4), row(hours=1))
    _, before, after = named(at_noon)
    assert [(s.status.value, s.note) for s in (before, after)] == [("revoked", "lost device"), ("active", None)]


def test_of_several_revocations_the_earliest_counts(at_noon: Registry, clock: Clock):
    """The first that the rows meet: its note is the session's."""
    at_noon.revoke(SessionFilter(device="A-1"), note="first, by device")
    clock.forward(hours=1)
    at_noon.revoke(SessionFilter(username="alice"), note="second, by user")
    load(at_noon, row(), row("bob", sid="s2"), row("alice", sid="s3", dev="A-9"))
    notes = {(s.username, s.device): s.note for s in at_noon.sessions(SessionFilter(status="revoked"))}
    assert notes["bob", "A-1"] == "first, by device"
    assert notes["alice", "A-9"] == "second, by user"
    assert notes["alice", "A-1"] == "first, by device"


def test_the_status_is_that_of_the_instant(install: Install, clock: Clock):
    """`--status active` binds what lived at that instant, by the deadlines known now; what had expired stays as it is."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 90m}}")
    clock.now = NOON
    registry.issue(username="alice", application="Mail")
    registry.revoke(SessionFilter(username="alice", status="active"), note="signed out by us")
    load(registry, row(hours=1), row(hours=2.5, sid="s2"))
    assert {s.created_at: s.status.value for s in named(registry)[:2]} == {
        instant_of(START) + HOUR: "expired",
        instant_of(START) + 5 * HOUR // 2: "revoked",
    }


def test_what_was_spared_stays_spared(at_noon: Registry):
    """A session that was excepted keeps being active, with all its rows; ids bind no other late row either."""
    load(at_noon, row(hours=2))
    (mine,) = [s for s in named(at_noon) if s.created_at == instant_of(START) + 2 * HOUR]
    at_noon.revoke(SessionFilter(username="alice", except_ids=(mine.id,)), note="all but one")
    load(at_noon, row(hours=1, os="Android"))
    again = at_noon.session(mine.id)
    assert (again.status, again.created_at) == ("active", instant_of(START) + HOUR)


def test_a_revocation_by_ids_binds_no_late_row(at_noon: Registry):
    """It meant that session and no other."""
    at_noon.revoke(SessionFilter(ids=(named(at_noon)[0].id,)), note="this one")
    load(at_noon, row())
    assert named(at_noon)[-1].status == "active"


def test_a_session_known_to_be_used_afterwards_is_not_parted(at_noon: Registry, clock: Clock):
    """The one exception: older rows join it."""
    load(at_noon, row(hours=2, dev="Z-9"))
    at_noon.revoke(SessionFilter(device="A-1"), note="lost device")
    clock.forward(hours=2)
    load(at_noon, row(hours=4, dev="Z-9"))
    load(at_noon, row(hours=1))
    (session,) = [s for s in named(at_noon) if s.status == "active"]
    assert (session.created_at, session.last_used_at) == (instant_of(START) + HOUR, instant_of(START) + 4 * HOUR)


def test_later_assignments_move_nothing_in_or_out(install: Install, clock: Clock):
    """`--profile` means the profile that the assignments in force at that instant gave."""
    text = "version: 1\ndefault_profile: a\nassignments: [{application: Mail, profile: b}]\nprofiles: {a: {}, b: {}}"
    registry = install(text)
    registry.issue(username="alice", application="Mail")
    registry.issue(username="alice", application="Other")
    clock.now = NOON
    registry.revoke(SessionFilter(profile="b"), note="profile b is retired")
    clock.forward(hours=1)
    other = text.replace("application: Mail", "application: Other")
    registry.profiles.apply(profiles.read(other.encode(), "profiles.yaml"), note="other is b now")
    load(registry, row(), row("bob", sid="s2", app="Other"))
    assert [s.note for s in named(registry)][-1] == "profile b is retired"
    assert next(registry.sessions(SessionFilter(username="bob"))).status == "active"


def test_a_revocation_of_nothing_new_binds_all_the_same(at_noon: Registry, clock: Clock):
    """By criteria that matched revoked sessions only it is recorded; where nothing matched, and by ids, nothing is."""
    at_noon.revoke(SessionFilter(username="alice"), note="the first time")
    clock.forward(hours=1)
    outcome = at_noon.revoke(SessionFilter(username="alice"), note="the second time")
    assert (outcome.selected, outcome.revoked) == (1, 0)
    assert at_noon.revoke(SessionFilter(username="nobody"), note="nobody at all").revocation_id is None
    load(at_noon, row(hours=3.5), row("nobody", hours=3.5, sid="s2"))
    assert named(at_noon)[-1].note == "the second time"
    assert named(at_noon, "nobody")[0].status == "active"


def test_a_cleanup_keeps_what_a_revocation_meant(at_noon: Registry, clock: Clock):
    """Its criteria, instant and note bind rows although every session that it revoked is gone."""
    at_noon.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(days=300)
    assert at_noon.cleanup.run(accept_clock_jump=True).removed == 1
    load(at_noon, row())
    assert [(s.status.value, s.note) for s in named(at_noon)] == [("revoked", "lost device")]


@pytest.mark.parametrize(("ahead", "status"), [({"minutes": 3}, "active"), ({"hours": 3}, "revoked")])
def test_a_row_ahead_of_the_clock(at_noon: Registry, clock: Clock, ahead: dict[str, int], status: str):
    """A few minutes ahead it is of the present; further ahead it may be a local time, and comes under the last day's operations."""
    at_noon.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(minutes=1)
    late = row(at=(clock.now + timedelta(**ahead)).isoformat())
    load(at_noon, late)
    assert named(at_noon)[-1].status == status
    clock.forward(hours=5)
    assert load(at_noon, late).unchanged == 1
    assert named(at_noon)[-1].status == status


def test_a_row_ahead_of_the_clock_that_changed_nothing_changes_nothing_later(at_noon: Registry, clock: Clock):
    """Told again when the clock has got there, it is no new session."""
    load(at_noon, row())
    at_noon.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(minutes=1)
    late = row(at=(clock.now + timedelta(hours=3)).isoformat())
    assert load(at_noon, late).unchanged == 1
    clock.forward(hours=5)
    assert load(at_noon, late).unchanged == 1
    assert at_noon.count(SessionFilter(status="active")) == 0


def test_a_key_that_two_users_share_makes_two_sessions(registry: Registry, clock: Clock):
    """Each is listed under its own user and can be revoked; the row that would have moved the session is said, with its line."""
    clock.now = NOON
    outcome = load(registry, row("alice", 1), row("bob", 2), row("bob", 2.5))
    assert outcome.registered == 2
    ((line, text),) = outcome.moved
    assert line == 2
    assert "'alice'" in text
    assert "'bob'" in text
    for user in ("alice", "bob"):
        assert registry.revoke(SessionFilter(username=user), note="lost device").revoked == 1
    assert registry.count(SessionFilter(status="active")) == 0


@pytest.mark.parametrize("operation", ["revoke", "end"])
def test_an_older_row_under_another_name_is_over_in_the_same_way(registry: Registry, clock: Clock, operation: str):
    """The user was renamed in the source: rows from before the end of the session are those of one that is over."""
    clock.now = NOON
    load(registry, row("alice", 1))
    (session,) = registry.sessions()
    if operation == "revoke":
        registry.revoke(SessionFilter(ids=(session.id,)), note="lost device")
    else:
        registry.end([session.id])
    load(registry, row("alicia", 2))
    (renamed,) = registry.sessions(SessionFilter(username="alicia"))
    assert (renamed.note, renamed.ended_by) == (
        ("lost device", None) if operation == "revoke" else (None, "signed_out")
    )
    assert registry.count(SessionFilter(status="active")) == 0


def test_a_registry_of_0_1_0(of_0_1_0: Path):  # noqa: F811
    """The same listing again, under the same mapping: nothing that ended lives, nothing comes twice, and both users of one key are there."""
    users = {"s1": "Alice", "s2": "bob", "s3": "carol", "s4": "dora", "s5": "erin"}
    listing = [
        {
            "sid": sid,
            "user": user,
            "app": "Portal" if user == "erin" else "Mail",
            "dev": f"{user[0].upper()}-1",
            "at": nine,
        }
        for sid, user in users.items()
        for nine in ["2026-11-20T09:00:00Z"]
    ]
    shared = [
        {"sid": "s6", "user": "judy", "app": "Mail", "dev": "J-1", "at": "2026-11-20T12:30:00Z"},
        {"sid": "s6", "user": "ivan", "app": "Mail", "dev": "I-1", "at": "2026-11-20T12:45:00Z"},
    ]
    with Registry.open(of_0_1_0) as registry:
        before = {s.id: (s.status.value, s.note, s.ended_reason) for s in registry.sessions()}
        outcome = load(registry, *listing, *shared)
        assert (outcome.registered, outcome.unchanged) == (1, 6)
        after = {s.id: (s.status.value, s.note, s.ended_reason) for s in registry.sessions()}
        assert {id_: after[id_] for id_ in before} == before
        assert {s.device for s in named(registry, "judy")} == {"J-1"}
        assert [line for line, _ in outcome.moved] == [6]
        named_again = [
            {"user": user, "app": "Mail", "dev": device, "at": "2026-11-20T09:00:00Z"}
            for user, device in (("frank", "F-1"), ("grace", "G-1"))
        ]
        assert load(registry, *named_again, mapping=BY_USER).unchanged == 2
        late = {"sid": "s9", "user": "carol", "app": "Mail", "dev": "C-9", "at": "2026-11-20T10:00:00Z"}
        load(registry, late)
        assert {s.note for s in named(registry, "carol")} == {"lost device"}


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M %p", "%Y-%m-%d %I:%M", "%Y-%m-%d %I:%M:%S"])
def test_half_a_twelve_hour_clock_is_a_fault(form: str):
    """`%p` without `%I`, and `%I` without `%p`, read afternoons wrong."""
    text = f'fields: {{username: user, at: {{path: at, format: "{form}"}}}}\nkey: [username]\n'
    with pytest.raises(InvalidFile, match="%I and %p together"):
        read_mapping(text.encode(), "map.yaml")
    whole = text.replace(form, "%Y-%m-%d %I:%M %p")
    meant = read_mapping(whole.encode(), "map.yaml").interpret({"user": "alice", "at": "2026-03-02 04:05 PM"})
    assert meant.at == instant_of(START.replace(hour=16, minute=5))  # type: ignore[union-attr]


MAP = f"where: {{type: start}}\n{FIELDS}key: [sid]\n"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "the file has no rows"),
        ([{**row(), "type": "stop"}] * 2, "2 of 2 rows skipped by where, such as line 1: where 'type' is 'stop'"),
        ([{**row(user=" "), "type": "start"}], "1 of 1 rows rejected, such as line 1: the username is blank"),
    ],
)
def test_an_import_of_no_used_row_is_said(installed: Authctl, tmp_path: Path, rows: list[dict[str, str]], reason: str):
    """Exit 3 with the commonest reason and an example; `--allow-empty` makes it 0; nothing is written, not even an event."""
    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    command = ("sessions", "import", str(tmp_path / "rows.jsonl"), "--map", str(tmp_path / "map.yaml"))
    for options in ((), ("--dry-run",), ("-q",), ("-o", "json")):
        ran = installed(*command, *options)
        assert (ran.code, reason in ran.err) == (3, True), ran.err
    assert installed(*command, "--allow-empty").code == 0
    assert "session.import" not in installed("audit", "list").out


def test_the_same_rows_again_are_used_rows(installed: Authctl, tmp_path: Path):
    """Nothing new in a file is no error."""
    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "rows.jsonl").write_text(json.dumps({**row(), "type": "start"}) + "\n")
    command = ("sessions", "import", str(tmp_path / "rows.jsonl"), "--map", str(tmp_path / "map.yaml"))
    assert [installed(*command).code for _ in range(2)] == [0, 0]


def test_strict_registers_nothing_where_a_row_is_rejected(registry: Registry, clock: Clock):
    """The error names the line; without it the other rows are registered."""
    clock.now = NOON
    rows = (row(), row(user=" "))
    with pytest.raises(InvalidInput, match="line 2: the username is blank"):
        load(registry, *rows, strict=True)
    assert registry.count() == 0
    assert load(registry, *rows).registered == 1
