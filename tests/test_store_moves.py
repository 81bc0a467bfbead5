"""What a store says of sessions that moved within their list since it was asked for its counters."""

from collections.abc import Iterator

import pytest

from authctl import SessionFilter
from authctl.instants import DAY
from authctl.lifetimes import Deadlines
from authctl.model import Sort
from authctl.registry.installation import Installation
from authctl.store.protocol import Change, Store
from authctl.store.protocol.cursors import Cursor, MoveCounters
from authctl.store.protocol.imports import Imported
from tests.stores import DEFAULTS, MakeStore
from tests.test_store_contract import NOW, add, new

LATER = NOW + DAY
MOVED = Deadlines(LATER, LATER + DAY, LATER + DAY, LATER + DAY, LATER)
BY_REVOCATION = Sort.parse("-revoked_at")


@pytest.fixture
def store(make_store: MakeStore) -> Iterator[Store]:
    """A store of each kind with three sessions that have tokens, and an imported one."""
    with make_store() as made:
        tokens = {"secret_hash": b"s" * 32, "key_id": "01234567"}
        add(made, *(new(name, NOW - index, **tokens) for index, name in enumerate(("alice", "bob", "carol"))))
        with made.change() as tx:
            tx.add_imported([Imported(b"key", new("dora", NOW + 9), {}, None)])
            tx.record_time(NOW)
        yield made


def moved(store: Store, mark: MoveCounters, sort: Sort | None = None, **criteria) -> list[str]:
    """Who moved since."""
    with store.view() as view:
        found = view.moved_sessions(SessionFilter(**criteria), LATER, 9, Cursor((0,), since=mark), sort)
        return [session.username for session in found]


def revoke_bob(tx: Change) -> None:
    """A revocation by criteria."""
    tx.assign(SessionFilter(username="bob"), NOW, tx.add_revocation(NOW, "ann", "lost laptop", "{}"))


OPERATIONS = {
    "a use": (lambda tx: tx.record_uses([(2, LATER, MOVED)]), ["bob"]),
    "a use at the instant that was seen last": (lambda tx: tx.record_uses([(2, NOW, MOVED)]), ["bob"]),
    "a use before what was seen last": (lambda tx: tx.record_uses([(3, NOW - 1, MOVED)]), ["carol"]),
    "a refresh": (lambda tx: tx.rotate(2, LATER, MOVED, LATER, "89abcdef"), ["bob"]),
    "a refresh at the instant that was seen last": (lambda tx: tx.rotate(2, NOW, MOVED, LATER, "89abcdef"), ["bob"]),
    "an end": (lambda tx: tx.end_sessions([1, 3], LATER, "signed_out"), ["alice", "carol"]),
    "a key's end": (lambda tx: tx.end_signed("01234567", NOW, "key_compromised"), ["alice", "bob", "carol"]),
    "an import": (lambda tx: tx.update_imported([(4, Imported(b"key", new("dora", NOW + 10), {}, None))]), ["dora"]),
    "a sign-in": (lambda tx: tx.add_session(new("erin")), []),
    "profiles that change nothing": (lambda tx: tx.recompute_deadlines(DEFAULTS, NOW), []),
    "a revocation": (revoke_bob, []),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_moved_is_told(store: Store, name: str):
    """Who was moved by an operation, and nobody else; nobody any more by the counters of after the operation."""
    operation, owed = OPERATIONS[name]
    with store.view() as view:
        before = view.move_counters()
    assert moved(store, before) == []
    with store.change() as tx:
        operation(tx)
        tx.record_time(LATER)
    assert moved(store, before) == owed
    with store.view() as view:
        after = view.move_counters()
    assert moved(store, after) == []


def test_a_revocation_moves_where_the_order_is_by_it(store: Store):
    """By criteria or of everything, with what it spared; those that were revoked before have not moved."""
    with store.change() as tx:
        revoke_bob(tx)
    with store.view() as view:
        before = view.move_counters()
    assert moved(store, before, BY_REVOCATION) == []
    with store.change() as tx:
        closed = tx.close_open_revocation(LATER, "ann", "breach", "{}")
        tx.unassign([3], closed)
    assert moved(store, before, BY_REVOCATION) == ["alice", "dora"]
    with store.change() as tx:
        tx.close_open_revocation(LATER, "ann", "breach", "{}")
    assert moved(store, before, BY_REVOCATION) == ["alice", "carol", "dora"]
    assert moved(store, before) == []


def test_the_order_leaves_out_what_moved(store: Store):
    """After a cursor with a mark come those that have neither moved nor been registered since, in both kinds of orders."""
    with store.view() as view:
        since = view.move_counters()
        first = view.page(SessionFilter(), NOW, 1)
    assert [one.username for one in first.sessions] == ["dora"]
    with store.change() as tx:
        tx.record_uses([(2, LATER, MOVED)])
        tx.add_session(new("erin", NOW - 9))
    with store.view() as view:
        assert first.after is not None
        rest = view.page(SessionFilter(), LATER, 9, first.after._replace(since=since)).sessions
        assert [one.username for one in rest] == ["alice", "carol"]
        place = view.cursor_of_number(Sort.parse("username"), 1)
        assert place == Cursor(("alice", 1))
        assert place is not None
        assert list(view.sorted_numbers(SessionFilter(), LATER, Sort.parse("username"), None, place)) == [2, 3, 4, 5]
        after = place._replace(since=since)
        assert list(view.sorted_numbers(SessionFilter(), LATER, Sort.parse("username"), None, after)) == [3, 4]
        assert view.cursor_of_number(Sort.parse("username"), 99) is None


def test_a_key_of_another_order_is_none(store: Store):
    """A key has as many whole numbers as its order has columns."""
    with store.view() as view:
        assert view.cursor_of_key(SessionFilter(), (NOW, 1)) == Cursor((NOW, 1))
        for status, key in (
            (None, (1,)),
            (None, ("1", 1)),
            (None, (None, 1)),
            ("revoked", (1, 2)),
            ("expired", (1, 2, 3, 4)),
        ):
            assert view.cursor_of_key(SessionFilter(status=status or ()), key) is None


def test_events_since_are_told_by_their_action(registry):
    """Of the events after a number; that one itself is not."""
    installation: Installation = registry._installation
    registry.issue(username="alice", application="Outlook")
    with installation.store.view() as view:
        assert view.has_event_since(0, ["registry.init", "other.thing"])
        assert not view.has_event_since(1, ["registry.init"])
        assert view.has_event_since(1, ["session.issue"])
        assert not view.has_event_since(2, ["session.issue"])


def test_a_use_in_its_time_writes_no_move(registry, clock):
    """Its instant tells that it came since: verifying, the most frequent operation, pays for no other index and no counter."""
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    with registry._installation.store.view() as view:
        before = view.move_counters()
    assert registry.verify(issued.access_token).last_used_at > before.recorded_time
    with registry._installation.store.view() as view:
        assert view.move_counters().moves == before.moves
        assert view.one_row("SELECT moved_in FROM sessions") == (None,)
