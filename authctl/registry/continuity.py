"""Continuity events: keep the sessions of profiles that allow it active during an outage.

See docs/glossary.md#continuity-event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound, Refused
from authctl.instants import NEVER, format_instant, format_second, given_instant
from authctl.model import ContinuityEvent, Profile, ProfileSet
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from authctl.store.protocol import View


class ContinuityState(NamedTuple):
    """A continuity event, with the number of sessions that it keeps active."""

    event: ContinuityEvent
    held_sessions: int
    """Sessions that are active only because of the event: they end with it, unless they are used before."""


class Continuity:
    """The continuity events of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def status(self) -> tuple[ContinuityState, ...]:
        """The continuity events that are running, with the number of sessions past their deadline that each keeps active."""
        with self._installation.snapshot() as (view, now):
            return _states(view, _unended(view, now), now)

    def start(
        self,
        profiles: Sequence[str] = (),
        *,
        note: str | None,
        until: int | datetime | None = None,
        actor: str | None = None,
    ) -> tuple[ContinuityState, ...]:
        """Keep the sessions of those profiles, or of all that allow it, active until the event ends: at `until`, or by `end`.

        Sessions that are active now, or are registered meanwhile, stay active beyond their deadlines. Revocations and hard ends still end them.
        Raises Refused without a note, where a profile does not allow it, or where an event of the profile is running; NotFound for a
        profile that rules no session; InvalidInput for an `until` that has passed.
        """
        note = names.note(note)
        until = given_instant(until, "until")
        with self._installation.change(actor) as unit:
            if until is not None and until <= unit.now:
                raise InvalidInput(f"a continuity event cannot end before it begins: {format_second(until)}")
            # A withdrawn profile counts, too: its sessions need to survive the outage like others.
            chosen = _profiles_that_allow(unit.tx.profiles(), profiles)
            _check_none_runs(unit, chosen)
            for profile in chosen:
                unit.tx.start_continuity(profile.name, unit.now, until or NEVER, unit.actor, note)
            detail = {"profiles": [p.name for p in chosen], "until": format_instant(until) if until else None}
            unit.record("continuity.start", note=note, detail=detail)
            # Read back with their numbers, which the database gave.
            started = {names.fold(event.profile): event for event in _unended(unit.tx, unit.now)}
        return tuple(ContinuityState(started[names.fold(profile.name)], 0) for profile in chosen)

    def end(
        self, profiles: Sequence[str] = (), *, note: str | None, actor: str | None = None
    ) -> tuple[ContinuityState, ...]:
        """End the events of those profiles, or all events: sessions past their deadline expire now.

        Raises Refused without a note, NotFound where none is running.
        """
        note = names.note(note)
        with self._installation.change(actor) as unit:
            states = _states(unit.tx, _events_to_end(unit, profiles), unit.now)
            for state in states:
                unit.tx.end_continuity(state.event.id, unit.now, unit.actor, note)
            detail: dict[str, Any] = {"profiles": {state.event.profile: state.held_sessions for state in states}}
            unit.record("continuity.end", note=note, detail=detail)
            ended = {event.id: event for event in unit.tx.continuity_events()}
        return tuple(ContinuityState(ended[state.event.id], state.held_sessions) for state in states)


def end_forbidden_events(unit: UnitOfWork, profiles: ProfileSet, note: str) -> dict[str, int]:
    """End the events of profiles that no longer allow one; these profiles, with the number of sessions that each event held."""
    # decision 44: an event belongs to the profiles for which it began, and a profile may forbid it later
    ended = {}
    for event in _unended(unit.tx, unit.now):
        profile = profiles.get(event.profile)
        if profile is not None and not profile.continuity:
            ended[event.profile] = unit.tx.held_by_continuity(event.profile, unit.now)
            unit.tx.end_continuity(event.id, unit.now, unit.actor, note)
    return ended


def _profiles_that_allow(profiles: ProfileSet, wanted: Sequence[str]) -> list[Profile]:
    """The profiles of those names, or all that allow continuity; withdrawn ones rule sessions, too."""
    if wanted:
        named = [_profile_that_allows(profiles, name) for name in wanted]
        return list({profile.name: profile for profile in named}.values())
    chosen = [profile for profile in profiles.with_sessions.values() if _allows(profiles, profile)]
    if not chosen:
        raise Refused("no profile allows continuity", "give a profile continuity: true, and apply it")
    return chosen


def _profile_that_allows(profiles: ProfileSet, name: str) -> Profile:
    profile = profiles.get(names.profile_name(name))
    if profile is None:
        raise NotFound(f"no profile {names.quoted(name)}", "to see all profiles: authctl profiles list")
    if profile.continuity and not _allows(profiles, profile):
        raise Refused(
            f"profile {names.quoted(profile.name)} does not allow continuity before it has reached all sessions"
        )
    if not profile.continuity:
        message = f"profile {names.quoted(profile.name)} does not allow continuity"
        raise Refused(message, "write continuity: true in this profile, then: authctl profiles apply --note WHY")
    return profile


def _allows(profiles: ProfileSet, profile: Profile) -> bool:
    """Whether every session of a profile may be held, also those that it has not reached yet."""
    # decision 176: during a changeover a session may still be judged by its former profile
    former = profiles.changeover and profiles.changeover.before.get(profile.name)
    return profile.continuity and (former is None or former.continuity)


def _check_none_runs(unit: UnitOfWork, profiles: Sequence[Profile]) -> None:
    """Raise Refused where an event of one of the profiles is not over."""
    running = {names.fold(event.profile): event for event in _unended(unit.tx, unit.now)}
    for profile in profiles:
        if event := running.get(names.fold(profile.name)):
            since = format_second(event.started_at)
            message = f"profile {names.quoted(profile.name)} already has a continuity event, since {since}"
            raise Refused(message, "to see it: authctl continuity status")


def _events_to_end(unit: UnitOfWork, profiles: Sequence[str]) -> list[ContinuityEvent]:
    """The events of those profiles, or all that are not over. Raises NotFound."""
    keys = {names.fold(names.profile_name(name)): name for name in profiles}
    unended = _unended(unit.tx, unit.now)
    for key, name in keys.items():
        if key not in {names.fold(event.profile) for event in unended}:
            raise NotFound(f"profile {names.quoted(name)} has no continuity event")
    ending = [event for event in unended if not keys or names.fold(event.profile) in keys]
    if not ending:
        raise NotFound("no continuity event is running")
    return ending


def _unended(view: View, now: int) -> list[ContinuityEvent]:
    """The events that are not over: one for each profile, or more if the clock was set back before the end of an earlier one."""
    return [event for event in view.continuity_events() if not event.is_over(now)]


def _states(view: View, events: Sequence[ContinuityEvent], now: int) -> tuple[ContinuityState, ...]:
    return tuple(
        ContinuityState(e, view.held_by_continuity(e.profile, now) if e.is_running(now) else 0) for e in events
    )
