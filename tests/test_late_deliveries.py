"""Sessions that an import brings after the decision that revokes or ends them: their receivers are told, once, and only while it holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.registry.backups import restore
from authctl.settings import find_home
from tests import places
from tests.conftest import Clock
from tests.receiver import Receiver, receiver
from tests.test_delivering import sessions, subscribe
from tests.test_late_rows import NOON, load, row

__all__ = ["receiver"]


@pytest.fixture
def at_noon(registry: Registry, home: Path, receiver: Receiver, clock: Clock) -> Registry:
    """A registry at noon, whose receiver is told everything."""
    subscribe(home, receiver, more=", notes: true")
    clock.now = NOON
    return registry


def told(receiver: Receiver) -> list[tuple[str, str, str | None]]:
    """The events that a receiver was told, with the user and the id in the source."""
    return sorted((one["event"], one["username"], one["source_id"]) for one in receiver.told)


def test_a_late_session_of_a_revocation_is_told_as_its_effect(at_noon: Registry, receiver: Receiver, clock: Clock):
    """With the actor, note, instant and number of the revocation; the event of the audit log is the import."""
    sessions(at_noon, "alice")
    revoked = at_noon.revoke(SessionFilter(username="alice"), note="lost device", actor="carol")
    at_noon.deliveries.deliver()
    clock.forward(days=40)  # longer than give_up_after: the delivery is as old as the import
    loaded = load(at_noon, row(), row("bob", sid="s2"), source="hr", actor="cron")
    assert at_noon.count(SessionFilter(delivery="pending")) == 1
    at_noon.deliveries.deliver()
    first, late = receiver.told
    assert (late["event"], late["username"], late["actor"], late["note"]) == (
        *("session-revoked", "alice", "carol", "lost device"),
    )
    assert (late["at"], late["revocation_id"], late["source"]) == (first["at"], revoked.revocation_id, "hr")
    assert late["session"]["status"] == "revoked"
    _done, begun = (one for one in at_noon.audit.events() if one.action == "session.import")
    (listed,) = [one for one in at_noon.deliveries.list() if one.jti == late["jti"]]
    assert (begun.subject, listed.txn) == (str(loaded.import_id), begun.seq)
    load(at_noon, row(hours=1.5), source="hr")
    at_noon.deliveries.deliver()
    assert len(receiver.told) == 2


ENDS: dict[str, tuple[Callable[[Registry], object], list[str]]] = {
    "of everything": (
        lambda registry: registry.revoke(SessionFilter(everything=True), note="incident"),
        ["session-revoked", "session-revoked", "session-revoked"],
    ),
    "disabled": (
        lambda registry: registry.users.disable("alice", note="left the company"),
        ["session-ended", "user-disabled"],
    ),
    "password": (
        lambda registry: registry.users.password_changed("alice", note="reset at the desk"),
        ["password-changed", "session-ended"],
    ),
}


@pytest.mark.parametrize("decide", ENDS)
def test_each_decision_that_binds_late_rows_is_told(at_noon: Registry, receiver: Receiver, clock: Clock, decide: str):
    """A revocation of everything, a disabled user, and a changed password."""
    do, events = ENDS[decide]
    sessions(at_noon, "dora")
    do(at_noon)
    clock.forward(hours=1)
    load(at_noon, row(), row("bob", sid="s2"), source="hr")
    at_noon.deliveries.deliver()
    assert [one["event"] for one in sorted(receiver.told, key=lambda one: str(one["event"]))] == events
    late = next(one for one in receiver.told if one["event"].startswith("session"))
    assert late["at"] == "2026-03-02T12:00:00Z"


def test_ends_that_no_decision_made_here_are_told_to_nobody(
    at_noon: Registry, home: Path, tmp_path: Path, receiver: Receiver, clock: Clock
):
    """A restore binds late rows, too, and is no decision about them."""
    at_noon.backups.create(tmp_path / "copy.db")
    at_noon.close()
    clock.forward(minutes=1)
    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk lost", actor="carol", clock=clock)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as registry:
        clock.forward(hours=1)
        load(registry, row(), source="hr")
        assert [one.ended_by for one in registry.sessions(SessionFilter(username="alice"))] == ["restored"]
        registry.deliveries.deliver()
    assert receiver.told == []


@pytest.mark.parametrize("is_delivered", [False, True])
def test_a_known_session_that_comes_under_a_revocation_is_told_once(
    at_noon: Registry, receiver: Receiver, clock: Clock, *, is_delivered: bool
):
    """It was active, and a row of an earlier time shows that it was meant; also before the revocation was told."""
    load(at_noon, row(dev="B-2"), source="hr")
    at_noon.issue(username="alice", application="Mail", device="A-1")
    clock.forward(minutes=1)
    at_noon.revoke(SessionFilter(device="A-1"), note="lost device")
    if is_delivered:
        at_noon.deliveries.deliver()
    clock.forward(minutes=1)
    assert at_noon.count(SessionFilter(source=("hr",), status="active")) == 1
    load(at_noon, row(hours=2, dev="A-1"), source="hr")
    at_noon.deliveries.deliver()
    assert sorted(one["source"] or "" for one in receiver.told) == ["", "hr"]


@pytest.mark.parametrize("is_expanded", [False, True])
def test_an_undone_import_takes_its_deliveries_back(
    at_noon: Registry, receiver: Receiver, clock: Clock, *, is_expanded: bool
):
    """Those that wait: a session that is removed or active again is told to nobody."""
    load(at_noon, row(dev="B-2"), source="hr")
    at_noon.issue(username="alice", application="Mail", device="A-1")
    at_noon.revoke(SessionFilter(device="A-1"), note="lost device")
    at_noon.deliveries.deliver()
    clock.forward(minutes=1)
    loaded = load(at_noon, row(hours=2, dev="A-1"), row(sid="s9"), source="hr")
    assert loaded.import_id is not None
    if is_expanded:
        receiver.answer(other="retry")
        at_noon.deliveries.deliver()
        receiver.answer()
    before = len(receiver.told)
    at_noon.imports.undo(loaded.import_id, note="wrong file")
    clock.forward(hours=2)
    outcome = at_noon.deliveries.deliver()
    assert (len(receiver.told), outcome.pending) == (before, 0)
    assert at_noon.count(SessionFilter(source=("hr",), status="active")) == 1
    assert {one.state for one in at_noon.deliveries.list()} == {"delivered", "gone"}


def test_only_receivers_of_the_source_are_told(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """And a receiver that came after the revocation is told, too: the session lives on in its system."""
    clock.now = NOON
    sessions(registry, "dora")
    registry.revoke(SessionFilter(everything=True), note="incident")
    clock.forward(hours=1)
    subscribe(home, receiver, more=", source: [hr]")
    load(registry, row(sid="s1"), source="hr")
    load(registry, row(sid="s2"), source="other")
    registry.deliveries.deliver()
    assert told(receiver) == [("session-revoked", "alice", None)]


def test_a_late_session_waits_under_its_id_over_a_restore(
    at_noon: Registry, home: Path, tmp_path: Path, receiver: Receiver, clock: Clock
):
    """Its list is carried over, and what the revocation itself told is not told again."""
    sessions(at_noon, "alice")
    at_noon.revoke(SessionFilter(username="alice"), note="lost device", actor="carol")
    at_noon.deliveries.deliver()
    at_noon.backups.create(tmp_path / "copy.db")
    clock.forward(minutes=1)
    load(at_noon, row(), source="hr")
    receiver.answer(other="retry")
    at_noon.deliveries.deliver()
    receiver.answer()
    first = receiver.told
    at_noon.close()
    clock.forward(minutes=1)
    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk lost", actor="carol", clock=clock)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as registry:
        clock.forward(hours=2)
        assert registry.deliveries.deliver().pending == 0
    assert [one["jti"] for one in receiver.told] == [*(one["jti"] for one in first), first[-1]["jti"]]
    assert (first[-1]["source"], receiver.told[-1]["actor"]) == ("hr", "carol")
