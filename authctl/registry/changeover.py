"""The changeover of sessions to new profiles, in batches: begin it, carry it on, and complete one that was interrupted.

See docs/glossary.md#changeover.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from authctl.errors import AuthctlError
from authctl.instants import format_second
from authctl.model import Changeover, EventFilter, OnRevoke, PairRules, Profile, ProfileSet
from authctl.names import fold
from authctl.registry.batches import BatchSize, Progress, no_progress, work_in_batches
from authctl.registry.unit_of_work import AUTHCTL, UnitOfWork
from authctl.store.protocol.profiles import DeadlineChanges

if TYPE_CHECKING:
    from authctl.registry.installation import Installation
    from authctl.store.protocol import View
    from authctl.store.protocol.profiles import NumberRange

_FIRST_BATCH = 200
_LARGEST_BATCH = 50_000
_LOCK_SECONDS = 0.06
_MOST_ENDS = 1_000

_TIGHTER, _OTHER = 1, 2
"""The stages: profiles of which anything gets tighter, and the others."""


def begin(unit: UnitOfWork, before: ProfileSet, wanted: ProfileSet, ended: int) -> int:
    """Begin the changeover to other profiles, after its event was recorded; end it at once if no session needs a change.

    `ended` is the number of sessions that ended already, with their continuity event. Returns the number of the event.
    """
    # decision 175: the tighter profiles go first, since their sessions may have to end
    stages = _stages(before, wanted)
    event = unit.recorded[-1].seq
    last = unit.tx.move_counters().last_number
    counts = DeadlineChanges(0, 0, ended)
    if stages and last:
        unit.tx.save_changeover(Changeover(before, stages, min(stages.values()), 0, last, event), counts)
    else:
        _record_end(unit, event, counts)
    return event


def carry_on(installation: Installation, actor: str | None, progress: Progress = no_progress) -> None:
    """Carry the present changeover on, batch by batch, until it has reached all sessions. Does nothing if there is none."""
    size = BatchSize(_FIRST_BATCH, _LARGEST_BATCH, _LOCK_SECONDS)
    work_in_batches(size, lambda number: _change_batch(installation, actor, number, progress))
    with installation.change(actor, completes=False) as unit:
        changeover = unit.tx.profiles().changeover
        if changeover is not None and changeover.is_complete:
            _record_end(unit, changeover.event, unit.tx.changeover_counts())
            unit.tx.end_changeover()


def complete_interrupted(installation: Installation) -> None:
    """Complete a changeover whose process was killed. One that is at work is left to its process, and an error is a warning."""
    # decision 178: a killed process must not leave sessions under old profiles; its lock ended with it, so nobody needs
    # to guess
    try:
        with installation.store.alone() as is_alone:
            if is_alone:
                installation.warn(
                    "completing profiles that were not applied to all sessions: the command was interrupted"
                )
                carry_on(installation, AUTHCTL)
    except AuthctlError as error:
        installation.warn(f"done, but the profiles in force have not reached all sessions yet: {error.message}")


def unfinished(view: View) -> str | None:
    """The sentence about an unfinished changeover, with who began it; None if there is none."""
    changeover = view.profiles().changeover
    if changeover is None:
        return None
    began = view.event(changeover.event)
    by = f" that {began.actor} applied at {format_second(began.at)}" if began else ""
    return f"the profiles{by} have not reached all sessions yet"


def counts_of(installation: Installation, event: int) -> DeadlineChanges:
    """The counts of the changeover that began with that event, and is complete."""
    with installation.snapshot() as (view, _now):
        began = view.event(event)
        ends = view.events(EventFilter(action="profile.done", since=began and began.at), _MOST_ENDS)
    details = (json.loads(end.detail) for end in ends)
    counts = next(detail for detail in details if detail["event"] == event)
    return DeadlineChanges(counts["shortened"], counts["lengthened"], counts["ended"])


def total(changes: Iterable[DeadlineChanges]) -> DeadlineChanges:
    """The sums of some counts."""
    return DeadlineChanges(*map(sum, zip(DeadlineChanges(0, 0, 0), *changes, strict=True)))


def copied_settings(profile: Profile | None) -> tuple[bool, OnRevoke] | None:
    """The settings of a profile that are copied to its sessions: whether it has conditions, and its `on_revoke`."""
    return None if profile is None else (profile.conditions is not None, profile.on_revoke)


def _change_batch(installation: Installation, actor: str | None, size: int, progress: Progress) -> float | None:
    """Change the next sessions over; the seconds for which the lock was held, or None if there was nothing to change.

    Not synced: a changeover that a power cut sets back by some batches is still unfinished.
    """
    with installation.change(actor, synced=False, completes=False) as unit:
        began = perf_counter()
        profiles = unit.tx.profiles()
        changeover = profiles.changeover
        if changeover is None or changeover.is_complete:
            return None
        numbers = unit.tx.range_of_sessions(changeover.done, changeover.last, size)
        counts = _change_sessions(unit, profiles, changeover, numbers)
        after = changeover.advanced(numbers.until)
        unit.tx.save_changeover(after, counts)
        # Otherwise sessions that ended now would be active again if the clock is set back.
        unit.tx.record_time(unit.now)
    progress(after.done + (after.stage - 1) * after.last, max(after.stages.values()) * after.last)
    return perf_counter() - began


def _change_sessions(
    unit: UnitOfWork, profiles: ProfileSet, changeover: Changeover, numbers: NumberRange
) -> DeadlineChanges:
    """Give new deadlines and copied settings to the sessions of a range whose profiles have their turn; the counts of them."""
    turn = {n: p for n, p in profiles.profiles.items() if changeover.stages.get(fold(n)) == changeover.stage}
    changes = unit.tx.recompute_deadlines(profiles._replace(profiles=turn), unit.now, numbers)
    recopied = [p for n, p in turn.items() if copied_settings(p) != copied_settings(changeover.before.get(n))]
    if recopied:
        unit.tx.copy_profile_rules(recopied, numbers)
    return total(changes.values())


def _stages(before: ProfileSet, wanted: ProfileSet) -> dict[str, int]:
    """The stage of each profile whose sessions need a change, by its folded key."""
    return {
        fold(name): _TIGHTER if _is_tighter(old, new) else _OTHER
        for name, new in wanted.profiles.items()
        if (old := before.get(name)) and _written_settings(old) != _written_settings(new)
    }


def _written_settings(profile: Profile) -> tuple[Any, ...]:
    """The settings from which the rows of sessions are computed."""
    return (profile.timeouts, _access_lifetime(profile), copied_settings(profile))


def _is_tighter(old: Profile, new: Profile) -> bool:
    return (
        new.idle_timeout < old.idle_timeout
        or new.absolute_timeout < old.absolute_timeout
        or new.slide_after > old.slide_after
        or _access_lifetime(new) < _access_lifetime(old)
        or new.continuity < old.continuity
        # Conditions that differ may refuse a use that the old ones allowed; no conditions refuse nothing.
        or new.conditions not in (None, old.conditions)
    )


def _access_lifetime(profile: Profile) -> int:
    return (profile.pair or PairRules()).access_lifetime


def _record_end(unit: UnitOfWork, event: int, counts: DeadlineChanges) -> None:
    """Record that a changeover is complete, with the actor who applied the profiles, also if another one completed it."""
    began = unit.tx.event(event)
    assert began is not None
    detail: dict[str, Any] = {"event": event, **counts._asdict()}
    if began.actor != unit.actor:
        detail["completed_by"] = unit.actor
    unit.record("profile.done", note=began.note, detail=detail, actor=began.actor)
