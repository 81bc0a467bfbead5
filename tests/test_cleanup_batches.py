"""A cleanup in batches: none passes a session that is due, none removes one that is not due any more, and no step takes more than its number."""

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.registry import cleanup
from authctl.store.protocol import Change
from tests.conftest import Clock

TWO_PROFILES = b"version: 1\ndefault_profile: a\nprofiles: {a: {idle_timeout: 40d}, b: {idle_timeout: 1d}}\n"


def issue(registry: Registry, clock: Clock, names: str, *, every: int = 0, profile: str | None = None) -> None:
    """Register a session for each name, so many minutes one after the other."""
    for name in names:
        registry.issue(username=name, application="Outlook", profile=profile)
        clock.forward(minutes=every)


def users(registry: Registry) -> str:
    """The names of the users with sessions."""
    return "".join(sorted(session.username for session in registry.sessions()))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_sessions_with_one_deadline_are_in_several_batches(registry: Registry, clock: Clock, size: int):
    """The next batch begins at the deadline of the last removed session, not after it."""
    issue(registry, clock, "abcdefg")
    clock.forward(days=400)
    assert registry.cleanup.run(batch_size=size, accept_clock_jump=True).removed == 7
    assert users(registry) == ""


@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_profile_begins_with_its_first_deadline(registry: Registry, clock: Clock, size: int):
    """The sessions of the second profile ended before those of the first: no deadline of one is the beginning of the other."""
    registry.profiles.apply(profiles.read(TWO_PROFILES, "profiles.yaml"), note="two")
    issue(registry, clock, "abcde", every=1, profile="a")
    issue(registry, clock, "fghij", every=1, profile="b")
    clock.forward(days=400)
    issue(registry, clock, "z", profile="b")
    assert registry.cleanup.run(batch_size=size, accept_clock_jump=True).removed == 10
    assert users(registry) == "z"


def test_a_session_that_is_revoked_meanwhile_is_kept(registry: Registry, clock: Clock):
    """Its retention begins with the revocation: the batch that would remove it passes it, and removes those after it."""
    issue(registry, clock, "abcdef", every=1)
    clock.forward(days=400)
    revoked: list[int] = []

    def revoke(_removed: int, _due: int) -> None:
        if not revoked:
            revoked.append(registry.revoke(SessionFilter(username="e"), note="found late").revoked)

    assert registry.cleanup.run(batch_size=2, accept_clock_jump=True, progress=revoke).removed == 5
    assert revoked == [1]
    (kept,) = registry.sessions()
    assert (kept.username, kept.note) == ("e", "found late")


def test_a_session_that_ends_later_meanwhile_is_kept(registry: Registry, clock: Clock):
    """Each batch goes by the retention of its moment: one that was made longer keeps the rest."""
    issue(registry, clock, "abcd", every=1)
    clock.forward(days=400)

    def lengthen(removed: int, _due: int) -> None:
        if removed == 2:
            longer = profiles.read(
                b"version: 1\nretention: 3 years\nprofiles: {default: {idle_timeout: 3d}}\n", "p.yaml"
            )
            registry.profiles.apply(longer, note="longer")

    assert registry.cleanup.run(batch_size=2, accept_clock_jump=True, progress=lengthen).removed == 2
    assert users(registry) == "cd"


@pytest.mark.parametrize("size", [2, 3, 5])
def test_no_batch_has_more_sessions_than_its_size(registry: Registry, clock: Clock, size: int):
    """Expired and revoked sessions count together, and so do those of two revocations."""
    issue(registry, clock, "abcdefghijkl", every=1)
    for names in ("bdf", "ac", "g"):
        for name in names:
            registry.revoke(SessionFilter(username=name), note="lost")
        registry.revoke(SessionFilter(ids=tuple(s.id for s in registry.sessions() if s.username in "hij")), note="ids")
    clock.forward(days=400)
    batches: list[int] = []
    outcome = registry.cleanup.run(
        batch_size=size, accept_clock_jump=True, archive=lambda sessions: batches.append(len(sessions))
    )
    assert (outcome.expired, outcome.revoked) == (3, 9)
    assert sum(batches) == 12
    assert max(batches) == size


def test_revocations_go_step_by_step_until_none_is_left(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """No step removes more than its number, the work ends with a step that found nothing, and one with a session stays."""
    steps: list[int] = []

    (first, *_), *others = cleanup._UPKEEP

    def remove(tx: Change, most: int) -> int:
        steps.append(first(tx, most))
        return steps[-1]

    issue(registry, clock, "abcde")
    for session in list(registry.sessions()):
        registry.revoke(SessionFilter(ids=(session.id,)), note=f"lost by {session.username}")
    clock.forward(days=400)
    issue(registry, clock, "z")
    (last,) = registry.sessions(SessionFilter(username="z"))
    registry.revoke(SessionFilter(ids=(last.id,)), note="lost by z")
    monkeypatch.setattr(cleanup, "_UPKEEP", ((remove, 2, 2), *others))
    assert registry.cleanup.run(accept_clock_jump=True).removed == 5
    assert steps == [2, 2, 1, 0]
    assert [session.note for session in registry.sessions()] == ["lost by z"]
