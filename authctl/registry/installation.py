"""An open installation: its store, its clock and its audit head, and the transactions of the use cases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from authctl.errors import DiskFull
from authctl.registry.clock import RegistryClock, Warn
from authctl.registry.outside_head import OutsideHead

if TYPE_CHECKING:
    from authctl.instants import Clock
    from authctl.registry.unit_of_work import UnitOfWork
    from authctl.settings import Home
    from authctl.store.protocol import Store, View

Result = TypeVar("Result")

URGENT_LOCK_TIMEOUTS = 2
"""The lock timeouts that a revocation waits for its turn, and the acceptance of an audit log."""


class Installation:
    """A registry's store, clock and audit head, shared by the use cases."""

    def __init__(self, home: "Home", store: "Store", clock: "Clock | None", warn: Warn | None = None) -> None:
        self.home = home
        self.store = store
        self.clock = RegistryClock(clock, self.warn)
        self.head = OutsideHead(home.audit_head, store, self.warn)
        self._warn = warn or _log_warning
        self._warned: set[str] = set()
        self.on_unfinished: Callable[[Installation], None] | None = None
        """What is called after a change if there is a changeover; an installation without nouns leaves it."""

    def warn(self, text: str) -> None:
        """Tell a warning to whoever opened the registry; each text once."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    @contextmanager
    def change(
        self,
        actor: str | None,
        *,
        wait: bool = True,
        lock_timeouts: int = 1,
        anchored: bool = True,
        synced: bool = True,
        shared: bool = False,
        completes: bool = True,
    ) -> "Iterator[UnitOfWork]":
        """Change the registry: the whole block and its audit events, or nothing. The instant is taken inside the lock.

        A `shared` change concerns one session or login: see `Store.change`. Any other one that `completes` afterwards completes
        a changeover that was interrupted.
        """
        from authctl.registry.unit_of_work import UnitOfWork, actor_name

        who = actor_name(actor)
        with self.store.change(wait=wait, lock_timeouts=lock_timeouts, synced=synced, shared=shared) as tx:
            # Taken inside the lock: two changes that wait get their instants in the order in which they happen.
            clock = self.clock.now_or_earliest()
            unit = UnitOfWork(tx, self.clock.present(tx, clock), who, clock)
            yield unit
            if unit.recorded:
                # A change without an event, such as a second sign-out, records the time by itself where it matters.
                tx.record_time(unit.now)
            is_unfinished = completes and anchored and not shared and tx.has_changeover()
        # After the commit: the head must never be ahead of the log, and the kept space must not take room from the change.
        if unit.recorded and anchored:
            self.store.keep_space()
            self.head.advance(unit.recorded)
        if is_unfinished and self.on_unfinished is not None:
            self.on_unfinished(self)

    @contextmanager
    def snapshot(self) -> Iterator[tuple["View", int]]:
        """Read one snapshot of the registry, with the present instant."""
        with self.store.view() as view:
            yield view, self.clock.present(view, self.clock.now_or_earliest())

    def with_kept_space(self, operation: Callable[[], Result]) -> Result:
        """Run an operation that must be possible on a full disk: a second time with the kept space, if the disk is full."""
        # decision 84
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


def _log_warning(text: str) -> None:
    import logging

    logging.getLogger("authctl").warning(text)
