"""Which sessions an operation would hit, by their numbers: the same that it hits, and that are counted."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authctl import SessionFilter, Status
from authctl.instants import DAY, NEVER
from authctl.model import Profile
from authctl.registry.bounds import Bound
from authctl.store.protocol import Change, Store
from tests.stores import DEFAULTS, MakeStore
from tests.test_store_contract import AT_THE_EDGES, NOW, add, instants, life, lived, new, outages

pytestmark = pytest.mark.slow

unrevoked = (Status.ACTIVE, Status.EXPIRED)
wanted_profiles = st.builds(
    Profile,
    st.just("default"),
    st.integers(1, 6).map(lambda n: n * DAY),
    st.integers(7, 12).map(lambda n: n * DAY) | st.just(NEVER),
    continuity=st.booleans(),
    slide_after=st.integers(0, DAY),
)


def active_numbers(view, now: int) -> set[int]:
    """The numbers of the sessions that live, as each of them says itself."""
    return {s.number for s in view.page(SessionFilter(), now, 99).sessions if s.status_at(now) is Status.ACTIVE}


def put_in_force(tx: Change, profile: Profile, now: int) -> None:
    """What putting a profile in force does to sessions: new deadlines, and no event that it does not allow."""
    tx.recompute_deadlines(DEFAULTS._replace(profiles={"default": profile}), now)
    for event in tx.continuity_events():
        if event.profile == "DEFAULT" and not event.is_over(now) and not profile.continuity:
            tx.end_continuity(event.id, now, "bob", "tightened")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, max_size=8), events=outages, now=instants, profile=wanted_profiles)
@example(AT_THE_EDGES, [(NOW, NOW + 3 * DAY)], NOW + 2 * DAY, Profile("default", DAY, continuity=False))
@example(AT_THE_EDGES, [(NOW, NOW + 3 * DAY)], NOW + 2 * DAY, Profile("default", DAY, continuity=True))
def test_whom_profiles_would_end_is_whom_they_end(
    make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]], now: int, profile: Profile
):
    """In every circumstance the set that is shown is as large as the count, and is the set that no longer lives afterwards."""
    wanted = DEFAULTS._replace(profiles={"default": profile})
    with lived(make_store, lives, events) as store, store.change() as tx:
        before = active_numbers(tx, now)
        ended = tx.ended_by(wanted, now)
        assert len(ended) == sum(change.ended for change in tx.deadline_changes(wanted, now).values())
        assert list(ended) == sorted(set(ended))
        put_in_force(tx, profile, now)
        assert set(ended) == before - active_numbers(tx, now)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, max_size=8), events=outages, now=instants)
def test_the_numbers_of_a_selection_are_those_that_are_counted_and_revoked(
    make_store: MakeStore, lives: list[dict], events: list[tuple[int, int]], now: int
):
    """For every status and kind of entrance: as many as are counted, the same that are listed, and those that are revoked."""
    with lived(make_store, lives, events) as store, store.change() as tx:
        for criteria in ({}, {"username": "alice"}, {"application": "outlook"}, {"kind": "web"}, {"search": "outl"}):
            for status in ((), (Status.ACTIVE,), (Status.EXPIRED,), unrevoked, (Status.REVOKED,)):
                selection = SessionFilter(status=status, **criteria)
                found = tx.numbers(selection, now)
                assert list(found) == sorted(s.number for s in tx.page(selection, now, 99).sessions)
                assert len(found) == tx.count(selection, now)
        shown = tx.numbers(SessionFilter(status=unrevoked, kind="application"), now)
        revocation = tx.add_revocation(now, "bob", "lost device", "{}")
        assert tx.assign(SessionFilter(kind="application"), now, revocation) == len(shown)
        named = [s.number for s in tx.page(SessionFilter(), now, 99).sessions if s.revocation_id == revocation]
        assert sorted(named) == list(shown)


def test_a_summary_counts_what_it_is_given(store: Store):
    """By user, application, status and kind; the largest are named, and names are compared as everywhere."""
    sessions = add(
        store,
        new("alice", NOW, application="Outlook"),
        new("ALICE", NOW - 9 * DAY, application="outlook", kind="web"),
        new("bob", NOW, application="Teams"),
        new("bob", NOW + 1, application=None),
        new("bob", NOW + 2, application=None),
        new("carol", NOW, application="Yammer"),
        new("dora", NOW, application="Field Maps"),
    )
    chosen = [s.number for s in sessions[:-1]]
    with store.view() as view:
        found = view.summary(chosen, NOW + 3, 2)
        assert (found.total, found.web, found.active, found.expired, found.revoked) == (6, 1, 5, 1, 0)
        assert [(name.lower(), n) for name, n in found.users.counts] == [("bob", 3), ("alice", 2)]
        assert found.users.more == 1
        assert sorted((name or "").lower() for name, _ in found.applications.counts) == ["", "outlook"]
        assert found.applications.more == 2
        assert view.used_last(chosen, 2) == [sessions[4].number, sessions[3].number]
        nothing = view.summary([], NOW, 2)
        assert (nothing.total, nothing.users.counts, nothing.users.more) == (0, (), 0)
        assert view.used_last([], 2) == []
    with store.change() as tx:
        tx.assign(SessionFilter(username="bob"), NOW + 3, tx.add_revocation(NOW + 3, "carol", "lost device", "{}"))
    with store.view() as view:
        found = view.summary(chosen, NOW + 4, 2)
        assert (found.total, found.active, found.expired, found.revoked) == (6, 2, 1, 3)


@given(shown=st.sets(st.integers(1, 50)), now=st.sets(st.integers(1, 50)))
def test_a_bound_is_a_set(shown: set[int], now: set[int]):
    """Whatever is not in it is beyond it, a lower number and a higher one alike; the same set has the same digest."""
    bound = Bound.of(shown)
    assert bound.beyond(now) == len(now - shown)
    assert bound.highest == max(shown, default=0)
    assert (bound.digest == Bound.of(now).digest) == (shown == now)
