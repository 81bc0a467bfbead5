"""Putting profiles in force, and what that does to active sessions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.model import Caller, OnRevoke, Profile, ProfileSet, Session, SessionFilter, Status
from authctl.registry.continuity import let_go
from authctl.registry.installation import Installation
from authctl.registry.sessions import pages
from authctl.registry.tokens.checks import unmet_condition
from authctl.registry.unit_of_work import actor_name
from authctl.store.base import View
from authctl.store.values import DeadlineChanges

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview


class ApplyOutcome(NamedTuple):
    """What applying profiles changed, or would; counts are of active sessions."""

    profiles: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    withdrawn: tuple[str, ...]
    shortened: int
    lengthened: int
    ended: int
    unmet: int
    """Those whose sign-in does not meet conditions that are new; they are refused while they come from there, with that."""
    dry_run: bool


class ProfileDifference(NamedTuple):
    """What applying a file would mean for one profile; counts are of active sessions."""

    name: str
    change: str
    """added, changed, unchanged or withdrawn"""
    before: Profile | None
    after: Profile | None
    shortened: int
    lengthened: int
    ended: int
    unmet: int
    """Those whose sign-in would not meet conditions that are new; they are refused while they come from there, with that."""

    def fields(self) -> dict[str, list[Any]]:
        """The fields that differ, each with what it was and what it would be."""
        old, new = ({} if one is None else one.to_document() for one in (self.before, self.after))
        names_of = dict.fromkeys([*old, *new])
        return {name: [old.get(name), new.get(name)] for name in names_of if old.get(name) != new.get(name)}


class ApplyPreview(NamedTuple):
    """What applying a file would change, and the active sessions that it would end, as of one instant."""

    settings: Mapping[str, tuple[Any, Any]]
    """What changes besides the profiles, as `Registry.diff_settings` has it."""
    differences: tuple[ProfileDifference, ...]
    ending: "Preview"


_NOTHING = DeadlineChanges(0, 0, 0)


def in_force(installation: Installation) -> ProfileSet:
    """See `Registry.profiles`."""
    with installation.snapshot() as (view, _now):
        return view.profiles()


def changed_settings(installation: Installation, wanted: ProfileSet) -> dict[str, tuple[Any, Any]]:
    """See `Registry.diff_settings`."""
    with installation.snapshot() as (view, _now):
        return _settings(view.profiles(), wanted)


def _settings(before: ProfileSet, wanted: ProfileSet) -> dict[str, tuple[Any, Any]]:
    old, new = before.to_document(), wanted.to_document()
    settings = ("retention", "default_profile", "assignments")
    return {name: (old[name], new[name]) for name in settings if old[name] != new[name]}


def apply(
    installation: Installation,
    wanted: ProfileSet,
    *,
    note: str | None,
    actor: str | None,
    dry_run: bool,
    bound: "Bound | None",
) -> ApplyOutcome:
    """See `Registry.apply_profiles`."""
    if dry_run:
        actor_name(actor)
        with installation.snapshot() as (view, now):
            before = view.profiles()
            complete = _with_withdrawn(wanted, before)
            cut_off = _all_unmet(view, now, before, wanted)
            return _outcome(before, complete, view.deadline_changes(complete, now), cut_off, dry_run=True)
    note = names.note(note)
    with installation.snapshot() as (view, now):  # outside the lock, since it reads every session that is concerned
        cut_off = _all_unmet(view, now, view.profiles(), wanted)
    with installation.change(actor) as unit:
        before = unit.tx.profiles()
        complete = _with_withdrawn(wanted, before)
        if bound is not None:
            bound.check(unit.tx.ended_by(complete, unit.now), "would end")
        outcome = _outcome(before, complete, unit.tx.recompute_deadlines(complete, unit.now), cut_off, dry_run=False)
        unit.tx.save_profiles(complete)
        unit.tx.mark(
            [profile for name, profile in complete.profiles.items() if _marks(profile) != _marks(before.get(name))]
        )
        unit.tx.forget_old_logins(complete.logins_since(unit.now))
        detail: dict[str, Any] = {"in_force": complete.to_document()}
        detail |= {"shortened": outcome.shortened, "lengthened": outcome.lengthened, "ended": outcome.ended}
        if gone := let_go(unit, complete, note):
            detail["continuity_ended"] = gone
        unit.record("profile.apply", note=note, detail=detail)
    return outcome


def _marks(profile: Profile | None) -> tuple[bool, OnRevoke] | None:
    """What the sessions of a profile carry of it."""
    return None if profile is None else (profile.conditions is not None, profile.on_revoke)


def preview(installation: Installation, wanted: ProfileSet) -> ApplyPreview:
    """See `Registry.preview_profiles`."""
    from authctl.registry.previews import preview_of

    with installation.snapshot() as (view, now):
        before = view.profiles()
        complete = _with_withdrawn(wanted, before)
        changes = view.deadline_changes(complete, now)
        unmet = _all_unmet(view, now, before, wanted)
        ending = preview_of(view, view.ended_by(complete, now), now)
    return ApplyPreview(_settings(before, wanted), _differences(before, wanted, complete, changes, unmet), ending)


def diff(installation: Installation, wanted: ProfileSet) -> tuple[ProfileDifference, ...]:
    """See `Registry.diff_profiles`."""
    with installation.snapshot() as (view, now):
        before = view.profiles()
        complete = _with_withdrawn(wanted, before)
        changes = view.deadline_changes(complete, now)
        unmet = _all_unmet(view, now, before, wanted)
    return _differences(before, wanted, complete, changes, unmet)


def _differences(
    before: ProfileSet,
    wanted: ProfileSet,
    complete: ProfileSet,
    changes: Mapping[str, DeadlineChanges],
    unmet: Mapping[str, int],
) -> tuple[ProfileDifference, ...]:
    gone = (name for name in before.profiles if name in complete.withdrawn)
    return tuple(
        _difference(name, before, wanted, changes.get(name, _NOTHING), unmet.get(name, 0))
        for name in (*wanted.profiles, *gone)
    )


def _all_unmet(view: View, now: int, before: ProfileSet, wanted: ProfileSet) -> dict[str, int]:
    return {name: _unmet(view, now, before.get(name), profile) for name, profile in wanted.profiles.items()}


def _unmet(view: View, now: int, before: Profile | None, profile: Profile) -> int:
    """How many active sessions' sign-in would not meet the conditions of their profile, where these are new."""
    if profile.conditions is None or (before is not None and before.conditions == profile.conditions):
        return 0
    active = SessionFilter(profile=profile.name, status=Status.ACTIVE)
    return sum(unmet_condition(profile, _signed_in(session)) is not None for session in pages(view, active, now))


def _signed_in(session: Session) -> Caller:
    """The facts that were known at the sign-in of a session."""
    return Caller(session.application, session.application_version, session.platform, session.ip, session.referrer)


def _difference(
    name: str, before: ProfileSet, wanted: ProfileSet, living: DeadlineChanges, unmet: int
) -> ProfileDifference:
    old, new = _before(before, name), wanted.profiles.get(name)
    if new is None:
        change = "withdrawn"
    elif old is None:
        change = "added"
    else:
        change = "unchanged" if old == new else "changed"
    return ProfileDifference(name, change, old, new, living.shortened, living.lengthened, living.ended, unmet)


def _with_withdrawn(wanted: ProfileSet, before: ProfileSet) -> ProfileSet:
    """Profiles that left the file go on ruling the sessions they have, and take no new ones."""
    old = {**before.withdrawn, **before.profiles}
    return wanted._replace(withdrawn={name: p for name, p in old.items() if not wanted.in_force(name)})


def _before(before: ProfileSet, name: str) -> Profile | None:
    """The profile in force until now of that name, as it would be called from now on."""
    found = before.in_force(name)
    return found._replace(name=name) if found else None


def _outcome(
    before: ProfileSet,
    complete: ProfileSet,
    changes: dict[str, DeadlineChanges],
    unmet: dict[str, int],
    *,
    dry_run: bool,
) -> ApplyOutcome:
    known = {name: old for name in complete.profiles if (old := _before(before, name))}
    return ApplyOutcome(
        profiles=tuple(complete.profiles),
        added=tuple(name for name in complete.profiles if name not in known),
        changed=tuple(name for name, profile in known.items() if complete.profiles[name] != profile),
        withdrawn=tuple(name for name in before.profiles if name in complete.withdrawn),
        shortened=sum(c.shortened for c in changes.values()),
        lengthened=sum(c.lengthened for c in changes.values()),
        ended=sum(c.ended for c in changes.values()),
        unmet=sum(unmet.values()),
        dry_run=dry_run,
    )
