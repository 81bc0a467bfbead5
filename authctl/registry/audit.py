"""The audit log: read its events, verify its chain, and accept a chain that is behind audit.head.

See docs/glossary.md#audit-chain.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import IntegrityFailure, NotFound, Refused
from authctl.model import AuditEvent, EventFilter, Texts, texts_of
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS, Installation

if TYPE_CHECKING:
    from authctl.audit_chain import Verifier
    from authctl.store.protocol import View

_BATCH = 1_000
_BEFORE_ALL = -(2**63)


class ChainHead(NamedTuple):
    """The last event of a chain that was verified."""

    seq: int
    hash: str


class AcceptOutcome(NamedTuple):
    """The outcome of accepting the present chain."""

    seq: int
    hash: str
    at: int
    actor: str
    note: str
    known: int | None
    """The number of the event in audit.head; None without one."""
    ended: int
    """The number of active sessions that it ended."""


class Audit:
    """The audit log of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def events(self, selection: EventFilter | None = None) -> Iterator[AuditEvent]:
        """The selected events, newest first, read in batches. Raises InvalidInput or NotFound for a session id."""
        selection = self._with_whole_ids(selection or EventFilter())
        if selection.actor is not None:
            selection = selection._replace(actor=self._spellings(selection.actor))
            if not selection.actor:  # without any actor the store would be asked for the events of all
                return
        before = None
        while True:
            with self._installation.store.view() as view:
                events = view.events(selection, _BATCH, before)
            yield from events
            if len(events) < _BATCH:
                return
            # Each batch is a read of its own: a long list must not hold the snapshot of one read.
            before = events[-1].seq

    def event(self, seq: int) -> AuditEvent:
        """The audit event of that number. Raises NotFound."""
        with self._installation.store.view() as view:
            event = view.event(seq)
        if event is None:
            raise NotFound(f"no audit event {seq}", "to see all events: authctl audit list")
        return event

    def export(self, after: int = 0) -> Iterator[AuditEvent]:
        """All events after a number, the oldest first, read in batches; they are not verified."""
        while True:
            with self._installation.store.view() as view:
                events = view.chain(after, _BATCH)
            yield from events
            if len(events) < _BATCH:
                return
            after = events[-1].seq

    def verify(self) -> ChainHead:
        """Verify the audit chain from its first event, and that it contains the event in audit.head.

        Raises IntegrityFailure naming the first bad event.
        """
        head = verify_chain(self._installation)
        self._installation.head.check(again=True)
        return head

    def check_head(self) -> None:
        """Raise IntegrityFailure where the audit log lacks the event that is known outside the registry."""
        self._installation.head.check(again=True)

    def accept(self, *, note: str | None, actor: str | None = None) -> AcceptOutcome:
        """Accept the present chain after an old registry was put back, and end every session issued before.

        The revocations between are not known: their sessions would be active again. Raises Refused without a note, or where there is
        nothing to accept; IntegrityFailure where the chain itself is broken.
        """
        note = names.note(note)
        verify_chain(self._installation)
        head = self._installation.head
        # decision 79: accepting ends every session, so it is refused without a reason
        if head.is_reached():
            raise Refused("the audit log matches audit.head: there is nothing to accept")
        known = head.read()
        known_seq = known.seq if known else None
        with self._installation.change(actor, lock_timeouts=URGENT_LOCK_TIMEOUTS, anchored=False) as unit:
            last = unit.tx.last_event()
            ended = unit.tx.end_all(unit.now, "restored")
            # As after a restore: the registry has no operations of the missing time, so rows up to now make no active session.
            unit.tx.set_restored(unit.now)
            detail = {"known": known_seq, "taken": last.seq if last else 0, "ended": ended}
            unit.record("audit.accept", note=note, detail={**detail, "forgotten": unit.tx.forget_logins()})
            accepted = unit.recorded[-1]
        head.accept(accepted)
        return AcceptOutcome(accepted.seq, accepted.hash, unit.now, unit.actor, note, known_seq, ended)

    def _with_whole_ids(self, selection: EventFilter) -> EventFilter:
        if selection.session_id is None:
            return selection
        with self._installation.store.view() as view:
            whole = tuple(_whole_id(view, text) for text in texts_of(selection.session_id))
        return selection._replace(session_id=whole)

    def _spellings(self, actors: Texts) -> tuple[str, ...]:
        """The actors as the log has them: each spelling with the folded key of one that is asked for."""
        # decision 363: the log has the names as they were given, and its hashes are of that; there are few of them
        keys = set(map(names.fold, texts_of(actors)))
        with self._installation.store.view() as view:
            return tuple(view.actors(keys))


def _whole_id(view: "View", text: str) -> str:
    """The id that a text abbreviates; a whole id may be of a session that was removed."""
    from authctl.registry.sessions import resolve

    prefix = names.id_prefix(text)
    # Events outlive their sessions: a whole id is looked for even if cleanup has removed the session.
    whole = prefix if prefix and names.is_whole_id(prefix) else resolve(view, text)
    if whole is None:
        raise NotFound(f"no session {names.quoted(text)}")
    return whole


def verify_chain(installation: Installation) -> ChainHead:
    """Verify the chain alone, batch by batch. Raises IntegrityFailure naming the first bad event, or for another registry's chain."""
    from authctl.audit_chain import Verifier

    verifier = Verifier()
    is_more = True
    while is_more:
        with installation.store.view() as view:
            is_more = _verify_batch(view, verifier)
    with installation.store.view() as view:
        return _head(view, verifier)


def verify_chain_since(view: "View", known: ChainHead | None) -> ChainHead:
    """Verify the chain in one snapshot: only the events since one that was verified before, where the chain still has it."""
    from authctl.audit_chain import Verifier

    verifier = Verifier()
    event = view.event(known.seq) if known else None
    # The verified event is still there, and so are all before it: each contains the hash of the one before.
    if known and event and event.hash == known.hash:
        verifier.last = event
    while _verify_batch(view, verifier):
        pass
    return _head(view, verifier)


def _verify_batch(view: "View", verifier: "Verifier") -> bool:
    """Verify the next events; whether there may be more."""
    events = view.chain(verifier.last.seq if verifier.last else _BEFORE_ALL, _BATCH)
    if not verifier.verify_events(events):
        raise IntegrityFailure(f"the audit log was tampered with: {verifier.bad}")
    # A full batch may be the last one: the next is empty then, and ends the walk.
    return len(events) == _BATCH


def _head(view: "View", verifier: "Verifier") -> ChainHead:
    """The head of a chain that was verified to its end."""
    if verifier.last is None:
        raise IntegrityFailure("the audit log was tampered with: it is empty")
    from authctl.registry.outside_head import check_identity

    check_identity(view)
    return ChainHead(verifier.last.seq, verifier.last.hash)
