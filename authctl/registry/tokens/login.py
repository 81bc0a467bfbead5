"""Sign in with a name and a password: the authentication cache answers, or else the authenticator of the profile.

The cache itself is in `registry/login_cache.py`.
"""

from typing import NamedTuple

from authctl import names, passwords
from authctl.errors import AuthenticatorUnavailable, LoginRefused, Refused
from authctl.key_ring import KeyRing
from authctl.model import CachedLogin, Profile
from authctl.registry.installation import Installation
from authctl.registry.login_cache import end_of_success, is_outdated, is_password_of, new_success
from authctl.registry.tokens.issue import CheckedSignIn, Issued, Login, check_sign_in, profile_for, register
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import UnitOfWork


class _State(NamedTuple):
    """The state of the registry before the authenticator is asked: profile, cached success, number of the last event."""

    profile: Profile
    authenticator: str
    now: int
    cached: CachedLogin | None
    last_seq: int


def login(
    installation: Installation, reader: TokenReader, arguments: Login, password: str, actor: str | None
) -> Issued:
    """Check the password outside the lock, then register the session in one transaction. Contract: `Tokens.login`."""
    # decision 59: the cache is in the registry, so that all of its hosts agree
    sign_in = check_sign_in(Login, arguments, "password")
    passwords.check(password)
    installation.head.check()
    ring = reader.mint().ring
    state = _read_state(installation, sign_in)
    if state.cached and is_password_of(state.cached, sign_in.username, state.profile, password, ring):
        issued = _issue_from_cache(installation, reader, sign_in, state, state.cached, actor)
        if issued:
            return issued
    # Outside the lock: a directory may take seconds, and others must be able to sign in and revoke meanwhile.
    _ask(installation, state.authenticator, sign_in.username, password)
    return _issue_and_remember(installation, reader, sign_in, state, password, ring, actor)


def _read_state(installation: Installation, sign_in: CheckedSignIn) -> _State:
    with installation.snapshot(with_waiting_uses=False) as (view, now):
        profile = profile_for(view, sign_in, now)
        if profile.authenticator is None:
            message = f"profile {names.quoted(profile.name)} has no authenticator to ask for a password"
            hint = "name one in its authenticator field; to issue a token without asking: authctl tokens issue"
            raise Refused(message, hint)
        cached = view.cached_login(profile.name, sign_in.username)
        last_seq, _hash = view.last_seal()
    counts = cached is not None and end_of_success(cached, profile, now) is not None
    return _State(profile, profile.authenticator, now, cached if counts else None, last_seq)


def _issue_from_cache(
    installation: Installation,
    reader: TokenReader,
    sign_in: CheckedSignIn,
    state: _State,
    cached: CachedLogin,
    actor: str | None,
) -> Issued | None:
    """Register the session, and move the success to the most recently used; None where it was forgotten meanwhile."""
    with installation.change(actor, shared=True, sign_in=sign_in.username, in_turn=True) as unit:
        present = unit.tx.cached_login(state.profile.name, sign_in.username)
        # Forgotten or replaced while scrypt was running, for example by a changed password: ask the authenticator.
        if present is None or present.verifier != cached.verifier:
            return None
        unit.tx.use_login(present, unit.now)
        return _register(unit, reader, sign_in, state.profile, "cache")


def _issue_and_remember(
    installation: Installation,
    reader: TokenReader,
    sign_in: CheckedSignIn,
    state: _State,
    password: str,
    ring: KeyRing,
    actor: str | None,
) -> Issued:
    """Register the session after the authenticator accepted the password, and keep that if the profile has a cache."""
    profile = state.profile
    success = new_success(profile, sign_in.username, state.now, password, ring)
    with installation.change(actor, shared=True, sign_in=sign_in.username, in_turn=True) as unit:
        # A password that was changed while the authenticator answered would be remembered as the valid one.
        if profile.cache and not is_outdated(unit, success, state.last_seq):
            unit.tx.save_login(success, profile.cache.capacity)
        # last, so that the session can go with the commit (decision 382); if it is refused, nothing is remembered either
        return _register(unit, reader, sign_in, profile, state.authenticator)


def _register(
    unit: UnitOfWork, reader: TokenReader, sign_in: CheckedSignIn, profile: Profile, authenticated_by: str
) -> Issued:
    # The conditions were checked before the password, without a lock; a profile applied since may refuse this sign-in.
    if profile_for(unit.tx, sign_in, unit.now) != profile:
        raise Refused(f"profile {names.quoted(profile.name)} was changed meanwhile", "try again")
    return register(unit, reader, sign_in, profile, authenticated_by=authenticated_by)


def _ask(installation: Installation, name: str, username: str, password: str) -> None:
    """Raise LoginRefused if the authenticator refuses, AuthenticatorUnavailable where it gives no answer."""
    # decision 64: a wrong password and "no answer" are both refusals (exit 4), but of different classes
    from authctl import authenticators

    authenticator = authenticators.find(name, installation.home.authenticators)
    try:
        # An exception and not False: "no answer" must not look like a wrong password, to people or to the audit log.
        is_right = authenticator.authenticate(username, password)
    except AuthenticatorUnavailable as error:
        message = f"authenticator {names.quoted(name)} could not be asked: {error.message}"
        raise AuthenticatorUnavailable(message) from None
    if not is_right:
        raise LoginRefused(f"authenticator {names.quoted(name)} does not accept that name and password")
