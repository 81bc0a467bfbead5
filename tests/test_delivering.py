"""Decisions are told to receivers: in the decision's own transaction, once by id, in order, until they are done."""

import json
from pathlib import Path

import pytest

from authctl import InvalidInput, Registry, SessionFilter, TokenReused
from authctl.model.deliveries import DeliveryFilter
from authctl.receivers.command import Command
from authctl.registry import delivering
from authctl.registry.backups import restore
from authctl.settings import find_home
from authctl.store.nouns import expansion
from tests import places
from tests.conftest import Authctl, Clock, Install
from tests.receiver import Receiver, receiver
from tests.test_receivers import write_receivers

__all__ = ["receiver"]

ALL = "session-revoked, session-ended, session-wiped, user-disabled, user-enabled, password-changed"


def subscribe(home: Path, *receivers: Receiver, more: str = "", events: str = ALL) -> None:
    """Write a receivers file with those receivers, named `a`, `b` and so on."""
    entries = [
        f"  {name}: {{command: [{one.program}], events: [{events}]{more}}}\n"
        for name, one in zip("abcdef", receivers, strict=False)
    ]
    write_receivers(home, "version: 1\nreceivers:\n" + "".join(entries))


def sessions(registry: Registry, *users: str) -> list[str]:
    """Register a session for each user; their ids."""
    return [registry.issue(username=user, application="Outlook", device="PC").session.id for user in users]


def test_a_revocation_is_told_to_every_receiver_that_wants_it(registry: Registry, home: Path, receiver: Receiver):
    """With the session, its user and its source; the note only where the receiver is told notes."""
    subscribe(home, receiver)
    alice, bob = sessions(registry, "alice", "bob")
    registry.revoke(SessionFilter(username="alice"), note="lost device", actor="carol")
    outcome = registry.deliveries.deliver()
    assert [(one.receiver, one.delivered, one.pending, one.reason) for one in outcome.receivers] == [("a", 1, 0, None)]
    (message,) = receiver.told
    assert (message["event"], message["actor"], message["note"], message["username"]) == (
        "session-revoked",
        "carol",
        None,
        "alice",
    )
    assert list(message) == [
        *("jti", "event", "at", "actor", "note", "source", "source_id", "session", "username", "revocation_id"),
    ]
    assert (message["session"]["id"], message["revocation_id"], message["at"]) == (alice, 2, "2026-03-02T09:00:00Z")
    assert (message["session"]["created_at"], message["session"]["device"]) == ("2026-03-02T09:00:00Z", "PC")
    (delivery,) = registry.deliveries.list()
    assert (delivery.jti, delivery.state, delivery.session_id) == (message["jti"], "delivered", alice)
    assert bob not in json.dumps(receiver.told)
    assert registry.deliveries.deliver().receivers[0].delivered == 0


def test_notes_leave_the_house_only_where_the_file_allows_it(registry: Registry, home: Path, receiver: Receiver):
    """At the decision and at the delivery: a note that was not to be told then is not told later."""
    sessions(registry, "alice", "bob", "carol")
    subscribe(home, receiver, more=", notes: true")
    registry.revoke(SessionFilter(username="alice"), note="told note")
    registry.deliveries.deliver()
    registry.revoke(SessionFilter(username="bob"), note="second note")
    subscribe(home, receiver)
    registry.deliveries.deliver()
    registry.revoke(SessionFilter(username="carol"), note="third note")
    subscribe(home, receiver, more=", notes: true")
    registry.deliveries.deliver()
    assert [message["note"] for message in receiver.told] == ["told note", None, None]


def test_every_decision_made_here_is_told(registry: Registry, home: Path, receiver: Receiver):
    """Ends, disabled and enabled users, changed passwords and retired keys, with the sessions that each ended."""
    subscribe(home, receiver)
    key = registry.keys.list()[0].key.id
    alice, bob, carol, dora = sessions(registry, "alice", "bob", "carol", "dora")
    registry.end([alice])
    registry.users.disable("bob", note="left the company")
    registry.users.enable("bob", note="back again")
    registry.users.password_changed("carol", note="reset at the desk")
    registry.keys.rotate(note="yearly rotation")
    registry.keys.retire(key, sign_out=True, note="yearly rotation")
    registry.deliveries.deliver()
    told = [(one["event"], one["username"], one["session"] and one["session"]["id"]) for one in receiver.told]
    assert sorted(told, key=str) == sorted(
        [
            ("session-ended", "alice", alice),
            ("user-disabled", "bob", None),
            ("session-ended", "bob", bob),
            ("user-enabled", "bob", None),
            ("password-changed", "carol", None),
            ("session-ended", "carol", carol),
            ("session-ended", "dora", dora),
        ],
        key=str,
    )


def test_a_reused_refresh_token_is_told(install: Install, home: Path, receiver: Receiver, clock: Clock):
    """Its revocation is a decision of authctl itself."""
    registry = install(
        "version: 1\ndefault_profile: pair\nprofiles:\n  pair: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d}\n"
    )
    subscribe(home, receiver)
    first = registry.issue(username="alice", application="Outlook").refresh_token
    second = registry.refresh(first).refresh_token
    registry.refresh(second)
    with pytest.raises(TokenReused):
        registry.refresh(first)
    registry.deliveries.deliver()
    assert [(one["event"], one["actor"]) for one in receiver.told] == [("session-revoked", "authctl")]


def test_deadlines_and_unknown_ids_tell_nobody(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """Only decisions made here are told; a second end of the same session is none."""
    subscribe(home, receiver)
    (alice,) = sessions(registry, "alice")
    clock.forward(days=4)
    assert registry.end([alice]).already_ended == 1
    registry.revoke(SessionFilter(ids=("htpsgxk2abcdefgh",)), note="unknown session")
    registry.deliveries.deliver()
    assert (receiver.told, list(registry.deliveries.list())) == ([], [])


def test_a_receiver_is_told_what_its_filter_allows(registry: Registry, home: Path, receiver: Receiver):
    """Sessions by application, and users whatever the filter: they have none."""
    subscribe(home, receiver, more=", application: [TEAMS]")
    registry.issue(username="alice", application="Teams")
    registry.issue(username="alice", application="Outlook")
    registry.users.disable("alice", note="left the company")
    registry.revoke(SessionFilter(username="alice"), note="left the company")
    registry.deliveries.deliver()
    told = [(one["event"], one["session"] and one["session"]["application"]) for one in receiver.told]
    assert sorted(told, key=str) == [
        ("session-ended", "Teams"),
        ("session-revoked", "Teams"),
        ("user-disabled", None),
    ]


def test_an_enable_never_overtakes_a_disable(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """While the disable waits, the enable waits; so it is for two decisions about one session."""
    subscribe(home, receiver)
    alice, bob = sessions(registry, "alice", "bob")
    receiver.answer(user_disabled="retry", session_ended="retry")
    registry.users.disable("alice", note="left the company")
    registry.users.enable("alice", note="back again")
    registry.revoke(SessionFilter(ids=(alice, bob)), note="lost device")
    registry.deliveries.deliver()
    assert [one["event"] for one in receiver.told if one["username"] == "alice"] == ["user-disabled", "session-ended"]
    assert [one["event"] for one in receiver.told if one["username"] == "bob"] == ["session-revoked"]
    receiver.answer()
    clock.forward(minutes=1)
    registry.deliveries.deliver()
    events = [one["event"] for one in receiver.told if one["username"] == "alice"]
    assert sorted(events[2:4]) == ["session-ended", "user-disabled"]
    assert sorted(events[4:]) == ["session-revoked", "user-enabled"]
    assert len(set(receiver.jtis)) == len(receiver.told) - 2


def test_verdicts_become_states(registry: Registry, home: Path, receiver: Receiver, clock: Clock, authctl: Authctl):
    """`gone` and `refuse` are final, anything else is told again under the same id; a refusal is named in the audit log."""
    subscribe(home, receiver)
    states = {}
    for user, verdict in {"alice": "gone", "bob": "refuse", "carol": "retry", "dora": "nonsense", "erin": None}.items():
        sessions(registry, user)
        receiver.answer(other=verdict)
        registry.revoke(SessionFilter(username=user), note="lost device")
        registry.deliveries.deliver()
        states[user] = next(registry.deliveries.list(DeliveryFilter(username=user)))
    assert {user: one.state for user, one in states.items()} == {
        "alice": "gone",
        "bob": "refused",
        "carol": "pending",
        "dora": "pending",
        "erin": "pending",
    }
    assert [states[user].reason for user in ("bob", "carol", "dora")] == ["as told", "as told", "no verdict"]
    runs = [json.loads(event.detail) for event in registry.audit.events() if event.action == "delivery.run"]
    assert [run["sessions"] for run in runs if run["refused"]] == [[states["bob"].session_id]]
    receiver.answer()
    clock.forward(hours=1)
    registry.deliveries.deliver()
    told = [one["jti"] for one in receiver.told if one["username"] == "carol"]
    assert len(told) == 2
    assert len(set(told)) == 1


def test_a_receiver_that_is_down_is_left_alone_for_longer_each_time(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock
):
    """One that fails as a whole is tried again after a pause; the pauses grow to an hour; `at_once` disregards them."""
    subscribe(home, receiver)
    sessions(registry, *(f"user{number}" for number in range(3)))
    registry.revoke(SessionFilter(everything=True), note="incident")
    receiver.program.rename(receiver.folder / "away")
    assert "cannot run" in (registry.deliveries.deliver().receivers[0].reason or "")
    (receiver.folder / "away").rename(receiver.program)
    outcome = registry.deliveries.deliver().receivers[0]
    assert (outcome.delivered, outcome.pending > 0, "cannot run" in (outcome.reason or "")) == (0, True, True)
    clock.forward(seconds=31)
    assert registry.deliveries.deliver().receivers[0].delivered == 3
    assert [delivering.back_off(n, lambda: 0.0) // 1_000_000 for n in (1, 2, 3, 8, 50)] == [30, 60, 120, 3600, 3600]
    assert delivering.back_off(1, lambda: 1.0) == 22_500_000


def test_a_clock_that_is_set_back_delays_nothing_for_long(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock
):
    """Pauses, leases and attempts that lie further ahead than any can be are due."""
    subscribe(home, receiver)
    sessions(registry, "alice")
    receiver.answer(other="retry")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.deliveries.deliver()
    receiver.answer()
    clock.forward(days=-2)
    assert registry.deliveries.deliver().receivers[0].delivered == 1


def test_a_removed_receiver_keeps_what_waits_for_it(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """It is told that the file has none of that name; after `give_up_after` the deliveries are dead, and a retry revives them."""
    subscribe(home, receiver, more=", give_up_after: 2d")
    sessions(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    (home / "receivers.yaml").unlink()
    outcome = registry.deliveries.deliver()
    assert [(one.receiver, one.pending, one.reason) for one in outcome.receivers] == [
        ("a", 1, "receivers.yaml has no such receiver")
    ]
    clock.forward(days=3)
    assert registry.deliveries.deliver().dead == 1
    (dead,) = registry.deliveries.list()
    assert dead.state == "dead"
    subscribe(home, receiver)
    assert registry.deliveries.retry([dead.id]).changed == 1
    assert registry.deliveries.deliver().receivers[0].delivered == 1


def test_a_file_with_faults_does_not_stop_a_revocation(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock
):
    """The receivers as they were read before are told, and the warning names the fault."""
    subscribe(home, receiver)
    sessions(registry, "alice", "bob", "carol")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    warnings: list[str] = []
    with Registry.open(home, clock=clock, warn=warnings.append) as other:
        write_receivers(home, "version: 1\nreceivers:\n")
        assert other.revoke(SessionFilter(username="bob"), note="lost device").revoked == 1
        (home / "receivers.yaml").chmod(0o644)
        assert other.revoke(SessionFilter(username="carol"), note="lost device").revoked == 1
    before = "the receivers that were read before are told"
    assert (
        warnings[0]
        == f"receivers.yaml:2:11: 'receivers' must be a mapping, `name: value` on lines of its own: {before}"
    )
    assert "open to others" in warnings[1]
    (home / "receivers.yaml").chmod(0o600)
    subscribe(home, receiver)
    registry.deliveries.deliver()
    assert {message["username"] for message in receiver.told} == {"alice", "bob", "carol"}


def test_a_revocation_of_everything_is_one_row_a_receiver(
    registry: Registry, home: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """Expanded page by page as it is told; what is registered later is not covered, and an excepted session neither."""
    monkeypatch.setattr(delivering, "_EXPANDED_AT_ONCE", 7)
    monkeypatch.setattr(expansion, "_FEW", 10)
    monkeypatch.setattr(expansion, "_WINDOW", 9)
    subscribe(home, receiver)
    ids = sessions(registry, *(f"user{number:02}" for number in range(50)))
    registry.revoke(SessionFilter(everything=True, except_ids=(ids[5],)), note="incident")
    later = sessions(registry, "later")
    (rest,) = registry.deliveries.list()
    assert (rest.is_rest, rest.state, rest.session_id) == (True, "pending", None)
    assert registry.deliveries.show("1").states == {"pending": 49}
    assert [one.is_rest for one in registry.deliveries.of_session(registry.session(ids[40]).number)] == [True]
    outcome = registry.deliveries.deliver().receivers[0]
    assert (outcome.delivered, outcome.pending) == (49, 0)
    assert not any(one.is_rest for one in registry.deliveries.list())
    told = [message["session"]["id"] for message in receiver.told]
    assert sorted(told) == sorted({*ids} - {ids[5]})
    assert later[0] not in told
    assert registry.deliveries.show("1").states == {"delivered": 49}


def test_a_later_decision_about_one_session_waits_for_the_first_one_in_the_middle_of_many(
    registry: Registry, home: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """The later one does not wait for the rest of the many; and of the two about the session the first one is told first."""
    monkeypatch.setattr(delivering, "_EXPANDED_AT_ONCE", 3)
    subscribe(home, receiver)
    ids = sessions(registry, *(f"user{number:02}" for number in range(20)))
    registry.end(ids)
    with registry._installation.change("test") as unit:
        unit.tx.expand("a", 3, unit.clock)
    registry.revoke(SessionFilter(ids=(ids[15],)), note="lost device")
    with registry._installation.change("test") as unit:
        unit.tx.expand("a", 1, unit.clock)
    assert [one.announcement for one in registry.deliveries.of_session(registry.session(ids[15]).number)] == [1, 2]
    registry.deliveries.deliver()
    assert [one["event"] for one in receiver.told if one["session"]["id"] == ids[15]] == [
        "session-ended",
        "session-revoked",
    ]
    assert len(receiver.told) == len(set(receiver.jtis)) == 21


def test_what_waits_is_kept_by_a_cleanup(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """Until it was delivered, or `give_up_after` is over: revoked and ended sessions, expanded or not."""
    subscribe(home, receiver, more=", give_up_after: 400d")
    sessions(registry, "alice", "bob", "carol")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.users.disable("bob", note="left the company")
    clock.forward(days=300)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    assert {s.username for s in registry.sessions()} == {"alice", "bob"}
    registry.deliveries.deliver()
    assert sorted((one["event"], one["username"]) for one in receiver.told) == [
        ("session-ended", "bob"),
        ("session-revoked", "alice"),
        ("user-disabled", "bob"),
    ]
    assert registry.cleanup.run().removed == 2
    assert list(registry.deliveries.list()) == []


def test_dropping_needs_a_note_and_ends_the_waiting(
    registry: Registry, home: Path, receiver: Receiver, authctl: Authctl
):
    """A whole decision at once, or one delivery; what was dropped is told to nobody."""
    subscribe(home, receiver)
    sessions(registry, "alice", "bob")
    registry.revoke(SessionFilter(everything=True), note="incident")
    assert authctl("deliveries", "drop", "1").code == 4
    ran = authctl("deliveries", "drop", "1", "--note", "system was shut down", "-o", "json")
    assert (ran.code, ran.json["changed"]) == (0, 1)
    assert authctl("deliveries", "drop", "2", "--note", "system was shut down").code == 3
    assert authctl("deliveries", "drop", "x", "--note", "system was shut down").code == 2
    registry.deliveries.deliver()
    assert receiver.told == []
    assert registry.deliveries.show("1").states == {"dropped": 2}
    assert next(registry.audit.events()).action == "delivery.drop"


def test_the_command_reports_and_checks(registry: Registry, home: Path, receiver: Receiver, authctl: Authctl):
    """0 when all is told, 9 while something is pending or refused; `--check` tells nobody anything."""
    subscribe(home, receiver)
    alice, bob = sessions(registry, "alice", "bob")
    receiver.answer(other="retry")
    ran = authctl("revoke", alice, "--note", "lost device", "--deliver", "-o", "json")
    assert (ran.code, ran.json["revoked"], ran.json["deliveries"]) == (9, 1, {"a": {"pending": 1}})
    assert authctl("deliver", "--check").code == 0
    assert authctl("deliver", "--check", "--max-age", "0s").code in (0, 2)
    assert authctl("deliver").code == 9
    receiver.answer()
    ran = authctl("deliveries", "retry", "1")
    assert (ran.code, ran.err) == (0, "authctl: 1 message due now\n")
    assert authctl("deliver").code == 0
    ran = authctl("revoke", bob, "--note", "lost device", "--deliver")
    assert ran.code == 0
    assert "receiver 'a': 1 delivered" in ran.err
    listed = authctl("deliveries", "list", "-o", "json").json
    assert [(one["state"], one["attempts"]) for one in listed] == [("delivered", 1), ("delivered", 2)]
    assert authctl("deliveries", "show", listed[0]["id"], "-o", "json").json["event_seq"] > 0


def test_a_program_that_others_may_write_is_not_run(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """Nor one in a folder in which others may replace it."""
    subscribe(home, receiver)
    sessions(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    receiver.program.chmod(0o722)
    assert "others may write to" in (registry.deliveries.deliver(at_once=True).receivers[0].reason or "")
    receiver.program.chmod(0o700)
    receiver.folder.chmod(0o777)
    clock.forward(minutes=1)
    assert "others may write to a folder" in (registry.deliveries.deliver(at_once=True).receivers[0].reason or "")
    receiver.folder.chmod(0o700)
    assert receiver.told == []
    clock.forward(minutes=2)
    assert registry.deliveries.deliver(at_once=True).receivers[0].delivered == 1


def test_a_test_sends_a_verification_event(registry: Registry, home: Path, receiver: Receiver, authctl: Authctl):
    """It concerns nobody, and nothing is recorded."""
    subscribe(home, receiver)
    events = len(list(registry.audit.events()))
    ran = authctl("receivers", "test", "a", "-o", "json")
    assert (ran.code, ran.json["ok"], ran.json["reason"]) == (0, True, "as told")
    assert (receiver.told[0]["event"], receiver.told[0]["session"]) == ("verification", None)
    receiver.answer(exit=3, other="retry")
    assert authctl("receivers", "test", "a").code == 9
    assert len(list(registry.audit.events())) == events


def test_administrators_see_how_far_a_delivery_is(
    registry: Registry, home: Path, receiver: Receiver, authctl: Authctl, clock: Clock
):
    """In the list of sessions, in a session, in an explanation and by the doctor."""
    subscribe(home, receiver)
    alice, bob, carol, _ = sessions(registry, "alice", "bob", "carol", "dora")
    registry.revoke(SessionFilter(ids=(alice, bob)), note="lost device")
    states = {
        name: [s.id for s in registry.sessions(SessionFilter(delivery=name))] for name in ("pending", "delivered")
    }
    assert (sorted(states["pending"]), states["delivered"]) == (sorted([alice, bob]), [])
    receiver.answer(other="refuse")
    registry.deliveries.deliver()
    registry.end([carol])
    receiver.answer()
    registry.deliveries.deliver()
    counted = [
        authctl("sessions", "list", "--delivery", name, "--count").out for name in ("pending", "delivered", "refused")
    ]
    assert counted == ["0\n", "1\n", "2\n"]
    shown = authctl("sessions", "show", alice, "-o", "json").json["deliveries"]
    assert [(one["receiver"], one["state"], one["reason"]) for one in shown] == [("a", "refused", "as told")]
    steps = authctl("explain", carol, "-o", "json").json["steps"]
    assert [one["text"] for one in steps if one["step"] == "delivery"] == ["session-ended to a: delivered"]
    finding = next(one for one in registry.doctor.examine() if one.check == "receivers")
    assert (finding.ok, finding.found) == (False, "receiver 'a': 2 refused, 0 dead")
    assert authctl("deliver", "--check").code == 9
    registry.deliveries.drop(["1"], note="not needed there")
    assert next(one for one in registry.doctor.examine() if one.check == "receivers").ok


def test_a_restore_carries_the_outbox_over_and_tells_nobody_anything(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock, tmp_path: Path
):
    """What was told is not told again, what waits is told under its id, and the sessions that the restore ends are told to nobody."""
    subscribe(home, receiver)
    alice, _bob, carol, _dora = sessions(registry, "alice", "bob", "carol", "dora")
    registry.revoke(SessionFilter(ids=(alice,)), note="before the backup")
    registry.backups.create(tmp_path / "backup.db")
    registry.deliveries.deliver()
    registry.users.disable("bob", note="after the backup")
    registry.deliveries.deliver()
    (erin,) = sessions(registry, "erin")
    receiver.answer(other="retry")
    registry.revoke(SessionFilter(ids=(carol,)), note="it waits")
    registry.deliveries.deliver()
    receiver.answer()
    registry.end([erin])
    before = {one.jti: one.state for one in registry.deliveries.list() if not one.is_rest}
    told = receiver.jtis
    restore(find_home(home), tmp_path / "backup.db", note="disk failed", clock=clock)
    with Registry.open(home, clock=clock) as restored:
        assert {one.jti: one.state for one in restored.deliveries.list() if not one.is_rest} == before
        clock.forward(minutes=1)
        restored.deliveries.deliver()
        assert {one.state for one in restored.deliveries.list()} == {"delivered"}
    later = receiver.told[len(told) :]
    assert sorted((one["event"], one["username"]) for one in later) == [
        ("session-ended", "erin"),
        ("session-revoked", "carol"),
    ]
    assert [one["jti"] in told for one in later if one["username"] == "carol"] == [True]


def test_a_restore_without_a_registry_keeps_what_waits(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock, tmp_path: Path
):
    """The outbox of the backup, under its ids: a receiver drops what it was told before."""
    subscribe(home, receiver)
    sessions(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="before the backup")
    registry.backups.create(tmp_path / "backup.db")
    registry.deliveries.deliver()
    registry.close()
    places.take_away(home)
    restore(find_home(home), tmp_path / "backup.db", note="disk failed", clock=clock)
    with Registry.open(home, clock=clock) as restored:
        restored.deliveries.deliver()
    assert len(receiver.told) == 2
    assert len(set(receiver.jtis)) == 1


def test_a_slow_receiver_does_not_keep_the_others_waiting(
    registry: Registry, home: Path, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Receivers take turns, one batch each."""
    monkeypatch.setattr(Command.__init__, "__defaults__", (5, False))
    other = Receiver(tmp_path / "other")
    subscribe(home, receiver, other)
    sessions(registry, *(f"user{number}" for number in range(20)))
    registry.revoke(SessionFilter(everything=True), note="incident")
    assert [one.delivered for one in registry.deliveries.deliver().receivers] == [20, 20]
    events = [event.subject for event in registry.audit.events() if event.action == "delivery.run"][::-1]
    assert events == ["a", "b"] * 4


def test_a_change_of_who_is_told_is_an_audit_event(registry: Registry, home: Path, receiver: Receiver):
    """Once for each change of the file, with the receivers and their events; a removed file is one, too, if the registry is a file."""
    sessions(registry, "alice", "bob", "carol", "dora")
    registry.revoke(SessionFilter(username="alice"), note="nobody is told")
    subscribe(home, receiver, events="session-revoked")
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    registry.revoke(SessionFilter(username="carol"), note="lost device")
    if places.ON_POSTGRES:  # where the file may be on another host (decision 346)
        write_receivers(home, "version: 1\nreceivers: {}\n")
    else:
        (home / "receivers.yaml").unlink()
    registry.revoke(SessionFilter(username="dora"), note="nobody is told")
    changes = [json.loads(event.detail) for event in registry.audit.events() if event.action == "receiver.change"]
    assert changes == [{"receivers": {}}, {"receivers": {"a": ["session-revoked"]}}]
    assert len(list(registry.deliveries.list())) == 2


def test_a_confirmed_wipe_and_a_revoked_token_are_told(install: Install, home: Path, receiver: Receiver):
    """The application revoked a token, and confirmed later that its data is gone."""
    registry = install("version: 1\nprofiles:\n  default: {idle_timeout: 3d, on_revoke: wipe}\n")
    subscribe(home, receiver)
    token = registry.issue(username="alice", application="Outlook").access_token
    registry.tokens.revoke(token, note="found in a log")
    registry.tokens.wipe_done(token)
    registry.tokens.wipe_done(token)
    registry.deliveries.deliver()
    assert [one["event"] for one in receiver.told] == ["session-revoked", "session-wiped"]


def test_sessions_of_which_a_receiver_is_told_none_do_not_stop_the_delivery(
    registry: Registry, home: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """However many pages of others lie before the one that it is told."""
    monkeypatch.setattr(delivering, "_EXPANDED_AT_ONCE", 3)
    subscribe(home, receiver, more=", application: [Teams]")
    sessions(registry, *(f"user{number}" for number in range(40)))
    registry.issue(username="alice", application="Teams")
    registry.revoke(SessionFilter(everything=True), note="incident")
    outcome = registry.deliveries.deliver().receivers[0]
    assert (outcome.delivered, outcome.pending) == (1, 0)


def test_deliveries_are_listed_page_by_page(registry: Registry, home: Path, receiver: Receiver):
    """Each once, wherever a page ends: also after the row for the rest of a decision, and by each filter."""
    subscribe(home, receiver)
    for user in ("alice", "bob"):
        sessions(registry, *[user] * 5)
        registry.revoke(SessionFilter(username=user), note="lost device")
    registry.users.disable("alice", note="left the company")
    with registry._installation.change("authctl") as unit:
        unit.tx.expand("a", 2, unit.clock)
    for wanted in (DeliveryFilter(), *(DeliveryFilter(state=one) for one in ("pending", "delivered"))):
        whole = list(registry.deliveries.list(wanted))
        paged, after = [], None
        while page := registry.deliveries.page(wanted, after, 1):
            paged += page
            after = (page[-1].announcement, page[-1].number)
            assert len(paged) <= len(whole)
        assert paged == whole
    of_bob = list(registry.deliveries.list(DeliveryFilter(username="bob")))
    assert {one.username for one in of_bob} <= {"bob"}
    of_alice = list(registry.deliveries.list(DeliveryFilter(username="ALICE")))
    assert ("user-disabled", None) in {(one.event, one.session_id) for one in of_alice}
    registry.users.disable("bob", note="left the company")
    both = DeliveryFilter(username=("bob", "ALICE"), receiver=("A", "nobody"), state=("pending", "delivered", "dead"))
    of_both = [one for one in registry.deliveries.list() if one.username is not None]
    assert list(registry.deliveries.list(both)) == of_both
    assert {one.username for one in of_both} == {"alice", "bob"}
    assert list(registry.deliveries.list(DeliveryFilter(receiver="nobody"))) == []
    for wrong in (DeliveryFilter(state="PENDING"), DeliveryFilter(event=("x",)), DeliveryFilter(username=())):
        with pytest.raises(InvalidInput):
            registry.deliveries.page(wrong)
    everything = list(registry.deliveries.list())
    assert any(one.is_rest for one in everything)
    assert [(one.announcement, one.number) for one in everything] == sorted(
        ((one.announcement, one.number) for one in everything), reverse=True
    )


def test_a_run_tells_nothing_twice(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """What is to be told again and becomes due in the same run waits for the next one: else new decisions would wait without end."""
    subscribe(home, receiver)
    receiver.answer(other="retry")
    sessions(registry, *["alice"] * 3)
    registry.revoke(SessionFilter(username="alice"), note="lost device")

    class Running(Clock):
        """A clock that is some minutes later at each look."""

        def __call__(self):
            self.forward(minutes=3)
            return self.now

    running = Running(clock.now)
    with Registry.open(home, registry=places.place_in(home), clock=running) as slow:
        for count in (1, 2):
            outcome = slow.deliveries.deliver()
            assert (outcome.receivers[0].retried, outcome.pending) == (3, 3)
            assert len(receiver.told) == 3 * count


def test_a_clock_that_jumps_ahead_gives_up_nothing_untried(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock
):
    """A receiver that is there is told; one that is down is dead after the try, and waits again when the right clock is accepted."""
    subscribe(home, receiver)
    write_receivers(
        home, (home / "receivers.yaml").read_text() + "  gone: {command: [/nowhere], events: [session-revoked]}\n"
    )
    sessions(registry, "alice", "bob")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(days=400)
    outcome = registry.deliveries.deliver()
    assert {one.receiver: one.state for one in registry.deliveries.list()} == {"a": "delivered", "gone": "dead"}
    assert outcome.dead == 1
    clock.forward(days=-400)
    assert registry.deliveries.deliver().pending == 0
    registry.doctor.accept_clock(note="the clock was wrong")
    assert {one.receiver: one.state for one in registry.deliveries.list()} == {"a": "delivered", "gone": "pending"}
    assert registry.deliveries.deliver(at_once=True).dead == 0
    clock.forward(days=31)
    assert registry.deliveries.deliver().dead == 1


def test_a_receiver_that_is_left_alone_is_not_given_up(
    registry: Registry, home: Path, receiver: Receiver, clock: Clock
):
    """Its pause ends within an hour, and then it is tried."""
    subscribe(home, receiver, more=", give_up_after: 1h")
    receiver.answer(other="retry")
    receiver.program.chmod(0o600)
    sessions(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    for minutes in (0, 2, 5, 10, 42):
        clock.forward(minutes=minutes)
        registry.deliveries.deliver()
    clock.forward(minutes=3)
    assert (registry.deliveries.deliver().dead, receiver.told) == (0, [])
    receiver.program.chmod(0o700)
    receiver.answer()
    clock.forward(minutes=30)
    registry.deliveries.deliver()
    assert [one.state for one in registry.deliveries.list()] == ["delivered"]
