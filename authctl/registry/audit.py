"""Reading the audit log and walking its chain.

See docs/glossary.md#audit-chain.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from authctl import names
from authctl.audit_chain import Verifier
from authctl.errors import IntegrityFailure, NotFound, Refused
from authctl.model import AuditEvent, EventFilter, texts_of
from authctl.registry.installation import Installation
from authctl.registry.outside_head import check_identity
from authctl.registry.sessions import resolve
from authctl.store.base import View

_BATCH = 1_000
_BEFORE_ALL = -(2**63)


class ChainHead(NamedTuple):
    """The last event of a chain that was found whole."""

    seq: int
    hash: str


class AcceptOutcome(NamedTuple):
    """What taking the present chain as true came to."""

    seq: int
    hash: str
    at: int
    actor: str
    note: str
    known: int | None
    """The event that the head outside knew last."""
    ended: int
    """How many active sessions that ended."""


def events(installation: Installation, selection: EventFilter | None) -> Iterator[AuditEvent]:
    """See `Registry.events`."""
    selection = selection or EventFilter()
    if selection.session_id is not None:
        with installation.store.view() as view:
            whole = tuple(_whole_id(view, one) for one in texts_of(selection.session_id))
        selection = replace(selection, session_id=whole)
    before = None
    while True:
        with installation.store.view() as view:
            found = view.events(selection, _BATCH, before)
        yield from found
        if len(found) < _BATCH:
            return
        before = found[-1].seq


def _whole_id(view: View, text: str) -> str:
    """The id that a text abbreviates; a whole one may be of a session that was removed."""
    prefix = names.id_prefix(text)
    whole = prefix if prefix and names.is_whole_id(prefix) else resolve(view, text)
    if whole is None:
        raise NotFound(f"no session {names.quoted(text)}")
    return whole


def event(installation: Installation, seq: int) -> AuditEvent:
    """See `Registry.event`."""
    with installation.store.view() as view:
        found = view.event(seq)
    if found is None:
        raise NotFound(f"no audit event {seq}", "to see them: authctl audit list")
    return found


def verify(installation: Installation) -> ChainHead:
    """Walk the chain alone. Raises IntegrityFailure naming the first bad event, or where it is of another registry."""
    verifier = Verifier()
    is_more = True
    while is_more:
        with installation.store.view() as view:
            is_more = _walk(view, verifier)
    with installation.store.view() as view:
        return _end(view, verifier)


def verify_since(view: View, known: ChainHead | None) -> ChainHead:
    """As `verify`, in one snapshot: only the events since one that was verified before, where the chain still has that one."""
    verifier = Verifier()
    event = view.event(known.seq) if known else None
    if known and event and event.hash == known.hash:
        verifier.last = event
    while _walk(view, verifier):
        pass
    return _end(view, verifier)


def _walk(view: View, verifier: Verifier) -> bool:
    """Walk the next events; whether there may be more."""
    found = view.chain(verifier.last.seq if verifier.last else _BEFORE_ALL, _BATCH)
    if not verifier.walk(found):
        raise IntegrityFailure(f"the audit log was tampered with: {verifier.bad}")
    return len(found) == _BATCH


def _end(view: View, verifier: Verifier) -> ChainHead:
    """The head of a chain that was walked to its end."""
    if verifier.last is None:
        raise IntegrityFailure("the audit log was tampered with: it is empty")
    check_identity(view)
    return ChainHead(verifier.last.seq, verifier.last.hash)


def verify_against_head(installation: Installation) -> ChainHead:
    """See `Registry.verify_audit`."""
    found = verify(installation)
    installation.head.check(again=True)
    return found


def accept(installation: Installation, *, note: str | None, actor: str | None) -> AcceptOutcome:
    """See `Registry.accept_audit`."""
    note = names.note(note)
    verify(installation)
    if installation.head.is_reached():
        raise Refused("the audit log matches audit.head: there is nothing to accept")
    known = installation.head.read()
    with installation.change(actor, patience=2, anchored=False) as unit:
        last = unit.tx.last_event()
        ended = unit.tx.end_all(unit.now, "restored")
        unit.tx.set_restored(unit.now)
        forgotten = unit.tx.forget_logins()
        detail = {
            "known": known.seq if known else None,
            "taken": last.seq if last else 0,
            "ended": ended,
            "forgotten": forgotten,
        }
        unit.record("audit.accept", note=note, detail=detail)
        accepted = unit.recorded[-1]
    installation.head.accept(accepted)
    return AcceptOutcome(accepted.seq, accepted.hash, unit.now, unit.actor, note, known.seq if known else None, ended)
