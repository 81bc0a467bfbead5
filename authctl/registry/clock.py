"""The registry's present instant: the clock's, or the latest recorded time where the clock is behind that.

So nothing that has ended becomes active again when a clock is set back.

See docs/glossary.md#recorded-time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from authctl.errors import Refused, RegistryUnavailable
from authctl.instants import EARLIEST, MINUTE, NEVER, Clock, check_now, format_second, instant_of, utc_now

if TYPE_CHECKING:
    from authctl.store.protocol import View

TOLERANCE = 5 * MINUTE
"""How far the clock may be behind the recorded time without a warning."""

Warn = Callable[[str], None]
"""A function that is called with a warning: a sentence about a problem that stops no operation."""


class RegistryClock:
    """The clock that a registry was opened with, or else that of its store, compared with the recorded time."""

    def __init__(self, clock: Clock | None, warn: Warn, of_store: "Callable[[], int | None]") -> None:
        self._clock = clock
        self._warn = warn
        self._of_store = of_store

    def now(self, view: "View | None" = None) -> int:
        """The instant that the clock shows, in a transaction by the clock of its store. Raises RegistryUnavailable when that is no valid time."""
        of_store = self._of_store if view is None else view.clock
        try:
            now = (of_store() or utc_now()) if self._clock is None else instant_of(self._clock())
        # A clock of a test or host may return NaN, a date of the year 12000 or None: all of them count as no valid time.
        except (ValueError, OverflowError, TypeError):
            now = NEVER
        return check_now(now)

    def is_of_store(self) -> bool:
        """Whether the instant is that of the store's own clock, which is a server's: asking for it can take long, or fail."""
        return self._clock is None and self._of_store() is not None

    def replacement(self) -> int | None:
        """The instant of a clock that replaces the store's own clock; None if there is none."""
        return None if self._clock is None else self.now()

    def now_or_earliest(self, view: "View") -> int:
        """The same for operations that must not depend on the clock: `EARLIEST`, with a warning, if the time is not valid."""
        try:
            return self.now(view)
        except RegistryUnavailable as error:
            self._warn(f"{error.message}: using the latest time recorded in the registry")
            return EARLIEST

    def present(self, view: "View") -> tuple[int, int]:
        """The present instant, and that of the clock: the first is the recorded time where the clock is behind it."""
        # In this order (decision 310): read before, the clock could be behind what another host records in between.
        recorded = view.recorded_time()
        clock = self.now_or_earliest(view)
        # decision 80: a clock that was set back must make no session active again.
        # No warning within the tolerance: hosts with NTP differ by seconds, and nobody reads a warning of every command.
        if recorded - clock > TOLERANCE:
            self._warn(f"the clock is behind the latest time recorded in the registry: using {format_second(recorded)}")
        return max(recorded, clock), clock


def check_clock(clock: int, recorded: int) -> None:
    """Raise Refused when the clock is too far behind the recorded time to begin anything."""
    # decision 87: an operation at a wrong recorded time may end sessions that are active by the right one
    if recorded - clock > TOLERANCE:
        message = f"the clock is at {format_second(clock)}, behind the latest time recorded in the registry, {format_second(recorded)}"
        raise Refused(message, "set the clock; if it was ahead before: authctl doctor --accept-clock --note WHY")
