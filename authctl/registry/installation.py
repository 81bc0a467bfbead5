"""An open installation: its store, its clock and its audit head, and the transactions of the use cases.

See docs/glossary.md#reserve.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from authctl.errors import DiskFull
from authctl.files import keep_reserve, release
from authctl.registry.clock import RegistryClock, Warn
from authctl.registry.outside_head import OutsideHead
from authctl.registry.unit_of_work import UnitOfWork, actor_name

if TYPE_CHECKING:
    from authctl.instants import Clock
    from authctl.settings import Home
    from authctl.store.base import Store, View

RESERVE = 2 * 2**20
"""The size in bytes of the space that is kept for revocations on a full disk: enough for one of everybody, or of a hundred sessions."""

Result = TypeVar("Result")


class Installation:
    """A registry's store, clock and audit head, shared by the use cases."""

    def __init__(self, home: "Home", store: "Store", clock: "Clock | None", warn: Warn | None = None) -> None:
        self.home = home
        self.store = store
        self.clock = RegistryClock(clock, self.warn)
        self.head = OutsideHead(home.audit_head, store, self.warn)
        self._warn = warn or _log_warning
        self._warned: set[str] = set()
        self._reserve = home.reserve

    def warn(self, text: str) -> None:
        """Tell a warning to whoever opened the registry; each text once."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    @contextmanager
    def change(
        self, actor: str | None, *, wait: bool = True, patience: int = 1, anchored: bool = True
    ) -> Iterator[UnitOfWork]:
        """Change the registry: the whole block and its audit events, or nothing. The instant is taken inside the lock."""
        who = actor_name(actor)
        with self.store.change(wait=wait, patience=patience) as tx:
            clock = self.clock.now_or_earliest()
            unit = UnitOfWork(tx, self.clock.present(tx, clock), who, clock)
            yield unit
            if unit.recorded:
                tx.saw(unit.now)
        if unit.recorded and anchored:
            keep_reserve(self._reserve, RESERVE)
            self.head.advance(unit.recorded)

    @contextmanager
    def snapshot(self) -> Iterator[tuple["View", int]]:
        """Read one snapshot of the registry, with the present instant."""
        with self.store.view() as view:
            yield view, self.clock.present(view, self.clock.now_or_earliest())

    def with_reserve(self, operation: Callable[[], Result]) -> Result:
        """Run an operation that must be possible on a full disk: once more with the reserved space, where the disk is full."""
        # decision 84
        try:
            return operation()
        except DiskFull:
            if not release(self._reserve):
                raise
            self.warn("the disk is full: using the space reserved for revocations")
            try:
                return operation()
            finally:  # the space is taken again, whether the operation succeeded or not
                keep_reserve(self._reserve, RESERVE)


def _log_warning(text: str) -> None:
    import logging

    logging.getLogger("authctl").warning(text)
