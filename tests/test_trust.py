"""What nobody should have to believe: the registry after somebody had it in hand, and the clock; see the threats by their letters."""

import fcntl
import json
import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authctl import (
    IntegrityFailure,
    Refused,
    Registry,
    RegistryUnavailable,
    SessionFilter,
    Status,
    TokenEnded,
    TokenExpired,
    TokenInvalid,
    files,
    profiles,
)
from authctl.model import ProfileSet
from authctl.registry.backups import restore
from authctl.registry.unit_of_work import AUTHCTL
from authctl.settings import find_home
from authctl.store.sqlite.reserve import RESERVE_BYTES
from tests import places
from tests.conftest import Authctl, Clock, Install
from tests.sealed_events import seal_event

ROOT = Path(__file__).parents[1]


@pytest.fixture
def said() -> list[str]:
    """What a registry warned of."""
    return []


@pytest.fixture
def reopened(registry: Registry, home: Path, clock: Clock, said: list[str]) -> Callable[[], Registry]:
    """Open the installation anew, as another process would."""
    opened: list[Registry] = []

    def again() -> Registry:
        one = Registry.open(home, registry=places.place_in(home), clock=clock, warn=said.append)
        opened.append(one)
        return one

    yield again
    for one in opened:
        one.close()


def issue(registry: Registry, name: str = "alice"):
    """A sign-in."""
    return registry.issue(username=name, application="Outlook")


def head(home: Path) -> list[str]:
    """The one line of audit.head."""
    (line,) = (home / "audit.head").read_text().splitlines()
    return line.split()


def saved(registry: Registry, home: Path) -> Path:
    """A portable copy of the registry as it is now, of which nothing is recorded."""
    copy = home.parent / "old.db"
    registry._installation.store.back_up(copy)
    return copy


def put_back(registry: Registry, home: Path, copy: Path) -> None:
    """The copy in the place of the registry, as whoever restores a file does it."""
    registry.close()
    places.put_in(home, copy)


# A8: the head outside


def test_the_head_follows_the_chain(registry: Registry, home: Path):
    """Each change moves it on; reading and uses do not. It is private, and one line for each registry."""
    assert stat.S_IMODE((home / "audit.head").stat().st_mode) == 0o600
    for _ in range(3):
        token = issue(registry).access_token
        last = next(registry.audit.events())
        assert head(home)[1:] == [f"{last.seq:019d}", last.hash]
    registry.verify(token)
    list(registry.sessions())
    assert head(home)[2] == last.hash


def test_a8_an_old_registry_that_is_put_back_is_not_believed(
    registry: Registry, home: Path, reopened: Callable[[], Registry], said: list[str]
):
    """Sessions that were revoked since would live again: verify, issue, refresh and login answer 7; revoking works throughout."""
    bob = issue(registry, "bob")
    copy = saved(registry, home)
    alice = issue(registry)
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    known = head(home)
    put_back(registry, home, copy)
    again = reopened()
    for operation in (
        lambda: again.verify(bob.access_token),
        lambda: again.verify(alice.access_token),
        lambda: again.refresh("nonsense"),
        lambda: issue(again, "carol"),
        lambda: again.tokens.login(username="carol", application="x", password="y"),
        again.audit.verify,
    ):
        with pytest.raises(IntegrityFailure, match=r"it ends with event 2, and audit.head names event 4") as refused:
            operation()
        assert refused.value.hint is not None
        assert "audit accept" in refused.value.hint
    assert again.session(bob.session.id).status is Status.ACTIVE
    assert said == []
    assert again.revoke(SessionFilter(username="bob"), note="lost device").revoked == 1
    assert head(home) == known, "never written while it disagrees"
    assert "does not match audit.head" in said[0]


def test_a8_accepting_ends_what_was_issued_before(registry: Registry, home: Path, reopened: Callable[[], Registry]):
    """The present chain is true from then on, and starts with nobody signed in; later sign-ins are good."""
    bob = issue(registry, "bob")
    copy = saved(registry, home)
    issue(registry)
    put_back(registry, home, copy)
    again = reopened()
    with pytest.raises(Refused, match="note is required"):
        again.audit.accept(note=None)
    outcome = again.audit.accept(note="restored the backup of Monday", actor="eve")
    assert (outcome.known, outcome.seq, outcome.ended) == (3, 3, 1)
    with pytest.raises(TokenInvalid):
        again.verify(bob.access_token)
    assert again.session(bob.session.id).ended_reason == "restored"
    assert again.verify(issue(again, "carol").access_token)
    event = again.audit.event(3)
    assert (event.action, event.actor, event.note) == ("audit.accept", "eve", "restored the backup of Monday")
    assert again.audit.verify().seq == 4
    assert head(home)[1] == f"{4:019d}"
    with pytest.raises(Refused, match="there is nothing to accept"):
        again.audit.accept(note="once more")
    with pytest.raises(TokenInvalid):
        reopened().verify(bob.access_token)


def test_a8_an_old_registry_under_another_id_is_not_believed(
    registry: Registry, home: Path, reopened: Callable[[], Registry], authctl: Authctl
):
    """The head outside is known by the id, so that a registry with another has none: the log's first event knows better."""
    bob = issue(registry, "bob")
    copy = saved(registry, home)
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    put_back(registry, home, copy)
    places.change_in(home, "UPDATE registry SET id = '0123456789abcdef'")
    again = reopened()
    for operation in (
        lambda: again.verify(bob.access_token),
        again.audit.verify,
        lambda: again.audit.accept(note="take it as it is"),
    ):
        with pytest.raises(IntegrityFailure, match="its audit log begins with another id"):
            operation()
    assert authctl("audit", "verify").code == 7
    assert again.revoke(SessionFilter(username="bob"), note="lost device").revoked == 1


def test_a8_accepted_elsewhere_is_seen(registry: Registry, home: Path, reopened: Callable[[], Registry]):
    """A back end that found the registry behind goes on by itself once it was accepted."""
    copy = saved(registry, home)
    issue(registry)
    put_back(registry, home, copy)
    waiting = reopened()
    with pytest.raises(IntegrityFailure):
        issue(waiting)
    reopened().audit.accept(note="restored")
    assert waiting.verify(issue(waiting).access_token)


def test_a8_a_missing_head_is_a_warning_that_the_next_change_mends(
    registry: Registry, home: Path, reopened: Callable[[], Registry], said: list[str]
):
    """As it is for a registry of an older authctl, or a home that lost the file; garbage is nothing."""
    issued = issue(registry)
    for content in (None, b"", b"garbage\n", b"\xff" * 500):
        (home / "audit.head").unlink()
        if content is not None:
            (home / "audit.head").touch(0o600)
            (home / "audit.head").write_bytes(content)
        again = reopened()
        assert again.verify(issued.access_token)
        assert "has no entry for this registry" in said.pop()
        issue(again)
        last = next(again.audit.events())
        assert f"{last.seq:019d} {last.hash} ".encode() in (home / "audit.head").read_bytes()
        assert said == []
        reopened().verify(issued.access_token)
        assert said == []


def test_a8_a_head_that_cannot_be_written_is_a_warning(
    registry: Registry, home: Path, reopened: Callable[[], Registry], said: list[str]
):
    """The operation stands, and the head lags; it never leads, and goes on when it can be written again."""
    issue(registry)
    before = (home / "audit.head").read_bytes()
    (home / "audit.head").unlink()
    (home / "audit.head").mkdir()
    again = reopened()
    with pytest.raises(RegistryUnavailable, match=r"audit head at .* is not a regular file"):
        issue(again)
    assert again.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
    assert "the head of the audit log could not be written" in said[0]
    (home / "audit.head").rmdir()
    (home / "audit.head").touch(0o600)
    (home / "audit.head").write_bytes(before)
    issue(again, "bob")
    assert head(home)[2] == next(again.audit.events()).hash


def test_a8_who_holds_the_head_stops_no_revocation(
    registry: Registry, home: Path, reopened: Callable[[], Registry], said: list[str], monkeypatch: pytest.MonkeyPatch
):
    """Its lock is waited for a while: then an operation stands, with a warning, and what cannot be compared is unavailable."""
    monkeypatch.setattr(files, "LOCK_TIMEOUT_SECONDS", 0.2)
    token = issue(registry).access_token
    before = head(home)
    with (home / "audit.head").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        again = reopened()
        with pytest.raises(RegistryUnavailable, match=r"audit.head: it is locked by another process"):
            again.verify(token)
        assert again.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
        assert "could not be written: it is locked by another process" in said[0]
        assert head(home) == before
    issue(again, "bob")
    assert head(home)[2] == next(again.audit.events()).hash


def test_a8_a_head_that_others_can_touch_is_refused(registry: Registry, home: Path, reopened: Callable[[], Registry]):
    """As the key ring is."""
    token = issue(registry).access_token
    (home / "audit.head").chmod(0o644)
    with pytest.raises(RegistryUnavailable, match="open to others"):
        reopened().verify(token)


def test_a8_several_registries_have_a_line_each(registry: Registry, home: Path, clock: Clock, tmp_path: Path):
    """One home may work on several registries: each is compared with its own."""
    issue(registry)
    other = tmp_path / "second"
    place = tmp_path / "second.db"
    from authctl.registry.init import create

    create(find_home(other, place), profiles.read(profiles.DEFAULT_FILE.encode(), "p"), b"", clock=clock)
    with Registry.open(home, registry=place, keys=other / "keys.json", clock=clock) as second:
        issue(second)
        issue(registry)
        issue(second)
        lines = [line.split() for line in (home / "audit.head").read_text().splitlines()]
        assert [int(line[1]) for line in lines] == [3, 3]
        assert {line[2] for line in lines} == {next(one.audit.events()).hash for one in (registry, second)}


def test_j3_a_head_that_lags_is_caught_up(registry: Registry, home: Path, reopened: Callable[[], Registry]):
    """A crash between commit and head leaves it behind: nothing is wrong, and the next change mends it."""
    issue(registry)
    before = (home / "audit.head").read_bytes()
    token = issue(registry).access_token
    (home / "audit.head").write_bytes(before)
    again = reopened()
    assert again.verify(token)
    assert again.audit.verify().seq == 3
    issue(again)
    assert int(head(home)[1]) == 4


def test_the_line_of_a_registry_is_found_among_many(tmp_path: Path):
    """Also behind the lines of a hundred others, one of which has the id in its hash; the file is private with any umask."""
    from authctl import audit_head

    file = tmp_path / "audit.head"
    ids = [f"{number:016x}" for number in range(1, 101)]
    before = os.umask(0o277)
    try:
        for number, registry_id in enumerate(ids):
            known = audit_head.Head(number, ids[-number - 1] * 4)
            assert audit_head.advance(file, registry_id, known, known, lambda _events: False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_size == 128 * len(ids)
    for number, registry_id in enumerate(ids):
        later = audit_head.Head(number + 1, "e" * 64)
        known = audit_head.Head(number, ids[-number - 1] * 4)
        assert audit_head.read(file, registry_id) == known
        assert audit_head.advance(file, registry_id, known, later, lambda _events: False)
        assert audit_head.read(file, registry_id) == later
    assert file.stat().st_size == 128 * len(ids)
    moved = b"\n" + file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(moved)
    assert [audit_head.read(file, registry_id) for registry_id in ids] == [None] * len(ids), (
        "none begins at its own place"
    )


def test_j3_a_late_writer_does_not_bring_an_old_head_back(registry: Registry, home: Path):
    """One whose event is no longer in the chain, since a backup was put back meanwhile, writes nothing."""
    from authctl import audit_head

    issue(registry)
    before = (home / "audit.head").read_bytes()
    registry_id = before.split()[0].decode()
    lost = audit_head.Head(9, "f" * 64)
    assert not audit_head.advance(
        home / "audit.head", registry_id, audit_head.Head(8, "e" * 64), lost, registry._installation.store.has_events
    )
    assert (home / "audit.head").read_bytes() == before


@pytest.mark.parametrize(
    ("known", "written", "lines", "asks"),
    [
        (9, 0, 1, False),
        (9, -1_000_000_000, 1, True),
        (9, 3_600_000_000_000, 1, True),
        (9, 0, 2, True),
        (5, 0, 1, True),
        (4, 0, 1, True),
    ],
    ids=["later", "later, but before", "later, in the future", "one of two", "of the same number", "earlier"],
)
def test_a_later_head_that_was_written_meanwhile_needs_no_question(
    tmp_path: Path, known: int, written: int, lines: int, asks: bool
):
    """Its writer has compared it with the chain since then. Only a file with one line tells when that was written."""
    from authctl import audit_head

    file, asked = tmp_path / "audit.head", []

    def has(events: Any) -> bool:
        asked.append(events)
        return False

    since = time.time_ns()
    for number in range(lines):
        audit_head.replace(file, f"{number:016x}", audit_head.Head(known, "a" * 64))
    if written:
        os.utime(file, ns=(since + written, since + written))
    ours = audit_head.Head(5, "b" * 64)
    given = (file, "0" * 16, audit_head.Head(3, "c" * 64), ours, has)
    assert audit_head.advance(*given, since) is not asks
    assert bool(asked) == asks
    assert audit_head.read(file, "0" * 16) == (known, "a" * 64)
    assert not audit_head.advance(*given)


@pytest.mark.parametrize("says", [1.77e12, float("nan"), float("inf"), -1e18, "no time"])
def test_t1_a_clock_that_says_what_is_no_time(registry: Registry, home: Path, says: object):
    """Verify, issue and refresh cannot be judged; revoking goes by what was seen."""
    token = issue(registry).access_token
    with Registry.open(home, registry=places.place_in(home), clock=lambda: says, warn=lambda _text: None) as broken:
        with pytest.raises(RegistryUnavailable, match="invalid time"):
            broken.verify(token)
        with pytest.raises(RegistryUnavailable, match="invalid time"):
            broken.doctor.accept_clock(note="the battery was empty")
        with pytest.raises(Refused, match="the clock is at"):
            issue(broken)
        assert broken.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
    assert issue(registry).session


# J1, J2: six attacks on the log

ATTACKS = {
    "an event is edited": "UPDATE audit_events SET note = 'nothing' WHERE seq = 4",
    "an event is deleted": "DELETE FROM audit_events WHERE seq = 4",
    "two events change places": (
        "UPDATE audit_events SET seq = -1 WHERE seq = 4; UPDATE audit_events SET seq = 4 WHERE seq = 5;"
        "UPDATE audit_events SET seq = 5 WHERE seq = -1"
    ),
    "the tail is cut off": "DELETE FROM audit_events WHERE seq >= 5",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_j2_an_attack_on_the_log_is_found(
    registry: Registry, home: Path, reopened: Callable[[], Registry], authctl: Authctl, attack: str
):
    """7, and the first bad event named; also where the chain alone is whole."""
    for name in ("a", "b", "c", "d"):
        issue(registry, name)
    registry.revoke(SessionFilter(username="a"), note="lost device")
    registry.close()
    places.tamper(home, ATTACKS[attack])
    with pytest.raises(IntegrityFailure) as refused:
        reopened().audit.verify()
    named = "it ends with event 4, and audit.head names event 6" if "tail" in attack else "event 4"
    assert named in refused.value.message
    ran = authctl("audit", "verify")
    assert (ran.code, ran.out) == (7, "")
    assert named in ran.err


def test_j2_a_log_that_was_made_anew_is_found(registry: Registry, home: Path, reopened: Callable[[], Registry]):
    """Somebody who can compute hashes writes a whole chain without the event; only the head outside knows better."""
    for name in ("a", "b", "c"):
        issue(registry, name)
    kept = [event for event in reversed(list(registry.audit.events())) if event.seq != 3]
    registry.close()
    made, previous = [], None
    for event in [*kept, kept[-1]]:
        previous = seal_event(
            previous,
            at=event.at,
            actor=event.actor,
            action=event.action,
            subject=event.subject,
            note=event.note,
            detail=json.loads(event.detail),
        )
        made.append(previous)
    places.tamper(home, "DELETE FROM audit_events")
    for e in made:
        values = (e.seq, e.at, e.actor, e.action, e.subject, e.note, e.detail, e.prev_hash, e.hash)
        places.add_event(home, values)
    with pytest.raises(IntegrityFailure, match=r"event 4 is another, and audit.head names event 4"):
        reopened().audit.verify()


# T1, T2: the clock


def test_t1_a_clock_set_back_revives_nothing(registry: Registry, clock: Clock, said: list[str], reopened):
    """What was seen last is gone by: an expired session stays so in every list, and its token is refused."""
    again = reopened()
    issued = issue(again)
    clock.forward(days=4)
    issue(again, "bob")
    for back in (timedelta(minutes=4), timedelta(minutes=6), timedelta(days=3), timedelta(days=400)):
        clock.now -= back
        assert again.session(issued.session.id).status is Status.EXPIRED
        assert [s.username for s in again.sessions(SessionFilter(status="active"))] == ["bob"]
        with pytest.raises(TokenExpired):
            again.verify(issued.access_token)
        clock.now += back
    assert [text for text in said if "the clock is behind" in text] == said
    assert len(said) == 1


def test_t1_a_little_behind_time_stands_still(registry: Registry, clock: Clock, said: list[str], reopened):
    """Up to five minutes, as a clock that is put right goes back: nothing is refused, nothing is said."""
    again = reopened()
    before = issue(again)
    clock.forward(minutes=-5)
    after = issue(again)
    assert after.session.created_at == before.session.created_at
    assert again.verify(before.access_token)
    assert said == []


def test_t1_far_behind_nothing_begins(install: Install, clock: Clock):
    """Issue and refresh are refused (4); verify goes by what was seen; revoking, ending and disabling never depend on the clock."""
    registry = install("version: 1\nprofiles: {pair: {tokens: pair, idle_timeout: 14d}}\n")
    pair = issue(registry)
    clock.forward(minutes=-6)
    with pytest.raises(
        Refused, match="the clock is at 2026-03-02T08:54:00Z, behind the latest time recorded in the registry"
    ) as refused:
        issue(registry)
    assert "doctor --accept-clock" in str(refused.value.hint)
    with pytest.raises(Refused, match="the clock is at"):
        registry.refresh(pair.refresh_token)
    assert registry.verify(pair.access_token)
    assert registry.end([pair.session.id]).ended == 1
    assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
    assert registry.users.disable("alice", note="left the company").changed
    last = next(registry.audit.events())
    assert last.at == (clock() + timedelta(minutes=6)).timestamp() * 10**6
    clock.forward(minutes=6)
    assert issue(registry, "bob")


def test_t1_every_write_counts(registry: Registry, clock: Clock, home: Path, reopened):
    """A use is a write; another process sees what was seen by this one."""
    issued = issue(registry)
    clock.forward(hours=2)
    registry.verify(issued.access_token)
    clock.forward(hours=-2)
    with pytest.raises(Refused, match="the clock is at"):
        issue(reopened())


def test_t2_a_cleanup_by_a_clock_that_jumped_is_refused(registry: Registry, clock: Clock, authctl: Authctl):
    """More than half of all, and nothing recorded for seven months: 4, unless it is said that the clock is right."""
    for name in ("a", "b", "c"):
        issue(registry, name)
    clock.forward(days=400)
    with pytest.raises(Refused, match="3 of 3 sessions would be deleted, and the clock went ahead") as refused:
        registry.cleanup.run()
    assert "--accept-clock-jump" in str(refused.value.hint)
    with pytest.raises(Refused):
        registry.cleanup.run(dry_run=True)
    assert registry.count() == 3
    issue(registry, "late")
    with pytest.raises(Refused, match="3 of 4 sessions would be deleted"):
        registry.cleanup.run()
    assert registry.cleanup.run(accept_clock_jump=True).removed == 3
    clock.forward(days=200)
    assert registry.cleanup.run().removed == 1


def test_t2_a_clock_that_was_ahead_lets_nothing_go(registry: Registry, clock: Clock):
    """Put right again it is behind what was seen: no cleanup until that is settled, and then nothing is removed."""
    issue(registry)
    clock.forward(days=3_650)
    issue(registry, "late")
    clock.forward(days=-3_650)
    for how in ({}, {"accept_clock_jump": True}, {"dry_run": True}):
        with pytest.raises(Refused, match="the clock is at"):
            registry.cleanup.run(**how)
    registry.doctor.accept_clock(note="the battery was empty")
    assert registry.cleanup.run().removed == 0
    assert registry.count() == 2


OPERATIONS: dict[str, Callable[[Registry, str], object]] = {
    "nothing": lambda _registry, _id: None,
    "disable": lambda registry, _id: registry.users.disable("alice", note="left the company"),
    "password": lambda registry, _id: registry.users.password_changed("alice", note="reset"),
    "end": lambda registry, session_id: registry.end([session_id]),
    "apply": lambda registry, _id: registry.profiles.apply(tightened(), note="an hour"),
}


def tightened() -> ProfileSet:
    """The default profiles with a shorter idle timeout."""
    return profiles.read(profiles.DEFAULT_FILE.replace("idle_timeout: 3d", "idle_timeout: 1h").encode(), "p")


@pytest.mark.parametrize("is_ahead", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_t1_an_accepted_clock_brings_nothing_back(registry: Registry, clock: Clock, operation: str, is_ahead: bool):
    """Whatever was done while the clock was ahead, or before the mark that it left was set right."""
    issued = issue(registry)
    clock.forward(days=30)
    if is_ahead:
        OPERATIONS[operation](registry, issued.session.id)
    late = issue(registry, "late")
    clock.forward(days=-30)
    if not is_ahead:
        OPERATIONS[operation](registry, issued.session.id)
    assert registry.doctor.accept_clock(note="the battery was empty").ended == 2
    assert registry.count(SessionFilter(status="active")) == 0
    for one in (issued, late):
        with pytest.raises(TokenEnded, match="idle"):
            registry.verify(one.access_token)
    fresh = issue(registry, "fresh")
    assert registry.verify(fresh.access_token)


def test_t1_a_sign_out_by_a_wrong_clock(registry: Registry, clock: Clock):
    """A session that looks expired is over for good once somebody signed out of it, though nothing else was done meanwhile."""
    issued = issue(registry)
    clock.forward(days=30)
    assert registry.end([issued.session.id]).already_ended == 1
    clock.forward(days=-30)
    with pytest.raises(TokenExpired):
        registry.verify(issued.access_token)
    registry.doctor.accept_clock(note="the battery was empty")
    with pytest.raises(TokenEnded, match="idle"):
        registry.verify(issued.access_token)


def test_t1_an_accepted_clock_and_a_restore(registry: Registry, home: Path, clock: Clock, tmp_path: Path):
    """What a backup brought back, by a clock that took it for expired, does not live again either."""
    issued = issue(registry)
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(days=30)
    assert (
        restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="restored", clock=clock).ended == 0
    )
    clock.forward(days=-30)
    registry.doctor.accept_clock(note="the battery was empty")
    with pytest.raises(TokenEnded, match="idle"):
        registry.verify(issued.access_token)


def test_t1_an_accepted_clock_and_a_rollback(registry: Registry, home: Path, clock: Clock, reopened):
    """Nor does what an accepted chain had."""
    issued = issue(registry)
    copy = saved(registry, home)
    issue(registry)
    put_back(registry, home, copy)
    again = reopened()
    clock.forward(days=30)
    assert again.audit.accept(note="restored").ended == 0
    clock.forward(days=-30)
    again.doctor.accept_clock(note="the battery was empty")
    with pytest.raises(TokenEnded, match="idle"):
        again.verify(issued.access_token)


def test_t1_an_accepted_clock_leaves_what_it_does_not_concern(install: Install, clock: Clock):
    """Sessions that the wrong instant did not expire, and that were not used by it, live on; what was over keeps its end."""
    registry = install(
        "version: 1\ndefault_profile: default\nprofiles: {default: {idle_timeout: 60d}, short: {idle_timeout: 1d}}\n"
    )
    living = issue(registry)
    used = issue(registry, "used")
    over = registry.issue(username="over", application="Outlook", profile="short")
    clock.forward(days=2)
    issue(registry, "mark")
    clock.forward(days=30)
    registry.verify(used.access_token)
    clock.forward(days=-30)
    assert registry.doctor.accept_clock(note="the battery was empty").ended == 1
    assert registry.verify(living.access_token)
    assert registry.session(over.session.id).ended_at is None
    assert registry.session(used.session.id).ended_reason == "idle"


def test_t1_an_accepted_clock_and_an_outage(install: Install, clock: Clock):
    """A continuity event that was ended by the wrong clock stays ended, and so does what it held."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 1d, continuity: true}}\n")
    held = issue(registry)
    registry.continuity.start(note="the provider is down")
    clock.forward(days=30)
    assert registry.verify(held.access_token)
    registry.continuity.end(note="it is back")
    clock.forward(days=-30)
    assert registry.doctor.accept_clock(note="the battery was empty").ended == 1
    assert registry.session(held.session.id).ended_reason is not None
    assert registry.continuity.status() == ()
    assert registry.continuity.start(note="down once more")


def test_t2_an_ordinary_cleanup_is_not(registry: Registry, clock: Clock):
    """Where less than half would go, or something was recorded within seven months, whatever the clock."""
    for name in ("a", "b"):
        issue(registry, name)
    clock.forward(days=205)
    for name in ("c", "d", "e"):
        issue(registry, name)
    assert registry.cleanup.run().removed == 2
    clock.forward(days=205)
    registry.cleanup.run()
    assert registry.count() == 0


def test_the_actor_of_what_nobody_did(registry: Registry):
    """What authctl does by itself is recorded as its own."""
    assert AUTHCTL == "authctl"
    assert registry.audit.verify()


def test_random_histories_of_heads_never_lead(registry: Registry, home: Path):
    """After any operation the head is an event of the chain, and the last one."""
    chance = random.Random(5)
    for n in range(30):
        operation = chance.choice(["issue", "revoke", "end"])
        if operation == "issue":
            issue(registry, f"user{n}")
        elif operation == "revoke":
            registry.revoke(SessionFilter(username=f"user{chance.randrange(30)}"), note="lost device")
        else:
            found = [s.id for s in registry.sessions()]
            registry.end([chance.choice(found)] if found else [])
        seq, digest = int(head(home)[1]), head(home)[2]
        last = next(registry.audit.events())
        assert (last.seq, last.hash) == (seq, digest)


# A4: a full disk

FULL = """\
mount -t tmpfs -o size=12m tmpfs {disk} || exit 99
mkdir -m 700 {disk}/home
set -e
export AUTHCTL_HOME={disk}/home
authctl init -q
for user in alice bob carol; do
    authctl tokens issue -q --user $user --application Outlook > {disk}/$user
done
dd if=/dev/zero of={disk}/filler bs=4096 2> /dev/null || true
set +e
n=0
while authctl tokens issue -q --user late --application Outlook > /dev/null 2> {out}/refused; do
    n=$((n+1)); [ $n -lt 60 ] || exit 98
done
authctl tokens issue -q --user late --application Outlook > /dev/null 2> {out}/refused; echo $? > {out}/issue
authctl sessions list --count > {out}/count
authctl revoke --user alice --note "lost device" > {out}/revoked 2> {out}/said; echo $? > {out}/revoke
authctl revoke --all --yes --note "breach" > /dev/null 2>> {out}/said; echo $? > {out}/all
authctl tokens verify < {disk}/alice > /dev/null 2>&1; echo $? > {out}/verify
authctl sessions list --user alice --status revoked -o json > {out}/alice
authctl audit verify -q > /dev/null; echo $? > {out}/chain
rm {disk}/filler
authctl tokens issue -q --user dora --application Outlook > /dev/null 2>&1; echo $? > {out}/after
"""


@pytest.mark.in_a_file
def test_the_reserve_grows_back(registry: Registry, home: Path):
    """One that was made when there was little room is filled up by a later change."""
    os.truncate(home / "registry.db-reserve", 4096)
    issue(registry)
    assert (home / "registry.db-reserve").stat().st_size == RESERVE_BYTES


@pytest.mark.in_a_file
def test_the_reserve_lies_beside_the_registry_itself(registry: Registry, home: Path, tmp_path: Path):
    """On the disk that it is for, by whatever name the registry is reached."""
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / "elsewhere" / "link.db").symlink_to(home / "registry.db")
    (home / "registry.db-reserve").unlink()
    with Registry.open(home, registry=tmp_path / "elsewhere" / "link.db") as linked:
        issue(linked)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["link.db"]
    assert (home / "registry.db-reserve").exists()


def on_a_small_disk(tmp_path: Path, script: str) -> dict[str, str]:
    """Run a shell script that mounts `{disk}` and knows `authctl`; what it left in `{out}`, by name."""
    disk, out, binaries = tmp_path / "disk", tmp_path / "out", tmp_path / "bin"
    for folder in (disk, out, binaries):
        folder.mkdir()
    (binaries / "authctl").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m authctl "$@"\n')
    (binaries / "authctl").chmod(0o700)
    environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "LOGNAME": "tester", "PYTHONPATH": str(ROOT)}
    command = ["unshare", "-rm", "sh", "-c", script.format(disk=disk, out=out)]
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if ran.returncode == 99 or "unshare" in ran.stderr:
        pytest.skip("needs to mount a file system of its own")
    return {"err": ran.stderr, **{path.name: path.read_text().strip() for path in out.iterdir()}}


def test_a4_on_a_full_disk_a_revocation_still_goes_through(tmp_path: Path):
    """Everything else is 6 and changes nothing; a user's sessions, and then everybody's, are revoked, with their notes."""
    said = on_a_small_disk(tmp_path, FULL)
    assert said["issue"] == "6", said
    assert "the disk is full" in said["refused"]
    assert (said["revoke"], said["all"], said["verify"], said["chain"], said["after"]) == ("0", "0", "5", "0", "0"), (
        said
    )
    assert "space reserved for revocations" in said["said"]
    (alice,) = json.loads(said["alice"])
    assert (alice["note"], alice["status"]) == ("lost device", "revoked")


RESTORED = """\
import subprocess, sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from authctl import Registry
from authctl.errors import DiskFull
from authctl.registry.backups import restore
from authctl.settings import find_home

disk, backup = Path(sys.argv[1]), Path(sys.argv[2])
place = find_home(disk, disk / "registry.db")
size = backup.stat().st_size // 1024
for room in range(size + 80, size + 180, 4):
    if subprocess.call(["mount", "-t", "tmpfs", "-o", f"size={room}k,mode=700", "tmpfs", disk]):
        sys.exit(99)
    try:
        restore(place, backup, note="disk failed", clock=lambda: datetime(2026, 3, 2, 10, tzinfo=UTC))
        with Registry.open(disk, registry=place.registry) as registry:
            registry.audit.verify()
        print("whole")
    except DiskFull:
        print("half" if place.registry.exists() else "none")
    subprocess.call(["umount", disk])
"""


def test_a4_a_restore_on_a_small_disk_is_whole_or_none(registry: Registry, tmp_path: Path):
    """Whatever room there is: one whose log found no room in the file never appears."""
    for n in range(200):
        issue(registry, f"user{n}")
    registry.backups.create(tmp_path / "copy.db")
    (tmp_path / "restored.py").write_text(RESTORED)
    run = f"{sys.executable} -P {tmp_path}/restored.py {{disk}} {tmp_path}/copy.db > {{out}}/found"
    said = on_a_small_disk(tmp_path, run)
    assert set(said["found"].split()) == {"whole", "none"}, said


ASKING = """\
mount -t tmpfs -o size=12m tmpfs {disk} || exit 99
mkdir -m 700 {disk}/home
export AUTHCTL_HOME={disk}/home
fill() {{ rm -f {disk}/home/registry.db-shm; dd if=/dev/zero of={disk}/filler bs=4096 2> /dev/null; true; }}
empty() {{ rm -f {disk}/filler; authctl tokens issue -q --user "$1" --application Outlook > /dev/null 2>&1; }}
authctl init -q
empty alice; key=$(authctl keys list -o id); authctl keys rotate -q --note "copied"
fill; authctl revoke --application Outlook --dry-run > /dev/null 2>&1; echo $? > {out}/dry
ls {disk}/home > {out}/kept
authctl revoke --application Outlook --yes --note "lost device" > /dev/null 2> {out}/said; echo $? > {out}/filter
fill; authctl revoke --application Outlook --yes --note "once more" > /dev/null 2>&1; echo $? > {out}/again
ls {disk}/home > {out}/kept_again
empty bob; fill; authctl revoke --all --yes --note "breach" > /dev/null 2>&1; echo $? > {out}/all
empty carol; fill; authctl keys retire $key --compromised --yes --note "copied" > /dev/null 2>&1; echo $? > {out}/retire
"""


def test_a4_what_asks_first_goes_through_on_a_full_disk(tmp_path: Path):
    """The preview takes the room that is kept, as the operation does, and gives it back; a dry run leaves it alone."""
    said = on_a_small_disk(tmp_path, ASKING)
    assert (said["dry"], said["filter"], said["all"], said["retire"]) == ("6", "0", "0", "0"), said
    assert said["again"] == "0"
    assert all("registry.db-reserve" in said[after].split() for after in ("kept", "kept_again"))
    assert "space reserved for revocations" in said["said"]
