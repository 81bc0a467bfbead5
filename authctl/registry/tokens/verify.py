"""Verifying access tokens: one look-up, what it comes to, and the use that it is.

See docs/glossary.md#use-that-is-due.
"""

from authctl.errors import RegistryUnavailable, TokenEnded, TokenExpired, TokenRevoked, TokenUnknown
from authctl.model import Caller, Session, Status, Tokens
from authctl.registry.installation import Installation
from authctl.registry.tokens import wipe
from authctl.registry.tokens.checks import (
    check_alive,
    check_bearer,
    check_conditions,
    deadlines_after,
    session_of_token,
)
from authctl.registry.tokens.reader import TokenReader
from authctl.tokens import Claims, TokenKind


def verify(installation: Installation, reader: TokenReader, token: str, caller: Caller) -> Session:
    """Look the session up once, check it, and write the use where it is due. Contract: `Registry.verify`."""
    installation.head.check()
    claims = reader.claims(token)
    try:
        session = _check_token(installation, claims, caller)
        if session.read_at < session.use_due_at:
            return session
        # A use is judged twice: by the look-up without a lock, and again inside the lock. Between the two the session may have
        # been revoked, refreshed or used later. Then nothing is written, and the token is checked once more from the beginning.
        return _record_use(installation, session) or _check_token(installation, claims, caller)
    except TokenRevoked as refusal:
        wipe.record_delivery(installation, claims, refusal)
        raise


def _check_token(installation: Installation, claims: Claims, caller: Caller) -> Session:
    session = session_of_token(installation.store.by_number(claims.number, installation.clock.replacement()), claims)
    check_alive(session, caller)
    if claims.kind is TokenKind.REFRESH:
        raise TokenUnknown
    # session_of_token accepts earlier generations, because a spent token can still sign out (decision 33).
    if claims.generation != session.generation:
        raise TokenEnded("the access token was replaced when its session was refreshed")
    if session.read_at >= session.token_ends_at:
        raise TokenExpired("the access token has expired")
    check_bearer(session, caller)
    # decision 53: the row says whether there are conditions, so that most verifications read no profile
    if session.has_conditions:
        check_conditions(installation.store.profiles(), session, caller)
    return session


def _record_use(installation: Installation, session: Session) -> Session | None:
    """Write the use, and return the session as it now stands; None when it has to be judged again.

    What cannot be written is let go: the answer stands. Nor is it synced: what a power cut takes with it lets a session end sooner.
    """
    # decision 106: a use is not synced
    now = session.read_at
    try:
        with installation.store.change(wait=False, synced=False, shared=True) as tx:
            present = tx.session(session.id, now)
            profile = tx.profiles().ruling(session.profile, session.number)
            # Withdrawn profiles are kept: this is a damaged registry. The token itself is good, so the use alone is left out.
            if profile is None:
                return session
            if present is None or present.status is not Status.ACTIVE or present.last_used_at > now:
                return None
            if present.generation != session.generation:
                return None  # refreshed meanwhile: the token that was presented is over
            # Of a pair only a refresh moves the idle deadline, and of a requested lifetime nothing does (decision 28).
            moves = present.tokens == Tokens.SINGLE
            tx.record_use(present.number, now, deadlines_after(profile, present, now, moves=moves))
            tx.record_time(now)
            return tx.session(session.id, now)
    except RegistryUnavailable:
        return session
