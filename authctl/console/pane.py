"""A tab of the console: a line of filters, a table, the details of the row under the cursor, and the command that lists the same."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from authctl.console import texts
from authctl.console.bindings import bound, is_typing
from authctl.console.clipboard import COPIED, copy
from authctl.console.commands import command_line
from authctl.console.paging import Row
from authctl.console.table import Table
from authctl.console.typing_field import TypedText
from authctl.console.windows import DeedWindow, TextWindow
from authctl.console.work import begin
from authctl.errors import AuthctlError
from authctl.names import counted
from authctl.screens import views
from authctl.screens.drawing import Line

if TYPE_CHECKING:
    from authctl.console.operations import Operation
    from authctl.console.reads import Reads
    from authctl.console.selection import Selection
    from authctl.console.sources import Source
    from authctl.screens.times import Look

_WHILE_TYPING = ("leave_search", "reload", "copy_command")
_MOST_COPIED = 1_000
"""The most words that are copied: terminals drop longer texts without a word."""
_PAUSE = 0.12
"""Seconds without a key after which the typed text is searched."""


class Shared(Protocol):
    """The parts that the tabs share."""

    reads: Reads
    actor: str | None
    before: tuple[str, ...]
    """The options of authctl itself for the commands that are shown."""

    def look(self) -> Look:
        """How records are shown, and the present instant."""

    def tell(self, message: str, *, is_error: bool = False) -> None:
        """Show a message."""

    def tell_error(self, error: AuthctlError) -> None:
        """Show an error."""


class Choice(Static):
    """A word that does something when it is clicked; a key does the same."""

    class Pressed(Message):
        """It was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, action: str, *, field: str | None = None) -> None:
        super().__init__(id=field, classes="choice")
        self._action = action

    def on_click(self) -> None:
        """Send a message about the click."""
        self.post_message(self.Pressed(self._action))


class Pane(Vertical):
    """One tab; its subclasses define its source and its operations."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("slash", "search"),
        bound("escape,enter", "leave_search"),
        bound("d", "details"),
        bound("c", "command"),
        bound("y", "copy"),
        bound("ctrl+y", "copy_command"),
        bound("f5", "reload"),
    ]

    keys: tuple[str, ...]
    """The keys of this tab for the last line of the screen, the most important first."""
    view: str
    """The name of the view of one row (`screens/views.py`)."""
    searches = True
    search_label = "Search"

    def __init__(self, shared: Shared, name: str, selection: Selection | None = None) -> None:
        super().__init__(id=name)
        self.shared = shared
        self.table = Table(shared.look, selection)
        self.source: Source
        self._loading: Source | None = None
        self._count: int | None = None
        self._shown_key: tuple[object, ...] | None = None
        self.is_outdated = True

    # The parts that differ between tabs

    def make_source(self) -> Source:
        """The list for the present filters. Raises InvalidInput."""
        raise NotImplementedError

    def choices(self) -> Iterator[Choice]:
        """The words beside the search field."""
        yield from ()

    def status(self) -> str:
        """Further words in the status line."""
        return ""

    def operations(self) -> Iterator[Choice]:
        """The words at the end of the status line."""
        yield from ()

    def open_row(self, row: Row) -> None:
        """Open a row."""
        self.action_details()
        del row

    @property
    def has_boxes(self) -> bool:
        """Whether the rows of the present list can be selected."""
        return False

    # The screen

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        with Horizontal(classes="filters"):
            if self.searches:
                yield Static(texts.text(f"{self.search_label}: "), classes="label")
                yield TypedText("search")
            yield from self.choices()
        with Container(classes="body"):
            yield self.table
            with VerticalScroll(classes="details"):
                yield Static(classes="details-text")
        with Horizontal(classes="status"):
            yield Static(classes="status-text")
            yield from self.operations()
        yield Static(classes="command")

    def on_resize(self) -> None:
        """Make the details for the new width."""
        self._shown_key = None
        self.call_after_refresh(self._show_details)

    @property
    def typed(self) -> str:
        """The text in the search field."""
        return self.query_one("#search", Input).value if self.searches else ""

    def on_input_changed(self) -> None:
        """Search as the text is typed, once no key has come for a moment."""
        begin(self, self._search_soon, "typing")

    async def _search_soon(self) -> None:
        await sleep(_PAUSE)
        self.refilter()

    # The list

    def refilter(self) -> None:
        """Show the list for the present filters from its beginning."""
        try:
            source = self.make_source()
        except AuthctlError as error:
            self.shared.tell_error(error)
            return
        self.source = source
        self._count = None
        self.is_outdated = False
        self.table.show(source.layout, source.nothing, has_boxes=self.has_boxes)
        self.refresh_lines()
        self.load()

    @property
    def is_behind(self) -> bool:
        """Whether a change has not been read yet, because the list was read a moment before it."""
        return self.source_is_ready and self.source.is_behind

    def changed(self) -> None:
        """Read the visible rows again: the registry was changed, or time has passed."""
        if not self.source_is_ready:
            return
        if self.table.first_line < self.table.line_count and self.table.cursor < self.table.line_count:
            self.table.rows.restart()
        else:
            self.table.rows.outdate()
        self.load()

    def action_reload(self) -> None:
        """Begin the list anew."""
        self.refilter()

    def load(self) -> None:
        """Read the pages that are looked at, unless they are being read."""
        if self._loading is not self.source:
            self._loading = self.source
            begin(self, partial(self._load, self.source), "load")

    async def _load(self, source: Source) -> None:
        try:
            await self._load_pages(source)
            self._loading = None
            self._count = await self.shared.reads.run(source.count)
            self.refresh_lines()
        except AuthctlError as error:
            self._loading = None
            self.shared.tell_error(error)

    async def _load_pages(self, source: Source) -> None:
        table = self.table
        while (number := table.rows.wanted(table.first_line, table.line_count)) is not None:
            rows, place = table.rows, table.rows.place(number)
            page = await self.shared.reads.run(lambda registry, place=place: source.page(registry, place))  # type: ignore[misc]
            # The filter may have changed while the page was read: then it belongs to a list that is no longer shown.
            if rows is not table.rows or source is not self.source:
                return
            key = table.current and table.current.key
            rows.put(number, page)
            if key and (index := rows.index_of(key)) is not None and table.cursor > 0:
                table.cursor = index
            table.redraw()
            self.refresh_lines()

    def on_table_moved(self) -> None:
        """Read the rows that are in view now, and show the details of the row under the cursor."""
        if self.source_is_ready:
            self.load()
            self.refresh_lines()

    @property
    def source_is_ready(self) -> bool:
        """Whether a list is shown."""
        return hasattr(self, "source")

    def on_table_opened(self) -> None:
        """Open the row under the cursor."""
        if self.table.current is not None:
            self.open_row(self.table.current)

    # The lines around the list

    def refresh_lines(self) -> None:
        """Show details, counts and the command anew."""
        known = len(self.table.rows)
        total = (
            f"{self._count:,}"
            if self._count is not None
            else f"{known:,}" + ("" if self.table.rows.is_complete else "+")
        )
        place = f"{min(self.table.cursor + 1, known):,} of {total}"
        words = "   ".join(filter(None, (place, self.status())))
        self.query_one(".status-text", Static).update(texts.text(words))
        self.query_one(".command", Static).update(texts.text(f"$ {self.command}"))
        self._show_details()

    @property
    def command(self) -> str:
        """The command that prints the same list."""
        return command_line(*self.source.words(), before=self.shared.before)

    def _show_details(self) -> None:
        row = self.table.current if self.source_is_ready else None
        width = max(20, self.query_one(".details").size.width - 2)
        key = (row, width)
        if key == self._shown_key:
            return
        self._shown_key = key
        self.query_one(".details-text", Static).update(texts.view(self._lines(row), width) if row else texts.text(""))
        self.query_one(".details").scroll_home(animate=False)

    def _lines(self, row: Row) -> Sequence[Line]:
        return list(views.ONE[self.view](row.record, self.shared.look()))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the letters to the search field while a person types there, and only Enter and Escape to the pane."""
        del parameters
        return action in _WHILE_TYPING if is_typing(self.app) else action != "leave_search"

    def action_search(self) -> None:
        """Go to the search field, at once: a key that is typed next must not be taken for one of the list."""
        if self.searches:
            self.screen.set_focus(self.query_one("#search"))

    def action_leave_search(self) -> None:
        """Go from the search field to the list."""
        self.screen.set_focus(self.table)

    def action_details(self) -> None:
        """Show the details in a window of their own."""
        row = self.table.current
        if row is not None:
            command = command_line(*self.source.show_words(row), before=self.shared.before)
            self.app.push_screen(
                TextWindow("Details", lambda width: _with_command(self._lines(row), command, width), command)
            )

    def action_command(self) -> None:
        """Show the whole command that prints the same list."""
        command = self.command
        self.app.push_screen(TextWindow("The same on the command line", lambda _width: texts.text(command), command))

    def to_copy(self) -> Sequence[str]:
        """The ids of the selected rows, or of the row under the cursor, as words of a shell."""
        return [self.table.current.key] if self.table.current else []

    def action_copy(self) -> None:
        """Copy the ids, one a line."""
        words = self.to_copy()
        if 0 < len(words) <= _MOST_COPIED:
            copy(self.app, "\n".join(words))
            self.shared.tell(f"copied to the terminal's clipboard: {counted(len(words), 'line')}")
        else:
            unfit = f"more than {_MOST_COPIED:,} are selected" if words else "no row has an id to copy"
            self.shared.tell(f"nothing was copied: {unfit}; ctrl+y copies the command", is_error=True)

    def action_copy_command(self) -> None:
        """Copy the command that prints the same list."""
        copy(self.app, self.command)
        self.shared.tell(COPIED)

    def on_choice_pressed(self, event: Choice.Pressed) -> None:
        """Run the action of the word that was clicked."""
        event.stop()
        getattr(self, f"action_{event.action}")()

    def ask(self, operation: Operation) -> None:
        """Open the audit window of an operation."""

        def done(outcome: str | None) -> None:
            if outcome is not None:
                self.shared.tell(outcome)
                self.after_operation()

        shared = self.shared
        self.app.push_screen(DeedWindow(operation, shared.reads, shared.look(), shared.actor, shared.before), done)

    def after_operation(self) -> None:
        """Go on after something was done."""
        self.changed()


def _with_command(lines: Sequence[Line], command: str, width: int) -> Content:
    return texts.lines([texts.view(lines, width), texts.text(""), texts.text(f"$ {command}")])
