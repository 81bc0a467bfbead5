"""Long work in batches: the size of one transaction, so that other writers get a turn, and the progress that is reported."""

from collections.abc import Callable
from time import sleep

Progress = Callable[[int, int], None]
"""A function that is called after every batch with the number that is done, and the total."""


def no_progress(_done: int, _total: int) -> None:
    """Report no progress."""


PAUSE_SECONDS = 0.018
"""The pause after each batch, so that other writers get a turn: longer than the time between two of their tries (decision 100)."""

_GROWTH = 2
"""The largest growth from one batch to the next: the time of a small batch is a poor measure for a large one."""


class BatchSize:
    """The size of a batch, learned from the time of the last one, so that each holds the lock for the same time."""

    def __init__(self, first: int, largest: int, seconds: float, *, least: int = 1) -> None:
        self.size = first
        self._least = least
        self._largest = largest
        self._seconds = seconds

    def adjust(self, seconds: float) -> None:
        """Learn the size from the seconds for which a batch of this size held the lock."""
        # decision 114: a small batch is faster than a large one for each row, so growth is limited.
        # The time of a batch grows with its size: at 20 ms for 500 rows and a target of 80 ms, 2,000 rows would fit.
        fitting = int(self.size * self._seconds / max(seconds, 1e-6))
        self.size = max(self._least, min(self._largest, _GROWTH * self.size, fitting))


def work_in_batches(size: BatchSize, work: Callable[[int], float | None]) -> None:
    """Call a function for batch after batch until it returns None; otherwise it returns the seconds for which it held the lock."""
    while (seconds := work(size.size)) is not None:
        size.adjust(seconds)
        # Another writer gets its turn: the store may give the lock to whoever asks first, which would be this process again.
        sleep(PAUSE_SECONDS)
