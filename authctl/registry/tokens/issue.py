"""Registering sessions, and minting their tokens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import lifetimes, names
from authctl.errors import InvalidInput, Refused
from authctl.instants import microseconds
from authctl.model import SIGN_IN_METHODS, Caller, Kind, NewSession, OnRevoke, Profile, Session, Tokens
from authctl.registry.installation import Installation
from authctl.registry.tokens.checks import bound_value, unmet_condition
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import UnitOfWork
from authctl.tokens import SECRET_BYTES, TokenKind, TokenMint

if TYPE_CHECKING:
    from authctl.store.base import View


class Issued(NamedTuple):
    """A session with its present tokens, which are shown this once and kept nowhere."""

    session: Session
    access_token: str
    expires_at: int
    """When the access token ends, in microseconds since 1970 UTC; `NEVER` for no end."""
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return f"Issued(session={self.session!r}, expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signs in, with what and from where; raises InvalidInput for what cannot be accepted."""

    username: str
    application: str
    profile: str | None
    """The one that was named, or None for the assigned one."""
    kind: str
    signed_in_with: str | None
    lifetime: int | timedelta | None
    details: Mapping[str, str | None]
    """device, platform, application_version, ip, user_agent and referrer; None for what is not known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "username", names.username(self.username))
        object.__setattr__(self, "details", {name: text or None for name, text in self.details.items()})
        _check(self)


def issue(installation: Installation, reader: TokenReader, sign_in: SignIn, actor: str | None) -> Issued:
    """See `Registry.issue`."""
    installation.head.check()
    with installation.change(actor) as unit:
        return register(unit, reader, sign_in, admitting(unit.tx, sign_in))


def admitting(view: "View", sign_in: SignIn) -> Profile:
    """The profile that somebody may sign in under, as things are. Raises Refused, InvalidInput or NotFound."""
    _check_enabled(view, sign_in.username)
    profiles = view.profiles()
    if sign_in.profile is not None:
        chosen = profiles.named(sign_in.profile)
    else:
        chosen = profiles.assigned(sign_in.username, sign_in.application)
    _check_bindable(chosen, sign_in.details)
    _check_usable(chosen, sign_in.application, sign_in.details)
    chosen.granted_lifetime(microseconds(sign_in.lifetime))
    return chosen


def register(unit: UnitOfWork, reader: TokenReader, sign_in: SignIn, profile: Profile, **how: str) -> Issued:
    """Register a session under a profile, with its event, and mint its tokens; `how` goes into the event."""
    unit.check_clock()
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
            **_new_session(profile, unit.now, microseconds(sign_in.lifetime)),
            **dict[str, Any](sign_in.details),
        )
    )
    key = names.fold(sign_in.username)
    detail = {"username_key": key, "application": sign_in.application, "profile": profile.name, **how}
    unit.record("session.issue", subject=session.id, detail=detail)
    return minted(mint, session, secret)


def _new_session(profile: Profile, now: int, asked: int | None) -> dict[str, Any]:
    """What a session gets of its profile when it is registered."""
    # decision 47: copied to the row, so that revoking everybody orders every wipe by one change
    lifetime = profile.granted_lifetime(asked)
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
        "conditioned": profile.conditions is not None,
        "wipes": profile.on_revoke is OnRevoke.WIPE,
    }


def minted(mint: TokenMint, session: Session, secret: bytes) -> Issued:
    """The tokens of a session's present generation: the same each time, a sealed one's nonce apart."""
    # decision 34
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


def _check(sign_in: SignIn) -> None:
    if not names.field(sign_in.application, "application").strip():
        raise InvalidInput("the application is blank")
    for name, text in sign_in.details.items():
        names.field(text or "", name.replace("_", " "))
    if sign_in.kind not in tuple(Kind):
        raise InvalidInput(f"no such kind: {names.quoted(sign_in.kind)}", f"one of: {', '.join(Kind)}")
    if sign_in.signed_in_with not in (None, *SIGN_IN_METHODS):
        how = names.quoted(str(sign_in.signed_in_with))
        raise InvalidInput(f"no such way to sign in: {how}", f"one of: {', '.join(SIGN_IN_METHODS)}")


def _check_enabled(view: "View", username: str) -> None:
    user = view.user(username)
    if user is not None and user.disabled_at is not None:
        raise Refused(f"user {names.quoted(username)} is disabled", "to see why: authctl users show USER")


def _check_bindable(profile: Profile, details: Mapping[str, str | None]) -> None:
    fact = bound_value(profile.bind, "ip", "referrer")
    if fact and not (details[fact] or "").strip():
        message = f"profile {names.quoted(profile.name)} binds tokens to the {profile.bind}, which is not given"
        raise InvalidInput(message, f"give --{fact}")


def _check_usable(profile: Profile, application: str, details: Mapping[str, str | None]) -> None:
    caller = Caller(application, details["application_version"], details["platform"], details["ip"])
    if refusal := unmet_condition(profile, caller):
        raise Refused(refusal[0])
