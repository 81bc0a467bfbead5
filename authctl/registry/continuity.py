"""Continuity: holding the sessions of profiles that allow it through an outage.

See docs/glossary.md#continuity-event.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound, Refused
from authctl.instants import NEVER, format_instant, instant_of
from authctl.model import ContinuityEvent, Profile, ProfileSet
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import UnitOfWork
from authctl.store.base import View


class ContinuityState(NamedTuple):
    """A continuity event, and what it holds."""

    event: ContinuityEvent
    held: int
    """How many sessions are active only because of it: those that end when it does, unless they are used before."""


def start(
    installation: Installation,
    profiles: Sequence[str],
    *,
    until: int | datetime | None,
    note: str | None,
    actor: str | None,
) -> tuple[ContinuityState, ...]:
    """See `Registry.start_continuity`."""
    note = names.note(note)
    until = instant_of(until) if isinstance(until, datetime) else until
    with installation.change(actor) as unit:
        if until is not None and until <= unit.now:
            raise InvalidInput(f"a continuity event cannot end before it begins: {format_instant(until)}")
        running = {names.fold(event.profile): event for event in _unended(unit.tx, unit.now)}
        chosen = _allowing(unit.tx.profiles(), profiles)
        for profile in chosen:
            if event := running.get(names.fold(profile.name)):
                since = format_instant(event.started_at)
                what = f"a continuity event holds profile {names.quoted(profile.name)} since {since}"
                raise Refused(what, "to see it: authctl continuity status")
        for profile in chosen:
            unit.tx.start_continuity(profile.name, unit.now, until or NEVER, unit.actor, note)
        detail = {"profiles": [p.name for p in chosen], "until": format_instant(until) if until else None}
        unit.record("continuity.start", note=note, detail=detail)
        begun = {names.fold(event.profile): event for event in _unended(unit.tx, unit.now)}
    return tuple(ContinuityState(begun[names.fold(profile.name)], 0) for profile in chosen)


def _allowing(profiles: ProfileSet, wanted: Sequence[str]) -> list[Profile]:
    """The profiles that are meant: those named, or all that allow it; withdrawn ones rule sessions, too."""
    every = {**profiles.withdrawn, **profiles.profiles}
    if not wanted:
        chosen = [profile for profile in every.values() if profile.continuity]
        if not chosen:
            raise Refused("no profile allows continuity", "give a profile continuity: true, and apply it")
        return chosen
    chosen = []
    for name in wanted:
        profile = profiles.get(names.profile_name(name))
        if profile is None:
            raise NotFound(f"no profile {names.quoted(name)}", "to see them: authctl profiles list")
        if not profile.continuity:
            what = f"profile {names.quoted(profile.name)} does not allow continuity"
            raise Refused(what, "give it continuity: true, and apply it")
        chosen += [profile] if profile not in chosen else []
    return chosen


def end(
    installation: Installation, profiles: Sequence[str], *, note: str | None, actor: str | None
) -> tuple[ContinuityState, ...]:
    """See `Registry.end_continuity`."""
    note = names.note(note)
    keys = {names.fold(names.profile_name(name)): name for name in profiles}
    with installation.change(actor) as unit:
        unended = _unended(unit.tx, unit.now)
        for key, name in keys.items():
            if key not in {names.fold(event.profile) for event in unended}:
                raise NotFound(f"no continuity event holds profile {names.quoted(name)}")
        ending = [event for event in unended if not keys or names.fold(event.profile) in keys]
        if not ending:
            raise NotFound("no continuity event is running")
        states = _states(unit.tx, ending, unit.now)
        for event in ending:
            unit.tx.end_continuity(event.id, unit.now, unit.actor, note)
        detail: dict[str, Any] = {"profiles": {state.event.profile: state.held for state in states}}
        unit.record("continuity.end", note=note, detail=detail)
        ended = {event.id: event for event in unit.tx.continuity_events()}
    return tuple(ContinuityState(ended[state.event.id], state.held) for state in states)


def status(installation: Installation) -> tuple[ContinuityState, ...]:
    """See `Registry.continuity`."""
    with installation.snapshot() as (view, now):
        return _states(view, _unended(view, now), now)


def _unended(view: View, now: int) -> list[ContinuityEvent]:
    """The events that are not over: of each profile one, unless the clock was set back behind the end of an earlier one."""
    return [event for event in view.continuity_events() if not event.is_over(now)]


def _states(view: View, events: Sequence[ContinuityEvent], now: int) -> tuple[ContinuityState, ...]:
    return tuple(ContinuityState(e, view.held(e.profile, now) if e.is_running(now) else 0) for e in events)


def let_go(unit: UnitOfWork, profiles: ProfileSet, note: str) -> list[str]:
    """End the events of profiles that no longer allow one; the names of those."""
    gone = []
    for event in _unended(unit.tx, unit.now):
        profile = profiles.get(event.profile)
        if profile is not None and not profile.continuity:
            unit.tx.end_continuity(event.id, unit.now, unit.actor, note)
            gone.append(event.profile)
    return gone
