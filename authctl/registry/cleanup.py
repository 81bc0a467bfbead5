"""Cleanup: remove the sessions whose retention is over. Only one other command removes sessions: `imports undo`.

See docs/glossary.md#retention.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from authctl.errors import InvalidInput, Refused
from authctl.instants import CLOCK_JUMP, Duration, format_instant
from authctl.lifetimes import retention_cutoff
from authctl.model import SessionFilter
from authctl.registry.backlog import CLEANUP_DUE, Backlog, backlog_of, cutoff_of
from authctl.registry.batches import BatchSize, Progress, no_progress, work_in_batches
from authctl.registry.clock import check_clock
from authctl.registry.giving_up import give_up
from authctl.registry.installation import Installation
from authctl.registry.journals import drop_journals
from authctl.registry.unit_of_work import UnitOfWork, actor_name
from authctl.store.protocol.cleanup import Archive, Removable, RemovalPlace

if TYPE_CHECKING:
    from authctl.store.protocol import Change, View

_FIRST_BATCH = 500
_LARGEST_BATCH = 20_000
_STEP_SECONDS = 0.12
"""How long a step may take, with the lock in its first part, and then until the disk has it (decision 324)."""


class CleanupOutcome(NamedTuple):
    """The sessions that a cleanup removed, or would remove, by status."""

    cutoff: int
    """Sessions whose end lies before this instant are removed."""
    retention: str
    removed: int
    expired: int
    revoked: int
    unacknowledged: int
    """The revoked sessions whose applications never acknowledged their wipe."""
    dry_run: bool


class Cleanup:
    """The cleanup of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def backlog(
        self, *, max_age: int = CLEANUP_DUE, older_than: Duration | None = None, keep_unacknowledged: bool = False
    ) -> Backlog:
        """The sessions that `run` would remove, and whether one of them waits for longer than `max_age`. Raises as `run`."""
        # decision 287: by the oldest session that waits, and not by the last run, which may have been stopped
        with self._installation.snapshot() as (view, now):
            return backlog_of(view, now, max_age, older_than, keep_unacknowledged=keep_unacknowledged)

    def run(
        self,
        *,
        older_than: Duration | None = None,
        dry_run: bool = False,
        batch_size: int | None = None,
        keep_unacknowledged: bool = False,
        accept_clock_jump: bool = False,
        archive: Archive | None = None,
        actor: str | None = None,
        progress: Progress = no_progress,
    ) -> CleanupOutcome:
        """Remove the sessions that ended before the retention in force, or before a longer `older_than`.

        In batches that hold the lock for about 80 ms; two may run at once, and the next run completes one that was killed.
        `keep_unacknowledged` keeps revoked sessions whose wipe was not acknowledged. `archive` is given each batch before it is removed,
        inside the transaction: if it raises, the batch is kept. Raises Refused when `older_than` is shorter than the retention, where
        the clock is behind, and, unless `accept_clock_jump`, when more than half of all sessions would be removed though nothing was
        recorded for seven months: the clock may be ahead.
        """
        if batch_size is not None and batch_size < 1:
            raise InvalidInput(f"a batch needs at least one session, not {batch_size}")
        actor_name(actor)  # a name that cannot be recorded is refused by a dry run, too
        with self._installation.snapshot() as (view, now):
            cutoff = cutoff_of(view, now, older_than)
            due = view.ended_before(cutoff, keep_unacknowledged=keep_unacknowledged)
            # decision 87: the recorded time may be wrong, and sessions would be removed too early
            check_clock(self._installation.clock.now(), now)
            if not accept_clock_jump:
                _check_clock_jump(view, now, due.total)
            retention = str(view.profiles().retention)
        if not dry_run:
            give_up(self._installation)
            removal = _Removal(self._installation, actor, cutoff, keep_unacknowledged, archive)
            removal.begin(due.total, accept_clock_jump=accept_clock_jump)
            due = removal.remove(due.total, batch_size, progress)
            removal.finish(due)
        return CleanupOutcome(cutoff, retention, due.total, *due, dry_run)


def _check_clock_jump(view: View, now: int, due: int) -> None:
    """Raise Refused where the clock may have jumped ahead: nothing was recorded for months, and most sessions would be removed."""
    # With a clock that is a year ahead, the retention of every ended session would be over at once. A registry that was
    # not used for long looks the same, so that the share of sessions decides.
    if now - view.recorded_time() <= CLOCK_JUMP and view.last_clock_jump() is None:
        return
    everything = view.count(SessionFilter(), now)
    # decision 88: the jump is remembered, because one event at the wrong time would hide it
    if due * 2 > everything:
        message = f"{due:,} of {everything:,} sessions would be deleted, and the clock went ahead by more than seven months at once"
        raise Refused(message, "correct the clock; if it is right: authctl cleanup --accept-clock-jump")


@dataclass(slots=True)
class _Removal:
    """The removal of the sessions that ended before an instant: an event at its beginning, batches, and an event at its end."""

    installation: Installation
    actor: str | None
    cutoff: int
    keep_unacknowledged: bool
    archive: Archive | None

    def begin(self, due: int, *, accept_clock_jump: bool) -> None:
        """Record that so many sessions are going to be removed. Raises Refused where the clock is behind."""
        with self.installation.change(self.actor) as unit:
            unit.check_clock()
            if accept_clock_jump:
                unit.tx.set_recorded_time(unit.now)
            unit.tx.begin_removal(due)
            unit.record("cleanup.run", detail={"cutoff": format_instant(self.cutoff), "due": due})

    def remove(self, due: int, batch_size: int | None, progress: Progress) -> Removable:
        """Remove the sessions batch by batch, of that size or of one that is learned; the sessions that were removed."""
        removed = Removable(0, 0, 0)
        after: RemovalPlace | None = None

        def remove_batch(size: int) -> float | None:
            nonlocal removed, after
            batch, after, seconds = self._remove_batch(batch_size or size, after)
            removed = Removable(*map(sum, zip(removed, batch, strict=True)))
            progress(removed.total, due)
            return None if after is None else seconds

        work_in_batches(BatchSize(_FIRST_BATCH, _LARGEST_BATCH, _STEP_SECONDS, least=_FIRST_BATCH), remove_batch)
        return removed

    def finish(self, removed: Removable) -> None:
        """Remove rows that no session needs any more, let the store do its upkeep, and record the number of removed sessions."""
        for upkeep, first, largest in _UPKEEP:
            work_in_batches(BatchSize(first, largest, _STEP_SECONDS, least=first), partial(self._do_upkeep, upkeep))
        drop_journals(self.installation, self.actor)
        with self.installation.change(self.actor) as unit:
            unit.tx.remove_imports(self._allowed_cutoff(unit))
            unit.tx.forget_announcements(self._allowed_cutoff(unit))
            unit.tx.remove_continuity(self._allowed_cutoff(unit))
            unit.tx.remove_complete_listings(self._allowed_cutoff(unit))
            unit.tx.end_removal()
            unit.tx.forget_old_logins(unit.tx.profiles().logins_since(unit.now))
            detail = {"cutoff": format_instant(self.cutoff), "removed": removed._asdict()}
            unit.record("cleanup.done", detail=detail)

    def _remove_batch(self, size: int, after: RemovalPlace | None) -> tuple[Removable, RemovalPlace | None, float]:
        """Remove one batch; the place that the next one follows, and the seconds for which the lock was held."""
        # decision 325: not synced one by one, since `finish` syncs them all; a power cut leaves the last ones to the next run
        with self.installation.change(self.actor, synced=False, step=True) as unit:
            batch, after = unit.tx.remove_ended(
                self._allowed_cutoff(unit),
                size,
                after,
                keep_unacknowledged=self.keep_unacknowledged,
                archive=self.archive,
            )
        return batch, after, unit.tx.held_seconds

    def _allowed_cutoff(self, unit: UnitOfWork) -> int:
        """The cutoff, or an earlier one if the retention was lengthened meanwhile: each batch asks again."""
        return min(self.cutoff, retention_cutoff(unit.tx.profiles().retention, unit.now))

    def _do_upkeep(self, upkeep: Callable[[Change, int], int], most: int) -> float | None:
        """Do one step of an upkeep; the seconds for which the lock was held, or None where nothing was left to do."""
        with self.installation.change(self.actor, synced=False, step=True) as unit:
            done = upkeep(unit.tx, most)
        return unit.tx.held_seconds if done else None


_UPKEEP: tuple[tuple[Callable[[Change, int], int], int, int], ...] = (
    (lambda tx, most: tx.remove_unnamed_revocations(most), 1_000, 5_000),
    (lambda tx, most: tx.extend_search_index(most), 1_000, 8_000),
    (lambda tx, most: tx.return_free_space(most), 250, 4_000),
)
"""The upkeep, step by step until nothing is left, each with its first and its largest step; the first is also the least.

First revocations that no session names any more, then sessions for the store's search index, then units of free space for the disk.
"""
