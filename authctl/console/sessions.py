"""The tab of the sessions: the registered applications, searched, filtered, selected and revoked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.binding import BindingType

from authctl.console import texts
from authctl.console.bindings import bound
from authctl.console.filters import GROUPINGS, KINDS, STATUSES, Filter, following
from authctl.console.operations import Revocation
from authctl.console.paging import Row
from authctl.console.pane import Choice, Pane, Shared
from authctl.console.selection import Selection, all_of
from authctl.console.sources import Groups, Sessions, Source
from authctl.model import Grouping, SessionFilter
from authctl.names import quoted
from authctl.screens import views
from authctl.screens.drawing import Line
from authctl.screens.wording import plain

_SHORTEST_GROUP = 8
_LONGEST_GROUP = 24
_BESIDE_GROUP = 58
"""The columns that the other filters need beside the label and the name of one group."""
_LABELLED = 76
"""The width of a screen that has room for the labels of the filters; a narrower one shows the key of each instead."""


class SessionsPane(Pane):
    """Sessions one by one, or counted by user, application or platform."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("space", "select"),
        bound("a", "select_matching"),
        bound("x", "clear_selection"),
        bound("r", "revoke_selected"),
        bound("R,A", "revoke_all"),
        bound("s", "status"),
        bound("k", "kind"),
        bound("g", "group"),
        bound("backspace", "back"),
    ]

    keys = (
        "/ search",
        "Space select",
        "a all",
        "r revoke",
        "R revoke all",
        "s status",
        "g group",
        "k kind",
        "d details",
    )
    view = "session"

    def __init__(self, shared: Shared) -> None:
        self.selection = Selection()
        super().__init__(shared, "sessions", self.selection)
        self.filter = Filter()

    def choices(self) -> Iterator[Choice]:
        """Status, kind, grouping, and the one group."""
        yield Choice("status", field="status-choice")
        yield Choice("kind", field="kind-choice")
        yield Choice("group", field="group-choice")

    def operations(self) -> Iterator[Choice]:
        """The two buttons of the screen."""
        yield Choice("revoke_selected", field="revoke-selected")
        yield Choice("revoke_all", field="revoke-all")

    def on_mount(self) -> None:
        """Name the buttons."""
        self.query_one("#revoke-selected", Choice).update(texts.text("[Revoke Selected]", "bold"))
        self.query_one("#revoke-all", Choice).update(texts.text("[Revoke All]", "bold"))

    def make_source(self) -> Source:
        """The sessions, or the groups, of the present filter."""
        self.filter = self.filter._replace(search=self.typed)
        wanted: Source = Sessions(self.filter) if self.filter.grouping is None else Groups(self.filter)
        self.selection.follow(self.filter.selection())
        self._show_choices()
        return wanted

    def _show_choices(self) -> None:
        group = self.filter.group
        by = ("by", self.filter.grouping or "session")
        if group is not None and self.filter.grouping is None:
            room = self.app.size.width - _BESIDE_GROUP - len(group[0])
            by = (group[0], quoted(group[1], max(_SHORTEST_GROUP, min(room, _LONGEST_GROUP))))
        shown = {
            "status": ("status", self.filter.status or "all"),
            "kind": ("kind", self.filter.kind or "all"),
            "group": by,
        }
        for name, (label, value) in shown.items():
            shown_label = label if self.app.size.width >= _LABELLED else name[:1]
            self.query_one(f"#{name}-choice", Choice).update(texts.text(f"{shown_label}: {value}"))

    @property
    def has_boxes(self) -> bool:
        """Sessions can be selected, groups cannot."""
        return self.filter.grouping is None

    def status(self) -> str:
        """The selection."""
        return self.selection.in_words()

    def _lines(self, row: Row) -> Sequence[Line]:
        if self.filter.grouping is None:
            return [*super()._lines(row), Line("revocation", plain(row.record["revocation_id"]))]
        return list(views.ONE[""](row.record, self.shared.look()))

    def open_row(self, row: Row) -> None:
        """Open the details of a session, or the sessions of a group."""
        if self.filter.grouping is None:
            self.action_details()
        elif not self.filter.takes(row.key):
            self.shared.tell(f"no filter selects the sessions without {self.filter.grouping}", is_error=True)
        else:
            self._go(self.filter.opened(row.key))

    def on_resize(self) -> None:
        """Show as much of the filters as there is room for."""
        super().on_resize()
        self._show_choices()

    def show_user(self, username: str) -> None:
        """Show the sessions of a user, of every kind."""
        self.query_one("#search").value = ""  # type: ignore[attr-defined]
        self._go(Filter(kind=None, group=(Grouping.USER, username)))

    def _go(self, wanted: Filter) -> None:
        self.filter = wanted
        self.refilter()

    def action_status(self) -> None:
        """Show the next status."""
        self._go(self.filter._replace(status=following(STATUSES, self.filter.status)))

    def action_kind(self) -> None:
        """Show the next kind."""
        self._go(self.filter._replace(kind=following(KINDS, self.filter.kind)))

    def action_group(self) -> None:
        """Count the sessions by the next field; the filter for one group ends."""
        self._go(self.filter._replace(grouping=following(GROUPINGS, self.filter.grouping), group=None))

    def action_back(self) -> None:
        """Go back from the sessions of a group to the groups."""
        if self.filter.group is not None:
            self._go(self.filter._replace(grouping=self.filter.group[0], group=None))

    def action_select(self) -> None:
        """Select the session under the cursor, or leave it out."""
        if self.has_boxes and self.table.current is not None:
            self.selection.toggle(self.table.current.key)
            self._selected()

    def on_table_ticked(self) -> None:
        """The same with the mouse."""
        self.action_select()

    def to_copy(self) -> Sequence[str]:
        """The ids of the selected sessions, or of the one under the cursor; a group has none, nor have all that match."""
        if not self.has_boxes:
            return []
        target = self.selection.target()
        return super().to_copy() if target is None else target.ids

    def action_select_matching(self) -> None:
        """Select all sessions that match, also those that are not on the screen."""
        self.selection.select_matching(self.filter.selection())
        self._selected()

    def action_clear_selection(self) -> None:
        """Select nothing."""
        self.selection.clear()
        self._selected()

    def _selected(self) -> None:
        self.table.refresh()
        self.refresh_lines()

    def action_revoke_selected(self) -> None:
        """Revoke the selected sessions; the one under the cursor, or its group, where nothing is selected."""
        target = self.selection.target() or self._under_cursor()
        if target is None:
            self.shared.tell("no session is selected: Space selects one, a all that match", is_error=True)
        else:
            self._revoke(target)

    def _under_cursor(self) -> SessionFilter | None:
        row = self.table.current
        if row is None or (self.filter.grouping is not None and not self.filter.takes(row.key)):
            return None
        if self.filter.grouping is None:
            return SessionFilter(ids=(row.key,))
        return self.filter.opened(row.key).selection()

    def action_revoke_all(self) -> None:
        """Revoke all sessions that match, with any selection."""
        self._revoke(all_of(self.filter.selection()))

    def _revoke(self, target: SessionFilter) -> None:
        self.ask(Revocation(target))

    def after_operation(self) -> None:
        """Select nothing, and show the sessions after the operation."""
        self.selection.clear()
        super().after_operation()
        self._selected()
