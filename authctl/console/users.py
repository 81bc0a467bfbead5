"""The tab of the users: found by the beginning of the name, disabled and enabled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from authctl.console import texts
from authctl.console.bindings import bound
from authctl.console.commands import shell_word
from authctl.console.operations import Disabling, Enabling
from authctl.console.paging import Row
from authctl.console.pane import Choice, Pane, Shared
from authctl.console.selection import Selection
from authctl.console.sources import Source, Users


class UsersPane(Pane):
    """Users with the number of their sessions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("e", "disable"),
        bound("n", "enable"),
        bound("s", "disabled"),
        bound("space", "select"),
        bound("x", "clear_selection"),
    ]

    keys = ("/ name", "Space select", "e disable", "n enable", "Enter sessions", "s only disabled", "d details")
    view = "user"
    search_label = "Name"

    class SessionsWanted(Message):
        """The sessions of a user are to be shown."""

        def __init__(self, username: str) -> None:
            super().__init__()
            self.username = username

    def __init__(self, shared: Shared) -> None:
        self.selection = Selection()
        super().__init__(shared, "users", self.selection)
        self._only_disabled = False
        self._names: dict[str, str] = {}
        """The names of the selected users, by their keys."""

    has_boxes = True

    def choices(self) -> Iterator[Choice]:
        """Whether only disabled users are listed."""
        yield Choice("disabled", field="disabled-choice")

    def operations(self) -> Iterator[Choice]:
        """The two buttons."""
        yield Choice("disable", field="disable")
        yield Choice("enable", field="enable")

    def on_mount(self) -> None:
        """Name the buttons."""
        self.query_one("#disable", Choice).update(texts.text("[Disable]", "bold"))
        self.query_one("#enable", Choice).update(texts.text("[Enable]", "bold"))

    def make_source(self) -> Source:
        """The users whose names begin with the typed text."""
        shown = "disabled" if self._only_disabled else "all"
        self.query_one("#disabled-choice", Choice).update(texts.text(f"users: {shown}"))
        return Users(self.typed, only_disabled=self._only_disabled)

    def status(self) -> str:
        """The selection."""
        return self.selection.in_words()

    def open_row(self, row: Row) -> None:
        """Show the sessions of a user."""
        self.post_message(self.SessionsWanted(row.record["username"]))

    def action_disabled(self) -> None:
        """Show only disabled users, or all."""
        self._only_disabled = not self._only_disabled
        self.refilter()

    def action_select(self) -> None:
        """Select the user under the cursor, or leave the user out."""
        if (row := self.table.current) is not None:
            self.selection.toggle(row.key)
            self._names.pop(row.key, None) or self._names.update({row.key: row.record["username"]})
            self._selected()

    def on_table_ticked(self) -> None:
        """The same with the mouse."""
        self.action_select()

    def action_clear_selection(self) -> None:
        """Select nobody."""
        self.selection.clear()
        self._names.clear()
        self._selected()

    def _selected(self) -> None:
        self.table.refresh()
        self.refresh_lines()

    def _chosen(self) -> list[str]:
        if self._names:
            return list(self._names.values())
        return [self.table.current.record["username"]] if self.table.current else []

    def to_copy(self) -> Sequence[str]:
        """The names, quoted for a shell: a name is foreign text."""
        return list(map(shell_word, self._chosen()))

    def action_disable(self) -> None:
        """Disable the selected users, or the one under the cursor."""
        if chosen := self._chosen():
            self.ask(Disabling(chosen))

    def action_enable(self) -> None:
        """Enable the selected users, or the one under the cursor."""
        if chosen := self._chosen():
            self.ask(Enabling(chosen))

    def after_operation(self) -> None:
        """Select nobody, and show the users after the operation."""
        self.action_clear_selection()
        super().after_operation()
