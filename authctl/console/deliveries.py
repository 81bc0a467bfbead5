"""The tab of the deliveries: the messages to receivers, delivered, pending and refused; tried again, and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import BindingType

from authctl.console import texts
from authctl.console.bindings import bound
from authctl.console.operations import Dropping, Retrying
from authctl.console.pane import Choice, Pane, Shared
from authctl.console.selection import Selection
from authctl.console.sources import Deliveries, Source
from authctl.model.deliveries import DeliveryState

_STATES = (
    None,
    DeliveryState.PENDING,
    DeliveryState.REFUSED,
    DeliveryState.DEAD,
    DeliveryState.DELIVERED,
    DeliveryState.GONE,
    DeliveryState.DROPPED,
)
"""The states in the order of the key; None lists all of them."""


class DeliveriesPane(Pane):
    """Deliveries by state; the sessions of a decision for which there is no delivery yet are one row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("s", "state"),
        bound("r", "retry"),
        bound("e", "drop"),
        bound("space", "select"),
        bound("x", "clear_selection"),
    ]

    keys = ("s state", "Space select", "r retry", "e drop", "/ user", "Enter details", "c command")
    view = "delivery"
    search_label = "User"
    has_boxes = True

    def __init__(self, shared: Shared) -> None:
        self.selection = Selection()
        super().__init__(shared, "deliveries", self.selection)
        self._state = 0

    def choices(self) -> Iterator[Choice]:
        """The state of the listed deliveries."""
        yield Choice("state", field="state-choice")

    def operations(self) -> Iterator[Choice]:
        """The two buttons."""
        yield Choice("retry", field="retry")
        yield Choice("drop", field="drop")

    def on_mount(self) -> None:
        """Name the buttons."""
        self.query_one("#retry", Choice).update(texts.text("[Retry]", "bold"))
        self.query_one("#drop", Choice).update(texts.text("[Drop]", "bold"))

    def make_source(self) -> Source:
        """The deliveries in the chosen state."""
        state = _STATES[self._state]
        self.query_one("#state-choice", Choice).update(texts.text(f"state: {state or 'all'}"))
        return Deliveries(state and state.value, self.typed)

    def status(self) -> str:
        """The selection."""
        return self.selection.in_words()

    def action_state(self) -> None:
        """List the deliveries in the next state."""
        self._state = (self._state + 1) % len(_STATES)
        self.refilter()

    def action_select(self) -> None:
        """Select the delivery under the cursor, or leave it out."""
        if (row := self.table.current) is not None:
            self.selection.toggle(row.key)
            self._selected()

    def on_table_ticked(self) -> None:
        """The same with the mouse."""
        self.action_select()

    def action_clear_selection(self) -> None:
        """Select nothing."""
        self.selection.clear()
        self._selected()

    def _selected(self) -> None:
        self.table.refresh()
        self.refresh_lines()

    def _chosen(self) -> list[str]:
        target = self.selection.target()
        if target is not None:
            return list(target.ids)
        return [self.table.current.key] if self.table.current else []

    def action_retry(self) -> None:
        """Try the selected deliveries again, or the one under the cursor."""
        if chosen := self._chosen():
            self.ask(Retrying(chosen))

    def action_drop(self) -> None:
        """Drop the selected deliveries, or the one under the cursor."""
        if chosen := self._chosen():
            self.ask(Dropping(chosen))

    def after_operation(self) -> None:
        """Select nothing any more, and show the deliveries after the operation."""
        self.action_clear_selection()
        super().after_operation()
