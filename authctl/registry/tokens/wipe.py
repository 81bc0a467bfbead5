"""Orders to remove the data of an application: the records of their delivery and acknowledgement.

Mimecast: a revoked application is signed out and removes its data at its next contact. The order is part of every
refusal until it is acknowledged (`checks.check_alive`); here it is recorded.

See docs/glossary.md#wipe.
"""

from contextlib import suppress

from authctl import names
from authctl.errors import AuthctlError, TokenInvalid, TokenRevoked
from authctl.model import Session, Wipe
from authctl.model.told_events import Event
from authctl.registry.installation import Installation
from authctl.registry.tokens.checks import session_of_token
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import AUTHCTL, UnitOfWork
from authctl.tokens import Claims

_SHORT_TIMEOUT_SECONDS = 0.02
"""How long the record of a delivery waits for its turn: the refusal waits for it."""


def record_delivery(installation: Installation, claims: Claims, refusal: TokenInvalid) -> None:
    """Record the first refusal that contained the order to remove data.

    An error is ignored: the order stays pending, and the next refusal repeats it.
    """
    if refusal.action is None:
        return
    # decision 48: the order is given even if it cannot be recorded
    with suppress(AuthctlError):
        # First without the lock: every later refusal comes here too, and must not wait for writers.
        with installation.snapshot(with_waiting_uses=False) as (view, now):
            if session_of_token(view.by_number(claims.number, now), claims).wipe is not Wipe.PENDING:
                return
        with installation.change(AUTHCTL, timeout=_SHORT_TIMEOUT_SECONDS, shared=True, session=claims.number) as unit:
            session = session_of_token(unit.tx.by_number(claims.number, unit.now), claims)
            # Read again inside the lock: another process may have recorded the delivery since.
            if session.wipe is Wipe.PENDING:
                unit.tx.deliver_wipe(session.number, unit.now)
                _record(unit, "wipe.delivered", session)


def order(installation: Installation, reader: TokenReader, token: str) -> Session | None:
    """Record that an order was delivered, and return its session. Contract: `Tokens.wipe_order`."""
    claims = reader.claims(token)
    with installation.snapshot(with_waiting_uses=False) as (view, now):
        session = session_of_token(view.by_number(claims.number, now), claims)
    if session.wipe not in (Wipe.PENDING, Wipe.DELIVERED):
        return None
    record_delivery(installation, claims, TokenRevoked("the session was revoked", action="wipe"))
    return session


def acknowledge(installation: Installation, reader: TokenReader, token: str, actor: str | None) -> Session:
    """Record the first acknowledgement with its event. Contract: `Tokens.wipe_done`."""
    claims = reader.claims(token)
    with installation.change(actor, shared=True, session=claims.number) as unit:
        session = session_of_token(unit.tx.by_number(claims.number, unit.now), claims)
        if session.wipe is None:
            raise TokenInvalid("no wipe was ordered for the session of this token")
        # An application that did not receive the answer asks again, and gets the same one.
        if session.wipe is Wipe.ACKNOWLEDGED:
            return session
        unit.tx.acknowledge_wipe(session.number, unit.now)
        _record(unit, "wipe.done", session)
        unit.announce(Event.SESSION_WIPED, numbers=[session.number])
        return session_of_token(unit.tx.by_number(claims.number, unit.now), claims)


def _record(unit: UnitOfWork, action: str, session: Session) -> None:
    unit.record(action, subject=session.id, detail={"username_key": names.fold(session.username)})
