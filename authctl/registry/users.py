"""Disabling and enabling users, and what a changed password ends."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from authctl import names
from authctl.errors import NotFound
from authctl.lifetimes import PasswordRule, ends_on_password_change
from authctl.lookalikes import skeleton
from authctl.model import Group, Grouping, ProfileSet, Session, SessionFilter, Status, User
from authctl.registry.core import MOST_LISTED, Core, Unit, actor_name
from authctl.registry.sessions import pages
from authctl.store.base import View


class UserSessions(NamedTuple):
    """A user, with the sessions of every kind counted by status."""

    user: User
    sessions: Group


class UserOutcome(NamedTuple):
    """What a change to a user came to, or would; counts are of living sessions."""

    user: User
    at: int
    actor: str
    note: str | None
    changed: bool
    """False when the user was disabled, or enabled, before; the reason stays the first one's, then."""
    ended: int
    kept: int
    """Living sessions that the change does not end."""
    sessions: tuple[Session, ...]
    """Up to 1,000 of those that it ended, newest use first."""
    dry_run: bool


def users(core: Core) -> Iterator[UserSessions]:
    """See `Registry.users`."""
    with core.look() as (view, now):
        recorded = {names.fold(user.username): user for user in view.users()}
        found = view.groups(SessionFilter(), Grouping.USER, now)
    for group in found:
        username = group.group or ""
        yield UserSessions(recorded.pop(names.fold(username), User(username)), group)
    for user in recorded.values():
        yield UserSessions(user, _no_sessions(user))


def user(core: Core, username: str) -> UserSessions:
    """See `Registry.user`."""
    username = names.username(username)
    with core.look() as (view, now):
        recorded = view.user(username)
        found = view.groups(SessionFilter(username=username), Grouping.USER, now)
    if recorded is None and not found:
        raise NotFound(f"no user {names.quoted(username)}", "to see them: authctl users list")
    known = recorded or User(found[0].group or username)
    return UserSessions(known, found[0] if found else _no_sessions(known))


def _no_sessions(user: User) -> Group:
    return Group(user.username, 0, 0, 0, None)


def similar(core: Core, username: str) -> list[str]:
    """See `Registry.similar_users`."""
    key = names.username_key(username)
    with core.look() as (view, now):
        others = view.user_keys_beyond_ascii()
        if key.isascii() and not others:
            return []
        looks = skeleton(key)
        found = [other for other in others if other != key and skeleton(other) == looks]
        if looks != key and view.count(SessionFilter(username=looks), now, at_most=1):
            found.append(looks)
    return found


def disable(core: Core, username: str, *, note: str | None, actor: str | None, dry_run: bool) -> UserOutcome:
    """See `Registry.disable_user`."""
    username = names.username(username)
    if dry_run:
        note = names.note(note) if note is not None else None
        with core.look() as (view, now):
            found = view.user(username) or User(username)
            living = _living(view, username, now)
            changed = found.disabled_at is None
            return _outcome(found, now, actor_name(actor), note, living, changed=changed, dry_run=True)
    said = names.note(note)
    return core.with_room(lambda: _disabled(core, username, said, actor))


def _disabled(core: Core, username: str, note: str, actor: str | None) -> UserOutcome:
    with core.change(actor) as unit:
        before = unit.tx.user(username) or User(username)
        if before.disabled_at is not None:
            return _outcome(before, unit.now, unit.actor, note, [], changed=False)
        ended_at = _latest(before.ended_at, unit.now)
        after = before._replace(disabled_at=unit.now, disabled_by=unit.actor, note=note, ended_at=ended_at)
        return _changed(unit, "user.disable", after, note, "user_disabled", lambda _session: True)


def enable(core: Core, username: str, *, note: str | None, actor: str | None) -> UserOutcome:
    """See `Registry.enable_user`."""
    username = names.username(username)
    note = names.note(note)
    with core.change(actor) as unit:
        before = unit.tx.user(username)
        if before is None or before.disabled_at is None:
            _check_known(unit.tx, username, before, unit.now)
            return _outcome(before or User(username), unit.now, unit.actor, note, [], changed=False)
        after = before._replace(disabled_at=None, disabled_by=None, note=None)
        unit.tx.save_user(after)
        unit.record("user.enable", subject=username, note=note, detail={"username_key": names.fold(username)})
        return _outcome(after, unit.now, unit.actor, note, [], changed=True)


def _check_known(view: View, username: str, recorded: User | None, now: int) -> None:
    if recorded is None and not view.count(SessionFilter(username=username), now, at_most=1):
        raise NotFound(f"no user {names.quoted(username)}", "to see them: authctl users list")


def password_changed(core: Core, username: str, *, note: str | None, actor: str | None) -> UserOutcome:
    """See `Registry.password_changed`."""
    username = names.username(username)
    note = names.note(note)
    with core.change(actor) as unit:
        before = unit.tx.user(username) or User(username)
        after = before._replace(password_changed_at=_latest(before.password_changed_at, unit.now))
        profiles = unit.tx.profiles()
        return _changed(
            unit,
            "user.password",
            after,
            note,
            "password_changed",
            lambda s: password_ends(profiles, s.profile, s.signed_in_with),
        )


def _latest(before: int | None, now: int) -> int:
    """The later of two instants: what a deed ended stays ended when the clock was set back."""
    return now if before is None else max(before, now)


def password_ends(profiles: ProfileSet, profile: str, signed_in_with: str | None) -> bool:
    """Whether a session of that profile that was opened so ends when its user's password changes."""
    found = profiles.get(profile)
    return ends_on_password_change(found.ends_on_password_change if found else PasswordRule.ALL, signed_in_with)


def _changed(
    unit: Unit, action: str, after: User, note: str, reason: str, ends: Callable[[Session], bool]
) -> UserOutcome:
    """Record a user, and end the living sessions that the change ends, with the event of both."""
    living = _living(unit.tx, after.username, unit.now)
    ending = [session for session in living if ends(session)]
    unit.tx.save_user(after)
    unit.tx.end_sessions([session.number for session in ending], unit.now, reason)
    forgotten = unit.tx.forget_logins(after.username)
    detail = {
        "username_key": names.fold(after.username),
        "ended": len(ending),
        "sessions": [session.id for session in ending[:MOST_LISTED]],
        "forgotten": forgotten,
    }
    unit.record(action, subject=after.username, note=note, detail=detail)
    ended = [found for session in ending[:MOST_LISTED] if (found := unit.tx.session(session.id, unit.now))]
    outcome = _outcome(after, unit.now, unit.actor, note, ended, changed=True)
    return outcome._replace(ended=len(ending), kept=len(living) - len(ending))


def _living(view: View, username: str, now: int) -> list[Session]:
    return list(pages(view, SessionFilter(username=username, status=Status.ACTIVE), now))


def _outcome(
    user: User,
    at: int,
    actor: str,
    note: str | None,
    ending: list[Session],
    *,
    changed: bool,
    dry_run: bool = False,
) -> UserOutcome:
    return UserOutcome(user, at, actor, note, changed, len(ending), 0, tuple(ending[:MOST_LISTED]), dry_run)
