"""The table of the console: draws the rows that are looked at, of a list of any length, and asks for the pages that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from authctl.console import texts
from authctl.console.bindings import bound
from authctl.console.paging import PagedList, Row
from authctl.screens.tables import FittedColumn, Layout, arrange
from authctl.screens.times import Look

_BOX = 4
_HEADER = 1
_CURSOR = Style(reverse=True)
_BOLD = Style(bold=True)


class Table(ScrollView, can_focus=True):
    """Rows of a list, with a cursor, and with boxes where rows can be selected."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("up", "move(-1)"),
        bound("down", "move(1)"),
        bound("pageup", "page(-1)"),
        bound("pagedown", "page(1)"),
        bound("home", "home"),
        bound("end", "end"),
        bound("enter", "open"),
    ]

    class Moved(Message):
        """The cursor is on another row, or the rows in view are others."""

    class Opened(Message):
        """The row under the cursor is to be opened."""

    class Ticked(Message):
        """The box of the row under the cursor was clicked."""

    def __init__(self, look: Callable[[], Look], selected: Container[str] | None = None) -> None:
        super().__init__()
        self._look = look
        self._selected = selected
        """The keys of the selected rows; None where rows have no boxes."""
        self.rows = PagedList()
        self.columns: Layout | None = None
        self.has_boxes = selected is not None
        self.cursor = 0
        self.nothing = ""
        self._arranged: tuple[int, list[FittedColumn]] | None = None
        self._arranged_width = 0

    @property
    def first_line(self) -> int:
        """The index of the first row in view."""
        return int(self.scroll_offset.y)

    @property
    def line_count(self) -> int:
        """The number of rows that have room."""
        return max(1, self.size.height - _HEADER)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows.row(self.cursor)

    def show(self, columns: Layout, nothing: str, *, has_boxes: bool) -> None:
        """Show another list from its beginning."""
        self.rows = PagedList()
        self.columns, self.nothing = columns, nothing
        self.has_boxes = has_boxes and self._selected is not None
        self.cursor = 0
        self.scroll_to(y=0, animate=False, force=True)
        self.redraw()

    def redraw(self) -> None:
        """Draw anew after rows came, or the selection changed. The cursor stays within the list."""
        self._arranged = None
        self.cursor = max(0, min(self.cursor, len(self.rows) - 1))
        self.virtual_size = Size(1, len(self.rows) + _HEADER)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, or a row."""
        width = self.scrollable_content_region.width
        base = self.visual_style
        if self._arranged is None or self._arranged_width != width:
            self._arranged, self._arranged_width = self._arrange(width), width
        first, columns = self._arranged
        if y < _HEADER:
            return self._strip([column.cells[0] for column in columns], " " * _BOX, base + _BOLD, width)
        index = self.first_line + y - _HEADER
        row = self.rows.row(index)
        cells = [column.cells[index - first + _HEADER : index - first + _HEADER + 1] for column in columns]
        if row is None or index < first or not all(cells):
            return self._blank(index, base, width)
        style = base + _CURSOR if index == self.cursor and self.has_focus else base
        style = style + Style(underline=True) if index == self.cursor and not self.has_focus else style
        box = "[x] " if self._selected is not None and row.key in self._selected else "[ ] "
        return self._strip([cell for (cell,) in cells], box, style, width)

    def _strip(self, cells: list[str], box: str, style: Style, width: int) -> Strip:
        content = texts.row(cells, [column.width for column in (self._arranged or (0, []))[1]])
        if self.has_boxes:
            content = texts.joined(texts.text(box), content)
        return Strip(content.render_segments(style)).adjust_cell_length(width, style.rich_style)

    def _blank(self, index: int, style: Style, width: int) -> Strip:
        hint = ""
        if not self.rows.is_read:
            hint = "reading ..." if index == 0 else ""
        elif index == 0 and not len(self.rows):
            hint = self.nothing if self.rows.is_complete else "reading ..."
        elif index < len(self.rows) or (index == len(self.rows) and not self.rows.is_complete):
            hint = "..."
        return Strip(texts.text(hint).render_segments(style)).adjust_cell_length(width, style.rich_style)

    def _arrange(self, width: int) -> tuple[int, list[FittedColumn]]:
        # The rows of whole pages: the widths of the columns stay as they are while one scrolls within a page.
        if self.columns is None:
            return 0, []
        first, rows = self.rows.rows_around(self.first_line, self.line_count)
        room = width - (_BOX if self.has_boxes else 0)
        return first, arrange([row.record for row in rows], self.columns, self._look(), max(1, room))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for the rows that are in view now."""
        super().watch_scroll_y(old_value, new_value)
        self._arranged = None
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Fit the columns into the new width."""
        self.redraw()
        self._keep_in_view()
        self.post_message(self.Moved())

    def on_focus(self) -> None:
        """Draw the cursor as one that can be moved."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the cursor as one that cannot be moved now."""
        self.refresh()

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, and bring that into view."""
        self.cursor = max(0, min(index, len(self.rows) - 1))
        self._keep_in_view()
        self.refresh()
        self.post_message(self.Moved())

    def _keep_in_view(self) -> None:
        if self.cursor < self.first_line:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= self.first_line + self.line_count:
            self.scroll_to(y=self.cursor - self.line_count + 1, animate=False, force=True)

    def action_move(self, lines: int) -> None:
        """Move the cursor by some rows."""
        self.move_to(self.cursor + lines)

    def action_page(self, pages: int) -> None:
        """Move the cursor by as many rows as are in view."""
        self.move_to(self.cursor + pages * self.line_count)

    def action_home(self) -> None:
        """Move the cursor to the first row."""
        self.move_to(0)

    def action_end(self) -> None:
        """Move the cursor to the last row that is known; the list goes on when its rows were read."""
        self.move_to(len(self.rows) - 1)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.current is not None:
            self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row that was clicked; tick its box, or open it at the second click."""
        index = self.first_line + event.y - _HEADER
        if event.y < _HEADER or self.rows.row(index) is None:
            return
        self.move_to(index)
        if self.has_boxes and event.x < _BOX:
            self.post_message(self.Ticked())
        elif event.chain > 1:
            self.action_open()
