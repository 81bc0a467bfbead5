"""Issue: register a session, and mint its tokens."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Required, TypedDict

from authctl import lifetimes, names
from authctl.errors import InvalidInput, Refused
from authctl.instants import format_second, microseconds
from authctl.model import SIGN_IN_METHODS, Caller, Kind, NewSession, OnRevoke, Profile, Session, Tokens
from authctl.registry.installation import Installation
from authctl.registry.tokens.checks import bound_value, unmet_condition
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import UnitOfWork
from authctl.tokens import SECRET_BYTES, TokenKind, TokenMint

if TYPE_CHECKING:
    from authctl.store.protocol import View


class Issued(NamedTuple):
    """A session with its present tokens, which are shown only once and kept nowhere."""

    session: Session
    access_token: str
    expires_at: int
    """When the access token ends, in microseconds since 1970 UTC; `NEVER` for no end."""
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return f"Issued(session={self.session!r}, expires_at={self.expires_at!r})"


class Login(TypedDict, total=False):
    """A sign-in with a name and a password, as the caller describes it; None for a fact that is not known."""

    username: Required[str]
    """The user who signs in, in any case and width."""
    application: Required[str]
    """The application that the user signs in with."""
    profile: str | None
    """The profile of the session; without it, the assigned one."""
    device: str | None
    """The device, under the name that the user gave it: `AL-PC`."""
    platform: str | None
    """The operating system of the device, with its version: `Windows 11`."""
    application_version: str | None
    """The version of the application."""
    ip: str | None
    """The address that the sign-in comes from; a profile may bind the tokens to it."""
    user_agent: str | None
    """The user agent of the application."""
    referrer: str | None
    """The page that the sign-in comes from; a profile may bind the tokens to it."""
    kind: str
    """`application`, which is the default, or `web`."""
    lifetime: int | timedelta | None
    """A requested lifetime, as a timedelta or in microseconds, for profiles that allow requests."""


class SignIn(Login, total=False):
    """A sign-in that another system has checked."""

    signed_in_with: str | None
    """`password`, `key`, `saml` or `other`: a changed password may end only the sessions that a password opened."""


_DETAILS = ("device", "platform", "application_version", "ip", "user_agent", "referrer")
_KINDS = tuple(Kind)
_METHODS = (None, *SIGN_IN_METHODS)


class CheckedSignIn(NamedTuple):
    """A sign-in whose texts can be stored."""

    username: str
    application: str
    profile: str | None
    kind: str
    signed_in_with: str | None
    lifetime: int | timedelta | None
    details: Mapping[str, Any]
    """device, platform, application_version, ip, user_agent and referrer; None for a fact that is not known."""


def check_sign_in(kind: type[Login], arguments: Login, signed_in_with: str | None) -> CheckedSignIn:
    """Check the arguments of a sign-in. Raises InvalidInput for a text that cannot be accepted."""
    _check_names(kind, arguments)
    facts: Mapping[str, Any] = arguments
    sign_in = CheckedSignIn(
        names.username(arguments["username"]),
        arguments["application"],
        arguments.get("profile"),
        arguments.get("kind", "application"),
        signed_in_with,
        arguments.get("lifetime"),
        {name: facts.get(name) or None for name in _DETAILS},
    )
    _check_texts(sign_in)
    return sign_in


def _check_names(kind: Any, arguments: Mapping[str, Any]) -> None:
    """Raise TypeError for arguments that are missing or unknown, as a call of a function that lists them."""
    if not kind.__required_keys__ <= arguments.keys():
        missing = kind.__required_keys__ - arguments.keys()
        raise TypeError(f"missing keyword arguments: {', '.join(sorted(missing))}")
    # A TypedDict checks nothing at run time: a misspelled fact would be left out, and a binding with it (decision 137).
    if not arguments.keys() <= kind.__annotations__.keys():
        unexpected = arguments.keys() - kind.__annotations__.keys()
        raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(unexpected))}")


def issue(installation: Installation, reader: TokenReader, arguments: SignIn, actor: str | None) -> Issued:
    """Register the session and its event in one transaction, and mint its tokens there. Contract: `Registry.issue`."""
    sign_in = check_sign_in(SignIn, arguments, arguments.get("signed_in_with"))
    installation.head.check()

    def register_session(unit: UnitOfWork) -> Issued:
        return register(unit, reader, sign_in, profile_for(unit.tx, sign_in, unit.now))

    return installation.sign_in(actor, sign_in.username, register_session)


def profile_for(view: "View", sign_in: CheckedSignIn, now: int) -> Profile:
    """The profile of a sign-in that is allowed now. Raises Refused, InvalidInput or NotFound."""
    _check_enabled(view, sign_in.username, now)
    profiles = view.profiles()
    # A named profile is the choice of the caller; otherwise the first assignment that matches decides.
    if sign_in.profile is not None:
        profile = profiles.named(sign_in.profile)
    else:
        profile = profiles.assigned(sign_in.username, sign_in.application)
    _check_bound_fact(profile, sign_in.details)
    _check_conditions(profile, sign_in.application, sign_in.details)
    # Asked for here as well: a request that cannot be granted costs no password check.
    profile.granted_lifetime(microseconds(sign_in.lifetime))
    return profile


def register(unit: UnitOfWork, reader: TokenReader, sign_in: CheckedSignIn, profile: Profile, **how: str) -> Issued:
    """Register a session under a profile, with its event, and mint its tokens; `how` goes into the event."""
    # Before a deadline is made: with a clock that is far ahead, the session would outlive its profile.
    unit.check_clock()
    # Inside the lock: the row contains the id of the key that signs its tokens, and a rotation must not come between.
    mint = reader.mint()
    secret = secrets.token_bytes(SECRET_BYTES)
    session = unit.tx.add_session(
        NewSession(
            id=names.new_id(),
            username=sign_in.username,
            application=sign_in.application,
            profile=profile.name,
            kind=sign_in.kind,
            signed_in_with=sign_in.signed_in_with,
            secret_hash=sha256(secret).digest(),
            key_id=mint.ring.signing.id,
            **_fields_of_profile(profile, unit.now, microseconds(sign_in.lifetime)),
            **sign_in.details,
        )
    )
    key = names.fold(sign_in.username)
    detail = {"username_key": key, "application": sign_in.application, "profile": profile.name, **how}
    unit.record("session.issue", subject=session.id, detail=detail)
    return mint_tokens(mint, session, secret)


def _fields_of_profile(profile: Profile, now: int, requested: int | None) -> dict[str, Any]:
    """The fields that a new session has from its profile."""
    # decision 47: copied to the row, so that revoking everybody orders every wipe by one change
    lifetime = profile.granted_lifetime(requested)
    # An instant and not a length: a later change of the profile must not lengthen what was requested (decision 28).
    end = None if lifetime is None else lifetimes.after(now, lifetime)
    return {
        "created_at": now,
        "last_used_at": now,
        "deadlines": lifetimes.deadlines(
            profile.timeouts, now, now, now, end, use_moves=profile.tokens is Tokens.SINGLE
        ),
        "fixed_expires_at": end,
        "tokens": profile.tokens,
        "sealed": profile.requested is not None and profile.requested.sealed,
        "bound_to": profile.bind,
        "access_expires_at": lifetimes.after(now, profile.pair.access_lifetime) if profile.pair else None,
        "has_conditions": profile.conditions is not None,
        "wipe_on_revoke": profile.on_revoke is OnRevoke.WIPE,
    }


def mint_tokens(mint: TokenMint, session: Session, secret: bytes) -> Issued:
    """The tokens of a session's present generation: the same each time, except for the nonce of a sealed one."""
    # The registry stores no token: a retry within the grace period computes the same pair again from row and secret.
    assert session.key_id is not None

    def mint_one(kind: TokenKind) -> str:
        return mint.mint(kind, session.key_id or "", session.number, session.generation, secret)

    access = _sealed(mint, session, secret) if session.sealed else mint_one(TokenKind.ACCESS)
    refresh = mint_one(TokenKind.REFRESH) if session.tokens == Tokens.PAIR else None
    return Issued(session, access, session.token_expires_at, refresh)


def _sealed(mint: TokenMint, session: Session, secret: bytes) -> str:
    from authctl.token_encryption import Sealed

    content = Sealed(
        session.number,
        session.id,
        secret.hex(),
        session.username,
        session.application or "",
        session.created_at,
        session.token_expires_at,
        session.bound_to,
        bound_value(session.bound_to, session.ip, session.referrer),
    )
    return mint.seal(session.key_id or "", content)


def _check_texts(sign_in: CheckedSignIn) -> None:
    if not names.field(sign_in.application, "application").strip():
        raise InvalidInput("the application is blank")
    for name, text in sign_in.details.items():
        if text:
            names.field(text, name.replace("_", " "))
    if sign_in.kind not in _KINDS:
        raise InvalidInput(f"no such kind: {names.quoted(sign_in.kind)}", f"one of: {', '.join(Kind)}")
    if sign_in.signed_in_with not in _METHODS:
        method = names.quoted(str(sign_in.signed_in_with))
        raise InvalidInput(f"no such way to sign in: {method}", f"one of: {', '.join(SIGN_IN_METHODS)}")


def _check_enabled(view: "View", username: str, now: int) -> None:
    user = view.user(username)
    user = user and user.as_of(now)
    if user is not None and user.disabled_at is not None:
        until = "" if user.disabled_until is None else f" until {format_second(user.disabled_until)}"
        raise Refused(f"user {names.quoted(username)} is disabled{until}", "to see why: authctl users show USER")


def _check_bound_fact(profile: Profile, details: Mapping[str, str | None]) -> None:
    fact = bound_value(profile.bind, "ip", "referrer")
    # A blank fact cannot be compared: the token would be valid from everywhere, or from nowhere.
    if fact and not (details[fact] or "").strip():
        message = f"profile {names.quoted(profile.name)} binds tokens to the {profile.bind}, which is not given"
        raise InvalidInput(message, f"give --{fact}")


def _check_conditions(profile: Profile, application: str, details: Mapping[str, str | None]) -> None:
    caller = Caller(application, details["application_version"], details["platform"], details["ip"])
    if refusal := unmet_condition(profile, caller):
        raise Refused(refusal[0])
