"""The recorded time in SQLite: one row, which only one writer at a time changes."""

from authctl.instants import CLOCK_JUMP
from authctl.store.sqlite.reader import Writer


class ClockWriter(Writer):
    """The part of `RegistryChange` that records time, over SQLite."""

    def record_time(self, at: int) -> None:
        # decision 88: a leap from the first instant on is remembered, since 0 is that of an empty registry
        leaps = f"seen_at BETWEEN 1 AND ?1 - {CLOCK_JUMP}"
        self.write(f"UPDATE clock SET leapt_at = iif({leaps}, ?1, leapt_at), seen_at = max(seen_at, ?1)", (at,))
