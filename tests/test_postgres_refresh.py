"""Refreshes that meet on a real PostgreSQL server: the instant of a change is that of its turn at the session."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from authctl import Registry, profiles
from authctl.instants import datetime_of
from authctl.registry.init import create
from authctl.registry.tokens.issue import Issued
from authctl.settings import find_home
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

PROFILES = b"""\
version: 1
default_profile: pairs
profiles:
  pairs: {tokens: pair, idle_timeout: 14d, absolute_timeout: 90d, refresh: {grace: 30s}}
"""


@pytest.fixture
def place(tmp_path: Path, postgres_url: str) -> tuple[Path, str]:
    """A home whose registry is in the database, and the address of that."""
    create(find_home(tmp_path / "home", postgres_url), profiles.read(PROFILES, "profiles.yaml"), PROFILES)
    return tmp_path / "home", postgres_url


def number_of(condition: str, server: Server) -> int:
    """How many connections of the server meet a condition."""
    [[count]] = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {condition}")
    return int(str(count))


def test_a_refresh_that_stalls_after_its_clock_was_read_is_no_reuse(place, postgres_server: Server):
    """Another host refreshes the same session meanwhile, or waits: who comes second retries within the grace period."""
    home, url = place
    answers: list[Future[Issued]] = []
    with Registry.open(home, registry=url) as server:
        instant = server.now()

    def clock() -> datetime | None:
        nonlocal instant
        instant += 1_000
        return datetime_of(instant)

    def stalling_clock() -> datetime | None:
        seen = clock()
        if not answers and number_of("state = 'idle in transaction'", postgres_server):
            answers.append(threads.submit(other.refresh, issued.refresh_token))
            until = time.monotonic() + 20
            while not (answers[0].done() or number_of("wait_event_type = 'Lock'", postgres_server)):
                assert time.monotonic() < until
                time.sleep(0.01)
        return seen

    with (
        Registry.open(home, registry=url, clock=clock) as other,
        Registry.open(home, registry=url, clock=stalling_clock) as stalling,
        ThreadPoolExecutor() as threads,
    ):
        issued = other.issue(username="alice", application="Mail")
        token = stalling.refresh(issued.refresh_token).access_token
        assert answers[0].result(timeout=20).access_token == token
        session = other.session(issued.session.id)
        assert (session.status, session.generation) == ("active", 1)


def test_a_retry_beside_events_of_another_host_is_no_reuse(place):
    """An event that another host records right after the clock was read does not make the clock look as if it was set back."""
    home, url = place
    with Registry.open(home, registry=url) as server:
        instant = server.now()

    def clock(then: Callable[[], object] = lambda: None) -> datetime | None:
        nonlocal instant
        instant += 1_000
        seen = datetime_of(instant)
        then()
        return seen

    with Registry.open(home, registry=url, clock=clock) as other:
        issued = other.issue(username="alice", application="Mail")
        first = other.refresh(issued.refresh_token)

        def sign_in() -> None:
            other.issue(username="bob", application="Mail")

        with Registry.open(home, registry=url, clock=lambda: clock(sign_in)) as retrying:
            assert retrying.refresh(issued.refresh_token).access_token == first.access_token
        assert other.session(issued.session.id).status == "active"
