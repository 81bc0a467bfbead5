"""Arguments of the library that are of another type: refused, before a database compares them with something."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from authctl import EventFilter, InvalidInput, Registry, SessionFilter
from authctl.instants import EARLIEST, NEVER, utc_now

TIMES = ("created_since", "created_before", "used_since", "unused_since", "expires_before")
NO_INSTANTS: tuple[Any, ...] = (
    "7d",
    "2020-01-01",
    "",
    b"7d",
    date(2020, 1, 1),
    timedelta(days=7),
    1.5e9,
    True,
    NEVER + 1,
    EARLIEST - 1,
    10**30,
    float("nan"),
)
NOTE = "lost device"


@pytest.mark.parametrize("value", NO_INSTANTS, ids=repr)
def test_a_value_that_is_no_instant_selects_nobody(registry: Registry, value: Any):
    """SQLite orders every number before every text: "7d" as the end of a range would be after all sessions, and revoke them."""
    session = registry.issue(username="alice", application="Outlook").session
    for name in TIMES:
        with pytest.raises(InvalidInput, match=f"^{name} is neither a datetime nor an instant"):
            registry.revoke(SessionFilter(**{name: value}), note=NOTE)
    for name in ("since", "until"):
        with pytest.raises(InvalidInput, match=f"^{name} is neither"):
            EventFilter(**{name: value})
    with pytest.raises(InvalidInput, match="until is neither"):
        registry.users.disable("alice", note=NOTE, until=value)
    with pytest.raises(InvalidInput, match="until is neither"):
        registry.continuity.start(note=NOTE, until=value)
    with pytest.raises(InvalidInput, match="at is neither"):
        registry.tokens.explain(session.id, at=value)
    assert registry.count(SessionFilter(status="active")) == 1
    assert registry.issue(username="alice", application="Outlook")


def test_instants_are_datetimes_or_microseconds(registry: Registry):
    """A datetime without a zone is UTC; the limits of the calendar are instants, too."""
    registry.issue(username="alice", application="Outlook")
    for value in (datetime.fromisoformat("2999-01-01"), NEVER, utc_now() + 10**12):
        assert registry.count(SessionFilter(created_before=value)) == 1
        assert list(registry.audit.events(EventFilter(until=value)))
        assert not list(registry.audit.events(EventFilter(since=value)))
    for value in (datetime.fromisoformat("0001-01-01"), EARLIEST, 0):
        assert registry.count(SessionFilter(created_before=value)) == 0


@pytest.mark.parametrize("name", ["everything", "used_after_end"])
def test_a_flag_is_true_or_false(registry: Registry, name: str):
    """The text `no` would be true."""
    registry.issue(username="alice", application="Outlook")
    for value in ("no", "", 1, 0, None):
        with pytest.raises(InvalidInput, match=f"^{name} is neither true nor false"):
            registry.revoke(SessionFilter(**{name: value}), note=NOTE)


def test_one_id_may_be_a_text(registry: Registry):
    """It is not taken for a list of its letters."""
    first, second = (registry.issue(username="alice", application="Outlook").session.id for _ in range(2))
    assert registry.count(SessionFilter(ids=first)) == 1
    assert registry.revoke(SessionFilter(username="alice", except_ids=first), note=NOTE).revoked == 1
    assert [one.id for one in registry.sessions(SessionFilter(status="revoked"))] == [second]
