"""Disabling and enabling users, and what a changed password ends.

See docs/glossary.md#hard-end.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from authctl import names
from authctl.confusables import skeleton
from authctl.lifetimes import PasswordRule, ends_on_password_change
from authctl.model import Group, Grouping, ProfileSet, Session, SessionFilter, Status, User
from authctl.registry.installation import Installation
from authctl.registry.sessions import pages
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.registry.unknown_users import is_known, no_user
from authctl.store.base import View


class UserSessions(NamedTuple):
    """A user, with the sessions of every kind counted by status."""

    user: User
    sessions: Group


class UserOutcome(NamedTuple):
    """What a change to a user came to, or would; counts are of active sessions."""

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
    known: bool
    """Whether a session of that user is in the registry; False where the name may have been misspelled."""


def users(installation: Installation) -> Iterator[UserSessions]:
    """See `Registry.users`."""
    with installation.snapshot() as (view, now):
        recorded = {names.fold(user.username): user for user in view.users()}
        found = view.groups(SessionFilter(), Grouping.USER, now)
    for group in found:
        username = group.group or ""
        yield UserSessions(recorded.pop(names.fold(username), User(username)), group)
    for user in recorded.values():
        yield UserSessions(user, _no_sessions(user))


def user(installation: Installation, username: str) -> UserSessions:
    """See `Registry.user`."""
    username = names.username(username)
    with installation.snapshot() as (view, now):
        recorded = view.user(username)
        found = view.groups(SessionFilter(username=username), Grouping.USER, now)
        if recorded is None and not found:
            raise no_user(view, username)
    known = recorded or User(found[0].group or username)
    return UserSessions(known, found[0] if found else _no_sessions(known))


def _no_sessions(user: User) -> Group:
    return Group(user.username, 0, 0, 0, None)


def similar(installation: Installation, usernames: Sequence[str]) -> list[str]:
    """See `Registry.similar_users`."""
    keys = dict.fromkeys(map(names.username_key, usernames))
    with installation.snapshot() as (view, now):
        others = view.user_keys_beyond_ascii()
        looks = {key: skeleton(key) for key in keys}
        looking = {*looks.values()} if others else set()
        found = [other for other in others if skeleton(other) in looking]
        plain = [look for key, look in looks.items() if look != key and is_known(view, look, now)]
    return [other for other in dict.fromkeys([*found, *plain]) if other not in keys]


def disable(
    installation: Installation, usernames: Sequence[str], *, note: str | None, actor: str | None, dry_run: bool
) -> tuple[UserOutcome, ...]:
    """See `Registry.disable_users`."""
    users = _each_once(usernames)
    if dry_run:
        note = names.note(note) if note is not None else None
        with installation.snapshot() as (view, now):
            return tuple(_would_disable(view, one, now, actor_name(actor), note) for one in users)
    said = names.note(note)

    def deed() -> tuple[UserOutcome, ...]:
        with installation.change(actor) as unit:
            return tuple(_disabled(unit, one, said) for one in users)

    return installation.with_reserve(deed)


def _each_once(usernames: Sequence[str]) -> list[str]:
    """The names as they will be stored, each user once. Raises InvalidInput for one that cannot be."""
    once: dict[str, str] = {}
    for name in map(names.username, (usernames,) if isinstance(usernames, str) else usernames):
        once.setdefault(names.fold(name), name)
    return list(once.values())


def _would_disable(view: View, username: str, now: int, actor: str, note: str | None) -> UserOutcome:
    found = view.user(username) or User(username)
    known = is_known(view, username, now)
    living = _living(view, username, now)
    changed = found.disabled_at is None
    return _outcome(found, now, actor, note, living, changed=changed, known=known, dry_run=True)


def _disabled(unit: UnitOfWork, username: str, note: str) -> UserOutcome:
    before = unit.tx.user(username) or User(username)
    if before.disabled_at is not None:
        known = is_known(unit.tx, username, unit.now)
        return _outcome(before, unit.now, unit.actor, note, [], changed=False, known=known)
    ended_at = _latest(before.ended_at, unit.now)
    after = before._replace(disabled_at=unit.now, disabled_by=unit.actor, note=note, ended_at=ended_at)
    return _changed(unit, "user.disable", after, note, "user_disabled", lambda _session: True)


def enable(
    installation: Installation, usernames: Sequence[str], *, note: str | None, actor: str | None
) -> tuple[UserOutcome, ...]:
    """See `Registry.enable_users`."""
    users = _each_once(usernames)
    note = names.note(note)
    with installation.change(actor) as unit:
        return tuple(_enabled(unit, one, note) for one in users)


def _enabled(unit: UnitOfWork, username: str, note: str) -> UserOutcome:
    before = unit.tx.user(username)
    known = is_known(unit.tx, username, unit.now)
    if before is None and not known:
        raise no_user(unit.tx, username)
    if before is None or before.disabled_at is None:
        return _outcome(before or User(username), unit.now, unit.actor, note, [], changed=False, known=known)
    after = before._replace(disabled_at=None, disabled_by=None, note=None)
    unit.tx.save_user(after)
    unit.record("user.enable", subject=username, note=note, detail={"username_key": names.fold(username)})
    return _outcome(after, unit.now, unit.actor, note, [], changed=True, known=known)


def password_changed(
    installation: Installation, usernames: Sequence[str], *, note: str | None, actor: str | None
) -> tuple[UserOutcome, ...]:
    """See `Registry.passwords_changed`."""
    users = _each_once(usernames)
    note = names.note(note)
    with installation.change(actor) as unit:
        profiles = unit.tx.profiles()
        return tuple(_password_changed(unit, one, note, profiles) for one in users)


def _password_changed(unit: UnitOfWork, username: str, note: str, profiles: ProfileSet) -> UserOutcome:
    before = unit.tx.user(username) or User(username)
    after = before._replace(password_changed_at=_latest(before.password_changed_at, unit.now))
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
    unit: UnitOfWork, action: str, after: User, note: str, reason: str, ends: Callable[[Session], bool]
) -> UserOutcome:
    """Record a user, and end the active sessions that the change ends, with the event of both."""
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
    known = is_known(unit.tx, after.username, unit.now)
    outcome = _outcome(after, unit.now, unit.actor, note, ended, changed=True, known=known)
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
    known: bool,
    dry_run: bool = False,
) -> UserOutcome:
    return UserOutcome(user, at, actor, note, changed, len(ending), 0, tuple(ending[:MOST_LISTED]), dry_run, known)
