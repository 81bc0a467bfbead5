"""The order of the locks of a change: the gate, then rows, then the audit chain, then the commit (decision 297).

Two hosts change the registry at once, each stopped at the statement that matters. In the wrong order, each waits for the other one, and
the server ends one of them after a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from authctl import Registry, SessionFilter, profiles
from tests.postgres_server import why_not
from tests.two_hosts import CHAIN, PROFILES, Deed, Hosts, configure, issue, run_both, waits, written_program

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def reasons(*deeds: Deed) -> list[str]:
    """The errors of deeds: those of the server where there are some."""
    return [type(deed.error.__cause__ or deed.error).__name__ for deed in deeds if deed.error]


def sealing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guard: a shared change appends its events, and announces, as soon as they are known."""
    from authctl.registry.unit_of_work import UnitOfWork

    monkeypatch.setattr(UnitOfWork, "_seals_late", property(lambda _unit: False, lambda *_: None), raising=False)


def refresh_at_the_end_of_a_disabling(hosts: Hosts) -> list[str]:
    """A disabling ends between two refreshes of another user's session; the errors that are no refusals."""
    hosts.first.users.disable("bob", note="on leave", until=hosts.clock.now.replace(hour=10))
    token = issue(hosts.first, profile="pair").refresh_token
    one = Deed(lambda: hosts.first.refresh(token), before=CHAIN)
    one.start()
    hosts.clock.forward(hours=2)
    other = Deed(lambda: hosts.second.refresh(token)).start()
    waits(hosts.server, other)
    one.go_on()
    other.go_on()
    return reasons(one, other)


def test_the_end_of_a_disabling_keeps_no_session_waiting(hosts: Hosts):
    """The chain is taken after the session, also for the event of another user."""
    assert refresh_at_the_end_of_a_disabling(hosts) == ["TokenReused"]


def test_a_chain_that_is_taken_before_the_session_is_a_deadlock(hosts: Hosts, monkeypatch: pytest.MonkeyPatch):
    """As it was: events were sealed at once, and the session was locked only where it was read."""
    from authctl.store.postgres.change import PostgresChange

    sealing_at_once(monkeypatch)
    monkeypatch.setattr(PostgresChange, "keep_session", lambda _change, _number: None)
    assert "DeadlockDetected" in refresh_at_the_end_of_a_disabling(hosts)


def accept_passwords(hosts: Hosts) -> None:
    """Give both hosts an authenticator that accepts every password."""
    accept = written_program(hosts.folder, "accept", "#!/bin/sh\nexit 0\n")
    configure(hosts.folder, "authenticators", f"file: {{command: [{accept}]}}")


def log_in(registry: Registry, username: str, password: str, profile: str = "login") -> Any:
    """Sign in by a password."""
    return registry.tokens.login(username=username, application="Outlook", profile=profile, password=password)


def test_logins_of_one_user_do_not_wait_for_each_other_in_a_circle(hosts: Hosts):
    """One by the cache and one by the authenticator: both write the cached login before they take the chain."""
    accept_passwords(hosts)
    log_in(hosts.first, "alice", "old")
    hosts.clock.forward(minutes=1)
    one = Deed(lambda: log_in(hosts.first, "alice", "old"), before=CHAIN)
    other = Deed(lambda: log_in(hosts.second, "alice", "new"))
    run_both(hosts, one, other)
    assert (one.error, other.error) == (None, None)


def tell_of(hosts: Hosts, events: str, receivers: Sequence[str] = ("teller",)) -> None:
    """Give both hosts receivers that want some events."""
    program = written_program(hosts.folder, "teller", "#!/bin/sh\nexit 1\n")
    each = ", ".join(f"{name}: {{command: [{program}], events: [{events}]}}" for name in receivers)
    configure(hosts.folder, "receivers", each)


def log_in_at_the_end_of_a_disabling(hosts: Hosts) -> list[str]:
    """The end of a disabling is told to a receiver by the second of two logins of another user; their errors."""
    accept_passwords(hosts)
    tell_of(hosts, "user-enabled")
    log_in(hosts.first, "alice", "old")
    hosts.first.users.disable("bob", note="on leave", until=hosts.clock.now.replace(hour=10))
    one = Deed(lambda: log_in(hosts.first, "alice", "old"), before=CHAIN).start()
    hosts.clock.forward(minutes=90)
    other = Deed(lambda: log_in(hosts.second, "alice", "new")).start()
    assert waits(hosts.server, other)
    one.go_on()
    other.go_on()
    return reasons(one, other)


def test_what_is_told_of_a_disabling_that_ended_keeps_no_login_waiting(hosts: Hosts):
    """The number of its audit event is in the announcement: it is written when the chain is locked, after the cached login."""
    assert log_in_at_the_end_of_a_disabling(hosts) == []
    assert hosts.rows("SELECT a.event, e.action FROM announcements AS a JOIN audit_events AS e ON e.seq = a.txn") == [
        ("user-enabled", "user.enable")
    ]


def test_an_announcement_before_the_login_is_a_deadlock(hosts: Hosts, monkeypatch: pytest.MonkeyPatch):
    """As it was: it took the chain before the rows of the change."""
    sealing_at_once(monkeypatch)
    assert log_in_at_the_end_of_a_disabling(hosts) == ["DeadlockDetected"]


def deliver_at_the_end_of_a_disabling(hosts: Hosts) -> list[str]:
    """The end of a disabling is found by the second of two runs of `deliver`, while the first one records its run; their errors."""
    tell_of(hosts, "session-revoked, user-enabled", receivers=("first_told", "told_later"))
    issue(hosts.first)
    hosts.first.revoke(SessionFilter(username="alice"), note="lost device")
    hosts.first.users.disable("bob", note="on leave", until=hosts.clock.now.replace(hour=10))
    # each has leased a delivery of one receiver
    other = Deed(hosts.second.deliveries.deliver, after="^COMMIT").start()
    one = Deed(hosts.first.deliveries.deliver, before="^UPDATE deliveries SET state").start()
    hosts.clock.forward(minutes=90)
    other.leave()
    assert waits(hosts.server, other)
    one.go_on()
    other.go_on()
    return reasons(one, other)


def test_what_is_told_of_a_disabling_that_ended_keeps_no_run_of_deliver_waiting(hosts: Hosts):
    """A run has its turn before it takes the chain."""
    assert deliver_at_the_end_of_a_disabling(hosts) == []


def test_an_announcement_before_the_turn_is_a_deadlock(hosts: Hosts, monkeypatch: pytest.MonkeyPatch):
    """As it was: the run that waited for its turn had the chain, and the one that had the turn waited for it."""
    sealing_at_once(monkeypatch)
    assert deliver_at_the_end_of_a_disabling(hosts) == ["DeadlockDetected"]


def log_in_beyond_the_capacity(hosts: Hosts) -> list[str]:
    """Two users log in, and a cache that is too full has room for one of them: each login removes the other one's; the errors."""
    accept_passwords(hosts)
    for username in ("alice", "bob"):
        log_in(hosts.first, username, "old", "small")
    text = PROFILES.replace("capacity: 2", "capacity: 1")
    hosts.first.profiles.apply(profiles.read(text.encode(), "profiles.yaml"), note="a smaller cache")
    hosts.clock.forward(minutes=1)
    one = Deed(lambda: log_in(hosts.first, "bob", "new", "small"), before="^DELETE FROM cached_logins").start()
    other = Deed(lambda: log_in(hosts.second, "alice", "new", "small")).start()
    waits(hosts.server, other)
    one.go_on()
    other.go_on()
    return reasons(one, other)


def test_logins_beyond_the_capacity_of_the_cache_come_one_after_the_other(hosts: Hosts):
    """The second one removes the first one, and the cache has one login, as its profile says."""
    assert log_in_beyond_the_capacity(hosts) == []
    assert hosts.rows("SELECT username_key FROM cached_logins") == [("alice",)]


def test_logins_beyond_the_capacity_without_a_turn_are_a_deadlock(hosts: Hosts, monkeypatch: pytest.MonkeyPatch):
    """As it was: each had written its own login, and removed the other one's."""
    from authctl.store.postgres.change import PostgresChange

    monkeypatch.delattr(PostgresChange, "save_login")
    assert log_in_beyond_the_capacity(hosts) == ["DeadlockDetected"]
