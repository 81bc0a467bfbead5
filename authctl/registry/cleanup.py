"""Removing sessions whose retention is over: the only thing that ever removes one.

See docs/glossary.md#retention.
"""

from collections.abc import Callable
from time import perf_counter, sleep
from typing import NamedTuple

from authctl.errors import InvalidInput, Refused
from authctl.instants import Duration, format_instant
from authctl.lifetimes import retention_cutoff
from authctl.model import SessionFilter
from authctl.registry.batches import BREATH_SECONDS, BatchSize
from authctl.registry.clock import check_clock
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import actor_name
from authctl.store.base import Change, View
from authctl.store.values import LEAP, Archive, Removable

Progress = Callable[[int, int], None]
"""Told, after every batch, how many are done of how many."""

_FIRST_BATCH = 500
_LARGEST_BATCH = 20_000
_LOCK_SECONDS = 0.08


class CleanupOutcome(NamedTuple):
    """What was removed, by the status it had, or would be."""

    cutoff: int
    """Sessions whose end lies before this instant are removed."""
    retention: str
    removed: int
    expired: int
    revoked: int
    unacknowledged: int
    """How many of the revoked were to be wiped, and their applications have not said that they were."""
    dry_run: bool


def clean_up(
    installation: Installation,
    *,
    older_than: Duration | None,
    dry_run: bool,
    batch_size: int | None,
    keep_unacknowledged: bool,
    accept_clock_jump: bool,
    archive: Archive | None,
    actor: str | None,
    progress: Progress,
) -> CleanupOutcome:
    """See `Registry.clean_up`."""
    if batch_size is not None and batch_size < 1:
        raise InvalidInput(f"a batch needs at least one session, not {batch_size}")
    actor_name(actor)
    with installation.snapshot() as (view, now):
        cutoff = _cutoff(view, now, older_than)
        due = view.ended_before(cutoff, keep_unacknowledged=keep_unacknowledged)
        check_clock(installation.clock.now(), now)
        if not accept_clock_jump:
            _check_leap(view, now, due.total)
        retention = str(view.profiles().retention)
    if not dry_run:
        due = _remove(
            installation,
            cutoff,
            due.total,
            batch_size,
            actor,
            progress,
            keep_unacknowledged=keep_unacknowledged,
            accept_clock_jump=accept_clock_jump,
            archive=archive,
        )
    return CleanupOutcome(cutoff, retention, due.total, *due, dry_run)


def _check_leap(view: View, now: int, due: int) -> None:
    """Raise Refused where the clock may have jumped ahead: after a long quiet most sessions would go."""
    if now - view.seen_at() <= LEAP and view.leapt_at() is None:
        return
    everything = view.count(SessionFilter(), now)
    if due * 2 > everything:
        what = f"{due:,} of {everything:,} sessions would go, and the clock went ahead by seven months and more at once"
        raise Refused(what, "set the clock right; if it is: authctl cleanup --accept-clock-jump")


def _cutoff(view: View, now: int, older_than: Duration | None) -> int:
    retention = view.profiles().retention
    kept_since = retention_cutoff(retention, now)
    if older_than is None:
        return kept_since
    cutoff = retention_cutoff(older_than, now)
    if cutoff > kept_since:
        raise Refused(
            f"'{older_than}' is shorter than the retention in force, {retention}",
            "--older-than may only lengthen; the retention is changed in profiles.yaml",
        )
    return cutoff


def _remove(
    installation: Installation,
    cutoff: int,
    due: int,
    batch_size: int | None,
    actor: str | None,
    progress: Progress,
    *,
    keep_unacknowledged: bool,
    accept_clock_jump: bool,
    archive: Archive | None,
) -> Removable:
    with installation.change(actor) as unit:
        unit.check_clock()
        if accept_clock_jump:
            unit.tx.set_seen(unit.now)
        unit.record("cleanup.run", detail={"cutoff": format_instant(cutoff), "due": due})
    removed = Removable(0, 0, 0)
    batches = BatchSize(batch_size or _FIRST_BATCH, _LARGEST_BATCH, _LOCK_SECONDS)
    after = None
    while True:
        with installation.change(actor) as unit:
            began = perf_counter()
            allowed = min(cutoff, retention_cutoff(unit.tx.profiles().retention, unit.now))
            batch, after = unit.tx.remove_ended(
                allowed, batches.size, after, keep_unacknowledged=keep_unacknowledged, archive=archive
            )
        took = perf_counter() - began
        sleep(BREATH_SECONDS)
        removed = Removable(*map(sum, zip(removed, batch, strict=True)))
        progress(removed.total, due)
        if after is None:
            break
        if batch_size is None:
            batches.learn(took)
    for step in _UPKEEP:
        while _done(installation, actor, step):
            sleep(BREATH_SECONDS)
    with installation.change(actor) as unit:
        unit.tx.remove_unnamed_revocations()
        unit.tx.remove_continuity(min(cutoff, retention_cutoff(unit.tx.profiles().retention, unit.now)))
        unit.tx.forget_old_logins(unit.tx.profiles().logins_since(unit.now))
        unit.record("cleanup.done", detail={"cutoff": format_instant(cutoff), "removed": removed._asdict()})
    return removed


_UPKEEP: tuple[Callable[[Change], int], ...] = (lambda tx: tx.catch_up(), lambda tx: tx.give_back())
"""What the store does for itself, step by step until nothing is left: its search index, and room for the disk."""


def _done(installation: Installation, actor: str | None, step: Callable[[Change], int]) -> int:
    with installation.change(actor) as unit:
        return step(unit.tx)
