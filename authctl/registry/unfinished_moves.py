"""Gives up a move that was begun and not finished: the old place is in force then, and the copy at the new place is gone.

The copy decides which place opens. It is removed first, in one transaction in which nobody can open it. A process that would finish
the move finds no copy then, or another one than it made, and ends. So both places are never open (decision 338).

What a kill leaves: before the removal, everything as it was. After it, the old place as it was, open or closed, and the same
command goes on.

See docs/glossary.md#move.
"""

from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import Refused, RegistryMoved, RegistryUnavailable
from authctl.registry.clock import RegistryClock
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS, Installation, warning_in_log
from authctl.registry.moving import place_text
from authctl.registry.outbox import Outbox
from authctl.registry.unit_of_work import UnitOfWork, actor_name
from authctl.registry_locations import read_location
from authctl.store import open_store
from authctl.store.moving import discard_arrived, marks_at, reopening
from authctl.store.protocol.moves import Marks
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.instants import Clock
    from authctl.model import AuditEvent
    from authctl.registry.clock import Warn
    from authctl.settings import Home
    from authctl.store.protocol import Store, View


class Copy(StrEnum):
    """The copy that a move which is given up has made at the new place."""

    NONE = "none"
    """There is none, or it is another registry's."""
    REMOVED = "removed"
    """The copy was there, and is removed; by a dry run it would be."""
    LEFT = "left"
    """The new place cannot be asked. A copy there stays, and never opens."""


class GivenUp(NamedTuple):
    """The outcome of giving a move up, or of its dry run."""

    registry_id: str
    in_force: str
    """The old place, which is in force: the path of a file, or the address of a database."""
    given_up: str
    """The new place that is given up."""
    was_closed: bool
    """Whether the old place was closed, and opens again."""
    copy: Copy
    why_left: str | None
    """Why the new place cannot be asked, for a copy that is left."""
    event: "AuditEvent | None"
    """The audit event; None in a dry run."""


def give_up(
    home: "Home",
    *,
    note: str | None,
    actor: str | None = None,
    copy_is_lost: bool = False,
    dry_run: bool = False,
    clock: "Clock | None" = None,
    warn: "Warn | None" = None,
    agree: Callable[[GivenUp], None] | None = None,
) -> GivenUp:
    """Give up the move of a home's registry that was begun and not finished. The old place is in force then.

    The copy at the new place is removed. If that place cannot be asked, a copy stays there where the old place is still open, since
    nothing opens that copy any more. If the old place is closed, the error is raised instead: the copy may be opened by the process
    that made it. With `copy_is_lost` the new place is not asked in any case; that is right only for one that never comes back.
    `agree` is called with the outcome of a dry run before anything is changed; it may raise.

    Raises Refused without a note, or if no move was begun; RegistryMoved if the move is finished, or was finished meanwhile;
    RegistryUnavailable if either place cannot be used, or a running move holds the registry.
    """
    note = names.note(note)
    giver = _Giver(home, note, actor_name(actor), clock, warn, copy_is_lost=copy_is_lost)
    try:
        with closing(open_store(home.registry)) as store:
            with store.view() as view:
                preview = giver.preview(_marks_of(view), was_closed=False)
            if dry_run:
                return preview
            if agree is not None:
                agree(preview)
            return giver.give_up(store)
    except RegistryMoved as moved:
        marks = marks_at(home.registry)
        if marks is None or marks.moved_to is None or marks.moving_to is None:
            raise
        preview = giver.preview(marks, was_closed=True)
        if preview.copy is Copy.LEFT and not copy_is_lost:
            message = f"{moved.message}; that place cannot be asked whether it is open: {preview.why_left}"
            hint = "if it never comes back: authctl registry move --give-up --copy-lost --note TEXT"
            raise RegistryUnavailable(message, hint) from None
        if dry_run:
            return preview
        if agree is not None:
            agree(preview)
        return giver.reopen(marks, moved)


class _Giver(NamedTuple):
    """The giving up of a move, as it was asked for."""

    home: "Home"
    note: str
    actor: str
    clock: "Clock | None"
    warn: "Warn | None"
    copy_is_lost: bool

    def preview(self, marks: "Marks", *, was_closed: bool) -> GivenUp:
        """The outcome as it would be. Raises RegistryMoved if the new place is open."""
        assert marks.moving_to is not None
        copy, why_left = Copy.NONE, None
        try:
            there = self._asked(marks.moving_to)
        except RegistryUnavailable as error:
            copy, why_left = Copy.LEFT, error.message
        else:
            if there is not None and there.registry_id == marks.registry_id:
                if there.arriving_from is None and was_closed:
                    raise _is_open(marks.moving_to)
                copy = Copy.REMOVED if there.arriving_from is not None else Copy.NONE
        return GivenUp(
            marks.registry_id, place_text(self.home.registry), marks.moving_to, was_closed, copy, why_left, None
        )

    def give_up(self, store: "Store") -> GivenUp:
        """Forget a move whose old place is open."""
        installation = Installation(self.home, store, self.clock, self.warn)
        with installation.change(self.actor, lock_timeouts=URGENT_LOCK_TIMEOUTS) as unit:
            unit.tx.take_time()  # to ask a place that does not answer takes long
            marks = _marks_of(unit.tx)
            done = self.preview(marks, was_closed=False)
            if done.copy is Copy.REMOVED:
                self._discard(marks)
            unit.tx.set_moving_to(None)
            self._record(unit, done)
        return done._replace(event=unit.recorded[-1])

    def reopen(self, marks: "Marks", moved: RegistryMoved) -> GivenUp:
        """Remove the copy, and open the closed old place again. Raises RegistryMoved if the copy was opened meanwhile."""
        done = self.preview(marks, was_closed=True)
        if done.copy is Copy.REMOVED and not self._discard(marks):
            done = self.preview(marks, was_closed=True)
        with reopening(self.home.registry) as tx:
            if tx is None:
                raise moved
            warn = self.warn or warning_in_log
            now, clock = RegistryClock(self.clock, warn, tx.clock).present(tx)
            unit = UnitOfWork(tx, now, self.actor, clock, Outbox(self.home, warn).announce)
            self._record(unit, done)
            tx.record_time(unit.now)
            event = unit.recorded[-1]
        with closing(open_store(self.home.registry)) as store:
            Installation(self.home, store, self.clock, self.warn).head.advance([event])
        return done._replace(event=event)

    def _asked(self, place: str) -> "Marks | None":
        """The marks at the new place. Raises RegistryUnavailable if it cannot be asked, or is said to be lost."""
        if self.copy_is_lost:
            raise RegistryUnavailable("it is lost")
        try:
            return marks_at(read_location(place))
        except Refused:  # something else is there
            return None

    def _discard(self, marks: "Marks") -> bool:
        assert marks.moving_to is not None
        return discard_arrived(read_location(marks.moving_to), marks.registry_id)

    def _record(self, unit: UnitOfWork, done: GivenUp) -> None:
        detail = {
            "from": visible(done.in_force),
            "to": visible(done.given_up),
            "was_closed": done.was_closed,
            "copy": str(done.copy),
        }
        unit.record("registry.give_up_move", subject=done.registry_id, note=self.note, detail=detail)


def _marks_of(view: "View") -> Marks:
    """The marks of an open registry. Raises Refused if no move was begun."""
    moving_to = view.moving_to()
    if moving_to is None:
        raise Refused("no move of the registry was begun, so there is none to give up")
    return Marks(view.registry_id(), None, moving_to, None, None)


def _is_open(place: str) -> RegistryMoved:
    """The error for a move whose new place is open already."""
    return RegistryMoved(
        f"the registry is open at {visible(place)}: its move cannot be given up",
        f"authctl registry move --to {quote(place)}",
        place,
    )
