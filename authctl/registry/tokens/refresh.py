"""Exchanging a refresh token for the next pair, and the answer to a spent refresh token.

A session has one present generation of tokens. A refresh begins the next one and spends the presented token, so
that the second of two bearers of one token is detected. Rotation and reuse detection as RFC 9700, section 4.14.2, describes them.

See docs/glossary.md#generation.
"""

import json

from authctl import lifetimes, names
from authctl.errors import TokenReused, TokenRevoked, TokenUnknown
from authctl.model import Caller, OnReuse, PairRules, Profile, Session, SessionFilter
from authctl.model.told_events import Event
from authctl.registry.installation import Installation
from authctl.registry.tokens import wipe
from authctl.registry.tokens.checks import (
    check_alive,
    check_bearer,
    check_conditions,
    must_wipe,
    profile_of_session,
    session_of_token,
)
from authctl.registry.tokens.issue import Issued, mint_tokens
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.tokens.uses import deadlines_after
from authctl.registry.unit_of_work import AUTHCTL, UnitOfWork
from authctl.tokens import Claims, TokenKind

_REUSE_NOTE = "refresh token reuse detected"


def refresh(installation: Installation, reader: TokenReader, token: str, caller: Caller, actor: str | None) -> Issued:
    """Refuse revoked sessions without the lock, then begin the next generation in one transaction. Contract: `Registry.refresh`."""
    installation.head.check()
    claims = reader.claims(token)
    try:
        session = session_of_token(
            installation.store.by_number(claims.number, installation.clock.replacement()), claims
        )
        # A revocation is final, so it can be refused without waiting for the lock.
        if session.revoked_at is not None:
            check_alive(session, caller)
        if claims.kind is not TokenKind.REFRESH:
            raise TokenUnknown
        return _exchange_token(installation, reader, claims, caller, actor)
    except (TokenRevoked, TokenReused) as refusal:
        wipe.record_delivery(installation, claims, refusal)
        raise


def _exchange_token(
    installation: Installation, reader: TokenReader, claims: Claims, caller: Caller, actor: str | None
) -> Issued:
    # decision 134: shared, since it reads and changes one session only, and reads that before it judges it
    with installation.change(actor, shared=True, session=claims.number) as unit:
        mint = reader.mint()  # read inside the lock: the key that signed may have been retired while this change waited
        session = session_of_token(unit.tx.by_number(claims.number, unit.now), claims)
        check_alive(session, caller)
        check_bearer(session, caller)
        profiles = unit.tx.profiles()
        check_conditions(profiles, session, caller)
        profile = profile_of_session(profiles, session)
        rules = profile.pair or PairRules()
        reused, action = False, None
        if claims.generation == session.generation:
            session = _begin_generation(unit, session, profile, rules, mint.ring.signing.id)
        elif not _is_retry(unit, session, rules, claims):
            reused = True
            # decision 32: where reuse is only refused, nothing is written
            if rules.on_reuse is OnReuse.REVOKE:
                _revoke(unit, session, claims)
                revoked = session_of_token(unit.tx.by_number(claims.number, unit.now), claims)
                # decision 49: the refusal of the reused token has the order, too
                action = "wipe" if must_wipe(revoked, caller) else None
    # Raised after the commit: an error inside the block would roll the revocation back.
    if reused:
        also = ", and its application must remove its data" if action else ""
        raise TokenReused(f"the refresh token was already used{also}", action)
    # The tokens are computed from the row and the secret in the presented token: a retry gets the same pair again.
    return mint_tokens(mint, session, claims.secret)


def _begin_generation(unit: UnitOfWork, session: Session, profile: Profile, rules: PairRules, key_id: str) -> Session:
    """The session with its next generation of tokens, for the key that signs now."""
    # decision 29: the new access token has the lifetime of the profile in force
    unit.check_clock()
    deadlines = deadlines_after(profile, session, unit.now, moves=True)
    # It may lie after the deadline of the session: token_expires_at takes the earlier of the two.
    access = lifetimes.after(unit.now, rules.access_lifetime)
    unit.tx.rotate(session.number, unit.now, deadlines, access, key_id)
    rotated = unit.tx.session(session.id, unit.now)
    assert rotated is not None
    detail = {"username_key": names.fold(session.username), "generation": rotated.generation}
    unit.record("token.refresh", subject=session.id, detail=detail)
    return rotated


def _is_retry(unit: UnitOfWork, session: Session, rules: PairRules, claims: Claims) -> bool:
    """Whether a spent token asks once more for its own successor, whose answer may have been lost."""
    refreshed_at = session.refreshed_at
    # Only the answer of the latest refresh can be lost: a client that received it presents the present token.
    if claims.generation != session.generation - 1 or refreshed_at is None:
        return False
    # decision 31: the recorded time is compared as well, since a clock that is set back could lengthen the grace period
    return lifetimes.is_in_grace(rules.grace, refreshed_at, unit.now, unit.clock)


def _revoke(unit: UnitOfWork, session: Session, claims: Claims) -> None:
    # decision 32: one event for the reuse, none beside it for the revocation
    selection = SessionFilter(ids=(session.id,))
    revocation_id = unit.tx.add_revocation(unit.now, AUTHCTL, _REUSE_NOTE, json.dumps(selection.criteria()))
    unit.tx.assign(selection, unit.now, revocation_id)
    detail = {
        "username_key": names.fold(session.username),
        "revocation_id": revocation_id,
        "generation": claims.generation,
        "present_generation": session.generation,
    }
    unit.record("token.reuse", subject=session.id, note=_REUSE_NOTE, detail=detail, actor=AUTHCTL)
    unit.announce(Event.SESSION_REVOKED, note=_REUSE_NOTE, revocation_id=revocation_id)
