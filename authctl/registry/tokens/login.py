"""Signing in with a name and a password: the authentication cache, else the authenticator of the profile.

Exchange Online's basic authentication: a success counts for up to 24 hours, so that the identity provider is not asked at
every request; use does not extend it, and under pressure the least recently used successes go first.
"""

import secrets
from collections.abc import Iterable
from hmac import compare_digest
from typing import NamedTuple

from authctl import names, passwords
from authctl.errors import AuthenticatorUnavailable, LoginRefused, Refused
from authctl.key_ring import Key, KeyRing
from authctl.model import CachedLogin, Profile, ProfileSet, Texts, checked_texts, texts_of
from authctl.registry.installation import Installation
from authctl.registry.tokens.issue import Issued, SignIn, admitting, register
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import UnitOfWork

_FORGETTING = {"cache.clear", "user.disable", "user.password"}
"""The events after which an answer that was asked for before them is not remembered."""

_BATCH = 1_000


class Remembered(NamedTuple):
    """A success in the authentication cache, and until when it counts."""

    login: CachedLogin
    expires_at: int


class ClearOutcome(NamedTuple):
    """What clearing the authentication cache came to."""

    at: int
    actor: str
    note: str
    username: Texts
    """Whose successes: one user's, several users', or None for everybody's."""
    forgotten: int


def login(installation: Installation, reader: TokenReader, sign_in: SignIn, password: str, actor: str | None) -> Issued:
    """See `Registry.login`."""
    # decision 59
    passwords.check(password)
    installation.head.check()
    ring = reader.mint().ring
    with installation.snapshot() as (view, now):
        profile = admitting(view, sign_in)
        if profile.authenticator is None:
            message = f"profile {names.quoted(profile.name)} has no authenticator to ask for a password"
            raise Refused(
                message, "name one in its authenticator field; to issue a token without asking: authctl tokens issue"
            )
        cached = view.cached_login(profile.name, sign_in.username)
        last = view.last_event()
    owner = names.fold(profile.name), names.fold(sign_in.username)
    if cached and _counts(cached, profile, now) and _fits(cached, owner, password, ring):
        with installation.change(actor) as unit:
            present = unit.tx.cached_login(profile.name, sign_in.username)
            if present and present.verifier == cached.verifier:
                unit.tx.use_login(present, unit.now)
                return _registered(unit, reader, sign_in, profile, "cache")
    _ask(installation, profile.authenticator, sign_in.username, password)
    success = _success(profile, sign_in.username, now, password, ring)
    with installation.change(actor) as unit:
        issued = _registered(unit, reader, sign_in, profile, profile.authenticator)
        if profile.cache and not _is_overtaken(unit, success, last.seq if last else 0):
            unit.tx.save_login(success, profile.cache.capacity)
        return issued


def _registered(
    unit: UnitOfWork, reader: TokenReader, sign_in: SignIn, profile: Profile, authenticated_by: str
) -> Issued:
    if admitting(unit.tx, sign_in) != profile:
        raise Refused(f"profile {names.quoted(profile.name)} was changed meanwhile", "try again")
    return register(unit, reader, sign_in, profile, authenticated_by=authenticated_by)


def _ask(installation: Installation, authenticator: str, username: str, password: str) -> None:
    """Raise LoginRefused where the authenticator says no, AuthenticatorUnavailable where it says nothing."""
    from authctl import authenticators

    authenticator_named = authenticators.find(authenticator, installation.home.authenticators)
    try:
        is_right = authenticator_named.authenticate(username, password)
    except AuthenticatorUnavailable as error:
        message = f"authenticator {names.quoted(authenticator)} could not be asked: {error.message}"
        raise AuthenticatorUnavailable(message) from None
    if not is_right:
        raise LoginRefused(f"authenticator {names.quoted(authenticator)} does not accept that name and password")


def _is_overtaken(unit: UnitOfWork, success: CachedLogin, seq: int) -> bool:
    """Whether a later success, or anything since that event, made this one too old to be remembered."""
    # decision 65
    present = unit.tx.cached_login(success.profile, success.username)
    if present and success.authenticated_at < present.authenticated_at <= unit.now:
        return True
    while events := unit.tx.chain(seq, _BATCH):
        if any(event.action in _FORGETTING for event in events):
            return True
        seq = events[-1].seq
    return False


def _success(profile: Profile, username: str, now: int, password: str, ring: KeyRing) -> CachedLogin:
    salt = secrets.token_bytes(passwords.SALT_BYTES)
    key = ring.signing
    login = CachedLogin(profile.name, username, profile.authenticator or "", now, now, key.id, salt, b"")
    owner = names.fold(profile.name), names.fold(username)
    return login._replace(verifier=_verifier(login, owner, password, key))


def _fits(login: CachedLogin, owner: tuple[str, str], password: str, ring: KeyRing) -> bool:
    """Whether a password is the one that succeeded, for that profile and user; never where the key that could tell was retired."""
    key = ring.verifying(login.key_id)
    return key is not None and compare_digest(login.verifier, _verifier(login, owner, password, key))


def _verifier(login: CachedLogin, owner: tuple[str, str], password: str, key: Key) -> bytes:
    return passwords.verifier(password, login.salt, key, *owner, login.authenticator, login.authenticated_at)


def _counts(login: CachedLogin, profile: Profile, now: int) -> bool:
    """Whether a success is still relied on, by the profile as it is now; one from the future is of a clock that was set back."""
    if profile.cache is None or login.authenticator != profile.authenticator:
        return False
    return login.authenticated_at <= now < login.authenticated_at + profile.cache.max_age


def remembered(installation: Installation, username: Texts) -> list[Remembered]:
    """See `Registry.cached_logins`."""
    username = checked_texts(username, "username", names.username)
    with installation.snapshot() as (view, now):
        profiles = view.profiles()
        found = view.cached_logins(username)
    return list(_counting(found, profiles, now))


def _counting(found: Iterable[CachedLogin], profiles: ProfileSet, now: int) -> Iterable[Remembered]:
    for login in found:
        profile = profiles.get(login.profile)
        if profile and profile.cache and _counts(login, profile, now):
            yield Remembered(login, login.authenticated_at + profile.cache.max_age)


def clear(installation: Installation, username: Texts, *, note: str | None, actor: str | None) -> ClearOutcome:
    """See `Registry.clear_cache`."""
    username = checked_texts(username, "username", names.username)
    note = names.note(note)
    with installation.change(actor) as unit:
        forgotten = sum(_forgotten(unit, one, note) for one in texts_of(username) or (None,))
        return ClearOutcome(unit.now, unit.actor, note, username, forgotten)


def _forgotten(unit: UnitOfWork, username: str | None, note: str) -> int:
    """Forget a user's successes, or everybody's, with an event of its own, and say how many that were."""
    username = None if username is None else names.username(username)
    forgotten = unit.tx.forget_logins(username)
    key = {} if username is None else {"username_key": names.fold(username)}
    unit.record("cache.clear", subject=username, note=note, detail={**key, "forgotten": forgotten})
    return forgotten
