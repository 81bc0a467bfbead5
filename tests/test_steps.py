"""Steps of long work: the store copies its log to the file after each of them, beside other writers, and all are synced at the end."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import authctl.store.sqlite.store as store_module
from authctl import Registry, SessionFilter
from authctl.instants import DAY
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Clock


def in_the_file(home: Path) -> int:
    """How many sessions are in the file alone, without its log."""
    with closing(sqlite3.connect(f"file:{home}/registry.db?mode=ro&immutable=1", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


@pytest.fixture
def asked(registry: Registry) -> Iterator[list[str]]:
    """The statements of the connection that writes."""
    registry.issue(username="alice", application="Outlook")
    texts: list[str] = []
    connection = registry._installation.store._writer.connection()
    connection.set_trace_callback(texts.append)
    yield texts
    connection.set_trace_callback(None)


@pytest.mark.parametrize("step", [False, True])
def test_a_step_is_in_the_file_when_it_is_over(registry: Registry, home: Path, step: bool):
    """So the next small commit of somebody else does not copy it. Another change stays in the log for a while."""
    registry.issue(username="alice", application="Outlook")
    before = in_the_file(home)
    with registry._installation.change("alice", synced=False, step=step) as unit:
        unit.tx.write("DELETE FROM sessions")
    assert in_the_file(home) == (0 if step else before)


def test_a_log_that_is_too_large_is_copied_before_writers_are_kept_out(
    registry: Registry, asked: list[str], monkeypatch: pytest.MonkeyPatch
):
    """TRUNCATE keeps writers out while it copies: it comes after a copy that does not."""
    monkeypatch.setattr(store_module, "LOG_LIMIT_BYTES", 1)
    registry._installation.store._log_limit = 1
    registry.issue(username="bob", application="Outlook")
    copies = [text.removeprefix("PRAGMA wal_checkpoint") for text in asked if "wal_checkpoint" in text]
    assert copies[:2] == ["(PASSIVE)", "(TRUNCATE)"]


def test_the_end_of_a_cleanup_is_synced(registry: Registry, clock: Clock, asked: list[str]):
    """Its steps are not, one by one; the event of its end is, and with it all that is before it in the log."""
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    levels = [int(text.split()[-1]) for text in asked if text.startswith("PRAGMA synchronous =")]
    assert levels == [1, 2]
    removal = next(number for number, text in enumerate(asked) if text.startswith("DELETE FROM sessions "))
    loosely, strictly = (asked.index(f"PRAGMA synchronous = {level}") for level in levels)
    assert loosely < removal < strictly
    assert "cleanup.done" in next(text for text in asked[strictly:] if text.startswith("INSERT INTO audit_events"))


def test_a_change_tells_how_long_it_kept_others_out(registry: Registry):
    """From the begin of its transaction to the end of its commit."""
    for step in (False, True):
        began = time.monotonic()
        with registry._installation.store.change(step=step) as tx:
            time.sleep(0.02)
        assert 0.02 <= tx.held_seconds <= time.monotonic() - began


def test_a_cleanup_whose_steps_are_small_removes_the_same(registry: Registry, clock: Clock):
    """One session, one row of the index and one page in each step."""
    from authctl.registry import cleanup

    for number in range(30):
        registry.issue(username=f"user{number}", application="Outlook")
    clock.forward(microseconds=400 * DAY)
    registry.issue(username="carol", application="Outlook")
    upkeep = tuple((work, 1, 1) for work, _, _ in cleanup._UPKEEP)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cleanup, "_UPKEEP", upkeep)
        assert registry.cleanup.run(batch_size=1, accept_clock_jump=True).removed == 30
    assert [session.username for session in registry.sessions(SessionFilter(search="carol"))] == ["carol"]
    assert registry.count(SessionFilter()) == 1
