"""Profiles: read those in force, compare them with others, and apply others; active sessions get new deadlines then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.model import Caller, Profile, ProfileSet, Session, SessionFilter, Status
from authctl.registry.batches import Progress, no_progress
from authctl.registry.changeover import begin, carry_on, counts_of, total, unfinished
from authctl.registry.continuity import end_forbidden_events
from authctl.registry.installation import Installation
from authctl.registry.sessions import pages
from authctl.registry.tokens.checks import unmet_condition
from authctl.registry.unit_of_work import UnitOfWork, actor_name
from authctl.store.protocol.profiles import DeadlineChanges

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview
    from authctl.store.protocol import View
    from authctl.store.protocol.cursors import MoveCounters


class ApplyOutcome(NamedTuple):
    """The outcome of applying profiles, or of its dry run; counts are of active sessions."""

    profiles: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    withdrawn: tuple[str, ...]
    shortened: int
    lengthened: int
    ended: int
    unmet_conditions: int
    """Sessions whose sign-in does not meet new conditions: they are refused while their facts stay the same."""
    dry_run: bool


class ProfileDifference(NamedTuple):
    """The difference that other profiles make to one profile; counts are of active sessions."""

    name: str
    change: str
    """added, changed, unchanged or withdrawn"""
    before: Profile | None
    after: Profile | None
    shortened: int
    lengthened: int
    ended: int
    unmet_conditions: int
    """Sessions whose sign-in would not meet new conditions: they would be refused while their facts stay the same."""

    def fields(self) -> dict[str, list[Any]]:
        """The fields that differ, each with its value before and after."""
        old, new = ({} if profile is None else profile.to_document() for profile in (self.before, self.after))
        names_of = dict.fromkeys([*old, *new])
        return {name: [old.get(name), new.get(name)] for name in names_of if old.get(name) != new.get(name)}


class ApplyPreview(NamedTuple):
    """The changes that applying profiles would make, and the active sessions that it would end, as of one instant."""

    settings: Mapping[str, tuple[Any, Any]]
    """The settings besides the profiles that would change, as `Profiles.diff_settings` returns them."""
    differences: tuple[ProfileDifference, ...]
    ending: Preview


_NO_CHANGES = DeadlineChanges(0, 0, 0)


class Profiles:
    """The profiles in force in a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def in_force(self) -> ProfileSet:
        """The profiles in force."""
        with self._installation.snapshot() as (view, _now):
            return view.profiles()

    def unfinished(self) -> str | None:
        """The sentence about new profiles that have not reached all sessions yet; None if they have."""
        with self._installation.snapshot() as (view, _now):
            return unfinished(view)

    def diff_settings(self, wanted: ProfileSet) -> dict[str, tuple[Any, Any]]:
        """The settings besides the profiles that would change: retention, default profile and assignments, before and after."""
        return _changed_settings(self.in_force(), wanted)

    def diff(self, wanted: ProfileSet) -> tuple[ProfileDifference, ...]:
        """The changes that `apply` would make, by profile, with the number of active sessions that they concern."""
        with self._installation.snapshot() as (view, now):
            return _differences(view, wanted, now)

    def preview(self, wanted: ProfileSet) -> ApplyPreview:
        """The changes that `apply` would make, and the active sessions that it would end, with the bound for it."""
        from authctl.registry.previews import preview_of

        with self._installation.snapshot() as (view, now):
            before = view.profiles()
            ending = preview_of(view, view.ended_by(_with_withdrawn(wanted, before), now), now)
            return ApplyPreview(_changed_settings(before, wanted), _differences(view, wanted, now), ending)

    def apply(
        self,
        wanted: ProfileSet,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        bound: Bound | None = None,
        progress: Progress = no_progress,
    ) -> ApplyOutcome:
        """Put profiles in force, and change the active sessions over to them, in batches that hold the lock for about 60 ms.

        Until the call returns, each session is judged by its former profile or by its new one; afterwards by the new one. No ended
        session becomes active; a session whose new deadline has passed ends. `bound` is that of a preview, and is checked before
        the first batch. Raises Refused without a note, or when an active session would end that the bound does not allow. A killed
        call leaves a changeover that the next change of an administrator completes.
        """
        if dry_run:
            actor_name(actor)  # a name that cannot be recorded is refused by a dry run, too
            return self._preview_outcome(wanted)
        note = names.note(note)
        begun = None
        with self._installation.store.alone():  # changes meanwhile leave the changeover to this process
            while begun is None:  # another process may begin a changeover after the present one is complete
                carry_on(self._installation, actor)
                begun = self._begin(wanted, note, actor, bound)
            carry_on(self._installation, actor, progress)
        return _outcome(begun, counts_of(self._installation, begun.event), dry_run=False)

    def _begin(self, wanted: ProfileSet, note: str, actor: str | None, bound: Bound | None) -> _Begun | None:
        """Put profiles in force; None if a changeover is not complete."""
        with self._installation.snapshot() as (view, now):  # outside the lock, since it reads every session concerned
            unmet = _count_all_unmet(view, now, view.profiles(), wanted)
            since = view.move_counters()
            if bound is not None:
                bound.check(view.ended_by(_with_withdrawn(wanted, view.profiles()), now), "would end")
        with self._installation.change(actor, completes=False) as unit:
            before = unit.tx.profiles()
            if before.changeover is not None:
                return None
            complete = _with_withdrawn(wanted, before)
            if bound is not None:
                _check_bound(unit, complete, bound, since)
            return _Begun(before, complete, unmet, _put_in_force(unit, before, complete, note))

    def _preview_outcome(self, wanted: ProfileSet) -> ApplyOutcome:
        with self._installation.snapshot() as (view, now):
            before = view.profiles()
            complete = _with_withdrawn(wanted, before)
            unmet = _count_all_unmet(view, now, before, wanted)
            counts = total(view.deadline_changes(complete, now).values())
            return _outcome(_Begun(before, complete, unmet, event=0), counts, dry_run=True)


class _Begun(NamedTuple):
    """A changeover that has begun, with the event that began it."""

    before: ProfileSet
    complete: ProfileSet
    unmet: Mapping[str, int]
    event: int


def _check_bound(unit: UnitOfWork, complete: ProfileSet, bound: Bound, since: MoveCounters) -> None:
    """Check the sessions that were moved or registered since the bound was checked outside the lock."""
    # decision 177
    # A session that an event holds ends with the event, although it did not move: then all are read.
    holds = any(event.is_running(unit.now) for event in unit.tx.continuity_events())
    if holds or bound.beyond(unit.tx.ended_by(complete, unit.now, since)):
        bound.check(unit.tx.ended_by(complete, unit.now), "would end")


def _put_in_force(unit: UnitOfWork, before: ProfileSet, complete: ProfileSet, note: str) -> int:
    """Put profiles in force and begin the changeover of their sessions; the number of the event."""
    unit.tx.save_profiles(complete)
    # decision 70: a cache that is removed and added again must not bring old logins back
    unit.tx.forget_old_logins(complete.logins_since(unit.now))
    detail: dict[str, Any] = {"in_force": complete.to_document()}
    if ended_events := end_forbidden_events(unit, complete, note):
        detail["continuity_ended"] = list(ended_events)
    unit.record("profile.apply", note=note, detail=detail)
    return begin(unit, before, complete, sum(ended_events.values()))


def _changed_settings(before: ProfileSet, wanted: ProfileSet) -> dict[str, tuple[Any, Any]]:
    old, new = before.to_document(), wanted.to_document()
    settings = ("retention", "default_profile", "assignments")
    return {name: (old[name], new[name]) for name in settings if old[name] != new[name]}


def _differences(view: View, wanted: ProfileSet, now: int) -> tuple[ProfileDifference, ...]:
    before = view.profiles()
    complete = _with_withdrawn(wanted, before)
    changes = view.deadline_changes(complete, now)
    unmet = _count_all_unmet(view, now, before, wanted)
    withdrawn = (name for name in before.profiles if name in complete.withdrawn)
    return tuple(
        _difference(name, before, wanted, changes.get(name, _NO_CHANGES), unmet.get(name, 0))
        for name in (*wanted.profiles, *withdrawn)
    )


def _count_all_unmet(view: View, now: int, before: ProfileSet, wanted: ProfileSet) -> dict[str, int]:
    return {name: _count_unmet(view, now, before.get(name), profile) for name, profile in wanted.profiles.items()}


def _count_unmet(view: View, now: int, before: Profile | None, profile: Profile) -> int:
    """The number of active sessions whose sign-in would not meet the conditions of their profile, where these are new."""
    # decision 58
    # Sessions that are refused already are not counted: the number tells whom this change newly refuses.
    if profile.conditions is None or (before is not None and before.conditions == profile.conditions):
        return 0
    active = SessionFilter(profile=profile.name, status=Status.ACTIVE)
    return sum(unmet_condition(profile, _signed_in(session)) is not None for session in pages(view, active, now))


def _signed_in(session: Session) -> Caller:
    """The facts that were known at the sign-in of a session."""
    return Caller(session.application, session.application_version, session.platform, session.ip, session.referrer)


def _difference(
    name: str, before: ProfileSet, wanted: ProfileSet, changes: DeadlineChanges, unmet: int
) -> ProfileDifference:
    old, new = _renamed(before, name), wanted.profiles.get(name)
    if new is None:
        change = "withdrawn"
    elif old is None:
        change = "added"
    else:
        change = "unchanged" if old == new else "changed"
    return ProfileDifference(name, change, old, new, changes.shortened, changes.lengthened, changes.ended, unmet)


def _with_withdrawn(wanted: ProfileSet, before: ProfileSet) -> ProfileSet:
    """Profiles with the withdrawn ones: those that left the file still rule their present sessions, and get no new ones."""
    # decision 7
    return wanted._replace(withdrawn={name: p for name, p in before.with_sessions.items() if not wanted.in_force(name)})


def _renamed(before: ProfileSet, name: str) -> Profile | None:
    """The profile of that name in force until now, with the name spelled as it will be."""
    profile = before.in_force(name)
    return profile._replace(name=name) if profile else None


def _outcome(begun: _Begun, counts: DeadlineChanges, *, dry_run: bool) -> ApplyOutcome:
    before, complete = begun.before, begun.complete
    known = {name: old for name in complete.profiles if (old := _renamed(before, name))}
    return ApplyOutcome(
        profiles=tuple(complete.profiles),
        added=tuple(name for name in complete.profiles if name not in known),
        changed=tuple(name for name, profile in known.items() if complete.profiles[name] != profile),
        withdrawn=tuple(name for name in before.profiles if name in complete.withdrawn),
        shortened=counts.shortened,
        lengthened=counts.lengthened,
        ended=counts.ended,
        unmet_conditions=sum(begun.unmet.values()),
        dry_run=dry_run,
    )
