"""`sessions end -` with a long list: in batches that let others write, each whole, and what an interruption leaves is said."""

from pathlib import Path

import pytest

from authctl import InvalidInput, Registry, RegistryUnavailable, SessionFilter
from authctl.registry import session_ends as ending
from authctl.registry.batches import BatchSize
from tests import places
from tests.conftest import Authctl


def issue(registry: Registry, count: int) -> list[str]:
    """So many sessions; their ids."""
    return [registry.issue(username=f"user{number}", application="Outlook").session.id for number in range(count)]


@pytest.fixture
def batches_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of four, however long they take."""
    monkeypatch.setattr(ending, "_FIRST_BATCH", 4)
    monkeypatch.setattr(ending, "_LARGEST_BATCH", 4)
    monkeypatch.setattr(ending, "_LOCK_SECONDS", 3_600)


def test_a_batch_is_as_large_as_the_lock_allows():
    """It grows by two at the most, shrinks as far as it has to, and never to nothing."""
    batches = BatchSize(100, 1_000, 0.05)
    sizes = []
    for took in (0.001, 0.001, 0.05, 0.1, 0.5, 0.0, 1_000.0, 1_000.0, 0.0):
        batches.adjust(took)
        sizes.append(batches.size)
    assert sizes == [200, 400, 400, 200, 20, 40, 1, 1, 2]
    for _ in range(20):
        batches.adjust(0.0)
    assert batches.size == 1_000


def test_many_are_ended_in_batches_each_with_its_events(registry: Registry, batches_of_four: None):
    """Between two batches the lock is free; whatever is there then is whole: as many events as sessions that ended."""
    ids = issue(registry, 10)
    seen = []

    def look(done: int, total: int) -> None:
        with registry._installation.store.change(timeout=0):  # another writer gets its turn
            pass
        ended = registry.count(SessionFilter(status="expired"))
        events = sum(event.action == "session.end" for event in registry.audit.events())
        seen.append((done, total, ended, events))

    outcome = registry.end([*ids, "zzzzzzzzzzzzzzzz"], progress=look)
    assert seen == [(4, 11, 4, 4), (8, 11, 8, 8), (11, 11, 10, 10)]
    assert (outcome.ended, outcome.already_ended, outcome.not_found) == (10, 0, ("zzzzzzzzzzzzzzzz",))
    assert [one.id for one in outcome.sessions] == ids
    again = registry.end(ids)
    assert (again.ended, again.already_ended) == (0, 10)
    registry.audit.verify()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RegistryUnavailable("the disk is full")])
def test_an_interruption_leaves_whole_batches_and_says_how_far_it_came(
    installed: Authctl, monkeypatch: pytest.MonkeyPatch, batches_of_four: None, error
):
    """What was ended stays ended, the batch that was begun did nothing, and the words say how much that is; again does the rest."""
    for number in range(10):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    ids = installed("sessions", "list", "-o", "id").out
    real, calls = ending._end_session, []

    def failing(*given):
        calls.append(given)
        if len(calls) == 7:
            raise error
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(ending, "_end_session", failing)
        ran = installed("sessions", "end", "-", "-q", stdin=ids)
    assert "authctl: only the first 4 of 10 ids are done" in ran.err
    assert ran.code == (130 if error is KeyboardInterrupt else 6)
    assert installed("sessions", "list", "--status", "expired", "--count").out == "4\n"
    ended = installed("audit", "list", "--action", "session.end", "-o", "json").json
    assert len(ended) == 4
    assert "ended 6 sessions; 4 had already ended" in installed("sessions", "end", "-", stdin=ids).err


def test_an_ambiguous_id_ends_nobody(registry: Registry, home: Path, batches_of_four: None):
    """It is refused before the first batch, wherever it stands in the list; a unique beginning is good."""
    ids = issue(registry, 9)
    twin = ids[8][:6] + ("a" if ids[8][6] != "a" else "b") + ids[8][7:]
    places.ask(home, "UPDATE sessions SET id = ? WHERE id = ?", (twin, ids[7]))
    with pytest.raises(InvalidInput, match="is not unique"):
        registry.end([*ids[:7], ids[8][:6]])
    assert registry.count(SessionFilter(status="expired")) == 0
    assert registry.end([*ids[:7], ids[8][:8]]).ended == 8
