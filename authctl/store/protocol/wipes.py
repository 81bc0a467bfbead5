"""Wipes: orders to remove an application's data.

See docs/glossary.md#wipe.
"""

from typing import Protocol


class WipesChange(Protocol):
    """Writing the stages of a wipe."""

    def deliver_wipe(self, number: int, at: int) -> None:
        """Record that the application of a session was told to remove its data."""

    def acknowledge_wipe(self, number: int, at: int) -> None:
        """Record that the application of a session has removed its data. It counts as told by then, too."""
