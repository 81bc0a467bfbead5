"""The end of sessions by sign-out, in batches.

See docs/glossary.md#hard-end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.model import Session, Status
from authctl.model.told_events import Event
from authctl.registry.batches import BatchSize, Progress, no_progress, work_in_batches
from authctl.registry.installation import Installation
from authctl.registry.sessions import resolve
from authctl.registry.unit_of_work import UnitOfWork, actor_name

if TYPE_CHECKING:
    from authctl.store.protocol import View

_IDS_AT_ONCE = 1_000
_FIRST_BATCH = 100
_LARGEST_BATCH = 10_000
_LOCK_SECONDS = 0.05

FindOwner = Callable[["View", str, int], Session | None]
"""Finds the session that a token was issued to, of any kind and generation; None for any other text."""


class EndOutcome(NamedTuple):
    """The outcome of ending sessions."""

    ended: int
    already_ended: int
    not_found: tuple[str, ...]
    sessions: tuple[Session, ...]


def end(
    installation: Installation,
    find_owner: FindOwner,
    targets: Sequence[str],
    actor: str | None,
    progress: Progress | None,
) -> EndOutcome:
    """End sessions in batches, each in one transaction with its events. Contract: `Registry.end`."""
    actor_name(actor)  # a name that cannot be recorded is refused before anything is done
    # All targets before the first end: an id in line 900 that is not unique must not leave 899 sessions ended.
    wanted = _unambiguous(installation, targets)
    rest = iter(wanted)
    ended: list[Session] = []
    already: list[Session] = []
    not_found: list[str] = []

    def end_batch(size: int) -> float | None:
        with installation.change(actor) as unit:
            began = perf_counter()
            ends = [(target, *_end_session(unit, find_owner, target)) for target in islice(rest, size)]
            numbers = [session.number for _, session, is_new in ends if session and is_new]
            unit.announce(Event.SESSION_ENDED, numbers=numbers)
        seconds = perf_counter() - began
        for target, session, is_new in ends:  # only what was committed counts
            if session is None:
                not_found.append(names.without_tokens(target))
            else:
                (ended if is_new else already).append(session)
        done = len(ended) + len(already) + len(not_found)
        (progress or no_progress)(done, len(wanted))
        return seconds if done < len(wanted) else None

    if wanted:
        work_in_batches(BatchSize(_FIRST_BATCH, _LARGEST_BATCH, _LOCK_SECONDS), end_batch)
    return EndOutcome(len(ended), len(already), tuple(not_found), (*ended, *already))


def _end_session(unit: UnitOfWork, find_owner: FindOwner, target: str) -> tuple[Session | None, bool]:
    """End the session of an id or a token; the session, if there is one, and whether it was active until now."""
    session = _session_of(unit.tx, find_owner, target, unit.now)
    if session is None:
        return None, False
    if session.status_at(unit.now) is not Status.ACTIVE:
        unit.tx.record_time(unit.now)  # recorded, so that the session stays ended if the clock is set back
        return session, False
    unit.tx.end_sessions([session.number], unit.now, "signed_out")
    detail = {"username_key": names.fold(session.username), "reason": "signed_out"}
    unit.record("session.end", subject=session.id, detail=detail)
    return unit.tx.session(session.id, unit.now), True


def _unambiguous(installation: Installation, targets: Sequence[str]) -> list[str]:
    """The targets with whole ids in place of abbreviated ones. Raises InvalidInput as `resolve`."""
    wanted: list[str] = []
    for start in range(0, len(targets), _IDS_AT_ONCE):
        with installation.snapshot() as (view, _now):
            wanted += [_whole(view, target) for target in targets[start : start + _IDS_AT_ONCE]]
    return wanted


def _whole(view: View, target: str) -> str:
    prefix = names.id_prefix(target)
    if prefix is None or names.is_whole_id(prefix):
        return target
    return resolve(view, target) or target


def _session_of(view: View, find_owner: FindOwner, target: str, now: int) -> Session | None:
    from authctl.tokens import looks_like_token

    if looks_like_token(target):
        return find_owner(view, target, now)
    whole = resolve(view, target)
    return view.session(whole, now) if whole else None
