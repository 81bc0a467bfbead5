"""The tab of the continuity events: those that are running, started and ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import BindingType

from authctl.console import texts
from authctl.console.bindings import bound
from authctl.console.operations import ContinuityEnd, ContinuityStart
from authctl.console.pane import Choice, Pane, Shared
from authctl.console.sources import ContinuityEvents, Source


class ContinuityPane(Pane):
    """Continuity events, with the sessions that each keeps active."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("n", "start"),
        bound("e", "end"),
    ]

    keys = ("n start", "e end", "Enter details", "c command")
    view = ""
    searches = False

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared, "continuity")

    def operations(self) -> Iterator[Choice]:
        """The two buttons."""
        yield Choice("start", field="start")
        yield Choice("end", field="end")

    def on_mount(self) -> None:
        """Name the buttons."""
        self.query_one("#start", Choice).update(texts.text("[Start]", "bold"))
        self.query_one("#end", Choice).update(texts.text("[End]", "bold"))

    def make_source(self) -> Source:
        """The events that are running."""
        return ContinuityEvents()

    def action_start(self) -> None:
        """Start an event."""
        self.ask(ContinuityStart())

    def action_end(self) -> None:
        """End the event under the cursor."""
        if self.table.current is not None:
            self.ask(ContinuityEnd(self.table.current.key))
