"""What a restore carries over from the registry that it replaces, and what it never does; the question, the dry run, the kept file."""

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authctl import IntegrityFailure, Refused, Registry, SessionFilter, Status, TokenInvalid, TokenRevoked, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import SECOND, format_instant
from authctl.registry import audit as audit_log
from authctl.registry.backups import RestoreOutcome, _Restoring, restore
from authctl.registry.installation import Installation
from authctl.settings import find_home
from authctl.store import draft_of, how_to_move_away
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import Authctl, Clock, Install, OnTerminal, Start

MAP = read_mapping(
    b"fields: {username: user, application: app, device: device, at: time}\nkey: [username, application]\n", "map.yaml"
)
HELD = "version: 1\ndefault_profile: held\nprofiles:\n  held: {idle_timeout: 3d, continuity: true, on_revoke: wipe}\n"

Restore = Callable[..., RestoreOutcome]


@pytest.fixture
def put_back(home: Path, clock: Clock) -> Restore:
    """Restore a backup into the home."""
    place = find_home(home, places.place_in(home))
    return lambda file, note="disk failed", **how: restore(place, file, note=note, **{"clock": clock, **how})


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Registry, str], Path]:
    """Take a backup; its file."""

    def take(registry: Registry, name: str = "copy.db") -> Path:
        registry.backups.create(tmp_path / name)
        return tmp_path / name

    return take


def issue(registry: Registry, name: str = "alice", **details: str):
    """A sign-in."""
    return registry.issue(username=name, application="Outlook", **details)


def rows(clock: Clock, *users: str, ahead: int = 0, device: str = "PC") -> io.BytesIO:
    """An export with a row for each user, at the clock's time or some seconds ahead of it."""
    at = format_instant((int(clock().timestamp()) + ahead) * SECOND)
    lines = [json.dumps({"user": user, "app": "Mail", "device": device, "time": at}) for user in users]
    return io.BytesIO("\n".join(lines).encode())


def asked(home: Path, sql: str, parameters: tuple = ()) -> list[tuple]:
    """Rows of the registry's database."""
    return places.ask(home, sql, parameters)


def of_user(registry: Registry, user: str):
    """The one session of a user."""
    (found,) = registry.sessions(SessionFilter(username=user))
    return found


def check_agrees(registry: Registry, home: Path) -> None:
    """Search, list, count, the audit chain and the doctor tell one story; the search index is whole."""
    listed = list(registry.sessions())
    assert len({one.id for one in listed}) == len({one.number for one in listed}) == len(listed) == registry.count()
    for status in Status:
        assert registry.count(SessionFilter(status=status)) == sum(one.status is status for one in listed)
        assert {one.id for one in registry.sessions(SessionFilter(status=status))} == {
            one.id for one in listed if one.status is status
        }
    texts = {text.lower() for one in listed for text in (one.username, one.device, one.note) if text}
    for text in texts:
        found = {one.id for one in registry.sessions(SessionFilter(search=text))}
        said = {
            one.id
            for one in listed
            if any(text in (field or "").lower() for field in (one.username, one.device, one.application, one.note))
        }
        assert found == said, text
        assert registry.count(SessionFilter(search=text)) == len(said)
    registry.audit.verify()
    looks = {finding.check: finding.ok for finding in registry.doctor.examine()}
    assert [looks[check] for check in ("registry", "clock", "audit_head", "keys")] == [True] * 4
    if places.ON_POSTGRES:
        return  # its index of texts is one of the database
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("sessions_found", "notes_found"):
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")


# What is carried over


def test_users_who_were_disabled_since_stay_disabled(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock
):
    """With who did it and why; their sessions show why they ended; and nobody who is disabled in the backup is enabled."""
    for name in ("alice", "bob"):
        issue(registry, name)
    registry.users.disable("bob", note="left in March")
    copy = copied(registry)
    clock.forward(hours=1)
    registry.users.disable("Alice", note="left the company", actor="eve")
    registry.users.enable("bob", note="came back")
    clock.forward(hours=1)
    outcome = put_back(copy)
    alice = registry.users.get("alice").user
    assert (alice.disabled_by, alice.note) == ("eve", "left the company")
    assert alice.disabled_at == alice.ended_at == outcome.at - 3600 * SECOND
    assert registry.users.get("bob").user.note == "left in March"
    session = of_user(registry, "alice")
    assert (session.ended_reason, session.ended_at) == ("user_disabled", alice.disabled_at)
    assert (outcome.carried.disabled_users, outcome.carried.sessions_ended) == (1, 1)
    assert outcome.stay_disabled == ("bob",)
    with pytest.raises(Refused):
        issue(registry, "alice")


def test_the_latest_password_change_and_end_are_kept(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """Imports go by both instants, so that the later ones bind: those of the backup too, where a clock was set back."""
    issue(registry)
    registry.users.password_changed("alice", note="reset")
    copy = copied(registry)
    clock.forward(hours=1)
    registry.users.disable("bob", note="left")
    registry.users.enable("bob", note="came back")
    registry.users.password_changed("carol", note="reset")
    changed = registry.users.password_changed("alice", note="reset once more").at
    clock.forward(hours=1)
    outcome = put_back(copy)
    assert (
        registry.users.get("alice").user.password_changed_at
        == registry.users.get("carol").user.password_changed_at
        == changed
    )
    assert (registry.users.get("bob").user.ended_at, registry.users.get("bob").user.disabled_at) == (changed, None)
    assert (outcome.carried.password_changes, outcome.carried.disabled_users) == (2, 0)


def test_sessions_that_were_revoked_since_show_their_own_note(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """Those that the backup has, and those that it has not; under the number, instant and actor of the operation."""
    old, kept = issue(registry), issue(registry, "bob")
    copy = copied(registry)
    late = issue(registry, "carol")
    clock.forward(hours=1)
    first = registry.revoke(SessionFilter(username="alice"), note="lost device", actor="eve")
    second = registry.revoke(SessionFilter(ids=(late.session.id,)), note="stolen phone", actor="eve")
    clock.forward(hours=1)
    outcome = put_back(copy)
    for session_id, operation in ((old.session.id, first), (late.session.id, second)):
        found = registry.session(session_id)
        assert (found.status, found.note, found.revoked_by) == (Status.REVOKED, operation.note, "eve")
        assert (found.revocation_id, found.revoked_at) == (operation.revocation_id, operation.at)
    assert registry.session(late.session.id).number == late.session.number
    with pytest.raises(TokenRevoked):
        registry.verify(late.access_token)
    assert registry.session(kept.session.id).ended_reason == "restored"
    assert (outcome.carried.revocations, outcome.carried.sessions_revoked, outcome.ended) == (2, 2, 1)
    assert [one.note for one in registry.sessions(SessionFilter(search="stolen"))] == ["stolen phone"]
    check_agrees(registry, home)


def test_every_column_of_a_revocation_is_carried(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """Also of one that no session names any more, since imports go by it."""
    issue(registry)
    copy = copied(registry)
    made = registry.revoke(SessionFilter(username="alice", application="Outlook"), note="lost device").revocation_id
    document = json.dumps(registry.profiles.in_force().to_document())
    asked(home, "UPDATE revocations SET by_criteria = 1, last_number = 7, profiles = ? WHERE id = ?", (document, made))
    asked(home, "UPDATE sessions SET revocation_id = (SELECT id FROM revocations WHERE at IS NULL)")
    before = asked(home, "SELECT * FROM revocations WHERE at IS NOT NULL")
    put_back(copy)
    assert asked(home, "SELECT * FROM revocations WHERE at IS NOT NULL") == before


def test_everything_was_revoked_since(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """The open revocation of the backup was closed: what it covered is revoked by it, what was spared is not."""
    users = ("alice", "bob", "carol")
    sessions = {name: issue(registry, name).session for name in users}
    copy = copied(registry)
    late = issue(registry, "dora").session
    spared = SessionFilter(everything=True, except_ids=(sessions["bob"].id,))
    revoked = registry.revoke(spared, note="breach, ticket 4711")
    after = issue(registry, "erin").session
    registry.revoke(SessionFilter(username="erin"), note="lost device")
    outcome = put_back(copy)
    for session in (sessions["alice"], sessions["carol"], late):
        found = registry.session(session.id)
        assert (found.note, found.revocation_id) == ("breach, ticket 4711", revoked.revocation_id)
    assert registry.session(after.id).note == "lost device"
    bob = registry.session(sessions["bob"].id)
    assert (bob.status, bob.ended_reason, bob.note) == (Status.EXPIRED, "restored", None)
    assert outcome.carried.sessions_revoked == 4
    assert asked(home, "SELECT everything FROM revocations WHERE id = ?", (revoked.revocation_id,)) == [(1,)]
    assert len(asked(home, "SELECT id FROM revocations WHERE at IS NULL")) == 1
    again = registry.revoke(SessionFilter(ids=(bob.id,)), note="once more")
    assert again.revocation_id > max(
        id_ for (id_,) in asked(home, "SELECT id FROM revocations WHERE id <> ?", (again.revocation_id,))
    )
    check_agrees(registry, home)


def test_sessions_that_were_ended_since_show_why(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """Signed out, or ended by a changed password: the reason and the instant stay."""
    out, password = issue(registry), issue(registry, "bob")
    copy = copied(registry)
    late = issue(registry, "carol")
    clock.forward(hours=1)
    registry.end([out.access_token, late.access_token])
    at = registry.users.password_changed("bob", note="reset").at
    clock.forward(hours=1)
    outcome = put_back(copy)
    for session, reason in ((out, "signed_out"), (late, "signed_out"), (password, "password_changed")):
        found = registry.session(session.session.id)
        assert (found.ended_reason, found.ended_at, found.status) == (reason, at, Status.EXPIRED)
    assert (outcome.carried.sessions_ended, outcome.ended) == (3, 0)
    check_agrees(registry, home)


def test_an_order_to_wipe_stands_as_it_was(install: Install, copied: Callable, put_back: Restore):
    """What was acknowledged is not ordered again, and what is pending still is."""
    registry = install(HELD)
    one, other = issue(registry), issue(registry, "bob")
    copy = copied(registry)
    registry.revoke(SessionFilter(application="Outlook"), note="lost devices")
    registry.tokens.wipe_done(one.access_token)
    put_back(copy)
    assert registry.session(one.session.id).wipe.value == "acknowledged"
    with pytest.raises(TokenRevoked) as refused:
        registry.verify(other.access_token)
    assert refused.value.action == "wipe"


def test_imported_sessions_that_are_over_stay_known_to_imports(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """With their keys, and what each row said: the same rows come to nothing new, and the search finds the newest text."""
    registry.imports.run(rows(clock, "alice", device="OLD-PC"), MAP)
    copy = copied(registry)
    clock.forward(hours=1)
    registry.imports.run(rows(clock, "alice", "bob", device="NEW-PC"), MAP)
    registry.revoke(SessionFilter(application="Mail"), note="lost devices")
    asked(home, "UPDATE imported SET key_without_user = ?, profile_named = 1", (b"\x00\xff",))
    remembered = asked(home, "SELECT * FROM imported ORDER BY number")
    assert len(remembered) == 2
    clock.forward(hours=1)
    outcome = put_back(copy)
    assert asked(home, "SELECT * FROM imported ORDER BY number") == remembered
    assert [one.device for one in registry.sessions()] == ["NEW-PC", "NEW-PC"]
    assert (outcome.carried.sessions_revoked, outcome.carried.revocations) == (2, 1)
    assert registry.count(SessionFilter(search="new-pc")) == 2
    assert registry.count(SessionFilter(search="old-pc")) == 0
    again = registry.imports.run(rows(clock, "alice", "bob", device="NEW-PC", ahead=-3600), MAP)
    assert (again.registered, again.updated, registry.count(SessionFilter(status="active"))) == (0, 0, 0)
    check_agrees(registry, home)


def test_the_latest_instant_of_each_imported_key_is_kept(
    registry: Registry, copied: Callable, put_back: Restore, home: Path
):
    """Up to which the rows of the key change nothing, since its sessions were removed."""
    finals = "INSERT INTO imported_finals (key, source_key, created_at, at, without_user) VALUES (?, '', -1, ?, 0)"
    for final in ((b"a", 5), (b"b", 5), (b"c", 5)):
        asked(home, finals, final)
    copy = copied(registry)
    asked(home, "DELETE FROM imported_finals")
    for final in ((b"a", 4), (b"b", 6), (b"d", 7)):
        asked(home, finals, final)
    assert put_back(copy).carried.import_keys == 2
    assert asked(home, "SELECT key, at FROM imported_finals ORDER BY key") == [
        (b"a", 5),
        (b"b", 6),
        (b"c", 5),
        (b"d", 7),
    ]


@pytest.mark.parametrize("is_in_backup", [False, True])
def test_rows_ahead_of_the_clock_do_not_come_back_to_life(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path, *, is_in_backup: bool
):
    """A living imported session is taken over and ended by the restore; once the clock gets there, its rows begin no other."""
    if is_in_backup:
        registry.imports.run(rows(clock, "alice"), MAP)
    copy = copied(registry)
    registry.imports.run(rows(clock, "alice", ahead=7200), MAP)
    before = asked(home, "SELECT key, id, last_used_at FROM imported JOIN sessions USING (number)")
    assert registry.count(SessionFilter(status="active")) == 1
    assert put_back(copy).carried.sessions_ended == 1
    assert asked(home, "SELECT key, id, last_used_at FROM imported JOIN sessions USING (number)") == before
    assert [one.ended_by for one in registry.sessions()] == ["restored"]
    clock.forward(hours=3)
    again = registry.imports.run(rows(clock, "alice", ahead=-3600), MAP)
    assert (again.unchanged, registry.count(SessionFilter(status="active"))) == (1, 0)


def test_continuity_that_ended_since_stays_ended(install: Install, copied: Callable, put_back: Restore, clock: Clock):
    """The backup was taken in an outage: it would go on for ever. One that began since is no part of the backup."""
    registry = install(HELD)
    registry.continuity.start(note="provider down")
    copy = copied(registry)
    clock.forward(hours=1)
    ended = registry.continuity.end(note="provider is up", actor="eve")[0].event
    registry.continuity.start(note="down once more")
    outcome = put_back(copy)
    assert (registry.continuity.status(), outcome.carried.continuity_ended) == ((), 1)
    with registry._installation.store.view() as view:
        assert view.continuity_events() == [ended]


def test_continuity_that_was_forgotten_since_is_over(install: Install, copied: Callable, put_back: Restore):
    """A cleanup forgets events long after they ended."""
    registry = install(HELD)
    registry.continuity.start(note="provider down")
    copy = copied(registry)
    registry.continuity.end(note="provider is up")
    with registry._installation.store.change() as tx:
        tx.remove_continuity(2**60)
    assert put_back(copy).carried.continuity_ended == 1
    assert registry.continuity.status() == ()


def test_the_floor_for_imports_is_the_instant_of_the_restore(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """Recorded with it; an earlier one does not come back, nor does a later one that the other registry had."""
    copy = copied(registry)
    clock.forward(hours=1)
    outcome = put_back(copy)
    assert asked(home, "SELECT restored_at FROM registry") == [(outcome.at,)]
    clock.forward(hours=1)
    again = put_back(copy)
    assert asked(home, "SELECT restored_at FROM registry") == [(again.at,)]
    asked(home, "UPDATE registry SET restored_at = restored_at + 1000000000000")
    later = asked(home, "SELECT restored_at FROM registry")
    put_back(copy)
    assert asked(home, "SELECT restored_at FROM registry") == later


def test_accepting_a_chain_is_such_a_floor_too(registry: Registry, copied: Callable, home: Path, clock: Clock):
    """`audit accept` ends every session in the same way."""
    copy = copied(registry)
    issue(registry)
    registry.close()
    places.put_in(home, copy)
    with Registry.open(home, registry=places.place_in(home), clock=clock, warn=str) as old:
        accepted = old.audit.accept(note="no newer one")
    assert asked(home, "SELECT restored_at FROM registry") == [(accepted.at,)]


def test_the_floor_for_imports_is_not_ahead_once_the_clock_was_accepted(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """A restore by a clock that was a month ahead would else end what is imported in that month."""
    copy = copied(registry)
    clock.forward(days=30)
    put_back(copy)
    clock.forward(days=-30)
    accepted = registry.doctor.accept_clock(note="the battery was empty")
    assert asked(home, "SELECT restored_at FROM registry") == [(accepted.at,)]


# What is not carried over


def test_nothing_that_lets_somebody_in_is_carried_over(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """No living or expired session, no profile, no remembered login, no enabling; the profiles' difference is said."""

    def remember(user: str) -> None:
        login = f"'held', '{user}', '{user}', 'held', 'staff', 1, 1, 'ffffffff', ?, ?"
        asked(home, f"INSERT INTO cached_logins VALUES ({login})", (bytes(16), bytes(32)))

    remember("erin")
    registry.users.disable("bob", note="left")
    copy = copied(registry)
    registry.users.enable("bob", note="came back")
    issue(registry, "dora")
    clock.forward(days=4)
    assert registry.count(SessionFilter(status="expired")) == 1
    living = issue(registry)
    registry.profiles.apply(profiles.read(HELD.encode(), "p"), note="an outage")
    registry.continuity.start(note="provider down")
    remember("alice")
    outcome = put_back(copy)
    assert (registry.count(), registry.continuity.status(), outcome.profiles_differ) == (0, (), True)
    assert asked(home, "SELECT * FROM cached_logins") == []
    assert "held" not in registry.profiles.in_force().profiles
    assert registry.users.get("bob").user.note == "left"
    with pytest.raises(TokenInvalid):
        registry.verify(living.access_token)
    assert outcome.stay_disabled == ("bob",)


def test_only_from_a_registry_of_the_same_id_whose_chain_verifies(
    registry: Registry, install: Install, copied: Callable, put_back: Restore, home: Path
):
    """A tampered one may bar or spare anybody: it is moved away first, as a damaged one is; and nothing has changed."""
    copy = copied(registry)
    registry.users.disable("bob", note="left")
    other = copied(install(folder="other"), "other.db")
    with pytest.raises(Refused, match="backup of another registry"):
        put_back(other)
    places.tamper(home, "UPDATE audit_events SET note = 'x' WHERE seq = 2")
    before = sorted(path.name for path in home.iterdir())
    for how in ({}, {"dry_run": True}):
        with pytest.raises(Refused, match=r"cannot be replaced while it is damaged: .*event 2 was changed") as refused:
            put_back(copy, **how)
        assert refused.value.hint == how_to_move_away(places.place_in(home))
    assert sorted(path.name for path in home.iterdir()) == before


@pytest.mark.in_a_file
def test_a_page_that_is_damaged_is_found_before_anything_is_carried(
    registry: Registry, copied: Callable, put_back: Restore, home: Path
):
    """Wherever it lies: the file is read whole."""
    for number in range(60):
        issue(registry, f"user{number}")
    copy = copied(registry)
    registry.close()
    ((page,),) = asked(home, "SELECT rootpage FROM sqlite_schema WHERE name = 'sessions_by_user'")
    asked(home, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (home / "registry.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 100)
        file.write(b"\xff" * 3000)
    with pytest.raises(Refused, match="while it is damaged"):
        put_back(copy)


def test_where_no_registry_is_there_nothing_is_carried(
    registry: Registry, copied: Callable, authctl: Authctl, home: Path, clock: Clock
):
    """And it says so, and what is not known by that; the count to type is that of the backup."""
    clock.now = datetime.now(UTC).replace(microsecond=0)
    issue(registry)
    copy = copied(registry)
    registry.users.disable("bob", note="left")
    registry.close()
    places.take_away(home)
    dry = authctl("restore", str(copy), "--dry-run", "-o", "json")
    assert (dry.code, dry.json["active_before"], places.is_there(home)) == (0, 1, False)
    done = authctl("restore", str(copy), "--note", "disk failed", "--yes", "-o", "json")
    assert (done.code, done.json["carried_from"], done.json["carried"], done.json["replaced_kept_as"]) == (
        0,
        None,
        None,
        None,
    )
    assert "nothing is carried over" in done.err
    assert f"sessions that were revoked since event 2 of the backup, at {clock.now:%Y-%m-%dT%H:%M:%SZ}" in done.err
    assert json.loads(authctl("audit", "show", "3", "-o", "json").out)["detail"]["carried_from"] is None
    assert authctl("users", "show", "bob").code == 3


# Divergent pasts


def test_numbers_of_two_pasts_are_told_apart(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """Where a number is another session's or revocation's, what is carried gets a new one; nothing is taken for another."""
    copy = copied(registry, "first.db")
    for name in ("alice", "bob"):
        issue(registry, name)
    registry.revoke(SessionFilter(username="alice"), note="first past")
    second = copied(registry, "second.db")
    first_ids = {one.username: one.id for one in registry.sessions()}
    registry.close()
    places.take_away(home)  # so that the numbers begin anew
    put_back(copy)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        for name in ("carol", "dora"):
            issue(other, name)
        other.revoke(SessionFilter(username="dora"), note="second past")
        other.revoke(SessionFilter(everything=True), note="breach")
        other_ids = {one.username: one.id for one in other.sessions()}
    clock.forward(hours=1)
    outcome = put_back(second)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as merged:
        said = {(one.username, one.id): one.note or one.ended_reason for one in merged.sessions()}
        assert said == {
            ("alice", first_ids["alice"]): "first past",
            ("bob", first_ids["bob"]): "restored",
            ("carol", other_ids["carol"]): "breach",
            ("dora", other_ids["dora"]): "second past",
        }
        assert outcome.carried.sessions_revoked == outcome.carried.revocations == 2
        check_agrees(merged, home)
        again = put_back(second)
        assert (again.carried.sessions_revoked, again.carried.revocations) == (2, 2)
        assert {(one.username, one.id): one.note or one.ended_reason for one in merged.sessions()} == said
        check_agrees(merged, home)


def test_there_and_back_between_two_pasts(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """Backup A, work, backup B, restore A, work, restore B: every operation of either stands, with its first note."""
    old = issue(registry)
    first = copied(registry, "a.db")
    clock.forward(hours=1)
    late = issue(registry, "bob")
    registry.revoke(SessionFilter(everything=True), note="breach")
    after = issue(registry, "carol")
    second = copied(registry, "b.db")
    clock.forward(hours=1)
    put_back(first)
    assert [registry.session(one.session.id).note for one in (old, late)] == ["breach", "breach"]
    clock.forward(hours=1)
    fresh = issue(registry, "dora")
    registry.revoke(SessionFilter(username="dora"), note="lost device")
    registry.users.disable("erin", note="left")
    registry.revoke(SessionFilter(username="alice"), note="too late")
    clock.forward(hours=1)
    put_back(second)
    notes = {one.id: one.note for one in registry.sessions()}
    assert [notes[one.session.id] for one in (old, late, fresh)] == ["breach", "breach", "lost device"]
    assert registry.session(after.session.id).ended_reason == "restored"
    assert registry.users.get("erin").user.note == "left"
    check_agrees(registry, home)
    put_back(first)
    assert {one.id: one.note for one in registry.sessions()}.items() >= {
        old.session.id: "breach",
        fresh.session.id: "lost device",
    }.items()
    assert registry.users.get("erin").user.disabled_at is not None
    check_agrees(registry, home)


def another_past(registry: Registry, put_back: Restore, home: Path, clock: Clock, copy: Path) -> Registry:
    """The registry is lost, and what was done since the copy is not known: the other past begins."""
    registry.close()
    places.take_away(home)
    clock.forward(hours=1)
    put_back(copy)
    return Registry.open(home, registry=places.place_in(home), clock=clock)


def test_a_session_that_two_pasts_know_keeps_the_rows_of_both(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """It begins at the earliest row of either past and was used last at the latest; no row of either begins another."""
    at_nine = rows(clock, "alice").getvalue()
    registry.imports.run(io.BytesIO(at_nine), MAP)
    first = copied(registry, "first.db")
    clock.forward(hours=1)
    told_later = [
        rows(clock, "alice", ahead=ahead).getvalue() for ahead in (-7200, 10_800)
    ]  # of eight, and of one o'clock
    for row in told_later:
        registry.imports.run(io.BytesIO(row), MAP)
    told = of_user(registry, "alice")
    second = copied(registry, "second.db")
    with another_past(registry, put_back, home, clock, first) as other:
        assert of_user(other, "alice").created_at > told.created_at
        put_back(second)
        found = of_user(other, "alice")
        assert (found.created_at, found.last_used_at) == (told.created_at, told.last_used_at)
        assert found.status is Status.EXPIRED
        clock.forward(hours=4)
        for row in (at_nine, *told_later):
            other.imports.run(io.BytesIO(row), MAP)
        assert [one.status for one in other.sessions()] == ["expired"]
        check_agrees(other, home)


@pytest.mark.parametrize("is_backup_first", [True, False])
def test_the_first_revocation_and_the_first_end_of_two_pasts_win(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock, *, is_backup_first: bool
):
    """Whichever of the two is replaced by the other."""
    alice, bob = issue(registry).session.id, issue(registry, "bob").session.id
    copy = copied(registry)
    clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note="first past")
    registry.end([bob])
    first = copied(registry, "first.db")
    with another_past(registry, put_back, home, clock, copy) as other:
        other.revoke(SessionFilter(username="alice"), note="second past")
        second = copied(other, "second.db")
    put_back(first)
    if not is_backup_first:
        places.take_away(home)
        put_back(first)
        put_back(second)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as merged:
        assert (merged.session(alice).note, merged.session(bob).ended_reason) == ("first past", "signed_out")
        check_agrees(merged, home)


def test_a_revocation_that_was_carried_under_a_new_number_is_known_again(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """It is the same operation by what it says: restores there and back do not make more and more of it."""
    copy = copied(registry)
    issue(registry)
    registry.revoke(SessionFilter(username="alice"), note="first past")
    first = copied(registry, "first.db")
    with another_past(registry, put_back, home, clock, copy) as other:
        issue(other, "bob")
        other.revoke(SessionFilter(username="bob"), note="second past")
        second = copied(other, "second.db")
    for _ in range(3):
        for file in (first, second):
            clock.forward(hours=1)
            put_back(file)
    notes = asked(home, "SELECT note FROM revocations WHERE at IS NOT NULL ORDER BY at")
    assert notes == [("first past",), ("second past",)]
    with Registry.open(home, registry=places.place_in(home), clock=clock) as merged:
        assert sorted((one.username, one.note) for one in merged.sessions()) == [
            ("alice", "first past"),
            ("bob", "second past"),
        ]
        check_agrees(merged, home)


def test_a_session_that_was_carried_under_a_new_number_is_the_same_session(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """It is known by its id: a backup that has it living under its first number has it revoked, once."""
    copy = copied(registry)
    issue(registry)
    first = copied(registry, "first.db")
    with another_past(registry, put_back, home, clock, copy) as other:
        bob = issue(other, "bob").session
        second = copied(other, "second.db")
        other.revoke(SessionFilter(username="bob"), note="lost device")
    put_back(first)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as merged:
        assert merged.session(bob.id).number != bob.number
        put_back(second)
        found = merged.session(bob.id)
        assert (found.number, found.note) == (bob.number, "lost device")
        check_agrees(merged, home)


@pytest.mark.in_a_file
def test_the_search_index_has_what_was_carried_and_no_more(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """Also where it had passed the numbers of what is carried, and what the backup said of a session that says otherwise now."""
    registry.imports.run(rows(clock, "alice", device="OLD-PC"), MAP)
    issue(registry, "bob")
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    registry.cleanup.run()  # which brings the index up to date
    copy = copied(registry)
    clock.forward(hours=1)
    registry.imports.run(rows(clock, "alice", device="NEW-PC"), MAP)
    registry.revoke(SessionFilter(everything=True), note="breach, ticket 4711")
    put_back(copy)
    assert [one.device for one in registry.sessions(SessionFilter(search="ticket"))] == ["NEW-PC"]
    for text, found in (("old", 0), ("new", 1)):
        sql = "SELECT count(*) FROM sessions_found WHERE sessions_found MATCH ?"
        assert asked(home, sql, (f'"{text}"',)) == [(found,)]
    assert asked(home, "SELECT count(*) FROM notes_found WHERE notes_found MATCH '\"471\"'") == [(1,)]
    check_agrees(registry, home)


# The question, the dry run, the kept file


def test_a_dry_run_shows_all_and_writes_nothing(
    registry: Registry, copied: Callable, authctl: Authctl, home: Path, clock: Clock
):
    """The same shape as the operation, without a note; no file changes, and none is left."""
    clock.now = datetime.now(UTC)
    issue(registry)
    copy = copied(registry)
    registry.users.disable("bob", note="left")
    before = {path.name: path.read_bytes() for path in home.iterdir() if not path.name.endswith("-shm")}
    dry = authctl("restore", str(copy), "--dry-run", "-o", "json")
    assert {path.name: path.read_bytes() for path in home.iterdir() if not path.name.endswith("-shm")} == before
    this_replaces, lost, would_restore = dry.err.splitlines()
    assert f"this replaces {places.place_in(home)}, at audit event 3, by the backup of " in this_replaces
    assert "everything else after audit event 2 is lost: sessions, sign-ins and audit events" in lost
    assert "dry run, nothing was changed: would restore" in would_restore
    assert not authctl("restore", str(copy), "--dry-run", "-q").err
    done = authctl("restore", str(copy), "--note", "disk failed", "--yes", "-o", "json")
    assert (dry.code, done.code, list(dry.json), dry.json["dry_run"], done.json["dry_run"]) == (
        0,
        0,
        list(done.json),
        True,
        False,
    )
    changing = ("at", "note", "replaced_kept_as", "dry_run")
    assert {k: v for k, v in dry.json.items() if k not in changing} == {
        k: v for k, v in done.json.items() if k not in changing
    }
    assert (dry.json["note"], dry.json["replaced_kept_as"], dry.json["active_before"]) == (None, None, 1)


def test_it_asks_for_the_count_of_living_sessions_to_be_typed(
    registry: Registry,
    copied: Callable,
    authctl: Authctl,
    on_terminal: OnTerminal,
    home: Path,
    clock: Clock,
):
    """Of the registry that is replaced; what is replaced, by what, what is carried over and what is lost stand before it."""
    clock.now = datetime.now(UTC).replace(microsecond=0)
    for name in ("alice", "bob"):
        issue(registry, name)
    copy = copied(registry)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    for _ in range(2):
        issue(registry, "carol")
    arguments = ("restore", str(copy), "--note", "disk failed")
    for answer in ("2", "y", "", "4"):
        assert on_terminal(*arguments, answers=(answer,), columns=200).code == 4
    assert registry.count(SessionFilter(status="active")) == 3
    assert authctl(*arguments).code == 4
    assert "confirmation needed" in authctl(*arguments).err
    asked_for = on_terminal("restore", str(copy), answers=("3", "disk failed"), columns=200)
    assert asked_for.code == 0, asked_for.text
    text = " ".join(asked_for.text.split())
    head, _, tail = text.partition("Type 3 to restore:")
    when = f"{clock.now:%Y-%m-%dT%H:%M:%SZ}"
    assert f"this replaces {places.place_in(home)}, at audit event 6, by the backup of {when}, at audit event 3" in head
    assert "1 active session of the backup would end" in head
    assert "carried over: 1 revocation, 1 revoked session" in head
    assert "everything else after audit event 3 is lost: sessions, sign-ins and audit events" in head
    assert head.endswith("all users have to sign in again: 3 active sessions of the present registry. ")
    assert "why?" in tail
    assert registry.audit.event(4).note == "disk failed"


def test_what_is_replaced_is_kept(
    registry: Registry, copied: Callable, authctl: Authctl, put_back: Restore, home: Path, clock: Clock
):
    """Private, beside it, named in message, JSON and event; it is a backup as any other, and never written over."""
    clock.now = datetime.now(UTC)
    copy = copied(registry)
    living = issue(registry)
    before = os.umask(0)
    try:
        done = authctl("restore", str(copy), "--note", "disk failed", "--yes", "-o", "json")
    finally:
        os.umask(before)
    kept = Path(done.json["replaced_kept_as"])
    assert (kept.parent, str(kept) in done.err, stat.S_IMODE(kept.stat().st_mode)) == (home, True, 0o600)
    event = json.loads(authctl("audit", "show", "2", "-o", "json").out)
    assert event["detail"]["replaced_kept_as"] == str(kept)
    assert event["detail"]["carried_from"]["seq"] == done.json["carried_from"]["seq"] == 2
    content = kept.read_bytes()
    others = {put_back(copy).replaced_kept_as for _ in range(3)}
    assert len({kept, *others}) == 4
    assert kept.read_bytes() == content
    put_back(kept)
    assert registry.session(living.session.id).ended_reason == "restored"
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_a_restore_that_fails_keeps_nothing(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever goes wrong once the file was made: the registry is as it was, and the file is gone."""
    copy = copied(registry)
    issue(registry)
    before = sorted(path.name for path in home.iterdir())

    def broken() -> datetime:
        if any("replaced" in path.name for path in home.iterdir() if not path.name.startswith(".")):
            raise ZeroDivisionError
        return datetime.fromtimestamp(0)  # noqa: DTZ006

    with pytest.raises(ZeroDivisionError):
        put_back(copy, clock=broken)
    assert sorted(path.name for path in home.iterdir()) == before
    assert registry.count(SessionFilter(status="active")) == 1


KEEPING = """\
import sys
from pathlib import Path
from authctl.errors import DiskFull
from authctl.registry.backups import restore
from authctl.settings import find_home
from authctl import Registry

disk, backup = Path(sys.argv[1]), Path(sys.argv[2])
place = find_home(disk, sys.argv[3] if "//" in sys.argv[3] else disk / "registry.db")
with Registry.open(disk, registry=place.registry) as registry:
    before, names = registry.audit.verify(), sorted(path.name for path in disk.iterdir())
size, found = backup.stat().st_size, set()
for spare in range(0, 5 * size, size // 8):
    with (disk / "filler").open("wb") as filler:
        try:
            filler.truncate(0)
            import os, shutil
            os.posix_fallocate(filler.fileno(), 0, max(1, shutil.disk_usage(disk).free - spare))
        except OSError:
            pass
    try:
        restore(place, backup, note="disk failed")
        found.add("done")
        break
    except DiskFull:
        (disk / "filler").unlink()
        with Registry.open(disk, registry=place.registry) as registry:
            same = registry.audit.verify() == before
        left = {path.name for path in disk.iterdir()} - set(names) - {"registry.db-wal", "registry.db-shm"}
        found.add("same" if same and not left else f"changed {same} {left}")
print(*sorted(found))
"""


@pytest.mark.skipif(places.ON_POSTGRES, reason="a namespace with a small disk cannot reach the socket of the server")
def test_a_full_disk_leaves_the_registry_and_no_half_file(
    registry: Registry, copied: Callable, tmp_path: Path, home: Path
):
    """However much room there is: all of it is done, or nothing, and no file is left."""
    from tests.test_trust import on_a_small_disk

    for number in range(200):
        issue(registry, f"user{number}")
    copy = copied(registry)
    registry.users.disable("user7", note="left")
    registry.close()
    (tmp_path / "keeping.py").write_text(KEEPING)
    run = (
        f"mount -t tmpfs -o size=40m,mode=700 tmpfs {{disk}} || exit 99; cp -p {home}/* {{disk}}/;"
        f" {sys.executable} -P {tmp_path}/keeping.py {{disk}} {copy} '{places.place_in(home)}' > {{out}}/found 2>&1"
    )
    assert on_a_small_disk(tmp_path, run)["found"] == "done same"


def test_a_clock_that_says_nothing_does_not_keep_it_from_being_done(
    registry: Registry, copied: Callable, put_back: Restore
):
    """It is called when nothing works: using the latest time recorded in the registry."""
    copy = copied(registry)
    issue(registry)
    assert put_back(copy, clock=lambda: float("nan"), warn=str).active_before == 1


# Operations that come in between


def test_an_operation_up_to_the_last_moment_is_carried(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, start: Start, home: Path
):
    """Another process revokes and disables once the backup was taken in, and just before the registry is locked."""
    alice = issue(registry)
    issue(registry, "bob")
    copy = copied(registry)
    operations = []

    def meanwhile() -> datetime:
        if not operations:
            for words in (
                ("revoke", "--user", "alice", "--note", "lost device"),
                ("users", "disable", "bob", "--note", "left"),
            ):
                process = start("-m", "authctl", *words)
                process.communicate()
                operations.append(process.returncode)
        return clock()

    outcome = put_back(copy, clock=meanwhile)
    assert operations == [0, 0]
    assert outcome.carried_from.seq == 5
    assert registry.session(alice.session.id).note == "lost device"
    assert registry.users.get("bob").user.note == "left"


def put_with_operations_in_between(
    home: Path, clock: Clock, copy: Path, start: Start, operations: list[tuple[str, ...]]
) -> RestoreOutcome:
    """Restore a backup, while another process does operations after all was carried over beforehand, and before it is locked."""
    place = find_home(home, places.place_in(home))
    with draft_of(copy, place.registry, place.folder) as draft:
        installation = Installation(place, draft.store, clock)
        restoring = _Restoring(installation, copy, "disk failed", "eve", None, audit_log.verify_chain(installation))

        def make_ready(replaced, kept_as, is_last):
            made = restoring.make_ready(replaced, kept_as, is_last)
            for words in () if is_last else operations:
                process = start("-m", "authctl", *words)
                process.communicate()
                assert process.returncode == 0
            return made

        outcome, event = draft.replace_registry("kept", make_ready)
    installation.head.accept(event)
    return outcome


def test_an_earlier_restore_at_the_same_instant_is_not_taken_for_this_one(
    registry: Registry, copied: Callable, put_back: Restore, home: Path, clock: Clock
):
    """A clock that is behind stands still: what a restore ended in one past still did, though it was revoked in the other."""
    alice = issue(registry).session.id
    living = copied(registry, "living.db")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    revoked = copied(registry, "revoked.db")
    with another_past(registry, put_back, home, clock, living) as other:
        ended = copied(other, "ended.db")
    clock.forward(hours=-1)
    with another_past(other, put_back, home, clock, revoked):
        outcome = put_back(ended)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as merged:
        found = merged.session(alice)
    assert (found.note, found.ended_by, found.ended_at) == ("lost device", "restored", outcome.at)
    assert (outcome.ended, outcome.carried.sessions_ended, outcome.carried.sessions_revoked) == (0, 0, 1)


def test_numbers_that_are_given_in_between_are_told_apart(
    registry: Registry, copied: Callable, clock: Clock, start: Start, home: Path
):
    """What was carried beforehand may have a number that the other registry gives meanwhile: of a session, or of a revocation."""
    clock.now = datetime.now(UTC)
    issue(registry)
    copy = copied(registry)
    registry.revoke(SessionFilter(everything=True), note="breach")
    bob = issue(registry, "bob").session.id
    operations = [
        ("tokens", "issue", "--user", "carol", "--application", "Outlook"),
        ("revoke", "--user", "bob", "--note", "lost device"),
        ("revoke", "--user", "carol", "--note", "stolen phone"),
    ]
    outcome = put_with_operations_in_between(home, clock, copy, start, operations)
    assert {one.username: one.note for one in registry.sessions()} == {
        "alice": "breach",
        "bob": "lost device",
        "carol": "stolen phone",
    }
    assert registry.session(bob).ended_by is None
    assert (outcome.carried.revocations, outcome.carried.sessions_revoked) == (3, 3)
    check_agrees(registry, home)
    assert issue(registry, "dora").session.status is Status.ACTIVE


@pytest.mark.parametrize("is_everything_revoked", [True, False])
def test_an_operation_after_most_was_carried_beforehand_shows_its_own_reason(
    registry: Registry, copied: Callable, clock: Clock, start: Start, home: Path, *, is_everything_revoked: bool
):
    """Most is done before the registry is locked; what others did since then goes before the end that the restore made."""
    clock.now = datetime.now(UTC)
    users = ("alice", "bob", "carol", "dora", "erin")
    issued = {user: issue(registry, user) for user in users}
    copy = copied(registry)
    registry.revoke(SessionFilter(username="erin"), note="stolen phone")
    late = issue(registry, "frank")
    operations = [
        ("revoke", "--user", "alice", "--note", "lost device"),
        ("revoke", "--user", "frank", "--note", "lost device"),
        ("sessions", "end", issued["bob"].session.id),
        ("users", "disable", "carol", "--note", "left"),
    ]
    operations += [("revoke", "--all", "--yes", "--note", "breach")] if is_everything_revoked else []
    outcome = put_with_operations_in_between(home, clock, copy, start, operations)
    said = {one.username: (one.note, one.ended_by) for one in registry.sessions()}
    breach = "breach" if is_everything_revoked else None
    assert said == {
        "alice": ("lost device", None),
        "bob": (breach, "signed_out"),
        "carol": (breach, "user_disabled"),
        "dora": (breach, None if is_everything_revoked else "restored"),
        "erin": ("stolen phone", None),
        "frank": ("lost device", None),
    }
    assert registry.session(late.session.id).number == late.session.number
    assert outcome.ended == (0 if is_everything_revoked else 1)
    assert outcome.carried.sessions_ended == 2
    assert outcome.carried.sessions_revoked == (6 if is_everything_revoked else 3)
    assert outcome.carried.disabled_users == 1
    check_agrees(registry, home)


REVOKER = """\
import sys
from authctl import Registry, SessionFilter

with Registry.open(sys.argv[1]) as registry:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2]), 10_000, 2):
        if number in (80, 81):
            sys.stdin.readline()
        user = f"user{number}"
        if not registry.count(SessionFilter(username=user)):
            break
        registry.users.disable(user, note=f"disabled {number}")
        print("disabled", user, flush=True)
        if registry.revoke(SessionFilter(username=user), note=f"revoked {number}").revoked:
            print("revoked", user, flush=True)
"""


def test_no_acknowledged_operation_is_undone_by_a_restore_among_others(
    installed: Authctl, home: Path, tmp_path: Path, start: Start
):
    """Two processes revoke and disable as fast as they can while backups are put back: what each was told to be done, is."""
    with Registry.open(home) as registry:
        for number in range(160):
            issue(registry, f"user{number}")
        registry.backups.create(tmp_path / "copy.db")
        processes = [start("-c", REVOKER, str(home), str(number)) for number in range(2)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        place, restored = find_home(home, places.place_in(home)), 0
        while any(process.poll() is None for process in processes):
            restore(place, tmp_path / "copy.db", note="disk failed")
            restored += 1
            if restored == 1:  # the second half waits for it, so that each half has a restore
                for process in processes:
                    process.stdin.write("\n")
                    process.stdin.flush()
        said = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
        assert restored > 1
        assert len(said) == 320
        assert registry.count(SessionFilter(status="active")) == 0
        for operation, user in said:
            number = user.removeprefix("user")
            if operation == "disabled":
                assert registry.users.get(user).user.note == f"disabled {number}"
            else:
                assert of_user(registry, user).note == f"revoked {number}"
        registry.audit.verify()


def test_a_chain_is_verified_up_to_the_moment_of_the_restore(
    registry: Registry, copied: Callable, put_back: Restore, clock: Clock, home: Path
):
    """What is tampered with after the first look is found, too."""
    copy = copied(registry)

    def meanwhile() -> datetime:
        if registry.count() == 0:
            issue(registry)
            places.tamper(home, "UPDATE audit_events SET note = 'x' WHERE seq = 2")
        return clock()

    with pytest.raises(Refused, match="event 2 was changed"):
        put_back(copy, clock=meanwhile)
    with pytest.raises(IntegrityFailure):
        registry.audit.verify()
    assert [path.name for path in home.iterdir() if "replaced" in path.name] == []
