"""Statistics: active sessions by name, sign-ins, ends and revocations a day, and the forecast of expiries."""

from datetime import UTC, datetime, timedelta

import pytest

from authctl import Breakdown, InvalidInput, NameCount, Property, Registry, SessionFilter
from authctl.instants import DAY, instant_of
from tests.conftest import Clock, Install

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MIDNIGHT = instant_of(NOON) - DAY // 2
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d}
  long: {idle_timeout: 20d, continuity: true}
  endless: {idle_timeout: never}
"""


def issue(registry: Registry, username: str, application: str = "Outlook", **details: str) -> str:
    """Register a session; its id."""
    return registry.issue(username=username, application=application, **details).session.id


@pytest.fixture
def lived(install: Install, clock: Clock) -> Registry:
    """A registry with a history of five days, up to noon."""
    clock.now = NOON - timedelta(days=5)
    registry = install(PROFILES)
    issue(registry, "alice")  # expires on the third day, two days ago
    issue(registry, "bob", profile="long")
    clock.now = NOON - timedelta(days=1)
    issue(registry, "carol", "Teams", platform="iOS", kind="web")
    registry.end([issue(registry, "dora", "teams")])
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.now = NOON
    issue(registry, "erin", "teams", platform="ios", profile="endless")
    issue(registry, "frank")
    return registry


def test_each_session_counts_once(lived: Registry):
    """Sign-ins by day of creation, ends and revocations by day of their instant; a revoked session is no end."""
    found = lived.statistics.read(days=6)
    assert found.at == instant_of(NOON)
    days = {(one.day - MIDNIGHT) // DAY: one[1:] for one in found.past}
    assert days == {-5: (2, 0, 0), -4: (0, 0, 0), -3: (0, 0, 0), -2: (0, 0, 0), -1: (2, 1, 1), 0: (2, 0, 0)}
    assert lived.statistics.read(days=2).past == found.past[-2:]
    assert len(lived.statistics.read().past) == 14


def test_active_sessions_by_name(lived: Registry):
    """Names that differ in case are one name, spelled as the first of their spellings; sessions without it are counted, too."""
    found = lived.statistics.read()
    assert found.active == 4
    assert found.active_by == {
        Property.APPLICATION: Breakdown((NameCount("Outlook", 2), NameCount("Teams", 2)), 0, 0),
        Property.PLATFORM: Breakdown((NameCount("iOS", 2), NameCount(None, 2)), 0, 0),
        Property.PROFILE: Breakdown((NameCount("default", 2), NameCount("endless", 1), NameCount("long", 1)), 0, 0),
        Property.SOURCE: Breakdown((NameCount(None, 4),), 0, 0),
    }


def test_the_forecast(lived: Registry):
    """Expiries of fourteen days from today on; what ends later or never is one number."""
    found = lived.statistics.read()
    assert [one.day for one in found.future] == [MIDNIGHT + number * DAY for number in range(14)]
    assert {number: one.expiries for number, one in enumerate(found.future) if one.expiries} == {2: 1, 3: 1}
    assert found.later == 2
    assert sum(one.expiries for one in found.future) + found.later == found.active


def test_a_continuity_event_moves_the_forecast(lived: Registry, clock: Clock):
    """A session that an event holds is active, and expires with the event."""
    lived.continuity.start(["long"], note="the identity provider is down", until=instant_of(NOON + timedelta(days=18)))
    clock.now = NOON + timedelta(days=16)
    found = lived.statistics.read(days=16)
    assert found.active == 2
    assert {number: one.expiries for number, one in enumerate(found.future) if one.expiries} == {2: 1}
    assert sum(one.ends for one in found.past) == 2


def test_removed_sessions_are_not_counted(lived: Registry, clock: Clock):
    """A session that cleanup removed is no sign-in, end or revocation any more."""
    clock.forward(days=300)
    everything = lived.statistics.read(days=366)
    lived.cleanup.run(accept_clock_jump=True)
    left = lived.statistics.read(days=366)
    assert [sum(counts) for counts in zip(*(one[1:] for one in everything.past), strict=True)] == [6, 4, 1]
    assert [sum(counts) for counts in zip(*(one[1:] for one in left.past), strict=True)] == [1, 0, 0]


def test_a_hundred_names(registry: Registry):
    """The names with the most sessions are given, the others as one number."""
    for number in range(105):
        for _ in range(2 if number == 104 else 1):
            issue(registry, "alice", f"app {number:03}")
    found = registry.statistics.read().active_by[Property.APPLICATION]
    assert found.names == (NameCount("app 104", 2), *(NameCount(f"app {number:03}", 1) for number in range(99)))
    assert (found.other_names, found.other_sessions) == (5, 5)


@pytest.mark.parametrize("days", [0, -1, 367])
def test_days_have_bounds(registry: Registry, days: int):
    """At least today, at most a year."""
    with pytest.raises(InvalidInput, match="1 to 366 days"):
        registry.statistics.read(days=days)
