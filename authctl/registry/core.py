"""What every use case needs: the store, the clock, and a transaction that writes its audit event with the deed.

And what nobody should have to believe: the clock, which never goes behind what the registry has seen, and the registry
itself, whose audit chain must reach the head that is kept outside it.

See docs/glossary.md#audit-head, docs/glossary.md#recorded-time and docs/glossary.md#reserve.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from authctl import anchor, names
from authctl.anchor import Head
from authctl.errors import (
    AuthctlError,
    DiskFull,
    IntegrityFailure,
    InvalidInput,
    OutcomeUnknown,
    Refused,
    RegistryUnavailable,
    reason,
)
from authctl.files import keep_reserve, release
from authctl.instants import EARLIEST, MINUTE, NEVER, Clock, format_instant, instant_of, utc_now
from authctl.settings import Home, default_actor

if TYPE_CHECKING:
    from authctl.model import AuditEvent
    from authctl.store.base import Change, Store, View

AUTHCTL = "authctl"
"""The actor of what authctl does by itself."""

TOLERANCE = 5 * MINUTE
"""How far behind what the registry has seen the clock may be without a word."""

RESERVE = 2 * 2**20
"""How much room is kept for revocations on a full disk, in bytes: that of everybody's, or of a hundred sessions and more."""

MOST_LISTED = 1_000
"""How many sessions an outcome and its audit event name."""

Done = TypeVar("Done")

Warn = Callable[[str], None]


class Unit:
    """One transaction: what to change, the one instant it happens at, and who does it."""

    def __init__(self, tx: "Change", now: int, actor: str, clock: int) -> None:
        self.tx = tx
        self.now = now
        self.actor = actor
        self.clock = clock
        """What the clock says: `now`, or less where it was set back."""
        self.recorded: list[AuditEvent] = []

    def record(
        self,
        action: str,
        *,
        subject: str | None = None,
        note: str | None = None,
        detail: dict[str, Any],
        actor: str | None = None,
    ) -> None:
        """Append the event of what this transaction does to the audit chain; `actor` is another one than the unit's."""
        from authctl import audit

        event = audit.sealed(
            self.tx.last_event(),
            at=self.now,
            actor=actor or self.actor,
            action=action,
            subject=subject,
            note=note,
            detail=detail,
        )
        self.tx.add_event(event)
        self.recorded.append(event)

    def check_clock(self) -> None:
        """Raise Refused where the clock is too far behind to begin anything that counts from now."""
        check_clock(self.clock, self.now)


def check_clock(clock: int, seen: int) -> None:
    """Raise Refused where the clock is too far behind what the registry has seen."""
    if seen - clock > TOLERANCE:
        what = f"the clock says {format_instant(clock)}, and the registry has seen {format_instant(seen)}"
        raise Refused(what, "set the clock; if it was ahead before: authctl doctor --accept-clock --note WHY")


class Core:
    """A registry's parts, shared by the use cases."""

    def __init__(self, home: Home, store: "Store", clock: Clock | None, warn: Warn | None = None) -> None:
        self.home = home
        self.store = store
        self._clock = clock
        self._warn = warn or _logged
        self._warned: set[str] = set()
        self._is_anchored = False
        self._known_id: str | None = None
        self._reserve = home.reserve

    def now(self) -> int:
        """What the clock says. Raises RegistryUnavailable for what is no time."""
        try:
            now = utc_now() if self._clock is None else instant_of(self._clock())
        except (ValueError, OverflowError, TypeError):
            now = NEVER
        if not EARLIEST <= now < NEVER:
            raise RegistryUnavailable("the clock returned an invalid time")
        return now

    def _clock_or_nothing(self) -> int:
        """The same for what never depends on the clock: far behind everything where it says nothing."""
        try:
            return self.now()
        except RegistryUnavailable as error:
            self.warn(f"{error.message}: using the latest time recorded in the registry")
            return EARLIEST

    def with_room(self, deed: Callable[[], Done]) -> Done:
        """Do what must be possible on a full disk, too: once more with the room that is kept for it."""
        try:
            return deed()
        except DiskFull:
            if not release(self._reserve):
                raise
            self.warn("the disk is full: using the space reserved for revocations")
            try:
                return deed()
            finally:  # also where nothing came of it
                keep_reserve(self._reserve, RESERVE)

    def warn(self, text: str) -> None:
        """Say something that does not keep the deed from being done; once each."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    @contextmanager
    def change(
        self, actor: str | None, *, wait: bool = True, patience: int = 1, anchored: bool = True
    ) -> Iterator[Unit]:
        """Change the registry: all of the block and what it records, or nothing. The time is taken once the turn has come."""
        who = actor_name(actor)
        with self.store.change(wait=wait, patience=patience) as tx:
            clock = self._clock_or_nothing()
            unit = Unit(tx, self._instant(tx, clock), who, clock)
            yield unit
            if unit.recorded:
                tx.saw(unit.now)
        if unit.recorded and anchored:
            keep_reserve(self._reserve, RESERVE)
            self._anchor(unit.recorded)

    @contextmanager
    def look(self) -> Iterator[tuple["View", int]]:
        """Read one snapshot of the registry, with the instant it is judged at."""
        with self.store.view() as view:
            yield view, self._instant(view, self._clock_or_nothing())

    def _instant(self, view: "View", clock: int) -> int:
        """The present instant: what the clock says, or the latest that the registry has seen where that is later."""
        seen = view.seen_at()
        if seen - clock > TOLERANCE:
            self.warn(f"the clock is behind the latest time recorded in the registry: using {format_instant(seen)}")
        return max(seen, clock)

    # The head outside

    def outside_head(self) -> Head | None:
        """The head that is kept outside; None where there is none. Raises RegistryUnavailable where it cannot be read."""
        try:
            return anchor.read(self.home.audit_head, self._registry_id())
        except OSError as error:
            raise RegistryUnavailable(f"cannot read {self.home.audit_head}: {reason(error)}") from None

    def take_head(self, last: "AuditEvent") -> None:
        """Keep that event as the head outside, whatever is there: the chain was accepted."""
        try:
            anchor.replace(self.home.audit_head, self._registry_id(), Head(last.seq, last.hash))
        except OSError as error:
            raise OutcomeUnknown(f"accepted, but {self.home.audit_head} cannot be written: {reason(error)}") from None
        self._is_anchored = True

    def is_trusted(self) -> bool:
        """Whether the registry reaches the head that is kept outside it."""
        try:
            self.check_trusted(again=True)
        except IntegrityFailure:
            return False
        return True

    def check_trusted(self, *, again: bool = False) -> None:
        """Raise IntegrityFailure where the registry is behind the head that is kept outside it, or has another chain.

        Compared until it agrees once; a registry that is put in the place of one that is open is met when it is opened next.
        """
        if self._is_anchored and not again:
            return
        head = self.outside_head()
        with self.store.view() as view:  # begun after the head was read, so that it has whatever that one knows
            check_identity(view)
            found = view.event(head.seq) if head else None
            last = view.last_event()
        if head is None and last is not None:
            self.warn(f"{self.home.audit_head} has no entry for this registry; the next change adds it")
        if head is not None and (found is None or found.hash != head.hash):
            raise behind(head, last.seq if last else 0)
        self._is_anchored = True

    def _anchor(self, recorded: Sequence["AuditEvent"]) -> None:
        """Write the head of what was committed. What cannot be written is a warning: the deed stands."""
        before = Head(recorded[0].seq - 1, recorded[0].prev_hash)
        head = Head(recorded[-1].seq, recorded[-1].hash)
        try:
            agrees = anchor.advance(self.home.audit_head, self._registry_id(), before, head, self._has)
        except (OSError, AuthctlError) as error:
            said = reason(error) if isinstance(error, OSError) else error.message
            self.warn(f"done, but the head of the audit log could not be written: {said}")
            return
        if not agrees:
            self._is_anchored = False
            self.warn("the audit log does not match audit.head: see authctl audit verify")

    def _registry_id(self) -> str:
        if self._known_id is None:
            with self.store.view() as view:
                self._known_id = view.registry_id()
        return self._known_id

    def _has(self, heads: Sequence[Head]) -> bool:
        """Whether the audit chain has those events."""
        with self.store.view() as view:
            found = [view.event(head.seq) for head in heads]
        return all(event and event.hash == head.hash for event, head in zip(found, heads, strict=True))


def check_identity(view: "View") -> None:
    """Raise IntegrityFailure where the registry is not the one that its audit log begins with: the head outside is known by that name."""
    first, known_as = view.event(1), view.registry_id()
    if first is not None and first.subject != known_as:
        what = f"the registry was tampered with: it is {names.quoted(known_as)}, and its audit log begins another"
        raise IntegrityFailure(what, "restore the newest backup")


def behind(head: Head, last: int) -> IntegrityFailure:
    """What is wrong where a chain does not have its own head."""
    missing = f"it ends with event {last}" if last < head.seq else f"event {head.seq} is another"
    what = f"the audit log was cut off or replaced, or an old registry put back: {missing}, and audit.head knows {head.seq}"
    return IntegrityFailure(
        what, "restore the newest registry, or accept this one as it is: authctl audit accept --note WHY"
    )


def _logged(text: str) -> None:
    import logging

    logging.getLogger("authctl").warning(text)


def actor_name(actor: str | None) -> str:
    """The actor as recorded. Raises InvalidInput when it is blank or cannot be stored."""
    name = names.field(default_actor() if actor is None else actor, "actor")
    if not name.strip():
        raise InvalidInput("the actor is blank", 'say who acts: --actor "alice"')
    return name
