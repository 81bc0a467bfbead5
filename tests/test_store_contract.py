"""The contract of `authctl.store.protocol`, run against every store there is.

To add a store, add a way to make one to `make`. Without a server, the tests of the store in PostgreSQL are skipped.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authctl import IntegrityFailure, ProfileSet, Session, SessionFilter, Status, audit_chain, names
from authctl.instants import DAY, HOUR, NEVER, WEEK, Duration
from authctl.lifetimes import Deadlines
from authctl.model import (
    CachedLogin,
    Client,
    Conditions,
    EventFilter,
    Group,
    Grouping,
    NewSession,
    OnRevoke,
    PairRules,
    Profile,
    Right,
    User,
)
from authctl.model.deliveries import DeliveryFilter, Narrowing, Subscription
from authctl.store.protocol import Store
from authctl.store.protocol.effects import Aftermath, Ends
from authctl.store.protocol.imports import Imported
from authctl.store.protocol.outbox import Decision, ReadSubscriptions, ReceiverPause, Settled
from tests.sealed_events import seal_event
from tests.stores import DEFAULTS, MakeStore

NOW = 1_800_000_000_000_000


def new(username: str = "alice", used_at: int = NOW, **changes) -> NewSession:
    """A session to be registered, under a profile of three days idle."""
    values = {
        "id": names.new_id(),
        "username": username,
        "profile": "default",
        "created_at": used_at,
        "last_used_at": used_at,
        "deadlines": Profile("default").deadlines(used_at, used_at),
        "application": "Outlook",
    }
    values |= changes
    if changes.get("fixed_expires_at") is not None:
        values["deadlines"] = values["deadlines"]._replace(expires_at=changes["fixed_expires_at"])
    return NewSession(**values)


def add(store: Store, *sessions: NewSession, revocation_id: int | None = None) -> list[Session]:
    """Register sessions."""
    with store.change() as tx:
        return [tx.add_session(session, revocation_id) for session in sessions]


def ids(store: Store, now: int = NOW, **criteria) -> list[str]:
    """The ids of a selection, page by page of two."""
    found: list[str] = []
    after = None
    while True:
        with store.view() as view:
            page = view.page(SessionFilter(**criteria), now, 2, after)
        found += [session.id for session in page.sessions]
        if (after := page.after) is None:
            return found


def revoke(store: Store, at: int = NOW, note: str = "lost device", **criteria) -> int:
    """Revoke a selection, and return the revocation."""
    with store.change() as tx:
        revocation = tx.add_revocation(at, "bob", note, "{}")
        tx.assign(SessionFilter(**criteria), at, revocation)
        return revocation


def test_absent_is_none_or_empty(store: Store):
    """What is not there is None, an empty list or zero; only a failing database raises."""
    with store.view() as view:
        assert view.session("a" * 16, NOW) is None
        assert view.ids_beginning("aaaaaa", 5) == []
        assert view.page(SessionFilter(), NOW, 5) == ([], None)
        assert view.count(SessionFilter(), NOW) == 0
        assert view.event(1) is None
        assert view.last_event() is None
        assert view.last_seal() == (0, "")
        assert view.latest_revoke_all() is None
        assert view.imported([b"key"], [b"key"], NOW) == []
        assert view.last_imported() == 0
        assert view.chain(0, 5) == []
        assert view.ended_before(NOW) == (0, 0, 0)
    assert store.by_number(1, NOW) is None


def test_a_session_comes_back_as_it_was_registered(store: Store):
    """Every field is kept, blank ones too, and the number finds the secret's hash."""
    session = new(device="AL-PC", ip="10.0.0.1", secret_hash=b"s" * 32, key_id="01234567")
    (added,) = add(store, session)
    with store.view() as view:
        found = view.session(session.id, NOW)
    assert found == added
    assert found is not None
    assert (found.device, found.ip, found.platform, found.status) == ("AL-PC", "10.0.0.1", None, "active")
    assert store.by_number(found.number, NOW) == (found, b"s" * 32)


def test_a_number_never_comes_back(store: Store):
    """The number of a removed session is not given again, so that no new session answers to an old token."""
    (first,) = add(store, new(used_at=NOW - 400 * DAY))
    with store.change() as tx:
        assert tx.remove_ended(NOW, 10).sessions.expired == 1
    (second,) = add(store, new())
    assert second.number > first.number


def test_what_fails_leaves_nothing(store: Store):
    """A change that raises is as if it had never been."""
    with pytest.raises(RuntimeError), store.change() as tx:
        tx.add_session(new())
        raise RuntimeError
    assert ids(store) == []


def test_orders(store: Store):
    """Newest use first; expired alone newest end first; revoked alone newest revocation first."""
    day = [NOW - n * DAY for n in range(12)]
    sessions = add(store, *(new(used_at=at) for at in day))
    by_id = [session.id for session in sessions]
    assert ids(store) == by_id
    assert ids(store, status="active") == by_id[:3]
    assert ids(store, status="expired") == by_id[3:]
    revoke(store, NOW, ids=(by_id[9], by_id[1]))
    revoke(store, NOW + 5, ids=(by_id[7], by_id[4]))
    assert ids(store, status="revoked") == [by_id[4], by_id[7], by_id[1], by_id[9]]
    assert ids(store, status=("active", "revoked")) == [by_id[n] for n in (0, 1, 2, 4, 7, 9)]
    with store.change() as tx:
        tx.end_sessions([sessions[0].number], NOW + 1, "signed_out")
    assert ids(store, NOW + 1, status="expired")[0] == by_id[0]


def test_ties_are_on_one_page_each(store: Store):
    """Sessions of the same instant and kind come once each, however small the pages."""
    sessions = add(store, *(new(kind=kind) for kind in ["application", "web"] * 6))
    wanted = {session.id for session in sessions}
    for criteria in ({}, {"status": "active"}, {"username": "alice"}, {"kind": "web"}):
        found = ids(store, **criteria)
        assert len(found) == len(set(found))
        assert set(found) <= wanted
    assert set(ids(store)) == wanted
    revoke(store, username="alice")
    assert len(ids(store, status="revoked")) == len(set(ids(store, status="revoked"))) == 12


FILTERS = [
    ({"username": "ＡＬＩＣＥ "}, {0, 1, 2}),
    ({"username": "a%"}, set()),
    ({"application": "OUTLOOK"}, {0, 3}),
    ({"application": "out_ook"}, set()),
    ({"device": "al-pc"}, {0}),
    ({"platform": "WINDOWS 11"}, {0, 1}),
    ({"profile": "Default"}, {0, 1, 2, 3}),
    ({"profile": "other"}, set()),
    ({"kind": "web"}, {2}),
    ({"search": "OUTL"}, {0, 3}),
    ({"search": "10.1"}, {1}),
    ({"search": "100%_a"}, {3}),
    ({"search": "%"}, {3}),
    ({"search": "straße"}, {2}),
    ({"search": "STRASSE"}, {2}),
    ({"created_since": NOW - 2 * DAY}, {0, 1, 2}),
    ({"created_before": NOW - 2 * DAY}, {3}),
    ({"used_since": NOW}, {0}),
    ({"unused_since": NOW - 1}, {1, 2, 3}),
    ({"expires_before": NOW + 1}, {3}),
    ({"username": "alice", "application": "Outlook"}, {0}),
    ({"status": "expired", "username": "bob"}, {3}),
    ({"status": ("active", "expired"), "kind": "application"}, {0, 1, 3}),
]


@pytest.mark.parametrize(("criteria", "expected"), FILTERS)
def test_filters(store: Store, criteria: dict, expected: set[int]):
    """Every criterion is equality on the folded key, or a literal substring; they narrow each other."""
    sessions = add(
        store,
        new("alice", device="AL-PC", platform="Windows 11"),
        new("Alice", NOW - DAY, application="ArcGIS", platform="windows  11", ip="10.1.2.3"),
        new("ａｌｉｃｅ", NOW - 2 * DAY, application="Portal", device="Hauptstraße", kind="web"),
        new("bob", NOW - 3 * DAY, device="100%_a"),
    )
    wanted = [session.id for n, session in enumerate(sessions) if n in expected]
    assert ids(store, **criteria) == wanted
    with store.view() as view:
        assert view.count(SessionFilter(**criteria), NOW) == len(wanted)


def test_search_finds_the_note(store: Store):
    """The note of a revocation is searched, of one session or of all."""
    first, second = add(store, new(), new("bob"))
    revoke(store, note="Verlorenes GERÄT", ids=(first.id,))
    assert ids(store, search="gerät") == [first.id]
    with store.change() as tx:
        tx.close_open_revocation(NOW, "bob", "breach drill", "{}")
    assert ids(store, search="breach") == [second.id]


def test_ids_and_exceptions(store: Store):
    """Ids select, exceptions spare, and the other criteria narrow them."""
    first, second, third = add(store, new(used_at=NOW + 2), new(used_at=NOW + 1), new("bob"))
    assert ids(store, ids=(third.id, first.id)) == [first.id, third.id]
    assert ids(store, ids=(third.id, first.id), username="bob") == [third.id]
    assert ids(store, except_ids=(second.id,)) == [first.id, third.id]
    with store.view() as view:
        assert view.ids_beginning(first.id[:6], 5) == [first.id]


def test_count_at_most(store: Store):
    """Counting stops where nobody needs to know more."""
    add(store, *(new() for _ in range(5)))
    with store.view() as view:
        assert view.count(SessionFilter(), NOW, at_most=3) == 3


def test_recording_a_use(store: Store):
    """A use moves the deadlines of its session."""
    (living,) = add(store, new())
    later = NOW + DAY
    moved = Profile("default").deadlines(NOW, later)
    with store.change() as tx:
        tx.record_uses([(living.number, later, moved)])
        found = tx.session(living.id, later)
    assert found is not None
    assert (found.last_used_at, found.slid_at, found.expires_at) == (later, later, later + 3 * DAY)
    assert found.use_due_at == moved.use_due_at


def test_of_two_uses_of_a_session_the_later_stays_also_if_only_the_other_is_late(store: Store):
    """A use up to the recorded time is written as a move, one after it is not; both may be in one batch."""
    (living,) = add(store, new())
    with store.change() as tx:
        tx.record_time(NOW + DAY)
        late, last = NOW + DAY, NOW + 2 * DAY
        tx.record_uses([(living.number, at, Profile("default").deadlines(NOW, at)) for at in (late, last)])
        found = tx.session(living.id, last)
    assert found is not None
    assert (found.last_used_at, found.expires_at) == (last, last + 3 * DAY)


def test_look_ups_of_a_block_read_its_beginning_or_later(store: Store):
    """Never what was true before the block, nor before a change of this thread; after the block everything is read anew."""
    found, other = add(store, new(secret_hash=b"s" * 32), new("bob", secret_hash=b"s" * 32))
    client = Client("c1", "shop", (Right.VERIFY,), (), 1, 1, False, None, None, NOW, "eve", b"a" * 32, NOW)

    def secret() -> bytes | None:
        known = store.client("c1")
        return known and known.secret_hash

    with store.look_ups():
        assert store.by_number(found.number, NOW) == (found, b"s" * 32)
        assert secret() is None
    with store.change() as tx:
        tx.add_client(client)
    for number in range(3):
        with store.look_ups():
            assert secret() == bytes([97 + number]) * 32
            assert secret() == bytes([97 + number]) * 32
            with store.change() as tx:
                tx.replace_client(client._replace(secret_hash=bytes([98 + number]) * 32))
                tx.record_uses([(found.number, NOW + number, Profile("default").deadlines(NOW, NOW + number))])
            assert secret() == bytes([98 + number]) * 32
            read = store.by_number(found.number, NOW)
            assert read is not None
            assert read[0].last_used_at == NOW + number
            assert store.by_number(other.number, NOW) == (other, b"s" * 32)
    with pytest.raises(RuntimeError, match="over"), store.look_ups():
        assert secret() is not None
        raise RuntimeError("over")
    with store.change() as tx:
        tx.remove_client("c1", NOW)
    assert secret() is None


def test_a_block_of_look_ups_holds_no_writer_up(store: Store):
    """Another thread commits while the block is open; the block may not see it, and the next one does."""
    (found,) = add(store, new(secret_hash=b"s" * 32))

    def use() -> None:
        with store.change(timeout=5) as tx:
            tx.record_uses([(found.number, NOW + DAY, Profile("default").deadlines(NOW, NOW + DAY))])

    with store.look_ups():
        assert store.by_number(found.number, NOW) == (found, b"s" * 32)
        thread = threading.Thread(target=use)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    with store.look_ups():
        read = store.by_number(found.number, NOW)
    assert read is not None
    assert read[0].last_used_at == NOW + DAY


def test_ending_is_for_good(store: Store):
    """A hard end of those that are named, at that instant and for that reason, and of no other."""
    first, second, other = add(store, new(), new(), new("bob"))
    with store.change() as tx:
        tx.end_sessions([first.number, second.number], NOW + 5, "user_disabled")
        tx.end_sessions([], NOW + 9, "signed_out")
        found = [tx.session(one.id, NOW + 5) for one in (first, second, other)]
    assert [s and (s.ended_at, s.ended_by, s.expires_at) for s in found] == [
        (NOW + 5, "user_disabled", NOW + 5),
        (NOW + 5, "user_disabled", NOW + 5),
        (None, None, NOW + 3 * DAY),
    ]


def test_rotating_begins_the_next_generation(store: Store):
    """A use with new deadlines, the end of the access token and the key; the last use never goes back."""
    (session,) = add(store, new(tokens="pair", access_expires_at=NOW + 60))
    later = NOW + DAY
    moved = Profile("default").deadlines(NOW, later)
    with store.change() as tx:
        tx.rotate(session.number, later, moved, later + 60, "89abcdef")
        found = tx.session(session.id, later)
    assert found is not None
    assert (found.generation, found.refreshed_at, found.access_expires_at, found.key_id) == (
        1,
        later,
        later + 60,
        "89abcdef",
    )
    assert (found.last_used_at, found.slid_at, found.expires_at) == (later, later, later + 3 * DAY)
    with store.change() as tx:
        tx.rotate(session.number, NOW + 5, moved._replace(slid_at=later), NOW + 65, "89abcdef")
        found = tx.session(session.id, later)
    assert found is not None
    assert (found.generation, found.refreshed_at, found.last_used_at) == (2, NOW + 5, later)


def test_what_a_session_is_registered_with_comes_back(store: Store):
    """Its tokens, what it is bound to, its ends; by number with the hash of its secret, in a transaction, too."""
    session = new(
        tokens="requested",
        sealed=True,
        bound_to="address",
        fixed_expires_at=NOW + 60,
        access_expires_at=NOW + 50,
        secret_hash=b"s" * 32,
    )
    ended = new(ended_at=NOW + 7, ended_by="password_changed")
    first, second = add(store, session, ended)
    assert (first.tokens, bool(first.sealed), first.bound_to) == ("requested", True, "address")
    assert (first.fixed_expires_at, first.expires_at, first.token_expires_at) == (NOW + 60, NOW + 60, NOW + 50)
    assert (second.ended_at, second.ended_by, second.expires_at) == (NOW + 7, "password_changed", NOW + 7)
    with store.view() as view:
        assert (
            view.by_number(first.number, NOW)
            == store.by_number(first.number, NOW)
            == (
                first._replace(read_at=NOW),
                b"s" * 32,
            )
        )
        assert view.by_number(99, NOW) is None


def test_users_are_recorded(store: Store):
    """Found however the name is spelled, in the order of their keys; recording again replaces what was recorded."""
    with store.change() as tx:
        assert tx.user("alice") is None
        assert tx.users() == []
        for one in (User("Bob"), User("Ａlice", NOW, "eve", "left", NOW, NOW - 5), User("STRASSE")):
            tx.save_user(one)
        assert tx.user("ALICE") == User("Ａlice", NOW, "eve", "left", NOW, NOW - 5)
        tx.save_user(User("alice", password_changed_at=NOW))
        assert [one.username for one in tx.users()] == ["alice", "Bob", "STRASSE"]
        assert tx.user("straße") == User("STRASSE")
        assert tx.user("alice") == User("alice", password_changed_at=NOW)


def test_disablings_that_end_by_themselves(store: Store):
    """Each end is recorded once, the earliest first, and since when and until when the user was disabled stays."""
    disabled = User("alice", NOW, "bob", "on leave", disabled_until=NOW + 5, password_except=("abc",))
    with store.change() as tx:
        tx.save_user(disabled)
        tx.save_user(disabled._replace(username="carol", disabled_until=NOW + 3))
        tx.save_user(disabled._replace(username="dora", disabled_until=None))
        assert tx.user("alice") == disabled
        assert tx.end_disablings(NOW + 2, 9) == []
        first = tx.end_disablings(NOW + 5, 1)
        assert [user.username for user in first] == ["carol"]
        assert [user.username for user in tx.end_disablings(NOW + 5, 9)] == ["alice"]
        assert tx.end_disablings(NOW + 5, 9) == []
        assert tx.user("alice") == disabled._replace(enabled_at=NOW + 5, enabled_by="until")
        assert tx.user("dora") == disabled._replace(username="dora", disabled_until=None)


def test_what_an_operation_ended(store: Store):
    """By a revocation the sessions that were active then, by a hard end those of its instant and reason; and the others of their users."""
    with store.change() as tx:
        one, two, other = (tx.add_session(new("alice", application=name)) for name in ("A", "B", "C"))
        old = tx.add_session(new("alice", NOW - 9 * DAY))
        bob = tx.add_session(new("bob"))
        revocation = tx.add_revocation(NOW, "bob", "lost", "{}")
        tx.assign_numbers([one.number, old.number], revocation)
        numbers = tx.numbers_of_revocation(revocation)
        assert list(numbers) == [one.number, old.number]
        ended = tx.ended_among(numbers, NOW, None)
        assert list(ended) == [one.number]
        found = tx.aftermath(ended, NOW)
        assert (found.ended, found.sealed, found.by_source) == (1, Ends(), {})
        assert (found.others_by_application, found.others) == (
            (("B", 1), ("C", 1)),
            Ends(week=2, last=other.expires_at),
        )
        assert tx.aftermath_by_user(ended, NOW) == {"alice": found}
        tx.end_sessions([two.number], NOW, "signed_out")
        every = [session.number for session in (one, two, other, old, bob)]
        assert list(tx.ended_among(every, NOW, "signed_out")) == [two.number]
        assert list(tx.ended_among(every, NOW, "restored")) == list(tx.ended_among([], NOW, None)) == []
        assert tx.aftermath([], NOW) == Aftermath(0, Ends(), (), Ends(), {})
        assert tx.aftermath_by_user([], NOW) == {}


def test_ends_by_the_time_in_which_they_come(store: Store):
    """Each bound belongs to the time before it; a deadline that a continuity event holds ends with the event."""
    ends = [1, HOUR, HOUR + 1, DAY, DAY + 1, WEEK, WEEK + 1, NEVER - NOW]
    with store.change() as tx:
        for end in ends:
            tx.add_session(new("alice", deadlines=Deadlines(NOW, NOW + end, NOW + end, NOW + end, NOW)))
        bob = tx.add_session(new("bob"))
        expected = Ends(2, 2, 2, 1, 1, NOW + WEEK + 1)
        assert tx.ends_of_profiles(["DEFAULT"], NOW) == expected._replace(week=expected.week + 1)
        assert tx.ends_of_profiles(["other"], NOW) == Ends()
        tx.end_sessions([bob.number], NOW + 5, "signed_out")
        assert tx.ends_of_profiles(["default"], NOW) == expected  # also where the clock was set back since
        assert (expected.total, expected.until, Ends(hour=1, last=5).until) == (8, None, 5)
        tx.start_continuity("default", NOW, NOW + 2 * WEEK, "bob", "storm")
    with store.view() as view:
        assert view.ends_of_profiles(["default"], NOW + 1) == Ends(later=7, never=1, last=NOW + 2 * WEEK)


def test_groups(store: Store):
    """Counted by status over the selection, spelled as the session used last, that group first."""
    sessions = add(
        store,
        new("alice", NOW, platform="iOS"),
        new("ALICE", NOW + 5, platform="ios"),
        new("alice", NOW - 9 * DAY),
        new("bob", NOW + 3, platform="iOS", kind="web"),
        new("carol", NOW - 1, application=None),
    )
    revoke(store, ids=(sessions[4].id,))
    with store.view() as view:

        def found(by: str, **criteria) -> list[Group]:
            return view.groups(SessionFilter(**criteria), Grouping(by), NOW + 5)

        assert found("user") == [
            Group("ALICE", 2, 1, 0, NOW + 5),
            Group("bob", 1, 0, 0, NOW + 3),
            Group("carol", 0, 0, 1, NOW - 1),
        ]
        assert found("platform") == [Group("ios", 3, 0, 0, NOW + 5), Group(None, 0, 1, 1, NOW - 1)]
        assert found("application", kind="application") == [
            Group("Outlook", 2, 1, 0, NOW + 5),
            Group(None, 0, 0, 1, NOW - 1),
        ]
        assert found("user", status="active", kind="application") == [Group("ALICE", 2, 0, 0, NOW + 5)]
        assert found("user", status="revoked") == [Group("carol", 0, 0, 1, NOW - 1)]
        assert found("user", status="expired") == [Group("alice", 0, 1, 0, NOW - 9 * DAY)]
        assert found("user", search="lost") == [Group("carol", 0, 0, 1, NOW - 1)]
        assert found("user", username="nobody") == []


def test_the_latest_instant_that_was_seen(store: Store):
    """It never goes back, unless it is told to; the look-up by number is read no earlier."""
    (session,) = add(store, new(secret_hash=bytes(32)))
    with store.change() as tx:
        assert tx.recorded_time() == 0
        for at in (NOW, NOW + 30, NOW + 20):
            tx.record_time(at)
        assert tx.recorded_time() == NOW + 30
    for asked, read_at in ((NOW, NOW + 30), (NOW + 31, NOW + 31)):
        found = store.by_number(session.number, asked)
        assert found is not None
        assert found[0].read_at == read_at
    with store.change() as tx:
        tx.set_recorded_time(NOW)
        assert tx.recorded_time() == NOW
    with store.view() as view:
        assert view.recorded_time() == NOW
        assert view.registry_id() == "0" * 16


def test_ending_everything_and_what_a_key_signed(store: Store):
    """Living sessions alone: those of one key, or all; what is over or revoked stays as it is."""
    mine, other, over, revoked = add(
        store,
        new(key_id="01234567", secret_hash=bytes(32)),
        new(key_id="89abcdef", secret_hash=bytes(32)),
        new(used_at=NOW - 9 * DAY, key_id="01234567", secret_hash=bytes(32)),
        new(key_id="01234567", secret_hash=bytes(32)),
    )
    revoke(store, ids=(revoked.id,))
    with store.change() as tx:
        assert tx.key_usage(NOW) == {"01234567": (1, NEVER), "89abcdef": (1, NEVER)}
        assert tx.end_signed("01234567", NOW, "key_compromised") == 1
        assert tx.key_usage(NOW) == {"89abcdef": (1, NEVER)}
        assert tx.end_all(NOW, "restored") == 1
        found = {s.id: s for s in tx.page(SessionFilter(), NOW, 9).sessions}
    reasons = [found[s.id].ended_by for s in (mine, other, over, revoked)]
    assert reasons == ["key_compromised", "restored", None, None]
    assert ids(store, status="active") == []


def test_ending_what_a_wrong_instant_leaves_in_doubt(store: Store):
    """What was over by the later instant and lives by the earlier, and what was used after that; the deadline says why."""
    asked = {"tokens": "requested", "secret_hash": bytes(32)}
    added = add(
        store,
        new(used_at=NOW - DAY),
        new(**asked, fixed_expires_at=NOW + DAY),
        new(profile="held", used_at=NOW - DAY),
        new(used_at=NOW + 9 * DAY),
        new(used_at=NOW - 9 * DAY),
        new(**asked, fixed_expires_at=NOW + 30 * DAY),
        new(),
    )
    revoke(store, ids=(added[-1].id,))
    with store.change() as tx:
        tx.start_continuity("held", NOW - 2 * DAY, NOW + 5 * DAY, "bob", "provider down")
        assert tx.end_after_clock_change(NOW, NOW + 10 * DAY) == 4
        found = {s.id: s for s in tx.page(SessionFilter(), NOW, 9).sessions}
    ended = ["idle", "lifetime", "continuity_ended", "idle", None, None, None]
    assert [found[s.id].ended_by for s in added] == ended
    assert {found[s.id].ended_at for s in added[:4]} == {NOW}
    assert ids(store, status="active") == [added[5].id]


def test_recomputing_never_gives_more_than_was_asked_for(store: Store):
    """A requested lifetime is capped by the longest age, never lengthened beyond itself; an access token's only shortens."""
    asked, capped, pair = add(
        store,
        new(tokens="requested", fixed_expires_at=NOW + 2 * DAY),
        new(tokens="requested", fixed_expires_at=NOW + 9 * DAY),
        new(tokens="pair", access_expires_at=NOW + 3600),
    )
    for absolute, access, expected in (
        (5 * DAY, 7200, (NOW + 2 * DAY, NOW + 5 * DAY, NOW + 3600)),
        (DAY, 1800, (NOW + DAY, NOW + DAY, NOW + 1800)),
        (99 * DAY, 7200, (NOW + 2 * DAY, NOW + 9 * DAY, NOW + 1800)),
    ):
        profile = Profile("default", NEVER, absolute, pair=PairRules(access))
        with store.change() as tx:
            tx.recompute_deadlines(DEFAULTS._replace(profiles={"default": profile}), NOW + 1)
            found = [tx.session(one.id, NOW + 1) for one in (asked, capped, pair)]
        assert (found[0].expires_at, found[1].expires_at, found[2].access_expires_at) == expected
        assert found[0].idle_expires_at == NEVER


def test_one_revocation_is_always_open(store: Store):
    """Closing the open revocation revokes all that was not, leaves the rest, and opens the next."""
    first, second, third = add(store, new(), new(), new())
    one = revoke(store, ids=(first.id,), note="lost device")
    with store.change() as tx:
        closed = tx.close_open_revocation(NOW + 1, "eve", "breach drill", "{}")
        assert tx.unassign([third.number], closed) == 1
    (later,) = add(store, new())
    with store.view() as view:
        found = {s.id: (s.revocation_id, s.note) for s in view.page(SessionFilter(), NOW, 9).sessions if s.revoked_at}
        assert found == {first.id: (one, "lost device"), second.id: (closed, "breach drill")}
        assert view.latest_revoke_all() == (closed, NOW + 1, "{}", 3, None)
        assert view.count_of_revocation(closed) == 1
        for living in (third, later):
            session = view.session(living.id, NOW)
            assert session is not None
            assert session.status is Status.ACTIVE


def test_sessions_by_number_are_revoked_once(store: Store):
    """Those that are not revoked yet; the others keep their revocation."""
    with store.change() as tx:
        one, two, three = (tx.add_session(new(name)) for name in ("alice", "bob", "carol"))
        first = tx.add_revocation(NOW, "bob", "lost", "{}")
        assert tx.assign_numbers([one.number], first) == 1
        second = tx.add_revocation(NOW, "bob", "stolen", "{}")
        assert tx.assign_numbers([one.number, two.number, 99], second) == 1
        assert tx.assign_numbers([], second) == 0
        assert [tx.session(s.id, NOW).revocation_id for s in (one, two)] == [first, second]
        assert tx.session(three.id, NOW).revoked_at is None


def test_the_sessions_beyond_the_newest(store: Store):
    """By latest use, then by number, for each user and application, a blank one included; names in any case."""
    with store.change() as tx:
        made = [
            tx.add_session(new(user, used_at, application=application))
            for user, used_at, application in (
                ("alice", NOW, "Outlook"),
                ("Alice", NOW + 1, "outlook"),
                ("alice", NOW, "OUTLOOK"),
                ("alice", NOW, None),
                ("alice", NOW, None),
                ("bob", NOW, None),
            )
        ]
        numbers = [session.number for session in made]
        beyond = [list(tx.beyond_newest(numbers, keep)) for keep in (1, 2, 3)]
        assert beyond == [[numbers[0], numbers[2], numbers[3]], [numbers[0]], []]
        assert list(tx.beyond_newest(numbers[3:5], 1)) == [numbers[3]]
        assert list(tx.beyond_newest([], 1)) == []
        assert tx.ids_of([*numbers[:2], 99]) == sorted(session.id for session in made[:2])
        assert tx.counts_by_user([*numbers, 99]) == {"alice": 5, "bob": 1}
        assert tx.counts_by_user([]) == {}


def test_the_first_revocation_wins(store: Store):
    """A session that is revoked keeps its revocation."""
    (session,) = add(store, new())
    first = revoke(store, ids=(session.id,))
    with store.change() as tx:
        second = tx.add_revocation(NOW + 1, "eve", "another", "{}")
        assert tx.assign(SessionFilter(username="alice"), NOW, second) == 0
        found = tx.session(session.id, NOW)
    assert found is not None
    assert found.revocation_id == first


def test_removal_takes_what_lies_before_the_cutoff(store: Store):
    """Ends before the cutoff go, in batches, by status; an end equal to it stays; a named revocation stays."""
    add(store, *(new(used_at=NOW - n * DAY) for n in range(3, 13)))  # ends at NOW, NOW - 1 day, …
    revoked = add(store, new(), new())
    early = revoke(store, NOW - 8 * DAY, ids=(revoked[0].id,))
    revoke(store, NOW, ids=(revoked[1].id,))
    cutoff = NOW - 4 * DAY
    with store.view() as view:
        assert view.ended_before(cutoff) == (5, 1, 0)
    with store.change() as tx:
        assert tx.remove_unnamed_revocations(10) == 0
        first = tx.remove_ended(cutoff, 4)
        second = tx.remove_ended(cutoff, 4, first.after)
        assert (first.sessions, second.sessions, second.after) == ((4, 0, 0), (1, 1, 0), None)
        assert tx.remove_ended(cutoff, 4) == ((0, 0, 0), None)
        assert tx.count_of_revocation(early) == 0
        assert tx.remove_unnamed_revocations(10) == 1
    assert len(ids(store)) == 6


def test_revocations_that_nothing_names_go_in_steps(store: Store):
    """Up to as many as are asked for, the oldest first; one with a session stays."""
    sessions = add(store, *(new(used_at=NOW - 9 * DAY) for _ in range(3)), new())
    numbers = [revoke(store, NOW - (8 - place) * DAY, ids=(one.id,)) for place, one in enumerate(sessions)]
    with store.change() as tx:
        assert tx.remove_ended(NOW - 5 * DAY, 10).sessions.total == 3
        assert tx.remove_unnamed_revocations(2) == 2
        assert tx.one_number("SELECT min(id) FROM revocations WHERE at IS NOT NULL") == numbers[2]
        assert [tx.remove_unnamed_revocations(2) for _ in range(2)] == [1, 0]
        assert tx.count_of_revocation(numbers[-1]) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_what_is_kept_is_looked_at_once(store: Store, size: int):
    """Wipes that are not acknowledged are counted, or passed over: each batch looks at the next so many sessions."""
    sessions = add(store, *(new(wipe_on_revoke=n % 3 != 0, secret_hash=bytes(32)) for n in range(12)))
    for n in range(3):
        revoke(store, NOW - 10 + n, ids=tuple(s.id for s in sessions[n * 4 : n * 4 + 4]))
    acknowledged = {s.id for s in sessions[1::3]}
    with store.change() as tx:
        for session in sessions[1::3]:
            tx.acknowledge_wipe(session.number, NOW)
        tx.deliver_wipe(sessions[2].number, NOW)
    add(store, *(new(used_at=NOW - 400 * DAY) for _ in range(2)))
    with store.view() as view:
        assert view.ended_before(NOW) == (2, 12, 4)
        assert view.ended_before(NOW, keep_unacknowledged=True) == (2, 8, 0)
    removed, after, looks = [0, 0, 0], None, 0
    while True:
        with store.change() as tx:
            batch, after = tx.remove_ended(NOW, size, after, keep_unacknowledged=True)
        removed = [a + b for a, b in zip(removed, batch, strict=True)]
        looks += 1
        if after is None:
            break
    assert removed == [2, 8, 0]
    assert looks <= 14 // size + 1
    kept = {s.id for n, s in enumerate(sessions) if n % 3 == 2}
    assert set(ids(store)) == kept
    assert not kept & acknowledged
    with store.change() as tx:
        assert tx.remove_ended(NOW, 100) == ((0, 4, 4), None)


def test_marks_follow_the_profile(store: Store):
    """What sessions carry of their profile, on those that are not revoked and have tokens; other profiles' stay."""
    mine, imported, revoked = add(store, new(secret_hash=bytes(32)), new(), new(secret_hash=bytes(32)))
    (other,) = add(store, new(profile="other", secret_hash=bytes(32), wipe_on_revoke=True))
    revoke(store, ids=(revoked.id,))
    marked = Profile("DEFAULT", conditions=Conditions(platforms=("iOS",)), on_revoke=OnRevoke.WIPE)
    with store.change() as tx:
        tx.copy_profile_rules([marked])

        def marks(session: Session) -> tuple[int, int]:
            found = tx.session(session.id, NOW)
            assert found is not None
            return found.has_conditions, found.wipe_on_revoke

        assert [marks(s) for s in (mine, imported, revoked, other)] == [(1, 1), (0, 0), (0, 0), (0, 1)]
        tx.copy_profile_rules([Profile("default"), Profile("other")])
        assert [marks(s) for s in (mine, other)] == [(0, 0), (0, 0)]
        tx.copy_profile_rules([])


def test_the_cache_of_logins(store: Store):
    """One success a user and profile, however the names are spelled; those used longest ago go; each is forgotten as asked."""

    def login(profile: str, username: str, at: int) -> CachedLogin:
        return CachedLogin(profile, username, "staff", at, at, "01234567", bytes(16), bytes(32))

    with store.change() as tx:
        assert tx.cached_login("basic", "alice") is None
        assert tx.cached_logins() == []
        for n, name in enumerate(["alice", "bob", "carol"]):
            tx.save_login(login("basic", name, NOW + n), 3)
        tx.save_login(login("other", "alice", NOW - 1), 3)
        tx.save_login(login("BASIC", "ALICE", NOW + 5), 3)
        assert tx.cached_login("basic", "alice") == login("BASIC", "ALICE", NOW + 5)
        assert [(one.profile, one.username) for one in tx.cached_logins()] == [
            ("BASIC", "ALICE"),
            ("basic", "carol"),
            ("basic", "bob"),
            ("other", "alice"),
        ]
        tx.use_login(login("basic", "bob", NOW), NOW + 9)
        tx.use_login(login("basic", "bob", NOW), NOW + 3)
        tx.save_login(login("basic", "dora", NOW - 99), 3)
        assert [one.username for one in tx.cached_logins()] == ["bob", "ALICE", "alice", "dora"]
        tx.save_login(login("basic", "erin", NOW + 10), 1)
        assert [one.username for one in tx.cached_logins()] == ["erin", "alice"]
        assert len(tx.cached_logins("Alice")) == 1
        tx.forget_old_logins({"Basic": NOW + 10, "third": 0})
        assert [one.username for one in tx.cached_logins()] == ["erin"]
        tx.forget_old_logins({"basic": NOW + 11})
        assert tx.cached_logins() == []
        for name in ("alice", "bob"):
            tx.save_login(login("basic", name, NOW), 3)
        assert (tx.forget_logins("ALICE"), tx.forget_logins("nobody"), tx.forget_logins()) == (1, 0, 1)


def test_revocations_by_criteria_are_remembered(store: Store):
    """Imports go by them even when no session names them any more; one by ids goes with its last session."""
    add(store, new())
    with store.change() as tx:
        tx.close_open_revocation(NOW - 500 * DAY, "eve", "breach drill", "{}")
        tx.close_open_revocation(NOW - 400 * DAY, "eve", "breach again", "{}")
        tx.remove_ended(NOW, 10)
        tx.add_revocation(NOW, "eve", "lost device", '{"ids": ["abcdefgh"]}')
        kept = tx.add_revocation(NOW, "eve", "lost device", '{"profile": "default"}', by_criteria=True)
        assert tx.remove_unnamed_revocations(10) == 1
        assert tx.latest_revoke_all() is not None
        assert [(one.id, one.last_number, one.profiles) for one in tx.revocations_by_criteria()] == [
            (kept, 0, DEFAULTS)
        ]
        assert tx.count_revocations_by_criteria()[0] == 3


def test_profiles_come_back(store: Store):
    """What was put in force is what is read."""
    tight = ProfileSet(
        Duration(months=12), "tight", {"tight": Profile("tight", DAY, 2 * DAY, "why")}, withdrawn=DEFAULTS.profiles
    )
    with store.view() as view:
        assert view.profiles() == DEFAULTS
    with store.change() as tx:
        tx.save_profiles(tight)
    with store.view() as view:
        assert view.profiles() == tight


def test_recomputing_deadlines(store: Store):
    """Living sessions are judged anew from their own instants; one that is past its deadline ends now; no other changes."""
    fresh, stale, fixed, ended, revoked, gone = add(
        store,
        new(),
        new(used_at=NOW - 2 * DAY),
        new(fixed_expires_at=NOW + 9 * DAY),
        new(),
        new(),
        new(used_at=NOW - 5 * DAY),
    )
    revoke(store, ids=(revoked.id,))
    day = DEFAULTS._replace(profiles={"default": Profile("default", DAY, NEVER)})
    with store.change() as tx:
        tx.end_sessions([ended.number], NOW, "signed_out")
        expected = tx.deadline_changes(day, NOW)
        assert tx.recompute_deadlines(day, NOW) == expected
        now = {one.id: tx.session(one.id, NOW) for one in (fresh, stale, fixed, ended, revoked, gone)}
    assert [(c.shortened, c.lengthened, c.ended) for c in expected.values()] == [(1, 0, 1)]
    expiries = {one: found.expires_at for one, found in now.items() if found}
    assert expiries == {
        fresh.id: NOW + DAY,
        stale.id: NOW,
        fixed.id: NOW + 9 * DAY,
        ended.id: NOW,
        revoked.id: NOW + 3 * DAY,
        gone.id: NOW - 2 * DAY,
    }
    assert {one: found.status.value for one, found in now.items() if found}[stale.id] == "expired"


def event(store: Store, action: str, **values):
    """Append an event to the log."""
    with store.change() as tx:
        said = {"at": NOW, "actor": "bob", "subject": None, "note": None, "detail": {}, **values}
        tx.add_event(seal_event(tx.last_event(), action=action, **said))


@pytest.mark.parametrize("another", [False, True])
def test_an_event_that_is_appended_at_the_commit(store: Store, another: bool):
    """A store that does so finds its place in the chain, also when another change has begun; another store says so, and does nothing."""
    event(store, "first", subject="s1")
    new = audit_chain.new_event(at=NOW, actor="bob", action="second", subject='ß"', note=None, detail={"a": "ж"})
    with store.change(shared=True) as tx:
        place = tx.append_at_commit(new)
        if place is None:
            tx.add_event(audit_chain.follow(tx.last_event(), new))
        tx.record_time(NOW + 7)
    with store.view() as view:
        first, second = view.chain(0, 9)
        assert view.recorded_time() == NOW + 7
    assert second == audit_chain.follow(first, new)
    with store.change(shared=True) if another else nullcontext():
        assert place is None or audit_chain.placed(new, place()) == second
    assert audit_chain.Verifier().verify_events([first, second])
    assert store.has_events([(1, first.hash), (2, second.hash)])
    assert not store.has_events([(1, first.hash), (2, first.hash)])
    assert not store.has_events([(3, second.hash)])


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12, 60])
def test_any_number_of_events_is_asked_for_at_once(store: Store, count: int):
    """All of them have to be there, the last one as well as the first."""
    for number in range(count):
        event(store, "done", subject=f"s{number}")
    with store.view() as view:
        asked = [(one.seq, one.hash) for one in view.chain(0, count + 1)]
    assert (len(asked), store.has_events(asked)) == (count, True)
    if count:
        assert not store.has_events([*asked[:-1], (count, "0" * 64)])


def test_events(store: Store):
    """The log is read newest first by each criterion, and in order as a chain."""
    (session,) = add(store, new("Álice"))
    event(store, "session.issue", subject=session.id, detail={"username_key": "álice"})
    number = revoke(store, ids=(session.id,))
    event(store, "session.revoke", subject=str(number), note="Lost DEVICE", actor="eve", at=NOW + 5)
    event(store, "cleanup.run", detail={"due": 3}, at=NOW + 9)
    with store.view() as view:

        def found(**criteria) -> list[int]:
            return [one.seq for one in view.events(EventFilter(**criteria), 9)]

        assert found() == [3, 2, 1]
        assert found(since=NOW + 5) == [3, 2]
        assert found(until=NOW + 5) == [1]
        assert found(actor="eve") == [2]
        assert found(action="cleanup.run") == [3]
        assert found(session_id=session.id) == [2, 1]
        assert found(username="ÁLICE") == [2, 1]
        assert found(username="bob") == []
        assert found(search="lost device") == [2]
        assert found(search="DUE") == [3]
        assert [one.seq for one in view.events(EventFilter(), 2, before=3)] == [2, 1]
        assert [one.seq for one in view.chain(0, 2)] == [1, 2]
        assert audit_chain.Verifier().verify_events(view.chain(0, 9))
        last = view.last_event()
        assert last is not None
        assert view.event(3) == last
        assert view.last_seal() == (3, last.hash)


def test_the_log_takes_only_its_next_event(store: Store):
    """An event out of turn is refused by the database itself."""
    event(store, "registry.init")
    with store.view() as view:
        last = view.last_event()
    assert last is not None
    with pytest.raises(IntegrityFailure), store.change() as tx:
        tx.add_event(last._replace(seq=5))


def test_imported_sessions(store: Store):
    """They are found by their key, oldest first, can be registered under a revocation, and change in place."""
    with store.change() as tx:
        closed = tx.close_open_revocation(NOW, "eve", "breach drill", "{}")
        old, fresh = new(used_at=NOW - DAY), new(device="AL-PC", fixed_expires_at=NOW + 7)
        tx.add_imported([Imported(b"k", old, {"username": 1}, closed), Imported(b"k", fresh, {"device": 2}, None)])
        tx.add_imported([])
        first, second = tx.imported([b"k"], [], NOW)
        assert (first.session.id, first.session.revocation_id, first.detail_times) == (old.id, closed, {"username": 1})
        assert (second.session.status.value, second.session.expires_at) == ("active", NOW + 7)
        changed = new("alice", NOW + 1, device="AL-PHONE")
        tx.update_imported([(second.session.number, Imported(b"k", changed, {"device": 3}, None))])
        tx.update_imported([])
        _, third = tx.imported([b"k"], [], NOW)
        assert tx.last_imported() == third.session.number
    assert (third.session.id, third.session.device, third.detail_times) == (fresh.id, "AL-PHONE", {"device": 3})
    assert third.session.expires_at == NOW + 1 + 3 * DAY
    (issued,) = add(store, new())
    assert issued.number > third.session.number


def imported(store: Store, *keys: bytes) -> int:
    """An import that registers a session for each key; its number."""
    with store.change() as tx:
        import_id = tx.add_import(NOW, "bob", "Hub", {"rows": len(keys)})
        assert tx.open_batch(import_id, NOW)
        tx.add_imported([Imported(key, new(key.decode(), NOW), {}, None) for key in keys])
        tx.close_batch()
        tx.finish_import(import_id, NOW + 1, {"registered": len(keys)})
    return import_id


def test_the_journal_of_an_import(store: Store):
    """What it registered and changed, until it is removed and restored; numbers, bytes and texts as they were."""
    first = imported(store, b"a", b"b")
    with store.change() as tx:
        known = {one.key: one.session for one in tx.imported([b"a", b"b"], [], NOW)}
        second = tx.add_import(NOW, "bob", "hub", {})
        assert tx.open_batch(second, NOW)
        changed = new("a", NOW + 1, device='"\x1b')
        tx.update_imported([(known[b"a"].number, Imported(b"a\xff", changed, {"device": 3}, None))])
        tx.close_batch()
        tx.add_complete_listings("hub", [], NOW, second)
    with store.view() as view:
        assert [one.id for one in view.recorded_imports()] == [second, first]
        assert (view.latest_import("HUB"), view.latest_import(None)) == (second, None)
        assert (view.recorded_import(first).finished_at, view.recorded_import(9)) == (NOW + 1, None)
        until, sessions, missing = view.registered_by(first, 0, 9)
        assert [(one.id, one.kept) for one in sessions] == [(known[b"a"].id, "changed"), (known[b"b"].id, None)]
        assert (until, missing, view.journal_size(first)) == (known[b"b"].number, 0, 2)
        assert view.registered_by(first, until, 9).until is None
        (before,) = view.changed_by(second, 0, 9)
        assert (before.kept, before.session["device"], before.imported["key"]) == (None, known[b"a"].device, b"a")
    with store.change() as tx:
        tx.begin_undo(second, NOW + 2, "eve", "wrong mapping")
        assert not tx.open_batch(second, NOW + 2)
        tx.restore_before(second, before.number, [before], NOW + 2)
        tx.record_undo(second, {"restored": 1}, NOW + 3)
        assert (tx.changed_by(second, 0, 9), tx.complete_listings("hub")) == ([], [])
        (again,) = tx.imported([b"a"], [], NOW)
        assert again.session == known[b"a"]
        assert tx.latest_import("hub") == first
        tx.begin_undo(first, NOW + 4, "eve", "wrong mapping")
        tx.remove_registered(first, until, [one.number for one in sessions])
        assert tx.registered_by(first, 0, 9).until is None
        assert (tx.imported([b"a", b"b"], [], NOW), tx.imported_finals([b"a", b"b"], None)) == ([], {})


def test_journals_are_dropped_in_steps(store: Store):
    """Those of taken-back and old imports; then the import can be removed."""
    old, late = imported(store, b"a"), imported(store, b"b")
    with store.change() as tx:
        assert tx.drop_journals(NOW, 1) == 0
        tx.begin_undo(late, NOW, "eve", "wrong mapping")
        tx.record_undo(late, {}, NOW)
        assert [tx.drop_journals(NOW, 1) for _ in range(3)] == [1, 1, 0]
        assert tx.remove_imports(NOW + 1) == 1
        assert [tx.drop_journals(NOW + 1, 1) for _ in range(3)] == [1, 1, 0]
        assert [one.id for one in tx.recorded_imports()] == [old]
        assert tx.remove_imports(NOW + 1) == 1


instants = st.integers(0, 20).map(lambda n: NOW + n * DAY)
life = st.fixed_dictionaries(
    {
        "used_at": instants,
        "kind": st.sampled_from(["application", "web"]),
        "fixed": st.none() | instants,
        "ended": st.none() | instants,
        "revoked": st.sampled_from(["no", "itself", "all"]),
    }
)


def day_of(instant: int) -> int:
    """The instant at which the UTC day of another one begins."""
    return instant - instant % DAY


def held_end(expires_at: int, events: list[tuple[int, int]]) -> int:
    """When a deadline really ends a session: with the event in whose course it lies, or as it stands."""
    return next((end for start, end in events if start < expires_at < end), expires_at)


days = st.lists(st.integers(0, 40), max_size=6, unique=True).map(sorted)
outages = days.map(
    lambda found: [(NOW + a * DAY, NOW + b * DAY) for a, b in zip(found[::2], found[1::2], strict=False)]
)
"""Continuity events, of which no two overlap."""


AT_THE_EDGES = [
    {"used_at": NOW - DAY, "kind": "application", "fixed": NOW + days * DAY + beside, "ended": ended, "revoked": "no"}
    for days in (0, 1, 3, 9, 12)
    for beside, ended in ((-1, None), (0, None), (1, None), (DAY, NOW + days * DAY), (DAY, NOW + days * DAY + DAY // 2))
]
"""Deadlines just before, at and after the beginnings and ends of some outages, and sign-outs there and in their course."""


@contextmanager
def lived(make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]]) -> Iterator[Store]:
    """A store with sessions that went through all that can happen to one, and with outages."""
    with make_store() as store:
        _live(store, lives, events)
        yield store


def _live(store: Store, lives: list[dict], events: list[tuple[int, int]]) -> None:
    with store.change() as tx:
        for begins, ends in events:
            tx.start_continuity("DEFAULT", begins, ends, "bob", "provider down")
            tx.start_continuity("another", begins - 5 * DAY, ends + 5 * DAY, "bob", "provider down")
    added = []
    for one in lives:
        (session,) = add(store, new(used_at=one["used_at"], kind=one["kind"], fixed_expires_at=one["fixed"]))
        added.append(session)
    for session, one in zip(added, lives, strict=True):
        ended = one["ended"] and max(one["ended"], session.created_at)
        if ended and session.is_alive(ended):
            with store.change() as tx:
                tx.end_sessions([session.number], ended, "signed_out")
        if one["revoked"] == "itself":
            revoke(store, NOW + 30 * DAY, ids=(session.id,))
    spared = [s.number for s, one in zip(added, lives, strict=True) if one["revoked"] == "no"]
    with store.change() as tx:
        tx.unassign(spared, tx.close_open_revocation(NOW + 31 * DAY, "eve", "breach drill", "{}"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, max_size=8), events=outages, now=instants)
@example(AT_THE_EDGES, [(NOW, NOW + DAY), (NOW + DAY, NOW + 3 * DAY), (NOW + 9 * DAY, NOW + 12 * DAY)], NOW + 20 * DAY)
def test_one_status_in_python_and_in_the_database(
    make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]], now: int
):
    """For every circumstance and at every instant, a clock set back included, both say the same of each session."""
    with lived(make_store, lives, events) as store:
        with store.view() as view:
            everything = view.page(SessionFilter(), now, 99).sessions
            held = sum(s.status_at(now) is Status.ACTIVE and s.expires_at <= now for s in everything)
            assert view.held_by_continuity("default", now) == held
        for session in everything:
            held_to = session.expires_at if session.ended_at else held_end(session.expires_at, events)
            assert session.ends_at == held_to
            found = store.by_number(session.number, now)[0]
            assert (found.expires_at, found.status_at(now)) == (session.expires_at, session.status_at(now))
            assert now < found.expires_at or found.ends_at == held_to
        listed = ids(store, now, status="expired")
        assert len(listed) == len(set(listed))
        by_id = {session.id: session for session in everything}
        ends = [by_id[session_id].ends_at for session_id in listed]
        assert ends == sorted(ends, reverse=True)
        for status in Status:
            judged = {s.id for s in everything if s.status_at(now) is status}
            assert set(ids(store, now, status=status)) == judged
            assert set(ids(store, now, status=status, username="alice")) == judged
            for shape in (None, "application", "web"):
                of_kind = {s.id for s in everything if s.id in judged and shape in (None, s.kind)}
                with store.view() as view:
                    assert view.count(SessionFilter(status=status, kind=shape), now) == len(of_kind)
        for pair in (
            (Status.ACTIVE, Status.EXPIRED),
            (Status.EXPIRED, Status.REVOKED),
            (Status.ACTIVE, Status.REVOKED),
        ):
            judged = {s.id for s in everything if s.status_at(now) in pair}
            assert set(ids(store, now, status=pair)) == judged


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, max_size=8), events=outages, cutoff=st.integers(0, 40).map(lambda n: NOW + n * DAY))
def test_removal_agrees_with_the_session_s_own_end(
    make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]], cutoff: int
):
    """What is removed is exactly what `Session.end` puts before the cutoff."""
    with lived(make_store, lives, events) as store:
        with store.view() as view:
            everything = view.page(SessionFilter(), NOW, 99).sessions
            due = view.ended_before(cutoff).total
        kept = {s.id for s in everything if s.end >= cutoff}
        with store.change() as tx:
            removed = tx.remove_ended(cutoff, 99).sessions.total
        assert set(ids(store)) == kept
        assert due == removed == len(everything) - len(kept)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, max_size=8), events=outages, now=instants, since=instants)
@example(
    AT_THE_EDGES, [(NOW, NOW + DAY), (NOW + DAY, NOW + 3 * DAY), (NOW + 9 * DAY, NOW + 12 * DAY)], NOW + 20 * DAY, NOW
)
def test_statistics_agree_with_each_session(
    make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]], now: int, since: int
):
    """Each session counts once at its creation, and once as active, ended or revoked, on the day that Python finds for it."""
    until = now - now % DAY + 5 * DAY
    with lived(make_store, lives, events) as store, store.view() as view:
        everything = view.page(SessionFilter(), now, 99).sessions
        groups = view.active_groups(now, until)
        sign_ins = view.sign_ins_by_day(since, now)
        ends = view.ends_by_day(since, now)
        revocations = view.revocations_by_day(since, NOW + 40 * DAY)
    active = Counter(min(day_of(s.ends_at), until) for s in everything if s.status_at(now) is Status.ACTIVE)
    assert {group.day: group.sessions for group in groups} == active
    assert {group.names for group in groups} <= {("Outlook", None, "default", None)}
    assert sign_ins == Counter(day_of(s.created_at) for s in everything if since <= s.created_at <= now)
    over = (s.ends_at for s in everything if s.status_at(now) is Status.EXPIRED)
    assert ends == Counter(day_of(end) for end in over if since <= end <= now)
    revoked = (s.revoked_at for s in everything if s.revoked_at is not None)
    assert revocations == Counter(day_of(at) for at in revoked if since <= at)


def test_statistics_by_names(store: Store):
    """Active sessions of every kind by their spelled names."""
    sessions = add(
        store,
        new("alice", platform="iOS", source="okta"),
        new("bob", platform="ios", kind="web"),
        new("carol", application=None),
        new("dora"),
    )
    revoke(store, ids=(sessions[3].id,))
    with store.view() as view:
        found = {group.names: group.sessions for group in view.active_groups(NOW, NOW)}
    assert found == {
        ("Outlook", "iOS", "default", "okta"): 1,
        ("Outlook", "ios", "default", None): 1,
        (None, None, "default", None): 1,
    }


def test_nearest_users(store: Store):
    """The nearest first, as it was last spelled; never the name itself, nor more than were asked for."""
    add(store, new("alice", NOW), new("ALICE", NOW + 1), new("alicia"), new("bob"), new("dora.smith@example.org"))
    with store.view() as view:
        assert view.nearest_users("alcie", 5) == ["ALICE", "alicia"]
        assert view.nearest_users("alici", 5) == ["alicia", "ALICE"]
        assert view.nearest_users("alici", 1) == ["alicia"]
        assert view.nearest_users("Dora.Smyth", 5) == ["dora.smith@example.org"]
        assert view.nearest_users("alice", 5) == ["alicia"]
        assert view.nearest_users("quentin", 5) == []


def test_names_by_their_beginning(store: Store):
    """Users as they were spelled last, applications used lately, and sources; sorted by key, with a limit."""
    add(store, new("alice", NOW), new("ALICE", NOW + 1), new("albert", NOW), new("bob", NOW))
    with store.view() as view:
        assert view.users_beginning("al", 9) == ["albert", "ALICE"]
        assert view.users_beginning("", 2) == ["albert", "ALICE"]
        assert view.users_beginning("x", 9) == []
        assert view.recent_names("application") == ["Outlook"]
        assert view.recent_names("platform") == []
        assert view.sources_beginning("", 9) == []


TOLD = Subscription(
    "Hub", ("session-revoked", "user-disabled"), Narrowing(source=("hub",)), notes=False, give_up_after=DAY
)
EVERYTHING = TOLD._replace(receiver="all", narrowing=Narrowing(), notes=True)


def test_subscriptions_are_kept_as_they_were_read(store: Store):
    """With their digest; the last ones replace those before."""
    with store.change() as tx:
        assert tx.subscriptions() is None
        tx.save_subscriptions(ReadSubscriptions(b"first", (TOLD,)))
        tx.save_subscriptions(ReadSubscriptions(b"second", (TOLD, EVERYTHING)))
    with store.view() as view:
        assert view.subscriptions() == ReadSubscriptions(b"second", (TOLD, EVERYTHING))


def test_an_announcement_becomes_deliveries_which_are_leased_and_settled(store: Store):
    """For the sessions that it covers and its receiver is told about; a lease is one deliverer's, and ends."""
    with store.change() as tx:
        hubs, other = (tx.add_session(new(used_at=NOW, source=source)) for source in ("hub", None))
        later = NOW + 1
        decision = Decision("session-revoked", NOW, "bob", "lost device", 7, numbers=(hubs.number, other.number))
        tx.announce(decision, [TOLD, EVERYTHING])
        assert [(one.receiver, one.pending, one.oldest_at) for one in tx.outbox_counts()] == [
            ("all", 1, NOW),
            ("Hub", 1, NOW),
        ]
        assert tx.expand("HUB", 10, NOW) > 0
        assert tx.expand("HUB", 10, NOW) == 0
        (leased,) = tx.lease("hub", 10, NOW, NOW + 5)
        assert (leased.session_id, leased.note, leased.attempts, leased.actor, leased.txn) == (
            hubs.id,
            None,
            1,
            "bob",
            7,
        )
        assert leased.jti.endswith(f".{hubs.id}")
        assert tx.lease("hub", 10, later, NOW + 6) == []
        place = (leased.announcement, leased.number)
        assert tx.settle([Settled(*place, "delivered", None, later)], later, NOW + 4) == []
        assert tx.lease("hub", 10, NOW + 5, NOW + 9)[0].jti == leased.jti
        assert len(tx.settle([Settled(*place, "pending", "busy", NOW + 50)], later, NOW + 9)) == 1
        assert tx.lease("hub", 10, NOW + 49, NOW + 99) == []
        assert tx.lease("hub", 10, NOW + 50, NOW + 99)[0].reason == "busy"
        assert len(tx.settle([Settled(*place, "delivered", None, NOW)], NOW + 60, NOW + 99)) == 1
        assert tx.delivery(*place)._replace(jti="") == leased._replace(
            jti="", state="delivered", attempts=3, next_attempt_at=None, delivered_at=NOW + 60
        )
        tx.expand("all", 10, NOW)
        assert sorted(one.note for one in tx.lease("all", 10, NOW, NOW + 5)) == ["lost device"] * 2


def test_deliveries_are_given_up_dropped_and_tried_again(store: Store):
    """The rest of an announcement counts as one; a retry gives it its whole time again."""
    with store.change() as tx:
        session = tx.add_session(new())
        for number, numbers in enumerate(((session.number,), (session.number,))):
            tx.announce(Decision("session-revoked", NOW + number, "bob", None, 7, numbers=numbers), [EVERYTHING])
        tx.announce(Decision("user-disabled", NOW + DAY, "bob", None, 8, username="Alice"), [EVERYTHING])
        tx.expand("all", 1, NOW)
        assert tx.give_up(NOW + DAY, 10) == 1
        assert tx.give_up(NOW + DAY + 1, 10) == 1
        assert [(one.id, one.state) for one in tx.deliveries(DeliveryFilter(), 10)] == [
            ("3", "pending"),
            ("2", "dead"),
            (f"1.{session.number}", "dead"),
        ]
        assert tx.announcement_states(2) == {"dead": 1}
        assert [
            [one.announcement for one in tx.announcements_since(at)] for at in (NOW, NOW + 1, NOW + 2, NOW + 2 * DAY)
        ] == [
            [1, 2, 3],
            [2, 3],
            [3],
            [],
        ]
        assert tx.retry(1, session.number, NOW, NOW + DAY) == 1
        assert tx.give_up(NOW + DAY + 1, 10) == 0
        assert tx.drop(2, 0, NOW, "not needed") == 1
        assert tx.retry(2, 0, NOW, NOW) == 0
        assert [one.state for one in tx.deliveries_of_session(session.number)] == ["pending", "dropped"]
        assert [one.id for one in tx.deliveries(DeliveryFilter(username=("ALICE", "nobody"), state="pending"), 10)] == [
            "3",
            f"1.{session.number}",
        ]
        assert tx.forget_announcements(NOW + 3 * DAY) == 0


def test_the_actors_of_a_key(store: Store):
    """Each spelling that is in the log, once; of a key that no actor has, none."""
    with store.view() as view:
        assert view.actors({"bob"}) == []
    with store.change() as tx:
        for actor in ("Bob", "bob", "Bob", "bobby"):
            of_bob = {"at": NOW, "actor": actor, "action": "session.end", "subject": None, "note": None, "detail": {}}
            tx.add_event(seal_event(tx.last_event(), **of_bob))
    with store.view() as view:
        assert sorted(view.actors({"bob", "carol"})) == ["Bob", "bob"]


def test_a_pause_of_a_receiver_is_kept_and_ended(store: Store):
    """By its name in any spelling."""
    with store.change() as tx:
        tx.pause("Hub", ReceiverPause(NOW, 1, "refused"))
        tx.pause("HUB", ReceiverPause(NOW + 1, 2, "busy"))
        assert tx.pauses() == {"hub": ReceiverPause(NOW + 1, 2, "busy")}
        tx.pause("hub", None)
        assert tx.pauses() == {}


def test_the_change_number_is_another_one_after_a_change(store: Store):
    """It stays while nothing is changed, and an undone change is none."""
    before = store.change_number()
    with store.view() as view:
        view.registry_id()
    assert store.change_number() == before
    with store.change() as tx:
        tx.record_time(NOW + 1)
    after = store.change_number()
    assert after != before
    with pytest.raises(ZeroDivisionError), store.change() as tx:
        tx.record_time(NOW + 2)
        1 / 0  # noqa: B018
    assert store.change_number() == after
