"""The authentication cache: the successful logins that are remembered, so that the authenticator is not asked at every login.

Exchange Online's basic authentication: a success counts for up to 24 hours; use does not extend it, and of too many the least
recently used go first. A password is kept as a keyed hash only (`passwords.verifier`).
"""

import secrets
from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from authctl import names, passwords
from authctl.key_ring import Key, KeyRing
from authctl.model import CachedLogin, Profile, Texts, checked_texts, texts_of
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import UnitOfWork

_FORGETTING = {"cache.clear", "user.disable", "user.password"}
"""The events that clear the cache: an answer that was asked for before one of them is not remembered."""

_BATCH = 1_000


class Remembered(NamedTuple):
    """A success in the authentication cache, and the instant until which it counts."""

    login: CachedLogin
    expires_at: int


class ClearOutcome(NamedTuple):
    """The outcome of clearing the authentication cache."""

    at: int
    actor: str
    note: str
    username: Texts
    """The users whose successes were cleared: one, several, or None for all."""
    forgotten: int


class LoginCache:
    """The authentication cache of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def list(self, username: Texts = None) -> Sequence[Remembered]:
        """The successful logins that still count, of all users, one or several, most recently used first."""
        username = checked_texts(username, "username", names.username)
        with self._installation.snapshot() as (view, now):
            profiles = view.profiles()
            logins = view.cached_logins(username)
        ends = ((login, end_of_success(login, profiles.get(login.profile), now)) for login in logins)
        return [Remembered(login, end) for login, end in ends if end is not None]

    def clear(self, username: Texts = None, *, note: str | None, actor: str | None = None) -> ClearOutcome:
        """Forget the successful logins of all users, one or several, so that the authenticator is asked again.

        Raises Refused without a note.
        """
        username = checked_texts(username, "username", names.username)
        note = names.note(note)
        with self._installation.change(actor) as unit:
            forgotten = sum(_forget(unit, user, note) for user in texts_of(username) or (None,))
            return ClearOutcome(unit.now, unit.actor, note, username, forgotten)


def _forget(unit: UnitOfWork, username: str | None, note: str) -> int:
    """Forget the successes of one user, or of all, with an event; the number of them."""
    username = None if username is None else names.username(username)
    forgotten = unit.tx.forget_logins(username)
    key = {} if username is None else {"username_key": names.fold(username)}
    unit.record("cache.clear", subject=username, note=note, detail={**key, "forgotten": forgotten})
    return forgotten


def end_of_success(login: CachedLogin, profile: Profile | None, now: int) -> int | None:
    """The instant until which a success counts by the profile as it is now; None where it does not count.

    A success in the future does not count: the clock was set back.
    """
    if profile is None or profile.cache is None or login.authenticator != profile.authenticator:
        return None
    end = login.authenticated_at + profile.cache.max_age
    # With a clock that was set back nobody knows how old the success is: ask the authenticator.
    return end if login.authenticated_at <= now < end else None


def new_success(profile: Profile, username: str, now: int, password: str, ring: KeyRing) -> CachedLogin:
    """A success to keep, with the verifier of its password."""
    salt, key = secrets.token_bytes(passwords.SALT_BYTES), ring.signing
    # decision 59: the success counts from the instant before the authenticator was asked
    login = CachedLogin(profile.name, username, profile.authenticator or "", now, now, key.id, salt, b"")
    return login._replace(verifier=_verifier(login, password, key))


def is_password_of(login: CachedLogin, username: str, profile: Profile, password: str, ring: KeyRing) -> bool:
    """Whether a password is that of a successful login, for that user and profile; False if its key was retired."""
    key = ring.verifying(login.key_id)
    # The profile and user of this login: a row that was copied to another user in the database fits no password.
    asked = login._replace(profile=profile.name, username=username)
    return key is not None and compare_digest(login.verifier, _verifier(asked, password, key))


def _verifier(login: CachedLogin, password: str, key: Key) -> bytes:
    profile, user = names.fold(login.profile), names.fold(login.username)
    return passwords.verifier(password, login.salt, key, profile, user, login.authenticator, login.authenticated_at)


def is_outdated(unit: UnitOfWork, success: CachedLogin, seq: int) -> bool:
    """Whether a later success, or an event after that one, made a success too old to be remembered."""
    # decision 65: the profile, the password or another login may have changed while the authenticator was asked
    present = unit.tx.cached_login(success.profile, success.username)
    # Two logins at once: the earlier answer must not replace the later one. A success in the future is no reason.
    if present and success.authenticated_at < present.authenticated_at <= unit.now:
        return True
    # A password may have changed while the authenticator was asked: then the answer is about the old one.
    while events := unit.tx.chain(seq, _BATCH):
        if any(event.action in _FORGETTING for event in events):
            return True
        seq = events[-1].seq
    return False
