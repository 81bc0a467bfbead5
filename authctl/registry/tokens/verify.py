"""Verifying access tokens: one look-up, the checks of the session, and the use that is recorded.

See docs/glossary.md#use-that-is-due and docs/glossary.md#waiting-use.
"""

from typing import TYPE_CHECKING

from authctl.errors import RegistryLocked, RegistryUnavailable, TokenRevoked
from authctl.instants import SECOND
from authctl.model import Caller, Session
from authctl.registry.installation import Installation
from authctl.registry.tokens.checks import (
    check_access,
    check_alive,
    check_bearer,
    check_conditions,
    session_of_token,
)
from authctl.registry.tokens.reader import TokenReader
from authctl.tokens import Claims

if TYPE_CHECKING:
    from authctl.registry.tokens.uses import Use

_URGENT = 10 * SECOND
"""The time before its deadline from which on a use is tried at once, even if other uses wait."""


def verify(installation: Installation, reader: TokenReader, token: str, caller: Caller) -> Session:
    """Look the session up once, check it, and write the use if it is due. Contract: `Registry.verify`."""
    installation.head.check()
    claims = reader.claims(token)
    try:
        return _check_and_use(installation, claims, caller)
    except TokenRevoked as refusal:
        from authctl.registry.tokens import wipe

        wipe.record_delivery(installation, claims, refusal)
        raise


def introspect(installation: Installation, reader: TokenReader, token: str, caller: Caller) -> Session:
    """The same for a resource server, which passes no order to wipe on. Contract: `Tokens.introspect`."""
    # decision 249: a resource server throws the order away, so it must not be recorded as delivered
    installation.head.check()
    return _check_and_use(installation, reader.claims(token), caller)


def _check_and_use(installation: Installation, claims: Claims, caller: Caller) -> Session:
    session = _check_token(installation, claims, caller)
    if session.read_at < session.use_due_at or not _record_use(installation, session):
        return session
    # A use is judged twice: by the look-up without a lock, and again inside the lock. Between the two the session may have
    # been revoked, refreshed or used later. So the token is checked once more, whether the use was written or not.
    return _check_token(installation, claims, caller)


def _check_token(installation: Installation, claims: Claims, caller: Caller) -> Session:
    session = _look_up(installation, claims)
    check_alive(session, caller)
    check_access(session, claims)
    check_bearer(session, caller)
    # decision 53: the row has a mark for conditions, so that most verifications read no profile
    if session.has_conditions:
        profiles = installation.store.profiles()
        # Profiles are being applied: the batch with this session may have been written between the two look-ups. Then row and
        # profile do not belong together, and the token is checked again from the beginning.
        if (
            profiles.changeover is not None
            and _look_up(installation, claims)._replace(read_at=session.read_at) != session
        ):
            return _check_token(installation, claims, caller)
        check_conditions(profiles, session, caller)
    return session


def _look_up(installation: Installation, claims: Claims) -> Session:
    return session_of_token(installation.store.by_number(claims.number, installation.clock.replacement()), claims)


def _record_use(installation: Installation, session: Session) -> bool:
    """Write a use, or let it wait. True if the registry was free, so that the session has to be read again.

    While a use waits, the answer is the session as it was read: it claims no later deadline. A use that cannot be written for another
    reason is left out. No use is synced: after a power cut a session ends sooner.
    """
    # decisions 106 and 155: a use is not synced, and never waits for another writer
    from authctl.registry.tokens import uses

    use = uses.Use(session.number, session.id, session.generation, session.read_at)
    # Close to its deadline a waiting use could come too late: the session would expire although it is in use.
    is_urgent = session.ends_at - use.used_at <= _URGENT
    if not is_urgent and (installation.waiting_uses or not installation.single_uses.take()):
        return _wait(installation, session, use)
    try:
        with installation.store.change(timeout=0, synced=False, shared=True) as tx:
            uses.write(tx, [use], use.used_at)
    except RegistryLocked:
        return _wait(installation, session, use)
    except RegistryUnavailable:
        # A full disk or a read-only registry: the token is valid all the same, and the session only ends sooner.
        return False
    return True


def _wait(installation: Installation, session: Session, use: "Use") -> bool:
    """Keep a use until it can be written with others. Returns False: the session stays as it was read."""
    from authctl.registry.tokens.uses import deadlines_after_use
    from authctl.registry.tokens.waiting_uses import waiting_uses

    waiting = waiting_uses(installation)
    # One use of a session in its interval is enough: it is due in the row until the waiting one is written.
    profile = None if waiting.covers(use) else waiting.profiles().ruling(session.profile, session.number)
    if profile is not None:
        waiting.add(use, deadlines_after_use(profile, session, use.used_at).use_due_at)
    return False
