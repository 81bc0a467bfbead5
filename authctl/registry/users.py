"""Users: list and find them, disable and enable them, and record changed passwords.

See docs/glossary.md#hard-end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import InvalidInput
from authctl.instants import format_instant, format_second, given_instant
from authctl.model import Group, Grouping, Session, SessionFilter, Status, User
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.registry.unknown_users import MOST_NEAREST, is_known, unknown_user

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet
    from authctl.store.protocol import View


class UserSessions(NamedTuple):
    """A user, with the sessions of every kind counted by status."""

    user: User
    sessions: Group


class UserOutcome(NamedTuple):
    """The outcome of a change to a user, or of its dry run; counts are of active sessions."""

    user: User
    at: int
    actor: str
    note: str | None
    changed: bool
    """False when the user was disabled, or enabled, before; the first note is kept then."""
    ended: int
    kept: int
    """Active sessions that the change does not end."""
    sessions: tuple[Session, ...]
    """Up to 1,000 of those that it ended, most recently used first."""
    dry_run: bool
    known: bool
    """Whether a session of that user is in the registry; False where the name may have been misspelled."""


class Users:
    """The users of a registry: everybody who has a session, or of whom something was recorded.

    A name may be given in any case and width. Raises InvalidInput for a name that cannot be one.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def list(self) -> Iterator[UserSessions]:
        """Every user, with the number of sessions by status, most recently used first."""
        with self._installation.snapshot() as (view, now):
            recorded = {names.fold(user.username): user.as_of(now) for user in view.users()}
            groups = view.groups(SessionFilter(), Grouping.USER, now)
        # Users with sessions first; the others have only a record, such as a disabled user without a session.
        for group in groups:
            username = group.group or ""
            yield UserSessions(recorded.pop(names.fold(username), User(username)), group)
        for user in recorded.values():
            yield UserSessions(user, _no_sessions(user))

    def keys(self, *, disabled: bool = False) -> Sequence[str]:
        """The folded names of every user, in the order of `list`; with `disabled` only of disabled users. Quicker than `list`."""
        with self._installation.snapshot() as (view, now):
            recorded = {names.fold(user.username): user.as_of(now) for user in view.users()}
            keys = dict.fromkeys([*view.user_keys_by_use(), *recorded])
        return [key for key in keys if not disabled or (key in recorded and recorded[key].disabled_at is not None)]

    def get(self, username: str) -> UserSessions:
        """One user, with the number of sessions by status. Raises NotFound."""
        username = names.username(username)
        with self._installation.snapshot() as (view, now):
            recorded = view.user(username)
            recorded = recorded and recorded.as_of(now)
            groups = view.groups(SessionFilter(username=username), Grouping.USER, now)
            if recorded is None and not groups:
                raise unknown_user(view, username)
        user = recorded or User(groups[0].group or username)
        return UserSessions(user, groups[0] if groups else _no_sessions(user))

    def similar(self, *usernames: str) -> Sequence[str]:
        """The keys of other users with sessions whose names look like one of these: with letters of other scripts."""
        from authctl.confusables import skeleton

        keys = dict.fromkeys(map(names.username_key, usernames))
        skeletons = {key: skeleton(key) for key in keys}
        with self._installation.snapshot() as (view, now):
            # Names in ASCII alone are looked up by their skeleton, by index. Only names with other letters are read one by one.
            others = view.user_keys_beyond_ascii()
            wanted = {*skeletons.values()} if others else set()
            similar = [other for other in others if skeleton(other) in wanted]
            plain = [look for key, look in skeletons.items() if look != key and is_known(view, look, now)]
        return [other for other in dict.fromkeys([*similar, *plain]) if other not in keys]

    def nearest(self, username: str) -> Sequence[str]:
        """Up to three users with sessions whose names are spelled nearly like that one; none where it has sessions itself."""
        username = names.username(username)
        with self._installation.snapshot() as (view, now):
            return [] if is_known(view, username, now) else view.nearest_users(username, MOST_NEAREST)

    def unknown(self, usernames: Sequence[str]) -> Sequence[str]:
        """The names without a session in the registry, each user once."""
        once = {names.username_key(name): name for name in usernames}
        with self._installation.snapshot() as (view, now):
            return [name for name in once.values() if not is_known(view, name, now)]

    def disable(
        self,
        username: str,
        *,
        note: str | None,
        until: int | datetime | None = None,
        actor: str | None = None,
        dry_run: bool = False,
    ) -> UserOutcome:
        """End every active session of a user, and register no new one: until that instant, or until the user is enabled.

        A user who was disabled before for as long, or longer, keeps the first note; otherwise the disabling is prolonged, with the new note.
        Raises Refused without a note, InvalidInput for an `until` that has passed.
        """
        return self.disable_all([username], note=note, until=until, actor=actor, dry_run=dry_run)[0]

    def disable_all(
        self,
        usernames: Sequence[str],
        *,
        note: str | None,
        until: int | datetime | None = None,
        actor: str | None = None,
        dry_run: bool = False,
    ) -> tuple[UserOutcome, ...]:
        """Disable several users in one transaction: an outcome for each user, or nothing at all. Raises as `disable`."""
        users = _each_once(usernames)
        end = given_instant(until, "until")
        if dry_run:
            note = names.note(note) if note is not None else None
            with self._installation.snapshot() as (view, now):
                _check_until(end, now)
                return tuple(_preview_disabling(view, user, now, actor_name(actor), note, end) for user in users)
        checked_note = names.note(note)

        def disable_each() -> tuple[UserOutcome, ...]:
            with self._installation.change(actor) as unit:
                _check_until(end, unit.now)
                return tuple(_disable(unit, user, checked_note, end) for user in users)

        return self._installation.with_kept_space(disable_each)

    def enable(self, username: str, *, note: str | None, actor: str | None = None) -> UserOutcome:
        """Let a disabled user sign in again; no session comes back. Raises Refused without a note, NotFound."""
        return self.enable_all([username], note=note, actor=actor)[0]

    def enable_all(
        self, usernames: Sequence[str], *, note: str | None, actor: str | None = None
    ) -> tuple[UserOutcome, ...]:
        """Enable several users in one transaction: an outcome for each user, or nothing at all. Raises as `enable`."""
        users = _each_once(usernames)
        note = names.note(note)
        with self._installation.change(actor) as unit:
            return tuple(_enable(unit, user, note) for user in users)

    def password_changed(
        self, username: str, *, note: str | None, except_ids: Sequence[str] = (), actor: str | None = None
    ) -> UserOutcome:
        """Record a user's changed or reset password, and end the active sessions that their profiles end for it.

        Those of `except_ids` stay, such as the session in which the user changed the password. Later sessions are not affected. Raises
        Refused without a note, NotFound for an unknown exception, InvalidInput for one of another user.
        """
        return self.passwords_changed([username], note=note, except_ids=except_ids, actor=actor)[0]

    def passwords_changed(
        self, usernames: Sequence[str], *, note: str | None, except_ids: Sequence[str] = (), actor: str | None = None
    ) -> tuple[UserOutcome, ...]:
        """Record the changed passwords of several users in one transaction: an outcome for each user, or nothing at all.

        Raises as `password_changed`.
        """
        users = _each_once(usernames)
        note = names.note(note)
        with self._installation.change(actor) as unit:
            excepted = _excepted(unit, users, except_ids)
            profiles = unit.tx.profiles()
            return tuple(
                _record_password_change(unit, user, note, profiles, excepted[names.fold(user)]) for user in users
            )


def _check_until(until: int | None, now: int) -> None:
    if until is not None and until <= now:
        raise InvalidInput(
            f"a disabling cannot end before it begins: {format_second(until)}", "give a time ahead: --until 7d"
        )


def _excepted(unit: UnitOfWork, users: Sequence[str], texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The whole ids of the sessions to leave, by the folded key of their user. Raises NotFound or InvalidInput."""
    from authctl.registry.sessions import find

    ids: dict[str, tuple[str, ...]] = {names.fold(user): () for user in users}
    for text in texts:
        session = find(unit.tx, text, unit.now)
        key = names.fold(session.username)
        if key not in ids:
            raise InvalidInput(
                f"session {names.quoted(text)} is of another user, {names.quoted(session.username)}",
                "except a session of the user whose password was changed",
            )
        ids[key] = (*ids[key], session.id)
    return ids


def _no_sessions(user: User) -> Group:
    return Group(user.username, 0, 0, 0, None)


def _each_once(usernames: Sequence[str]) -> list[str]:
    """The names as they will be stored, each user once. Raises InvalidInput for a name that cannot be one."""
    once: dict[str, str] = {}
    for name in map(names.username, (usernames,) if isinstance(usernames, str) else usernames):
        once.setdefault(names.fold(name), name)
    return list(once.values())


def _preview_disabling(
    view: "View", username: str, now: int, actor: str, note: str | None, until: int | None
) -> UserOutcome:
    before = (view.user(username) or User(username)).as_of(now)
    known = is_known(view, username, now)
    sessions = _active_sessions(view, username, now)
    changed = not _lasts_as_long(before, until)
    user = before._replace(disabled_until=until) if changed else before
    return _outcome(user, now, actor, note, sessions, changed=changed, known=known, dry_run=True)


def _lasts_as_long(user: User, until: int | None) -> bool:
    """Whether a user is disabled for that long already."""
    if user.disabled_at is None:
        return False
    return user.disabled_until is None or (until is not None and until <= user.disabled_until)


def _disable(unit: UnitOfWork, username: str, note: str, until: int | None) -> UserOutcome:
    # decision 38: a second call with a shorter or equal end keeps the first note and instant
    before = (unit.tx.user(username) or User(username)).as_of(unit.now)
    if _lasts_as_long(before, until):
        known = is_known(unit.tx, username, unit.now)
        return _outcome(before, unit.now, unit.actor, note, [], changed=False, known=known)
    # Kept after `enable`: rows of an import up to this instant still make no active session (decision 39).
    after = before._replace(
        disabled_at=unit.now if before.disabled_at is None else before.disabled_at,
        disabled_by=unit.actor,
        note=note,
        ended_at=_later(before.ended_at, unit.now),
        disabled_until=until,
        enabled_at=None,
        enabled_by=None,
    )
    how = {} if until is None else {"until": format_instant(until)}
    return _save_and_end(unit, "user.disable", after, note, "user_disabled", lambda _session: True, how)


def _enable(unit: UnitOfWork, username: str, note: str) -> UserOutcome:
    recorded = unit.tx.user(username)
    before = recorded and recorded.as_of(unit.now)
    known = is_known(unit.tx, username, unit.now)
    if before is None and not known:
        raise unknown_user(unit.tx, username)
    if before is None or before.disabled_at is None:
        return _outcome(before or User(username), unit.now, unit.actor, note, [], changed=False, known=known)
    ended = {"enabled_at": unit.now, "enabled_by": "enable"}
    after = before._replace(disabled_at=None, disabled_by=None, note=None, disabled_until=None, **ended)  # type: ignore[arg-type]
    unit.tx.save_user(after)
    unit.record("user.enable", subject=username, note=note, detail={"username_key": names.fold(username)})
    from authctl.model.told_events import Event

    unit.announce(Event.USER_ENABLED, note=note, username=after.username)
    return _outcome(after, unit.now, unit.actor, note, [], changed=True, known=known)


def _record_password_change(
    unit: UnitOfWork, username: str, note: str, profiles: "ProfileSet", excepted: tuple[str, ...]
) -> UserOutcome:
    before = unit.tx.user(username) or User(username)
    changed_at = _later(before.password_changed_at, unit.now)
    after = before._replace(password_changed_at=changed_at, password_except=excepted)

    # decision 37: a session without a known way of signing in counts as opened by a password
    def ends(session: Session) -> bool:
        profile = profiles.ruling(session.profile, session.number)
        return session.id not in excepted and password_ends(profile, session.signed_in_with)

    how = {"except_ids": list(excepted)} if excepted else {}
    return _save_and_end(unit, "user.password", after, note, "password_changed", ends, how)


def _later(before: int | None, now: int) -> int:
    """The later of two instants: a session that was ended stays ended when the clock was set back."""
    return now if before is None else max(before, now)


def password_ends(profile: "Profile | None", signed_in_with: str | None) -> bool:
    """Whether a changed password ends a session of that profile that was opened so."""
    from authctl.lifetimes import PasswordRule, ends_on_password_change

    return ends_on_password_change(profile.ends_on_password_change if profile else PasswordRule.ALL, signed_in_with)


def _save_and_end(
    unit: UnitOfWork,
    action: str,
    after: User,
    note: str,
    reason: str,
    ends: Callable[[Session], bool],
    how: Mapping[str, Any],
) -> UserOutcome:
    """Save a user, and end the active sessions that the change ends, with one event for both."""
    from authctl.model.told_events import Event

    active = _active_sessions(unit.tx, after.username, unit.now)
    ending = [session for session in active if ends(session)]
    # The event must stay readable: of a user with 100,000 sessions it names the first thousand, and counts all.
    listed = ending[:MOST_LISTED]
    unit.tx.save_user(after)
    unit.tx.end_sessions([session.number for session in ending], unit.now, reason)
    detail = {
        "username_key": names.fold(after.username),
        **how,
        "ended": len(ending),
        "sessions": [session.id for session in listed],
        "forgotten": unit.tx.forget_logins(after.username),
    }
    unit.record(action, subject=after.username, note=note, detail=detail)
    announced = {"user.disable": Event.USER_DISABLED, "user.password": Event.PASSWORD_CHANGED}[action]
    unit.announce(announced, note=note, username=after.username)
    unit.announce(Event.SESSION_ENDED, note=note, numbers=[session.number for session in ending])
    ended = [session for before in listed if (session := unit.tx.session(before.id, unit.now))]
    known = is_known(unit.tx, after.username, unit.now)
    outcome = _outcome(after.as_of(unit.now), unit.now, unit.actor, note, ended, changed=True, known=known)
    return outcome._replace(ended=len(ending), kept=len(active) - len(ending))


def _active_sessions(view: "View", username: str, now: int) -> list[Session]:
    from authctl.registry.sessions import pages

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
