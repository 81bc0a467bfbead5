"""Moves of a registry to another place: a file or a database. The old place is closed before the new one opens.

The steps, and what a kill after each of them leaves:

1. The old place records that a move begins: it is in force.
2. Nobody else can change the old place from here to step 4. The copy is made, compared, and appears at the new place, closed:
   the old place is in force, and the same command begins again.
3. The event of the move is the last one of both audit logs.
4. The old place is closed, in one transaction with its event: neither is open, both name the command that finishes the move.
5. The new place opens. What is left: `audit.head`, and the note in the old place that the move is finished.

See docs/glossary.md#move.
"""

import json
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import AuthctlError, IntegrityFailure, InvalidInput, Refused, RegistryMoved
from authctl.files import resolved
from authctl.instants import Clock
from authctl.model import EventFilter, SessionFilter, Status
from authctl.registry import audit as audit_log
from authctl.registry.audit import ChainHead
from authctl.registry.batches import Progress, no_progress
from authctl.registry.clock import Warn
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS, Installation
from authctl.registry.unit_of_work import UnitOfWork, actor_name
from authctl.registry_locations import Location, read_location
from authctl.settings import Home
from authctl.store import open_store, store_files
from authctl.store.moving import (
    arriving,
    check_fit,
    compare,
    count_rows,
    discard_arrived,
    finish_move,
    marks_at,
    open_arrived,
)
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.model import AuditEvent
    from authctl.store.protocol import Store, View
    from authctl.store.protocol.moves import Compared

_STEPS = 4


class MoveOutcome(NamedTuple):
    """The outcome of a move, or of its dry run."""

    registry_id: str
    moved_from: str
    """The old place: the path of a file, or the address of a database."""
    moved_to: str
    seq: int
    """The audit event of the move, the last one of the old place; in a dry run the last event so far."""
    hash: str
    at: int
    actor: str
    note: str | None
    active: int
    """How many sessions are active."""
    tables: dict[str, int]
    """The number of rows of each table, without the event of the move."""
    compared: int | None
    """How many rows were compared column by column; None if this command only finished a move, or moved nothing."""
    was_begun: bool
    """Whether an earlier command had closed the old place already."""
    dry_run: bool


def move(
    home: Home,
    to: str | Path,
    *,
    note: str | None = None,
    actor: str | None = None,
    dry_run: bool = False,
    clock: Clock | None = None,
    warn: Warn | None = None,
    agree: Callable[[MoveOutcome], None] | None = None,
    progress: Progress = no_progress,
) -> MoveOutcome:
    """Move the registry of a home to an empty place, and close the old place for good.

    Everything moves: sessions, revocations, users, clients, profiles in force, the audit log, imports, the outbox. The key ring
    and the files of the home stay. Nobody can change the registry meanwhile; tokens are verified until the old place is closed.
    From then on every process that has the old place open gets RegistryMoved. After an interruption the same call
    completes the move, or begins again. `agree` is called with the outcome of a dry run before anything is changed; it may raise.

    Raises InvalidInput for a place that cannot be named, or is the present one; Refused if something else is there, or a server
    is not fit; RegistryMoved if the registry was moved to another place before; RegistryUnavailable or IntegrityFailure if either
    place cannot be used, or the copy differs. The old place is in force then.
    """
    note = None if note is None else names.note(note)
    who = actor_name(actor)
    mover = _Mover(home, _target(home, to), note, who, clock, warn, agree, progress)
    try:
        with closing(open_store(home.registry)) as store:
            return mover.preview(mover.checked(store)) if dry_run else mover.move(store)
    except RegistryMoved as error:
        if dry_run or error.moved_to != place_text(mover.target):
            raise
        return mover.finish(error)


class _Mover(NamedTuple):
    """One move of a registry, as it was asked for."""

    home: Home
    target: Location
    note: str | None
    actor: str
    clock: Clock | None
    warn: Warn | None
    agree: Callable[[MoveOutcome], None] | None
    progress: Progress

    def preview(self, installation: Installation) -> MoveOutcome:
        """The move as it would be."""
        with installation.snapshot() as (view, now):
            last = ChainHead(*view.last_seal())
            return self._outcome(view, now, last, count_rows(view), None)._replace(dry_run=True)

    def move(self, store: "Store") -> MoveOutcome:
        """Move the registry, step by step."""
        installation = self.checked(store)
        if self.agree is not None:
            self.agree(self.preview(installation))
        trusted = audit_log.verify_chain(installation)
        with store.change(lock_timeouts=URGENT_LOCK_TIMEOUTS) as tx:
            tx.set_moving_to(place_text(self.target))
        self.progress(1, _STEPS)
        try:
            outcome, event = self._close(installation, trusted)
        except BaseException:
            self._give_up(store)
            raise
        self._open(event)
        return outcome

    def finish(self, closed: RegistryMoved) -> MoveOutcome:
        """Finish a move whose old place is closed; do nothing if it was finished."""
        old, there = marks_at(self.home.registry), marks_at(self.target)
        if there is None or old is None or there.registry_id != old.registry_id:
            message = f"{closed.message}, and it is not there; nothing else has changed"
            is_finished = old is None or old.moving_to is None
            raise IntegrityFailure(
                message, "restore the newest backup at the new place" if is_finished else RegistryMoved.give_up
            )
        if there.arriving_from is not None:
            open_arrived(self.target, old.last_hash or "")
        with closing(open_store(self.target)) as store:
            installation = self._moved(store)
            with installation.snapshot() as (view, now):
                event = _event_of_move(view, place_text(self.target))
                if event is None:  # an older copy was restored there since
                    raise closed
                outcome = self._outcome(view, now, ChainHead(event.seq, event.hash), _tables_of(event), None)
        self._finish(event)
        return outcome._replace(at=event.at, actor=event.actor, note=event.note, was_begun=True)

    def checked(self, store: "Store") -> Installation:
        """The installation of the old place, once both places are found fit. Nothing is changed."""
        installation = Installation(self.home, store, self.clock, self.warn)
        installation.head.check(again=True)
        if place_text(self.home.registry) == place_text(self.target):
            raise InvalidInput(f"the registry is at {self.target} already", "name another place: --to PATH or --to URL")
        there = marks_at(self.target)
        with installation.snapshot() as (view, _now):
            # decision 327: a copy that an interrupted move left is replaced, since changes may have followed it
            if there is not None and (there.registry_id != view.registry_id() or there.arriving_from is None):
                raise Refused(f"a registry already exists: {self.target}", "name an empty place")
        check_fit(self.target)
        return installation

    def _close(self, installation: Installation, trusted: ChainHead) -> "tuple[MoveOutcome, AuditEvent]":
        """Let a copy arrive at the new place, and close the old one. The event of the move is the last one of both."""
        with installation.store.change(lock_timeouts=URGENT_LOCK_TIMEOUTS) as tx:
            tx.take_time()
            # another command may have given this move up, or begun another one, before this one had its turn (decision 338)
            if tx.moving_to() != place_text(self.target):
                raise Refused(f"the move to {self.target} was given up meanwhile", "authctl doctor")
            now, clock = installation.clock.present(tx)
            unit = UnitOfWork(tx, now, self.actor, clock, installation.outbox.announce)
            unit.check_clock()
            # Begun when nobody else can change the registry any more: the snapshot is the last state, without the event.
            with installation.store.view() as view:
                head = audit_log.verify_chain_since(view, trusted)
                counts = count_rows(view)
                places = {"from": visible(place_text(self.home.registry)), "to": visible(place_text(self.target))}
                unit.record(
                    "registry.move", subject=view.registry_id(), note=self.note, detail={**places, "tables": counts}
                )
                tx.record_time(unit.now)
                event = unit.recorded[-1]
                compared = self._copy(view, head, event)
                outcome = self._outcome(view, unit.now, ChainHead(event.seq, event.hash), counts, compared)
            tx.close_for_move(place_text(self.target))
        return outcome, event

    def _copy(self, view: "View", head: ChainHead, event: "AuditEvent") -> "Compared":
        """Make the copy, compare it, and let it appear, closed, with the event of the move."""
        with arriving(view, self.target, place_text(self.home.registry), self.home.folder) as copy:
            self.progress(2, _STEPS)
            with copy.view() as there:
                compared = compare(view, there, event.at)
                if audit_log.verify_chain_since(there, None) != head:
                    raise IntegrityFailure("the copy of the registry has another audit log: nothing was moved")
            with copy.change() as tx:
                tx.add_event(event)
                tx.record_time(event.at)
            self.progress(3, _STEPS)
        return compared

    def _give_up(self, store: "Store") -> None:
        """Remove the copy that a failed move left, unless the old place is closed; a copy that stays is replaced by the next move."""
        with suppress(AuthctlError, OSError), store.change() as tx:
            tx.take_time()  # a server ends a change that stands still, and to remove a file from a busy disk takes long
            # Inside the change: the old place is open, and stays so until the copy is gone.
            discard_arrived(self.target, tx.registry_id())
            if tx.moving_to() == place_text(self.target):
                tx.set_moving_to(None)

    def _open(self, event: "AuditEvent") -> None:
        """Open the new place, move `audit.head` on, and note in the old place that the move is finished."""
        open_arrived(self.target, event.hash)
        self._finish(event)

    def _finish(self, event: "AuditEvent") -> None:
        """Finish the move, whose new place is open."""
        with closing(open_store(self.target)) as store:
            self._moved(store).head.advance([event])
        finish_move(self.home.registry)
        self.progress(_STEPS, _STEPS)

    def _moved(self, store: "Store") -> Installation:
        """The installation with the registry at its new place."""
        return Installation(self.home._replace(registry=self.target), store, self.clock, self.warn)

    def _outcome(
        self, view: "View", now: int, last: ChainHead, tables: dict[str, int], compared: "Compared | None"
    ) -> MoveOutcome:
        return MoveOutcome(
            registry_id=view.registry_id(),
            moved_from=place_text(self.home.registry),
            moved_to=place_text(self.target),
            seq=last.seq,
            hash=last.hash,
            at=now,
            actor=self.actor,
            note=self.note,
            active=view.count(SessionFilter(status=Status.ACTIVE), now),
            tables=tables,
            compared=compared.rows if compared else None,
            was_begun=False,
            dry_run=False,
        )


def _target(home: Home, to: str | Path) -> Location:
    """The new place. Raises InvalidInput for a text that names none, and for a file that the installation needs."""
    text = str(to)
    # One that begins with a hyphen was meant as the next option: `--to --yes`.
    if not text.strip() or text.startswith("-") or text == ".":
        raise InvalidInput(
            f"not the place of a registry: {names.quoted(text)}", "name a file or a database: --to PATH or --to URL"
        )
    location = read_location(to)
    if isinstance(location, str):
        return location
    try:
        text.encode()  # the old place keeps the name, as text
        location = resolved(location)
    except ValueError:
        raise InvalidInput(f"no registry can have the name {names.quoted(text)}") from None
    own = (home.keys, home.profiles, home.audit_head, home.authenticators, home.receivers, home.push_key)
    if location in {*map(resolved, own), *map(resolved, store_files(home.registry)[1:])}:
        raise InvalidInput(f"{location} is the name of another file of the installation", "name another file")
    return location


def place_text(location: Location) -> str:
    """A place as the other place keeps it: an absolute path, or an address."""
    text = location if isinstance(location, str) else str(resolved(location))
    return text.encode(errors="backslashreplace").decode()


def _event_of_move(view: "View", to: str) -> "AuditEvent | None":
    """The newest event of a move to that place."""
    before = None
    while events := view.events(EventFilter(action="registry.move"), 1, before):
        if json.loads(events[0].detail).get("to") == visible(to):
            return events[0]
        before = events[0].seq
    return None


def _tables_of(event: "AuditEvent") -> dict[str, int]:
    """The rows of each table that moved, as the event of the move has them."""
    tables: dict[str, int] = json.loads(event.detail)["tables"]
    return tables
