"""Rows that an import tells after an operation, of the time before it: one small example for each rule.

Everything starts on 2 March 2026, 9:00. `tests/oracle.py` has the rules as one, and `tests/test_histories.py` their random histories.
"""

import io
import json
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authctl import InvalidFile, InvalidInput, Registry, Session, SessionFilter, profiles
from authctl.import_mappings import Mapping, read_mapping
from authctl.instants import DAY, HOUR, parse_instant
from authctl.registry.backups import restore
from authctl.registry.imports.register import _KEYS_PER_BATCH
from authctl.settings import find_home
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import START, Authctl, Clock, Install
from tests.test_upgrade import of_0_1_0  # noqa: F401  # a fixture

FIELDS = "fields: {username: user, application: app, device: dev, platform: os, at: at}\n"
BY_SID = read_mapping(f"{FIELDS}key: [sid]".encode(), "map.yaml")
BY_USER = read_mapping(f"{FIELDS}key: [username, application, device]".encode(), "map.yaml")
NOW = int(START.timestamp()) * 1_000_000
FOREVER = "version: 1\nprofiles: {default: {idle_timeout: never}}"


@pytest.fixture
def registry(install: Install) -> Registry:
    """A registry whose sessions are never idle for too long, and in which bob is signed in."""
    made = install(FOREVER)
    made.issue(username="bob", application="Web", device="B-2")
    return made


def row(time: str, user: str = "alice", sid: str = "s1", **details: Any) -> dict[str, Any]:
    """A sign-in of that day."""
    known = {"app": "Mail", "dev": "A-1", "os": "Phone"} | details
    return {"user": user, "sid": sid, "at": f"2026-03-02T{time}:00Z" if len(time) == 5 else time, **known}


def load(registry: Registry, *rows: dict[str, Any], mapping: Mapping = BY_SID, **options: Any) -> Any:
    """Import rows."""
    raw = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    return registry.imports.run(io.BytesIO(raw), mapping, **options)


def sessions(registry: Registry, user: str = "alice") -> list[Session]:
    """A user's sessions, in the order in which they began."""
    return sorted(registry.sessions(SessionFilter(username=user)), key=lambda one: (one.created_at, one.number))


def verdicts(registry: Registry, user: str = "alice") -> list[tuple[str, str | None]]:
    """Status and note of a user's sessions, in the order in which they began."""
    return [(one.status.value, one.note) for one in sessions(registry, user)]


@pytest.fixture
def noon(registry: Registry, clock: Clock) -> int:
    """It is noon, and alice has a session that every criterion below meets, with another key."""
    load(registry, row("08:00", sid="another"))
    clock.forward(hours=3)
    return NOW + 3 * HOUR


CRITERIA = {
    "user": {"username": "ALICE"},
    "application": {"application": "mail"},
    "device": {"device": "a-1"},
    "platform": {"platform": "phone"},
    "profile": {"profile": "default"},
    "kind": {"kind": "application"},
    "search": {"search": "a-1"},
    "status": {"status": ("active",)},
    "created since": {"created_since": NOW - 2 * HOUR, "username": "alice"},
    "created before": {"created_before": NOW + 2 * HOUR, "username": "alice"},
    "used since": {"used_since": NOW - 2 * HOUR, "username": "alice"},
    "unused since": {"unused_since": NOW + 2 * HOUR, "username": "alice"},
    "everything with a status": {"everything": True, "status": ("active",)},
    "everything": {"everything": True},
}


@pytest.mark.parametrize("criteria", CRITERIA.values(), ids=CRITERIA)
def test_a_row_of_before_comes_under_the_criteria_that_it_meets(
    registry: Registry, clock: Clock, noon: int, criteria: dict[str, Any]
):
    """Told after a revocation, of the time before it: revoked then, with its note; a row of later is active."""
    registry.revoke(SessionFilter(**criteria), note="lost device")
    clock.forward(hours=1)
    load(registry, row("10:00"), row("12:30"))
    late, later = sessions(registry)[-2:]
    assert (late.created_at, late.status, late.note) == (NOW + HOUR, "revoked", "lost device")
    assert (late.revoked_at, later.status, later.note) == (noon, "active", None)


@pytest.mark.parametrize(
    "criteria",
    [
        {"device": "other"},
        {"username": "carol"},
        {"application": "Web"},
        {"kind": "web"},
        {"unused_since": NOW - HOUR, "kind": "application"},
        {"created_since": NOW + 2 * HOUR},
        {"status": ("expired",)},
    ],
)
def test_a_row_that_does_not_meet_the_criteria_is_active(
    registry: Registry, clock: Clock, noon: int, criteria: dict[str, Any]
):
    """A narrow operation stays narrow; each of these matches somebody else's session."""
    registry.issue(username="carol", application="Web", device="other", kind="web")
    registry.issue(username="carol", application="Web", device="other")
    old = row("2026-03-01T09:00:00Z", "carol", "old") | {"dev": "other"}
    load(registry, old)
    registry.end([sessions(registry, "carol")[0].id])
    assert registry.revoke(SessionFilter(**criteria), note="lost device").selected
    clock.forward(hours=1)
    load(registry, row("10:00"))
    assert [one.status.value for one in sessions(registry) if one.created_at == NOW + HOUR] == ["active"]


def test_of_two_the_earliest(registry: Registry, clock: Clock, noon: int):
    """A row comes under the first revocation after it that it meets, whichever is told first."""
    registry.revoke(SessionFilter(username="bob"), note="not about her")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(device="A-1"), note="the first")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note="the second")
    load(registry, row("10:00"), row("13:30"))
    assert [note for _, note in verdicts(registry)[-2:]] == ["the first", "the second"]


def test_by_criteria_before_everything(registry: Registry, clock: Clock, noon: int):
    """A narrow revocation that came before the latest one of everything keeps what it meets."""
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(everything=True), note="breach")
    load(registry, row("10:00"), row("12:30", sid="s2"))
    assert [note for _, note in verdicts(registry)[-2:]] == ["lost device", "breach"]


def test_status_asks_whether_it_lived_then(install: Install, clock: Clock):
    """By the deadlines known now: what had expired by noon comes under `--status expired`, and not under `--status active`."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 1h}}")
    registry.issue(username="bob", application="Web")
    load(registry, row("07:00", "bob", "another"))
    clock.forward(minutes=30)
    registry.revoke(SessionFilter(status="active"), note="those that lived")
    registry.revoke(SessionFilter(status="expired"), note="those that did not")
    load(registry, row("08:00"), row("09:00", sid="s2"))
    assert verdicts(registry) == [("revoked", "those that did not"), ("revoked", "those that lived")]


def test_what_was_spared_stays_spared_with_all_its_rows(registry: Registry, clock: Clock):
    """Older rows of a session that `--except` named join it; another session of the same kind is revoked."""
    load(registry, row("08:00"))
    (spared,) = sessions(registry)
    load(registry, row("08:00", sid="s2"))
    for criteria in ({"username": "alice"}, {"everything": True}):
        registry.revoke(SessionFilter(except_ids=(spared.id,), **criteria), note="all but one")
        clock.forward(minutes=1)
    load(registry, row("07:00"), row("08:30"), row("07:00", sid="s3"))
    found = registry.session(spared.id)
    assert (found.status, found.created_at, found.last_used_at) == ("active", NOW - 2 * HOUR, NOW - HOUR // 2)
    assert [status for status, _ in verdicts(registry)].count("active") == 1


def test_what_was_spared_of_everything_spares_no_other_session_of_its_key(install: Install, clock: Clock):
    """A session that an operation parts from the spared one is another, and comes under the revocation of everything."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: never, ends_on_password_change: none}}")
    registry.users.password_changed("alice", note="reset")
    clock.forward(minutes=1)
    load(registry, row("09:01"))
    registry.issue(username="bob", application="Web")
    registry.revoke(SessionFilter(everything=True, except_ids=(sessions(registry)[0].id,)), note="breach")
    registry.profiles.apply(profiles.read(FOREVER.encode(), "p.yaml"), note="passwords count")
    load(registry, row("08:30"))
    assert verdicts(registry) == [("revoked", "breach"), ("active", None)]


def test_ids_bind_no_row(registry: Registry, noon: int):
    """A revocation by ids is about those sessions and no other."""
    load(registry, row("09:00"))
    registry.revoke(SessionFilter(ids=tuple(one.id for one in sessions(registry))), note="these two")
    load(registry, row("10:00", sid="s2"))
    assert verdicts(registry)[-1] == ("active", None)


def test_wipe_binds_no_row(install: Install, clock: Clock):
    """How far an order to wipe has come says nothing of what is told later."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: never, on_revoke: wipe}}")
    load(registry, row("08:00"))
    registry.revoke(SessionFilter(username="alice", ids=(sessions(registry)[0].id,)), note="lost device")
    clock.forward(hours=1)
    with suppress(InvalidInput):  # refused altogether, which binds nothing either
        assert registry.revoke(SessionFilter(wipe="pending"), note="once more").revoked == 0
    load(registry, row("08:30", sid="s2"))
    assert verdicts(registry)[-1] == ("active", None)


@pytest.mark.parametrize(
    "criteria", [{"username": "bob"}, {"everything": True}, {"status": ("revoked",), "device": "B-2"}]
)
def test_what_matched_only_revoked_sessions_is_recorded(registry: Registry, clock: Clock, criteria: dict[str, Any]):
    """With its note and event, and `revoked: 0`; a second revocation after a breach binds what is told later."""
    registry.revoke(SessionFilter(username="bob"), note="the first")
    clock.forward(hours=1)
    outcome = registry.revoke(SessionFilter(**criteria), note="the second")
    assert (outcome.revoked, outcome.already_revoked, outcome.revocation_id is None) == (0, 1, False)
    event = next(iter(registry.audit.events()))
    assert (event.action, event.note) == ("session.revoke", "the second")
    if "status" not in criteria:
        load(registry, row("09:30", "bob", dev="B-2"))
        assert ("revoked", "the second") in verdicts(registry, "bob")


def test_what_matched_nothing_is_not_recorded(registry: Registry, clock: Clock):
    """It did nothing, and binds nothing."""
    outcome = registry.revoke(SessionFilter(username="alice"), note="nobody there")
    assert (outcome.selected, outcome.revocation_id) == (0, None)
    clock.forward(hours=1)
    load(registry, row("08:00"))
    assert verdicts(registry) == [("active", None)]


def test_ids_that_were_revoked_already_write_nothing(registry: Registry):
    """No revocation and no event, as before."""
    (bob,) = sessions(registry, "bob")
    registry.revoke(SessionFilter(ids=(bob.id,)), note="the first")
    events = len(list(registry.audit.events()))
    assert registry.revoke(SessionFilter(ids=(bob.id,)), note="the second").revocation_id is None
    assert len(list(registry.audit.events())) == events


def test_a_clean_up_keeps_what_binds_late_rows(registry: Registry, clock: Clock, noon: int):
    """The selector, instant and note of a revocation by criteria outlive the sessions that it revoked."""
    registry.revoke(SessionFilter(device="A-1"), note="lost device")
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    load(registry, row("10:00"))
    (late,) = sessions(registry)
    assert (late.status, late.note, late.revoked_at) == ("revoked", "lost device", noon)


def test_three_minutes_ahead_counts_as_the_present(registry: Registry, clock: Clock):
    """After an operation it is a new session; before one it comes under it, and stays so when the clock gets there."""
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    clock.forward(seconds=1)
    load(registry, row("09:03", "bob"))
    assert verdicts(registry, "bob")[-1] == ("active", None)
    registry.revoke(SessionFilter(username="bob"), note="once more")
    clock.forward(minutes=10)
    load(registry, row("09:03", "bob"))
    assert verdicts(registry, "bob") == [("revoked", "lost device"), ("revoked", "once more")]


@pytest.mark.parametrize("back", [{"minutes": 1}, {"hours": 23}])
def test_three_hours_ahead_is_no_later_than_the_operations_of_the_last_day(
    registry: Registry, clock: Clock, back: dict[str, int]
):
    """A local time written as UTC does not get around a revocation."""
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    clock.forward(**back)
    load(registry, ahead(clock, 3))
    assert verdicts(registry, "bob") == [("revoked", "lost device")] * 2


def test_three_hours_ahead_is_later_than_an_operation_of_two_days_ago(registry: Registry, clock: Clock):
    """Only the day before it was first seen counts."""
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    clock.forward(days=2)
    load(registry, ahead(clock, 3))
    assert sorted(verdicts(registry, "bob")) == [("active", None), ("revoked", "lost device")]


def ahead(clock: Clock, hours: int) -> dict[str, Any]:
    """A row of bob's that is ahead of the clock."""
    return row(datetime.fromtimestamp(clock.now.timestamp() + hours * 3600, UTC).isoformat(), "bob")


def test_a_session_known_to_be_used_after_the_operation_is_not_parted(registry: Registry, clock: Clock):
    """The one exception: it was on another device by noon, as far as was known, and older rows join it."""
    registry.issue(username="carol", application="Mail", device="A-1")
    load(registry, row("08:00", dev="B-2"))
    clock.forward(hours=3)
    registry.revoke(SessionFilter(device="A-1"), note="lost device")
    clock.forward(hours=1)
    load(registry, row("12:30", dev="B-2"))
    load(registry, row("10:00"))
    (found,) = sessions(registry)
    assert (found.status, found.created_at, found.last_used_at) == ("active", NOW - HOUR, NOW + 3 * HOUR + HOUR // 2)


@pytest.mark.parametrize("criteria", [{"device": "A-1"}, {"application": "Mail", "used_since": NOW}])
def test_nor_is_it_where_the_late_row_alone_meets_the_criteria(
    registry: Registry, clock: Clock, criteria: dict[str, Any]
):
    """Its device was not known by noon, or it was not known to be used in the morning: it was not meant, and stays as it is."""
    registry.issue(username="carol", application="Mail", device="A-1")
    load(registry, row("08:00", dev=None))
    clock.forward(hours=3)
    registry.revoke(SessionFilter(**criteria), note="lost device")
    clock.forward(hours=1)
    load(registry, row("12:30", dev=None))
    load(registry, row("10:00"))
    (found,) = sessions(registry)
    assert (found.status, found.created_at, found.last_used_at) == ("active", NOW - HOUR, NOW + 3 * HOUR + HOUR // 2)


def test_a_session_that_began_after_the_operation_takes_no_older_rows(registry: Registry, clock: Clock, noon: int):
    """It is not parted: what was before the operation is a session of its own, which the operation revoked."""
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(hours=1)
    load(registry, row("12:30"))
    load(registry, row("10:00"))
    assert verdicts(registry) == [("revoked", "lost device")] * 2 + [("active", None)]


def test_a_later_change_of_device_moves_nothing(registry: Registry, clock: Clock, noon: int):
    """Neither into an operation nor out of one: what the rows up to it say counts."""
    registry.revoke(SessionFilter(device="A-1"), note="lost device")
    clock.forward(hours=1)
    load(registry, row("10:00"), row("12:30", dev="B-2"))
    load(registry, row("10:00", sid="s2", dev="B-2"), row("12:30", sid="s2"))
    assert [status for status, _ in verdicts(registry)].count("revoked") == 2
    began = {one.created_at for one in sessions(registry) if one.status == "active"}
    assert began == {NOW + HOUR, NOW + 3 * HOUR + HOUR // 2}


def test_the_profile_is_the_one_that_was_assigned_then(install: Install, clock: Clock):
    """Assignments that change later move nothing in or out."""
    both = "profiles: {default: {idle_timeout: never}, mail: {idle_timeout: never}}"
    assigned = f"version: 1\ndefault_profile: default\nassignments: [{{application: Mail, profile: mail}}]\n{both}"
    registry = install(assigned)
    registry.issue(username="bob", application="Mail")
    registry.issue(username="bob", application="Web")
    clock.forward(hours=3)
    registry.revoke(SessionFilter(profile="mail"), note="mail retired")
    clock.forward(hours=1)
    other = f"version: 1\ndefault_profile: default\nassignments: [{{application: Web, profile: mail}}]\n{both}"
    registry.profiles.apply(profiles.read(other.encode(), "p.yaml"), note="reassigned")
    load(registry, row("10:00"), row("10:00", sid="s2", app="Web"))
    found = {one.application: one.note for one in sessions(registry)}
    assert found == {"Mail": "mail retired", "Web": None}


def test_a_late_row_joins_the_session_that_began_last_before_it(install: Install, clock: Clock):
    """Not the one that was registered last: an older row may have come later, and made a session by itself."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    clock.forward(days=1)
    registry.users.password_changed("alice", note="reset")
    clock.forward(hours=1)
    load(registry, row("2026-03-03T09:30:00Z"))
    clock.forward(days=2)
    load(registry, row("08:00"))
    assert len(sessions(registry)) == 2
    registry.users.password_changed("alice", note="reset")
    load(registry, row("2026-03-04T09:00:00Z"))
    latest = sessions(registry)[1]
    assert (latest.created_at, latest.last_used_at) == (NOW + 24 * HOUR + HOUR // 2, NOW + 2 * DAY)


@pytest.mark.parametrize("operation", ["disabled", "password", pytest.param("restored", marks=pytest.mark.in_a_file)])
def test_rows_of_before_a_hard_end_are_over(
    registry: Registry, clock: Clock, noon: int, operation: str, tmp_path: Path
):
    """Disabling, a changed password and a restore end what lived then, and rows told later of the time before."""
    end_hard(registry, operation, tmp_path, clock)
    clock.forward(hours=1)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        load(now, row("10:00"), row("12:30"))
        assert [status for status, _ in verdicts(now)][-2:] == ["expired", "active"]


@pytest.mark.parametrize("operation", ["disabled", "password", pytest.param("restored", marks=pytest.mark.in_a_file)])
def test_a_session_that_had_expired_is_not_taken_up_again_after_a_hard_end(
    install: Install, clock: Clock, operation: str, tmp_path: Path
):
    """Rows from after the operation are a session of their own, in whichever order they are told."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 3d}}")
    load(registry, row("2026-02-20T09:00:00Z"))
    end_hard(registry, operation, tmp_path, clock)
    clock.forward(hours=1)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        load(now, row("09:30"))
        found = sessions(now)
        assert [(one.status.value, one.created_at) for one in found] == [
            ("expired", parse_instant("2026-02-20T09:00:00Z")),
            ("active", NOW + HOUR // 2),
        ]


def end_hard(registry: Registry, operation: str, folder: Path, clock: Clock) -> None:
    """End alice's sessions, and let her sign in again."""
    if operation == "disabled":
        registry.users.disable("alice", note="left the company")
        registry.users.enable("alice", note="came back")
    elif operation == "password":
        registry.users.password_changed("alice", note="reset")
    else:
        registry.backups.create(folder / "copy.db")
        registry.close()
        home = find_home(folder / "home", places.place_in(folder / "home"))
        restore(home, folder / "copy.db", note="disk lost", clock=clock)


def test_what_ended_and_was_revoked_afterwards_is_revoked(registry: Registry, clock: Clock, noon: int):
    """As it is when the rows are told in time: an ended session can be revoked all the same."""
    registry.users.password_changed("alice", note="reset")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    load(registry, row("10:00"))
    assert verdicts(registry)[-1] == ("revoked", "lost device")


@pytest.mark.in_a_file
def test_operations_since_a_backup_bind_late_rows_after_it_was_restored(
    registry: Registry, clock: Clock, noon: int, tmp_path: Path
):
    """A revocation by criteria is carried over with its note."""
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(hours=1)
    registry.close()
    home = find_home(tmp_path / "home", places.place_in(tmp_path / "home"))
    restore(home, tmp_path / "copy.db", note="disk lost", clock=clock)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        load(now, row("10:00"), row("13:30", sid="s2"))
        assert verdicts(now)[-2:] == [("revoked", "lost device"), ("expired", None)]


@pytest.mark.in_a_file
@pytest.mark.parametrize("criteria", [{"everything": True}, {"username": ("alice", "bob")}])
def test_a_session_that_a_restore_brings_back_was_not_spared(
    install: Install, clock: Clock, tmp_path: Path, criteria: dict[str, Any]
):
    """It was cleaned up when others were revoked, and nobody named it: a late row of it comes under that revocation."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    load(registry, row("08:00"))
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    spared, _other = (registry.issue(username="bob", application="Web").session.id for _ in range(2))
    registry.revoke(SessionFilter(**criteria, except_ids=(spared,)), note="breach")
    registry.close()
    home = find_home(tmp_path / "home", places.place_in(tmp_path / "home"))
    restore(home, tmp_path / "copy.db", note="disk lost", clock=clock)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        assert verdicts(now) == [("expired", None)]
        load(now, row("08:30"))
        assert verdicts(now) == [("revoked", "breach")]


def test_the_same_rows_of_a_session_that_a_restore_brings_back_come_under_the_revocations_since(
    install: Install, clock: Clock, tmp_path: Path
):
    """The revocation did not meet the session, which was cleaned up: its very rows are compared with it when they come again."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    load(registry, row("08:00"))
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    registry.issue(username="bob", application="Mail")
    registry.revoke(SessionFilter(application="Mail"), note="breach")
    registry.close()
    home = find_home(tmp_path / "home", places.place_in(tmp_path / "home"))
    restore(home, tmp_path / "copy.db", note="disk lost", clock=clock)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        load(now, row("08:00"))
        assert verdicts(now) == [("revoked", "breach")]


@pytest.mark.in_a_file
@pytest.mark.parametrize("ahead_by", [{"minutes": 4}, {"hours": 22}])
def test_a_row_ahead_of_the_clock_is_ended_by_a_restore_and_keeps_no_later_sign_in_out(
    registry: Registry, clock: Clock, tmp_path: Path, ahead_by: dict[str, int]
):
    """What was ahead is taken over and ended by a restore; that is about that row, and new sign-ins of the key are registered."""
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(minutes=1)
    load(registry, row((clock.now + timedelta(**ahead_by)).isoformat()))
    registry.close()
    clock.forward(minutes=1)
    home = find_home(tmp_path / "home", places.place_in(tmp_path / "home"))
    restore(home, tmp_path / "copy.db", note="disk lost", clock=clock)
    clock.forward(minutes=2)
    with Registry.open(tmp_path / "home", clock=clock) as now:
        load(now, row("09:03"))
        assert verdicts(now) == [("active", None), ("expired", None)]


def test_a_row_ahead_of_the_clock_that_changed_nothing_is_known_by_its_instant(install: Install, clock: Clock):
    """Told again when the clock has got there, with other details, it is the same sign-in; another instant is another one."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    load(registry, row("08:00"))
    registry.end([sessions(registry)[0].id])
    ahead = row("11:51")
    assert load(registry, ahead).unchanged == 1
    clock.forward(hours=3)
    assert load(registry, {**ahead, "os": None}).unchanged == 1
    load(registry, row("11:52"))
    assert verdicts(registry) == [("expired", None), ("active", None)]


@pytest.mark.parametrize("ahead_by", [{"minutes": 4}, {"hours": 22}])
def test_a_row_ahead_of_the_clock_of_a_disabled_user_ends_its_session_by_now(
    registry: Registry, clock: Clock, ahead_by: dict[str, int]
):
    """No end lies ahead of the clock: sign-ins of later are registered, and rows of before under another name are over."""
    registry.users.disable("alice", note="left the company")
    clock.forward(days=2)  # so that a row that is far ahead counts as one of after the operation
    now, soon = clock.now.isoformat(), (clock.now + timedelta(minutes=1)).isoformat()
    ahead = row((clock.now + timedelta(**ahead_by)).isoformat())
    load(registry, ahead)
    (found,) = sessions(registry)
    assert (found.status, found.ended_by, found.ended_at) == ("expired", "user_disabled", NOW + 2 * DAY)
    load(registry, row(now, "carol"))
    assert [one.ended_by for one in sessions(registry, "carol")] == ["user_disabled"]
    registry.users.enable("alice", note="came back")
    clock.forward(minutes=2)
    load(registry, row(soon), ahead)
    assert verdicts(registry) == [("active", None), ("expired", None)]
    clock.forward(days=1)
    assert load(registry, ahead).unchanged == 1


@pytest.mark.in_a_file
def test_an_end_ahead_of_the_clock_as_0_1_0_stored_it_binds_rows_of_now(install: Install, tmp_path: Path):
    """A row of now is older than that end, so the session of another user under the same key is not active."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    load(registry, row("08:00"))
    registry.end([sessions(registry)[0].id])
    end = NOW + 23 * HOUR
    with closing(sqlite3.connect(tmp_path / "home" / "registry.db")) as connection, connection:
        connection.execute("UPDATE sessions SET last_used_at = ?, ended_at = ?, expires_at = ?", (end, end, end))
    load(registry, row("09:00", "carol"))
    assert [one.status for one in sessions(registry, "carol")] == ["expired"]


# Keys that do not determine their user


def test_users_that_share_a_key_are_both_listed_and_both_revocable(registry: Registry, clock: Clock):
    """Told in one file or in two; nobody's session becomes another's."""
    load(registry, row("08:00"))
    outcome = load(registry, row("08:10"), row("08:30", "carol"), row("08:40", "Alice"))
    assert [line for line, _ in outcome.moved] == [2]
    assert "alice" in outcome.moved[0][1].lower()
    (alice,), (carol,) = sessions(registry), sessions(registry, "carol")
    assert (alice.created_at, alice.last_used_at) == (NOW - HOUR, NOW - HOUR // 3)
    assert (carol.created_at, carol.last_used_at) == (NOW - HOUR // 2, NOW - HOUR // 2)
    assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
    assert [verdicts(registry), verdicts(registry, "carol")] == [[("revoked", "lost device")], [("active", None)]]
    assert registry.revoke(SessionFilter(username="carol"), note="lost, too").revoked == 1


def test_in_one_file_a_shared_key_is_said_too(registry: Registry):
    """The line of the second user's row."""
    outcome = load(registry, row("08:00"), row("08:30", "carol"))
    assert [line for line, _ in outcome.moved] == [2]
    assert load(registry, row("08:00"), row("08:30", "bob"), mapping=BY_USER).moved == ()


@pytest.mark.parametrize("how", ["revoked", "ended"])
def test_a_user_renamed_after_the_session_was_over(registry: Registry, clock: Clock, how: str):
    """Older rows under the new name are over in the same way; newer ones are a new session."""
    load(registry, row("08:00"))
    ids = [sessions(registry)[0].id]
    if how == "revoked":
        registry.revoke(SessionFilter(ids=tuple(ids)), note="lost device")
    else:
        registry.end(ids)
    clock.forward(hours=1)
    load(registry, row("08:30", "alicia"), row("09:30", "alicia"))
    late, later = sessions(registry, "alicia")
    assert (late.note, late.ended_by) == (("lost device", None) if how == "revoked" else (None, "signed_out"))
    assert (late.revoked_at or late.ended_at, later.status) == (NOW, "active")


def test_the_same_rows_under_an_old_name_come_under_the_revocation_of_the_new_one(install: Install, clock: Clock):
    """Another user's session of the key was revoked when this one had expired: the same rows are rows from before that end."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 6h}}")
    load(registry, row("08:00"))
    clock.forward(hours=12)
    load(registry, row("20:30", user="bob"))
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    load(registry, row("08:00"))
    assert verdicts(registry) == [("revoked", "lost device")]


def test_whose_session_is_living_is_not_ended_by_another_s(registry: Registry, clock: Clock):
    """A shared device: what is known and living goes on, and takes its older rows."""
    load(registry, row("08:00"), row("08:30", "carol"))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    load(registry, row("08:10", "carol"))
    assert verdicts(registry, "carol") == [("active", None)]


def test_nor_by_another_s_that_ends_in_the_same_import(registry: Registry, clock: Clock, noon: int):
    """The late row of another user comes under a revocation; this user's session of the key was active then, and stays so."""
    load(registry, row("08:30"))
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    clock.forward(hours=1)
    load(registry, row("10:00", user="bob"), row("09:00"))
    assert verdicts(registry, "bob")[-1] == ("revoked", "lost device")
    assert verdicts(registry) == [("active", None), ("active", None)]


def test_where_the_key_has_the_user_others_are_others(registry: Registry):
    """A key of user, application and device: another user on the same device is not a renamed one."""
    load(registry, row("08:00"), mapping=BY_USER)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    load(registry, row("07:00", "carol"), mapping=BY_USER)
    assert verdicts(registry, "carol") == [("active", None)]


def test_order_and_files_do_not_matter_to_a_shared_key(install: Install, clock: Clock):
    """Whether a renamed user's rows come in one file with the old ones, or in another, an ended session stays ended."""
    told = []
    for folder, split in (("one", False), ("two", True)):
        registry = install(FOREVER, folder=folder)
        registry.issue(username="alice", application="Web")
        registry.users.disable("alice", note="left the company")
        rows = [row("08:00"), row("08:30", "alicia")]
        for part in [rows[:1], rows[1:]] if split else [rows]:
            load(registry, *part)
        told.append([verdicts(registry), verdicts(registry, "alicia")])
    assert told[0] == told[1]


@pytest.mark.parametrize("disabled", ["alice", "carol"])
def test_users_that_share_a_key_are_not_in_two_batches(registry: Registry, disabled: str):
    """Each batch is a transaction; the end of either one's session is known before the rows of the other are registered."""
    registry.users.disable(disabled, note="left the company")
    before = [row("07:00", f"user{number}", sid=f"s{number}") for number in range(2, _KEYS_PER_BATCH + 1)]
    load(registry, *before, row("08:00"), row("08:00", "carol"))
    assert {one.ended_by for user in ("alice", "carol") for one in sessions(registry, user)} == {"user_disabled"}


def test_a_row_of_another_user_is_listed_though_the_key_s_session_was_cleaned_up(registry: Registry, clock: Clock):
    """Every sign-in that is told is listed under its own user or refused with a reason; it is not active."""
    load(registry, row("08:00"))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(days=400)
    registry.cleanup.run(accept_clock_jump=True)
    outcome = load(registry, row("08:30", "carol"))
    assert [status for status, _ in verdicts(registry, "carol")] in (["expired"], ["revoked"]) or outcome.moved


# A registry of 0.1.0

DAY_OF_0_1_0 = "2026-11-20"
OLD_FIELDS = "fields: {username: user, application: app, device: dev, at: at}\n"
OLD_BY_SID = read_mapping(f"{OLD_FIELDS}key: [sid]".encode(), "map.yaml")
OLD_BY_USER = read_mapping(f"{OLD_FIELDS}key: [username, application, device]".encode(), "map.yaml")


def old(time: str, user: str, sid: str | None, app: str, dev: str) -> dict[str, Any]:
    """A row of the listing that 0.1.0 imported."""
    return {"sid": sid, "user": user, "app": app, "dev": dev, "at": f"{DAY_OF_0_1_0}T{time}:00Z"}


LISTING = [
    old("09:00", "Alice", "s1", "Mail", "A-1"),
    old("09:00", "bob", "s2", "Mail", "B-1"),
    old("09:00", "carol", "s3", "Mail", "C-1"),
    old("09:00", "dora", "s4", "Mail", "D-1"),
    old("09:00", "erin", "s5", "Portal", "E-1"),
    old("12:45", "ivan", "s6", "Mail", "I-1"),
]
BY_USER_LISTING = [old("09:00", "frank", None, "Mail", "F-1"), old("09:00", "grace", None, "Mail", "G-1")]
JUDY = old("12:30", "judy", "s6", "Mail", "J-1")


@pytest.fixture
def upgraded(of_0_1_0: Path) -> Any:  # noqa: F811
    """The registry of 0.1.0, opened the same afternoon."""
    with Registry.open(of_0_1_0, clock=Clock(datetime(2026, 11, 20, 14, tzinfo=UTC))) as registry:
        yield registry


def everything(registry: Registry) -> list[tuple[Any, ...]]:
    """All sessions, with what became of them."""
    return sorted((s.id, s.status.value, s.note, s.created_at, s.last_used_at, s.username) for s in registry.sessions())


def test_a_listing_that_0_1_0_imported_changes_nothing_when_imported_again(upgraded: Registry):
    """Nothing that ended lives, and nothing is registered twice."""
    before = everything(upgraded)
    outcome = load(upgraded, *LISTING, mapping=OLD_BY_SID)
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 6)
    outcome = load(upgraded, *BY_USER_LISTING, mapping=OLD_BY_USER)
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 2)
    assert everything(upgraded) == before


def test_whom_0_1_0_lost_gets_a_session_of_her_own(upgraded: Registry):
    """Judy's session was given to ivan, who had the same key; his stays his, and her line is said."""
    before = everything(upgraded)
    outcome = load(upgraded, *LISTING, JUDY, mapping=OLD_BY_SID)
    assert outcome.registered == 1
    assert [line for line, _ in outcome.moved] == [7]
    (judy,) = sessions(upgraded, "judy")
    assert (judy.status, judy.device, judy.last_used_at) == (
        "active",
        "J-1",
        parse_instant(f"{DAY_OF_0_1_0}T12:30:00Z"),
    )
    assert [one for one in everything(upgraded) if one[0] != judy.id] == before
    assert load(upgraded, JUDY, *LISTING, mapping=OLD_BY_SID).registered == 0


def test_a_living_session_of_0_1_0_is_taken_up(upgraded: Registry):
    """Newer rows of the same user join it, and the key is that of the user from then on."""
    load(upgraded, old("13:30", "ALICE", "s1", "Mail", "A-2"), mapping=OLD_BY_SID)
    found = [one for one in sessions(upgraded) if one.application == "Mail"]
    assert [(one.device, one.created_at) for one in found] == [("A-2", parse_instant(f"{DAY_OF_0_1_0}T09:00:00Z"))]
    load(upgraded, old("13:40", "mallory", "s1", "Mail", "M-1"), mapping=OLD_BY_SID)
    assert [one.device for one in sessions(upgraded) if one.application == "Mail"] == ["A-2"]
    assert [one.device for one in sessions(upgraded, "mallory")] == ["M-1"]


@pytest.mark.parametrize(("sid", "note"), [("s2", "lost by id"), ("s3", "lost device"), ("s5", "portal retired")])
def test_what_was_revoked_in_0_1_0_is_revoked_under_another_name(upgraded: Registry, sid: str, note: str):
    """An older row of the key, whoever it says: the same revocation."""
    load(upgraded, old("09:30", "renamed", sid, "Mail", "X-1"), mapping=OLD_BY_SID)
    assert verdicts(upgraded, "renamed") == [("revoked", note)]


def test_what_was_over_in_0_1_0_stays_over_after_a_clean_up(of_0_1_0: Path):  # noqa: F811
    """Rows of sessions that are removed since, and had the key without the user: none makes a session again."""
    clock = Clock(datetime(2026, 11, 20, 14, tzinfo=UTC))
    with Registry.open(of_0_1_0, clock=clock) as registry:
        registry.profiles.apply(profiles.read(FOREVER.encode(), "p.yaml"), note="no deadlines")
        over = {one.username for one in registry.sessions() if one.revoked_at is not None or one.ended_at is not None}
        clock.forward(days=400)
        registry.cleanup.run(accept_clock_jump=True)
        listing = [one for one in LISTING if one["user"] in over]
        outcome = load(registry, *listing, mapping=OLD_BY_SID)
        assert (len(listing), outcome.registered, outcome.unchanged) == (4, 0, 4)


def test_revocations_of_0_1_0_bind_late_rows(upgraded: Registry):
    """What it kept of a revocation by user, device or profile is enough."""
    load(
        upgraded,
        old("09:30", "carol", "s30", "Mail", "C-3"),
        old("09:30", "nobody", "s31", "Mail", "F-1"),
        old("08:30", "nobody", "s32", "Portal", "P-1"),
        mapping=OLD_BY_SID,
    )
    assert ("revoked", "lost device") in [(s.status, s.note) for s in sessions(upgraded, "carol") if s.device == "C-3"]
    assert {(s.device, s.note) for s in sessions(upgraded, "nobody")} == {
        ("F-1", "lost by device"),
        ("P-1", "portal retired"),
    }


# Formats of times


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M %p", "%Y-%m-%d %I:%M", "%d/%m/%Y %I:%M:%S", "%m/%d/%Y %H:%M:%S %p"])
def test_half_of_a_twelve_hour_clock_is_a_fault(form: str):
    """`%p` without `%I` says nothing, and `%I` without `%p` makes the afternoon a morning."""
    raw = f'fields: {{username: user, at: {{path: at, format: "{form}"}}}}\nkey: [sid]'
    with pytest.raises(InvalidFile):
        read_mapping(raw.encode(), "map.yaml")


def test_a_twelve_hour_clock_in_the_afternoon(registry: Registry):
    """Read with `%I` and `%p`, it is the afternoon."""
    form = 'format: "%m/%d/%Y %I:%M %p"'
    mapping = read_mapping(f"fields: {{username: user, at: {{path: at, {form}}}}}\nkey: [sid]".encode(), "map.yaml")
    load(registry, {"user": "alice", "sid": "s1", "at": "03/01/2026 03:30 PM"}, mapping=mapping)
    assert sessions(registry)[0].created_at == NOW - DAY + 6 * HOUR + HOUR // 2


# Imports of which nothing is used


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An export and a mapping, to be written."""
    (tmp_path / "map.yaml").write_text(f"{FIELDS}key: [sid]\nwhere: {{os: Phone}}\n")
    return tmp_path / "export.jsonl", tmp_path / "map.yaml"


def written(file: Path, *rows: dict[str, Any]) -> str:
    """Write an export."""
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(file)


def past(user: str = "alice", sid: str = "s1", **details: Any) -> dict[str, Any]:
    """A row of long ago, for the command line, which goes by the real clock."""
    return row("2024-03-02T09:00:00Z", user, sid, **details)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no rows"),
        ([past(""), past(" "), past(os="TV")], "user"),
        ([past(os="TV"), past(os="TV"), past("")], "where"),
    ],
)
def test_an_import_of_no_used_row_is_exit_3(
    installed: Authctl, files: tuple[Path, Path], rows: list[dict[str, Any]], said: str
):
    """With one line that has the commonest reason and an example; `--allow-empty` makes it 0."""
    export, mapping = files
    arguments = ("sessions", "import", written(export, *rows), "--map", str(mapping))
    ran = installed(*arguments)
    errors = [line for line in ran.err.splitlines() if line.startswith("authctl: error: ")]
    assert (ran.code, len(errors)) == (3, 1)
    assert said in errors[0]
    assert ("line 1" in errors[0]) == bool(rows)
    assert installed(*arguments, "--allow-empty").code == 0


def test_rows_that_were_imported_before_are_used_rows(installed: Authctl, files: tuple[Path, Path]):
    """Unchanged is no error, and neither are duplicates."""
    export, mapping = files
    arguments = ("sessions", "import", written(export, past(), past("")), "--map", str(mapping))
    assert [installed(*arguments).code, installed(*arguments).code] == [0, 0]


def test_strict_registers_nothing_where_a_row_is_rejected(installed: Authctl, files: tuple[Path, Path]):
    """Exit 2, naming the row; without it the others are registered."""
    export, mapping = files
    arguments = ("sessions", "import", written(export, past(), past("", "s2")), "--map", str(mapping))
    ran = installed(*arguments, "--strict")
    assert ran.code == 2
    assert "line 2" in ran.err
    assert installed("sessions", "list", "--count").out == "0\n"
    assert installed(*arguments).code == 0
    assert installed("sessions", "list", "--count").out == "1\n"
