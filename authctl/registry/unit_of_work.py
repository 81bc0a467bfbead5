"""One transaction of a use case: its changes, its instant, its actor, and the audit events that it records."""

from functools import partial
from typing import TYPE_CHECKING, Any

from authctl import names
from authctl.audit_chain import follow, new_event, placed
from authctl.errors import InvalidInput
from authctl.instants import format_instant
from authctl.registry.clock import check_clock
from authctl.settings import default_actor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from authctl.model import AuditEvent
    from authctl.model.audit import NewEvent, Place
    from authctl.store.protocol import Change

    class Announce(Protocol):
        """Adds a decision of a unit to the outbox: `outbox.Outbox.announce`."""

        def __call__(
            self,
            unit: "UnitOfWork",
            event: str,
            *,
            note: str | None,
            username: str | None,
            revocation_id: int | None,
            numbers: "Sequence[int]",
            recorded: "Callable[[], AuditEvent]",
        ) -> None:
            """Announce it; `recorded` gives its audit event, and appends it to the log where it waits."""


AUTHCTL = "authctl"
"""The actor of changes that authctl makes by itself."""

MOST_LISTED = 1_000
"""The most sessions that an outcome and its audit event name."""


_MOST_ENDED = 100
"""The most ends of disablings that one change records."""


class UnitOfWork:
    """One transaction: its changes, its one instant, and its actor."""

    def __init__(
        self, tx: "Change", now: int, actor: str, clock: int, announce: "Announce", *, seals_late: bool = False
    ) -> None:
        self.tx = tx
        self._announce = announce
        self.now = now
        self.actor = actor
        self.clock = clock
        """The clock's instant: `now`, or earlier where the clock was set back."""
        self._seals_late = seals_late
        self._sealed: list[AuditEvent] = []
        self._waiting: list[NewEvent] = []
        """Events that are not in the log yet."""
        self._unannounced: list[Callable[[], None]] = []
        """Announcements that wait for the end of the unit."""
        self._place: Callable[[], Place] | None = None

    @property
    def has_events(self) -> bool:
        """Whether this unit has recorded an event."""
        return bool(self._sealed or self._waiting)

    @property
    def recorded(self) -> "list[AuditEvent]":
        """The events of this unit. Those that wait to be appended are appended when this is asked for."""
        if not self._waiting:
            return self._sealed
        if self._place is not None:
            self._sealed.append(placed(self._waiting.pop(), self._place()))
            self._place = None
        for event in self._waiting:
            # Read inside the lock: two events cannot follow the same one.
            sealed = follow(self.tx.last_event(), event)
            self.tx.add_event(sealed)
            # Kept for the head outside, which is written after the commit.
            self._sealed.append(sealed)
        self._waiting.clear()
        return self._sealed

    def complete(self) -> None:
        """Announce and append what waits, the only event by the store if it does so at the commit; and record the time."""
        for announce in self._unannounced:
            announce()
        self._unannounced.clear()
        if len(self._waiting) == 1 and not self._sealed:
            self._place = self.tx.append_at_commit(self._waiting[0])
        if self._place is None:
            _ = self.recorded
        # A change without an event, such as a second sign-out, records the time by itself where it matters.
        self.tx.record_time(self.now)

    def record(
        self,
        action: str,
        *,
        subject: str | None = None,
        note: str | None = None,
        detail: dict[str, Any],
        actor: str | None = None,
    ) -> None:
        """Append an event to the audit log, in this transaction; `actor` replaces the actor of the unit."""
        event = new_event(
            at=self.now,
            actor=actor or self.actor,
            action=action,
            subject=subject,
            note=note,
            detail=detail,
        )
        self._waiting.append(event)
        # A change that is shared takes the lock of the chain last, and holds it as shortly as it can (decisions 297 and 318).
        if not self._seals_late:
            _ = self.recorded

    def announce(
        self,
        event: str,
        *,
        note: str | None = None,
        username: str | None = None,
        revocation_id: int | None = None,
        numbers: "Sequence[int]" = (),
        recorded: "AuditEvent | None" = None,
    ) -> None:
        """Announce a decision to the receivers: about a user, the sessions of a revocation, or others.

        Its audit event is `recorded`, by default the last one of the unit. An event about sessions with none of them is not announced.
        A shared unit announces at its end: an announcement has the number of its audit event, which is known behind the lock of the
        chain alone, and that lock is the last one of a change (decision 332).
        """
        if username is None and revocation_id is None and not len(numbers):
            return
        last = len(self._sealed) + len(self._waiting) - 1
        announce = partial(
            self._announce,
            self,
            event,
            note=note,
            username=username,
            revocation_id=revocation_id,
            numbers=numbers,
            recorded=lambda: recorded or self.recorded[last],
        )
        if self._seals_late:
            self._unannounced.append(announce)
        else:
            announce()

    def end_disablings(self) -> None:
        """Record the disablings that ended by themselves, with an event each; up to 100, and the rest with later changes."""
        # decision 208: nothing runs at the instant of the end, so the next change records it
        for user in self.tx.end_disablings(self.now, _MOST_ENDED):
            from authctl.model.told_events import Event

            detail = {
                "username_key": names.fold(user.username),
                "by": "until",
                "disabled_at": user.disabled_at and format_instant(user.disabled_at),
                "until": user.disabled_until and format_instant(user.disabled_until),
            }
            self.record("user.enable", subject=user.username, detail=detail, actor=AUTHCTL)
            self.announce(Event.USER_ENABLED, username=user.username)

    def check_clock(self) -> None:
        """Raise Refused when the clock is too far behind the recorded time to begin anything."""
        check_clock(self.clock, self.now)


def actor_name(actor: str | None) -> str:
    """The actor as recorded, without white space around it: a list of the audit log compares it exactly. Raises InvalidInput when it is blank or cannot be stored."""
    name = names.field(default_actor() if actor is None else actor, "actor").strip()
    if not name:
        raise InvalidInput("the actor is blank", 'name the actor: --actor "alice"')
    return name
