"""Long work in batches: how much is done in one transaction, so that whoever waits to write gets a turn."""

BREATH_SECONDS = 0.005
"""How long work in batches pauses after each, so that whoever waits to write gets a turn."""

_GROWTH = 2
"""How many times as large as the one before a batch is at the most: one that is small tells little of what a large one takes."""


class BatchSize:
    """How many are done in one transaction, learned from how long the last one took: so many as hold the lock for so long."""

    def __init__(self, first: int, largest: int, seconds: float) -> None:
        self.size = first
        self._largest = largest
        self._seconds = seconds

    def learn(self, took: float) -> None:
        """Take into account how long a batch of this size held the lock, in seconds."""
        fitting = int(self.size * self._seconds / max(took, 1e-6))
        self.size = max(1, min(self._largest, _GROWTH * self.size, fitting))
