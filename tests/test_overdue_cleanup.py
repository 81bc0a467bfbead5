"""`cleanup --check`: the sessions that wait for a cleanup, and when it is overdue; `doctor` goes by the same rule."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, Duration, instant_of
from tests.conftest import Authctl, Clock

MAP = read_mapping(b"fields: {username: user, at: time}\nkey: [username]\n", "map.yaml")


def test_nothing_waits_in_a_new_registry(registry: Registry):
    """No backlog, no run, and nothing is overdue."""
    backlog = registry.cleanup.backlog()
    assert (backlog.total, backlog.oldest_at, backlog.last_run_at, backlog.is_overdue) == (0, None, None, False)


@pytest.mark.parametrize("is_revoked", [False, True])
def test_it_is_overdue_when_the_oldest_session_waits_for_too_long(registry: Registry, clock: Clock, is_revoked: bool):
    """To the microsecond, for an expired and a revoked session; whenever the last run was, and with what it found."""
    session = registry.issue(username="alice", application="Outlook").session
    clock.forward(hours=1)
    revoked_at = registry.now()
    if is_revoked:
        registry.revoke(SessionFilter(username="alice"), note="lost device")
    end = revoked_at if is_revoked else session.expires_at
    due = instant_of(clock.now.replace(month=9, day=2 if is_revoked else 5, hour=10 if is_revoked else 9))
    clock.forward(microseconds=due + 1 - registry.now())
    assert (due - end) // DAY in range(180, 185)
    waiting = registry.cleanup.backlog()
    assert (waiting.expired, waiting.revoked) == ((0, 1) if is_revoked else (1, 0))
    assert (waiting.oldest_at, waiting.is_overdue) == (end, False)
    assert registry.cleanup.backlog(max_age=1).is_overdue is False
    clock.forward(microseconds=1)
    assert registry.cleanup.backlog(max_age=1).is_overdue is True
    clock.forward(days=2, microseconds=-2)
    assert not registry.cleanup.backlog().is_overdue
    clock.forward(microseconds=2)
    assert registry.cleanup.backlog().is_overdue
    assert "cleanup" in {finding.check for finding in registry.doctor.examine() if not finding.ok}
    assert registry.cleanup.run().removed == 1
    after = registry.cleanup.backlog()
    assert (after.total, after.last_run_at, after.is_overdue) == (0, registry.now(), False)


def test_what_a_cleanup_would_keep_does_not_wait(registry: Registry, clock: Clock):
    """A longer `older_than`, as the nightly command has it; a shorter one is refused as there."""
    registry.issue(username="alice", application="Outlook")
    clock.forward(days=250)
    assert registry.cleanup.backlog().is_overdue
    assert not registry.cleanup.backlog(older_than=Duration(12)).is_overdue
    with pytest.raises(Refused):
        registry.cleanup.backlog(older_than=Duration(1))


def test_the_oldest_of_several(registry: Registry, clock: Clock):
    """The earliest end of expired and revoked ones; the listed count is that of the dry run."""
    for name, days in (("alice", 10), ("bob", 300), ("carol", 2)):
        time = (clock.now - timedelta(days=days)).isoformat()
        rows = json.dumps({"user": name, "time": time}).encode()
        registry.imports.run(io.BytesIO(rows), MAP)
    clock.forward(days=200)
    backlog = registry.cleanup.backlog()
    assert backlog.oldest_at == registry.now() - 500 * DAY + 3 * DAY
    assert backlog.total == registry.cleanup.run(dry_run=True).removed == 3


def test_the_command(installed: Authctl, home: Path):
    """0 without a backlog, 9 with an overdue one, also with -q, which then tells why; nothing is deleted, and no event written."""
    ran = installed("cleanup", "--check", "-o", "json")
    assert (ran.code, ran.json["backlog"], ran.json["overdue"], ran.json["last_run_at"]) == (0, 0, False, None)
    quiet = installed("cleanup", "--check", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    rows = json.dumps({"user": "alice", "time": "2020-01-01T00:00:00Z"}).encode()
    with Registry.open(home) as registry:
        registry.imports.run(io.BytesIO(rows), MAP)
    events = installed("audit", "list", "-o", "id").out
    ran = installed("cleanup", "--check", "-o", "json")
    assert (ran.code, ran.json["overdue"], ran.json["expired"]) == (9, True, 1)
    assert ran.json["oldest_at"] == "2020-01-04T00:00:00Z"
    quiet = installed("cleanup", "--check", "-q")
    assert (quiet.code, quiet.out) == (9, "")
    assert "cleanup is overdue; sessions past the retention of 6 months: 1; last cleaned up: never" in quiet.err
    for age, code in (("9999d", 0), ("1 month", 9), ("600 months", 0), ("50 years", 0)):
        assert installed("cleanup", "--check", "--max-age", age).code == code
    assert installed("audit", "list", "-o", "id").out == events
    assert installed("cleanup", "-q").code == 0
    ran = installed("cleanup", "--check", "-o", "csv")
    assert (ran.code, ran.out.splitlines()[0].split(",")[:4]) == (0, ["last_run_at", "retention", "cutoff", "backlog"])
