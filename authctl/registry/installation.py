"""An open installation: its store, its clock and its audit head, and the transactions of the use cases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING, TypeVar

from authctl.errors import DiskFull, Overtaken
from authctl.registry.clock import RegistryClock, Warn

if TYPE_CHECKING:
    from typing import Protocol

    from authctl.instants import Clock
    from authctl.registry.outbox import Outbox
    from authctl.registry.outside_head import OutsideHead
    from authctl.registry.unit_of_work import UnitOfWork
    from authctl.settings import Home

    # decision 135: the protocols are for type checkers; to load them made a list 9 % slower to start
    from authctl.store.protocol import Change, Store, View

    class WaitingUses(
        Protocol
    ):  # for types alone: a class of a protocol takes as long to make as a small module to load
        """The uses that wait until the registry is free; `tokens/waiting_uses.py` makes them for the first one."""

        def __len__(self) -> int:
            """How many wait."""

        def covers(self, session_id: str, used_at: int) -> bool:
            """Whether a waiting use of the session makes one at that instant not due yet."""

        def shorten(self, lock_timeouts: int) -> None:
            """Write them in batches until the rest fits into another change, which waits so many timeouts. Raises as it would."""

        def write_all(self, tx: "Change", now: int) -> Sequence[int]:
            """Write all of them in an open change. Returns their places, for `forget` after the commit."""

        def forget(self, places: Sequence[int]) -> None:
            """Remove those that were written."""

        def write_within(self, seconds: float) -> bool:
            """Write them in batches, waiting so long for the registry to become free. False if some still wait."""

        def close(self) -> None:
            """Write all of them, or drop them with a warning if they cannot be written."""


Result = TypeVar("Result")

_WAITING_USES_SECONDS = 0.25
"""How long a snapshot waits until the waiting uses can be written: no batch of authctl holds the lock for longer."""

_TRIES = 2
"""How often a sign-in reads before its turn, if a change of an administrator comes between each time."""

URGENT_LOCK_TIMEOUTS = 2
"""The lock timeouts that a revocation waits for its turn, and the acceptance of an audit log."""


class SingleUses:
    """The uses that may be written one by one. Each needs a commit of its own, which takes as long as ten verifications."""

    # decision 159: with one commit for each use, a busy back end spends most of its time on commits

    _BURST = 10
    _PER_SECOND = 50

    def __init__(self) -> None:
        self._left: float = self._BURST
        self._at = monotonic()

    def take(self) -> bool:
        """Whether one more may be written by itself now; otherwise it waits, and shares a commit with others."""
        now = monotonic()
        self._left = min(self._BURST, self._left + (now - self._at) * self._PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Installation:
    """A registry's store, clock and audit head, shared by the use cases."""

    def __init__(self, home: "Home", store: "Store", clock: "Clock | None", warn: Warn | None = None) -> None:
        self.home = home
        self.store = store
        self.clock = RegistryClock(clock, self.warn, store.clock)
        self.waiting_uses: WaitingUses | None = None
        """The uses that wait until the registry is free; None until the first one."""
        self.single_uses = SingleUses()
        self._warn = warn or warning_in_log
        self._warned: set[str] = set()
        self.on_unfinished: Callable[[Installation], None] | None = None
        """The function to call after a change if there is a changeover; None in an installation without nouns."""

    @cached_property
    def head(self) -> "OutsideHead":
        """The audit head outside the registry; a list does not need it."""
        from authctl.registry.outside_head import OutsideHead

        return OutsideHead(self.home.audit_head, self.store, self.warn)

    @cached_property
    def outbox(self) -> "Outbox":
        """The announcements to receivers; a list does not need them."""
        from authctl.registry.outbox import Outbox

        return Outbox(self.home, self.warn)

    @cached_property
    def _of_changes(self) -> "tuple[type[UnitOfWork], Callable[[str | None], str]]":
        """The unit of work, and the check of an actor's name: each change needs them, a list does not."""
        # decision 369: an import in a function costs 2 µs each time
        from authctl.registry.unit_of_work import UnitOfWork, actor_name

        return UnitOfWork, actor_name

    def warn(self, text: str) -> None:
        """Pass a warning to the caller who opened the registry; each text once."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def close(self) -> None:
        """Write the waiting uses, and close the store."""
        if self.waiting_uses is not None:
            self.waiting_uses.close()
        self.store.close()

    @contextmanager
    def change(
        self,
        actor: str | None,
        *,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        anchored: bool = True,
        synced: bool = True,
        shared: bool = False,
        session: int | None = None,
        step: bool = False,
        completes: bool = True,
        sign_in: str | None = None,
        revokes_all: bool = False,
        seals_late: bool = False,
    ) -> "Iterator[UnitOfWork]":
        """Change the registry: the whole block and its audit events, or nothing. The instant is taken inside the lock.

        A `shared` change concerns one session or login, a `step` is one of many, `sign_in` is a user, and `revokes_all` if it revokes everything: see `Store.change`. The number of that session,
        if it is there already, is `session`: no other change writes it from the instant on. A change that is not shared first writes
        the waiting uses, and, if it `completes`, completes a changeover that was interrupted afterwards. A shared change, and one that `seals_late`,
        appends its events and announces at its end: with its commit, if there is one event.
        """
        unit_of_work, actor_name = self._of_changes
        who = actor_name(actor)
        waiting = None if shared else self.waiting_uses
        # decision 156: lists and operations of an administrator must see the uses of this process
        if waiting is not None:
            waiting.shorten(lock_timeouts)
        with self.store.change(
            timeout=timeout,
            lock_timeouts=lock_timeouts,
            synced=synced,
            shared=shared,
            step=step,
            sign_in=sign_in,
            revokes_all=revokes_all,
        ) as tx:
            # Taken inside the lock: two changes that wait get their instants in the order in which they happen. Shared changes wait
            # for each other at the session (decision 310).
            if session is not None:
                tx.keep_session(session)
            now, clock = self.clock.present(tx)
            since = time_ns()
            unit = unit_of_work(tx, now, who, clock, self.outbox.announce, seals_late=shared or seals_late)
            written: Sequence[int] = [] if waiting is None else waiting.write_all(tx, unit.now)
            # Not in a batch or a restore: only a change of its own with events can record the end of a disabling (decision 208).
            if synced and anchored:
                unit.end_disablings()
            # Before the block: a change that completes changeovers neither begins one nor ends one.
            is_unfinished = completes and anchored and not shared and tx.has_changeover()
            yield unit
            if unit.has_events:
                unit.complete()
        # After the commit: uses of a change that failed stay in the queue.
        if waiting is not None:
            waiting.forget(written)
        # After the commit: the head must never be ahead of the log, and the kept space must not take room from the change.
        if unit.has_events and anchored:
            self.store.keep_space()
            self.head.advance(unit.recorded, since)
        if is_unfinished and self.on_unfinished is not None:
            self.on_unfinished(self)

    def sign_in(self, actor: str | None, username: str, register: "Callable[[UnitOfWork], Result]") -> Result:
        """Register one session of that user in a shared change. `register` is called again if another change came between."""
        for _ in range(_TRIES):
            with suppress(Overtaken), self.change(actor, shared=True, sign_in=username) as unit:
                return register(unit)
        # with the turn from the beginning on: nothing comes between any more
        with self.change(actor, shared=True) as unit:
            return register(unit)

    def revocation(
        self, actor: str | None, revoke: "Callable[[UnitOfWork], Result]", *, is_everything: bool
    ) -> "Result":
        """Revoke sessions in a change of its own. `revoke` is called again if another change came between (decision 373)."""
        change = partial(self.change, actor, lock_timeouts=URGENT_LOCK_TIMEOUTS, seals_late=True)
        if is_everything:
            with suppress(Overtaken), change(revokes_all=True) as unit:
                return revoke(unit)
        with change() as unit:
            return revoke(unit)

    @contextmanager
    def snapshot(self, *, with_waiting_uses: bool = True) -> Iterator[tuple["View", int]]:
        """Read one snapshot of the registry, with the present instant.

        The waiting uses are written before. If the registry stays locked for 250 ms, the snapshot is without them.
        """
        if with_waiting_uses and self.waiting_uses is not None:
            self.waiting_uses.write_within(_WAITING_USES_SECONDS)
        # The clock is read inside the snapshot: an event of the snapshot cannot be later than its instant.
        with self.store.view() as view:
            yield view, self.clock.present(view)[0]

    def with_kept_space(self, operation: Callable[[], Result]) -> Result:
        """Run an operation that must be possible on a full disk: a second time with the kept space, if the disk is full."""
        # decision 84: a revocation must also be possible on a full disk
        try:
            return operation()
        except DiskFull:
            # No kept space is left: a second try would fail in the same way.
            if not self.store.free_space():
                raise
            self.warn("the disk is full: using the space reserved for revocations")
            try:
                return operation()
            finally:  # the space is taken again, whether the operation succeeded or not
                self.store.keep_space()


def warning_in_log(text: str) -> None:
    """Write a warning to the log of the process, where the caller gave no place for warnings."""
    import logging

    logging.getLogger("authctl").warning(text)
