"""Importing into the real registry: idempotent, order-free, and never a revival of what was revoked or ended."""

import io
import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, NotFound, Registry, SessionFilter, profiles
from authctl.import_mappings import Mapping, read_mapping
from authctl.instants import DAY, parse_instant
from authctl.records import session as as_record
from tests.conftest import Authctl, Clock, Install

MAP = read_mapping(
    b"""\
fields: {username: user, at: time, application: app, device: device, ip: ip, expires_at: expires}
key: [username, application]
event_id: id
""",
    "map.yaml",
)
DAYS = [f"2026-02-{day:02d}T12:00:00Z" for day in range(1, 28)]


def lines(*rows: dict) -> bytes:
    """Rows as JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def row(day: int, user: str = "alice", app: str | None = "Outlook", **details) -> dict:
    """A sign-in of a user on a day of February 2026."""
    return {"user": user, "app": app, "time": DAYS[day], **details}


def load(registry: Registry, *rows: dict, mapping: Mapping = MAP, **options):
    """Import rows."""
    return registry.imports.run(io.BytesIO(lines(*rows)), mapping, **options)


def content(registry: Registry) -> list[dict]:
    """Everything registered, ids apart."""
    found = [as_record(session) for session in registry.sessions()]
    return sorted(({**one, "id": None} for one in found), key=lambda one: json.dumps(one, sort_keys=True))


def test_rows_of_a_key_are_one_session(registry: Registry):
    """Created at the earliest, last used at the latest, each detail as its latest row that has one said it."""
    outcome = load(
        registry, row(5, device="old", ip="10.0.0.1"), row(9, device="new"), row(2, user="ALICE"), row(3, "bob")
    )
    assert (outcome.registered, outcome.rows.read, outcome.rows.used) == (2, 4, 4)
    found = next(registry.sessions(SessionFilter(username="alice")))
    assert (found.created_at, found.last_used_at) == (parse_instant(DAYS[2]), parse_instant(DAYS[9]))
    assert (found.device, found.ip, found.platform) == ("new", "10.0.0.1", None)
    assert found.expires_at == found.last_used_at + 3 * DAY


def test_numbers_go_by_time(registry: Registry):
    """Sessions are registered in the order in which they began, whatever the order of the file or of their keys: neighbours in time
    lie side by side in the registry."""
    days = random.Random(5).sample(range(1, 26), 20)
    load(
        registry,
        *(row(day, user=f"user{day * 7 % 20}-{day}") for day in days),
        row(26, user=f"user{days[3] * 7 % 20}-{days[3]}"),
    )
    found = sorted(registry.sessions(), key=lambda session: session.number)
    assert [session.created_at for session in found] == sorted(session.created_at for session in found)
    assert len(found) == len(days)


def test_again_changes_nothing(registry: Registry):
    """The same file a second time registers and updates nothing."""
    rows = [row(5, device="a"), row(6), row(3, "bob", ip="10.0.0.1")]
    load(registry, *rows)
    before = content(registry)
    outcome = load(registry, *rows)
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 2)
    assert content(registry) == before


detail = st.sampled_from([None, "", "a", "b", "c"])
some_rows = st.lists(
    st.builds(
        lambda day, user, app, device, ip: row(day, user, app, device=device, ip=ip),
        st.integers(0, 6),
        st.sampled_from(["alice", "Alice", "bob"]),
        st.sampled_from(["Outlook", "outlook", None]),
        detail,
        detail,
    ),
    min_size=1,
    max_size=12,
)
folders = (f"r{n}" for n in itertools.count())


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows=some_rows, seed=st.integers(), cut=st.integers(0, 12))
def test_the_same_registry_whatever_the_order_and_however_often(
    install: Install, rows: list[dict], seed: int, cut: int
):
    """Rows shuffled, cut into overlapping files, imported in either order and again: one registry."""
    once, twice = install(folder=next(folders)), install(folder=next(folders))
    load(once, *rows)
    shuffled = random.Random(seed).sample(rows, len(rows))
    load(twice, *shuffled[cut:])
    load(twice, *shuffled[: cut + 1])
    load(twice, *rows[::-1])
    assert content(once) == content(twice)
    once.close()
    twice.close()


def test_duplicates_by_event_id(registry: Registry):
    """A row whose event id came before in the file is a duplicate; a blank id never is."""
    outcome = load(registry, row(1, id="e1"), row(2, id="e1"), row(3), row(4), row(5, id=""))
    assert (outcome.rows.used, outcome.rows.duplicates) == (4, 1)
    assert registry.count() == 1


def test_a_revoked_session_is_final(registry: Registry, clock: Clock):
    """Rows up to the revocation change nothing; rows after it are a new session."""
    load(registry, row(5))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    before = content(registry)
    outcome = load(registry, row(5), row(9, device="late news"))
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 1)
    assert content(registry) == before
    clock.forward(days=1)
    later = {**row(5), "time": "2026-03-03T08:00:00Z"}
    assert load(registry, later, row(9)).registered == 1
    assert [s.status.value for s in registry.sessions()] == ["active", "revoked"]
    assert load(registry, later).unchanged == 1


@pytest.mark.parametrize("how", ["revoked", "ended"])
def test_what_was_final_stays_so_after_cleanup(install: Install, clock: Clock, how: str):
    """A session that was revoked or ended, and has been removed, does not come back by importing its rows again."""
    registry = install("version: 1\nprofiles: {forever: {idle_timeout: never}}")
    rows = [row(5), row(6, device="AL-PC")]
    load(registry, *rows)
    (found,) = registry.sessions()
    if how == "revoked":
        registry.revoke(SessionFilter(username="alice"), note="stolen laptop")
    else:
        registry.end([found.id])
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    assert load(registry, *rows).unchanged == 1
    assert registry.count() == 0
    assert load(registry, {**row(5), "time": "2027-01-01T12:00:00Z"}).registered == 1


def test_times_ahead_are_rejected(registry: Registry):
    """A row from the future would make a session that outlives its profile."""
    outcome = load(
        registry, {**row(1), "time": "9999-12-31T23:59:59Z"}, {**row(1, "bob"), "time": "2026-03-03T08:59:59Z"}
    )
    assert (outcome.registered, outcome.rejections) == (1, ((1, "its time is more than a day ahead"),))


def test_a_misspelled_key_is_noticed(registry: Registry):
    """Rows with nothing in their key are rejected, so that users are not merged; a part that never says anything is named."""
    fields = b"fields: {username: user, at: time}\nkey: [%s]\n"
    blank = read_mapping(fields % b"usernme", "map.yaml")
    assert load(registry, row(1), row(2, "bob"), mapping=blank).rows.rejected == 2
    partly = read_mapping(fields % b"username, aplication", "map.yaml")
    assert load(registry, row(1), row(2, "bob"), mapping=partly).registered == 2
    assert partly.blank_parts() == ["aplication"]


def test_an_ended_session_is_final(registry: Registry, clock: Clock):
    """A sign-out is as final as a revocation."""
    load(registry, {**row(5), "time": "2026-03-01T12:00:00Z"})
    (found,) = registry.sessions()
    registry.end([found.id])
    assert load(registry, {**row(5), "time": "2026-03-02T08:00:00Z"}).unchanged == 1
    clock.forward(minutes=1)
    assert load(registry, {**row(5), "time": "2026-03-02T09:04:00Z"}).registered == 1


def test_an_expired_session_may_turn_out_active(registry: Registry):
    """Import is late knowledge: a later use that nobody had told moves the deadline."""
    load(registry, row(20))
    assert next(registry.sessions()).status == "expired"
    assert load(registry, {**row(20), "time": "2026-03-01T12:00:00Z"}).updated == 1
    assert next(registry.sessions()).status == "active"


def test_last_used_before_the_latest_revoke_all_is_registered_under_it(registry: Registry, clock: Clock):
    """Old sessions that turn up after everybody was signed out are revoked, with that note; newer ones are not."""
    registry.issue(username="bob", application="Outlook")
    registry.revoke(SessionFilter(everything=True), note="breach drill")
    clock.forward(days=1)
    newer = {**row(5), "time": "2026-03-02T12:00:00Z"}
    outcome = load(registry, row(20), newer, row(21, "carol"))
    assert outcome.registered == 3
    found = {(s.username, s.status.value, s.note) for s in registry.sessions()}
    assert found == {
        ("bob", "revoked", "breach drill"),
        ("alice", "revoked", "breach drill"),
        ("alice", "active", None),
        ("carol", "revoked", "breach drill"),
    }
    again = load(registry, newer, row(20), row(21, "carol"))
    assert (again.registered, again.updated) == (0, 0)


def test_what_revoke_all_spared_stays_one_session(registry: Registry):
    """A session excepted from it is not divided by importing its rows again."""
    rows = [{**row(5), "time": "2026-03-01T12:00:00Z"}, row(4, "bob")]
    load(registry, *rows)
    (spared,) = registry.sessions(SessionFilter(username="alice"))
    registry.revoke(SessionFilter(everything=True, except_ids=(spared.id,)), note="breach drill")
    assert load(registry, *rows).unchanged == 2
    assert registry.session(spared.id).status == "active"


def test_profiles_assigned_or_given(install: Install):
    """The profile is the assigned one, or the one that the caller names, however spelled."""
    registry = install(
        "version: 1\ndefault_profile: a\nassignments: [{application: Outlook, profile: b}]\n"
        "profiles: {a: {idle_timeout: 1d}, b: {idle_timeout: 2d}, c: {idle_timeout: 9d}}"
    )
    load(registry, row(1), row(2, app=None))
    load(registry, row(3, "carol"), profile="C")
    assert {(s.username, s.application, s.profile) for s in registry.sessions()} == {
        ("alice", "Outlook", "b"),
        ("alice", None, "a"),
        ("carol", "Outlook", "c"),
    }
    with pytest.raises(NotFound):
        load(registry, row(4, "dora"), profile="nope")
    assert registry.count(SessionFilter(username="dora")) == 0


def test_an_expiry_of_its_own_beats_the_profile(registry: Registry):
    """A deadline that the export gives is fixed, and the profile does not change it."""
    load(registry, row(1, expires="2026-03-05T00:00:00Z"), row(2, "bob", expires="2026-02-03T00:00:00Z"))
    alice, bob = (next(registry.sessions(SessionFilter(username=user))) for user in ("alice", "bob"))
    assert (alice.status.value, alice.fixed_expires_at) == ("active", alice.expires_at)
    assert (bob.status.value, bob.ended_reason) == ("expired", "lifetime")


def test_a_dry_run_counts_and_writes_nothing(registry: Registry):
    """Same counts as the operation, no session, no event."""
    rows = [row(1), row(2, "bob"), {"user": "", "time": DAYS[1]}]
    dry = load(registry, *rows, dry_run=True)
    assert registry.count() == 0
    assert [event.action for event in registry.audit.events()] == ["registry.init"]
    done = load(registry, *rows)
    assert (dry.registered, dry.rows, dry.rejections) == (done.registered, done.rows, done.rejections)
    assert done.rejections == ((3, "the username is blank"),)


def test_a_file_that_cannot_be_read_changes_nothing(registry: Registry):
    """Not one row of half a file is registered, and there is no event of it."""
    raw = lines(row(1), row(2, "bob"))[:-9]
    with pytest.raises(InvalidInput):
        registry.imports.run(io.BytesIO(raw), MAP)
    assert registry.count() == 0
    assert len(list(registry.audit.events())) == 1


def test_events_at_start_and_end(registry: Registry):
    """The first says what is about to happen, the last what did; many batches make no more."""
    load(registry, *(row(n % 27, f"user{n}") for n in range(1_200)), name="export.jsonl", actor="bob")
    done, begun = itertools.islice(registry.audit.events(), 2)
    assert (begun.action, done.action, done.actor) == ("session.import", "session.import", "bob")
    assert json.loads(begun.detail) == {"file": "export.jsonl", "keys": 1200, "rows": 1200, "stage": "begun"}
    assert json.loads(done.detail)["registered"] == 1200
    assert registry.count() == 1200


def test_imported_sessions_have_no_token(registry: Registry):
    """Nothing verifies as a session that was imported; its number is not an issued one's."""
    load(registry, {**row(1), "time": "2026-03-01T12:00:00Z"})
    issued = registry.issue(username="alice", application="Outlook")
    assert registry.verify(issued.access_token).id == issued.session.id
    assert registry.count() == 2


def test_through_the_command(installed: Authctl, tmp_path: Path):
    """Counts on standard output, each rejected row on standard error, and a broken map is exit 2 with line and column."""
    export, fields = tmp_path / "export.jsonl", tmp_path / "map.yaml"
    export.write_bytes(lines({"user": "alice", "time": DAYS[0]}, {"user": "b\u200bob", "time": DAYS[0]}))
    fields.write_text("fields: {username: user, at: time}\nkey: [username]\n")
    ran = installed("sessions", "import", str(export), "--map", str(fields), "-o", "json")
    assert (ran.code, ran.json["registered"], ran.json["rejected"]) == (0, 1, 1)
    assert f"{export}: line 2: user name 'b\\u200bob' has an invisible character, U+200B" in ran.err
    fields.write_text("fields: {username: user}\nkey: [username]\n")
    ran = installed("sessions", "import", str(export), "--map", str(fields))
    assert (ran.code, ran.err) == (2, f"authctl: error: {fields}:1:9: 'at' is missing\n")
    assert installed("sessions", "import", str(tmp_path / "none"), "--map", str(fields)).code == 2


@pytest.mark.parametrize("how", ["user", "everything", "ended"])
def test_rows_ahead_of_the_clock_are_settled_by_what_ended_them(registry: Registry, clock: Clock, how: str):
    """A row of a log that is two hours ahead does not bring back what was revoked or ended after it was imported."""
    ahead = {**row(5), "time": "2026-03-02T11:00:00Z"}
    load(registry, ahead)
    (found,) = registry.sessions()
    if how == "ended":
        registry.end([found.id])
    else:
        chosen = SessionFilter(username="alice") if how == "user" else SessionFilter(everything=True)
        registry.revoke(chosen, note="stolen laptop")
    assert load(registry, ahead).unchanged == 1
    assert registry.count(SessionFilter(status="active")) == 0
    clock.forward(days=400)
    registry.cleanup.run(accept_clock_jump=True)
    load(registry, ahead)
    assert registry.count(SessionFilter(status="active")) == 0


def test_an_import_does_not_take_back_when_a_profile_ended_a_session(install: Install, clock: Clock):
    """A session that applying a profile ended stays listed for six months from then, whatever older rows turn up."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: never}}")
    load(registry, {**row(5), "time": "2025-03-05T12:00:00Z"})
    tight = profiles.read(b"version: 1\nprofiles: {default: {idle_timeout: 3d}}", "p.yaml")
    assert registry.profiles.apply(tight, note="tightened").ended == 1
    clock.forward(days=2)
    assert load(registry, {**row(5), "time": "2025-03-01T12:00:00Z"}).updated == 1
    assert registry.cleanup.run().removed == 0


@pytest.mark.parametrize("event_id", [{"a": 1}, "\ud800", "x" * 2000])
def test_a_bad_event_id_is_one_row_s_fault(registry: Registry, event_id: object):
    """The row is rejected with its reason, and the others are registered."""
    outcome = load(registry, row(1, id=event_id), row(2, "bob", id="e1"))
    assert (outcome.registered, outcome.rows.rejected) == (1, 1)
