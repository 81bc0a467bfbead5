"""Issuing and verifying tokens."""

import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from authctl import names
from authctl.errors import (
    InvalidInput,
    RegistryUnavailable,
    TokenEnded,
    TokenExpired,
    TokenMisused,
    TokenRevoked,
    TokenUnknown,
)
from authctl.keys import load
from authctl.model import SIGN_IN_METHODS, Kind, NewSession, Session
from authctl.registry.core import Core
from authctl.tokens import SECRET_BYTES, Claims, TokenKind, TokenMint


@dataclass(frozen=True, slots=True)
class Issued:
    """A registered session with its tokens, which are shown this once and kept nowhere."""

    session: Session
    access_token: str
    expires_at: int
    """When the access token ends, in microseconds since 1970 UTC; `NEVER` for no end."""
    refresh_token: str | None = None


class TokenReader:
    """Turns tokens into claims and sessions; reads the key ring when the first one comes."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._mint: TokenMint | None = None
        self._version: tuple[int, int, int] | None = None

    def mint(self) -> TokenMint:
        """The mint of the key ring as it stands: read again when its file was changed or replaced."""
        try:
            found = os.stat(self.core.home.keys)  # noqa: PTH116  # half of what Path.stat takes
            version = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            version = None
        if self._mint is None or version != self._version:
            self._mint, self._version = TokenMint(load(self.core.home.keys)), version
        return self._mint

    def claims(self, token: str) -> Claims:
        """What a token says. Raises TokenUnknown, or as `keys.load`."""
        return self.mint().read(token)

    def session(self, token: str, now: int) -> Session:
        """The session that an access token opens, whatever its status. Raises TokenUnknown."""
        return self.judged(self.claims(token), now)

    def judged(self, claims: Claims, now: int) -> Session:
        """The session of the claims, when the registry agrees that they are its own. Raises TokenUnknown."""
        found = self.core.store.by_number(claims.number, now)
        if found is None or claims.kind is not TokenKind.ACCESS:
            raise TokenUnknown
        session, secret_hash = found
        if secret_hash is None or not compare_digest(secret_hash, claims.secret_hash()):
            raise TokenUnknown
        if session.generation != claims.generation or session.key_id != claims.key_id:
            raise TokenUnknown
        return session


def issue(
    core: Core,
    reader: TokenReader,
    *,
    username: str,
    application: str,
    profile: str | None,
    kind: str,
    signed_in_with: str | None,
    details: dict[str, Any],
    actor: str | None,
) -> Issued:
    """See `Registry.issue`."""
    username = names.username(username)
    details = {name: text or None for name, text in details.items()}
    _check(application, kind, signed_in_with, details)
    mint = reader.mint()
    secret = secrets.token_bytes(SECRET_BYTES)
    key_id = mint.ring.signing.id
    with core.change(actor) as unit:
        profiles = unit.tx.profiles()
        chosen = profiles.named(profile) if profile is not None else profiles.assigned(username, application)
        session = unit.tx.add_session(
            NewSession(
                id=names.new_id(),
                username=username,
                application=application,
                profile=chosen.name,
                kind=kind,
                signed_in_with=signed_in_with,
                created_at=unit.now,
                last_used_at=unit.now,
                deadlines=chosen.deadlines(unit.now, unit.now),
                secret_hash=sha256(secret).digest(),
                key_id=key_id,
                **details,
            )
        )
        detail = {"username_key": names.fold(username), "application": application, "profile": chosen.name}
        unit.record("session.issue", subject=session.id, detail=detail)
        token = mint.mint(TokenKind.ACCESS, key_id, session.number, session.generation, secret)
    return Issued(session, token, session.expires_at)


def _check(application: str, kind: str, signed_in_with: str | None, details: dict[str, str | None]) -> None:
    if not names.field(application, "application").strip():
        raise InvalidInput("the application is blank")
    for name, text in details.items():
        names.field(text or "", name.replace("_", " "))
    if kind not in tuple(Kind):
        raise InvalidInput(f"no such kind: {names.quoted(kind)}", f"one of: {', '.join(Kind)}")
    if signed_in_with not in (None, *SIGN_IN_METHODS):
        how = names.quoted(str(signed_in_with))
        raise InvalidInput(f"no such way to sign in: {how}", f"one of: {', '.join(SIGN_IN_METHODS)}")


def verify(core: Core, reader: TokenReader, token: str, application: str | None) -> Session:
    """See `Registry.verify`."""
    claims = reader.claims(token)
    session = _admitted(core, reader, claims, application)
    if session.read_at < session.use_due_at:
        return session
    return _used(core, session) or _admitted(core, reader, claims, application)


def _admitted(core: Core, reader: TokenReader, claims: Claims, application: str | None) -> Session:
    session = reader.judged(claims, core.now())
    if session.revoked_at is not None:
        raise TokenRevoked("the session was revoked")
    if session.ended_at is not None:
        raise TokenEnded(f"the session was ended: {(session.ended_by or '').replace('_', ' ')}")
    if session.read_at >= session.expires_at:
        raise TokenExpired("the session has expired")
    if application is not None and names.fold(application) != names.fold(session.application or ""):
        raise TokenMisused(f"the token belongs to another application than {names.quoted(application)}")
    return session


def _used(core: Core, session: Session) -> Session | None:
    """Write the use, and return the session as it now stands; None when it has to be judged again.

    What cannot be written is let go: the answer stands.
    """
    try:
        with core.store.change(wait=False) as tx:
            profile = tx.profiles().get(session.profile)
            if profile is None:
                return session
            now = session.read_at
            written = tx.record_use(session.number, now, profile.deadlines(session.created_at, now))
            return tx.session(session.id, now) if written else None
    except RegistryUnavailable:
        return session
