"""The application of the console: its tabs, its messages, and the watch on changes by other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher, Static

from authctl.console import texts
from authctl.console.audit import AuditPane
from authctl.console.bindings import bound, is_typing
from authctl.console.continuity import ContinuityPane
from authctl.console.deliveries import DeliveriesPane
from authctl.console.help import HELP
from authctl.console.pane import Choice, Pane
from authctl.console.reads import Reads
from authctl.console.sessions import SessionsPane
from authctl.console.users import UsersPane
from authctl.console.windows import DeedWindow, TextWindow
from authctl.console.work import begin
from authctl.errors import AuthctlError
from authctl.screens.times import Look

if TYPE_CHECKING:
    from authctl.registry import Registry

_WATCH_SECONDS = 0.3
_CLOCK_SECONDS = 20.0
"""How long a list may stay as it is although nothing was changed: sessions expire, and times are relative."""

_KEYS = ("? help", "q quit")
_TABS = {
    "sessions": "1 Sessions",
    "users": "2 Users",
    "audit": "3 Audit",
    "continuity": "4 Continuity",
    "deliveries": "5 Deliveries",
}


class Console(App[None]):
    """The console of one registry."""

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  # Textual declares it so
        (0, "-narrow"),
        (110, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        bound("f2", "tab('sessions')"),
        bound("f3", "tab('users')"),
        bound("f4", "tab('audit')"),
        bound("f6", "tab('continuity')"),
        bound("f7", "tab('deliveries')"),
        bound("f1", "help"),
        bound("ctrl+q,ctrl+c", "quit"),
        bound("1", "letter_tab('sessions')"),
        bound("2", "letter_tab('users')"),
        bound("3", "letter_tab('audit')"),
        bound("4", "letter_tab('continuity')"),
        bound("5", "letter_tab('deliveries')"),
        bound("question_mark", "letter_help"),
        bound("q", "letter_quit"),
    ]

    def __init__(
        self,
        open_registry: Callable[[Callable[[str], None]], Registry],
        place: str,
        *,
        actor: str | None = None,
        before: tuple[str, ...] = (),
        local: bool = False,
    ) -> None:
        """Open the registry. Raises as `Registry.open`."""
        # decision 215: the colours of the terminal itself, so that with NO_COLOR none is written
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.reads = Reads(lambda: open_registry(self._warn))
        self.actor = actor
        self.before = before
        self._place = place
        self._local = local
        self._is_lost = False
        """Whether the last look for changes failed."""
        self._read_at = monotonic()
        self._panes: tuple[Pane, ...] = ()

    def compose(self) -> ComposeResult:
        """The tabs, the pane, the message and the keys."""
        with Horizontal(id="tabs"):
            for name, label in _TABS.items():
                tab = Choice(f"tab('{name}')", field=f"tab-{name}")
                tab.update(texts.text(label))
                yield tab
            yield Static(texts.text(self._place), id="place")
        self._panes = (SessionsPane(self), UsersPane(self), AuditPane(self), ContinuityPane(self), DeliveriesPane(self))
        with ContentSwitcher(initial="sessions", id="panes"):
            yield from self._panes
        yield Static(id="message")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Show the sessions, and begin to watch."""
        self.action_tab("sessions")
        self.set_interval(_WATCH_SECONDS, self._watch)

    @property
    def pane(self) -> Pane:
        """The pane of the present tab."""
        present = self.query_one("#panes", ContentSwitcher).current
        return next(pane for pane in self._panes if pane.id == present)

    def action_tab(self, name: str) -> None:
        """Show a tab."""
        self.query_one("#panes", ContentSwitcher).current = name
        for tab in _TABS:
            self.query_one(f"#tab-{tab}").set_class(tab == name, "present")
        pane = self.pane
        self.show_keys()
        self.tell("")
        self.screen.set_focus(pane.table)
        if not pane.source_is_ready:
            pane.refilter()
        elif pane.is_outdated:
            pane.is_outdated = False
            pane.changed()

    def on_resize(self) -> None:
        """Show as many keys as there is room for."""
        self.call_after_refresh(self.show_keys)

    def show_keys(self) -> None:
        """Show the keys of the present tab, those that have room."""
        self.query_one("#keys", Static).update(texts.as_many((*_KEYS, *self.pane.keys), self.size.width))

    def on_choice_pressed(self, event: Choice.Pressed) -> None:
        """Show the tab that was clicked."""
        begin(self, partial(self.run_action, event.action))

    def on_users_pane_sessions_wanted(self, event: UsersPane.SessionsWanted) -> None:
        """Show the sessions of a user."""
        self.action_tab("sessions")
        self._sessions.show_user(event.username)

    @property
    def _sessions(self) -> SessionsPane:
        return next(pane for pane in self._panes if isinstance(pane, SessionsPane))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the letters to a field while one types there; in a window only the end of the console is left."""
        del parameters
        if len(self.screen_stack) > 1:
            return action == "quit" or not action.startswith(("tab", "help", "letter_"))
        return not (action.startswith("letter_") and is_typing(self))

    def action_letter_tab(self, name: str) -> None:
        """Show a tab."""
        self.action_tab(name)

    def action_letter_help(self) -> None:
        """Show the keys."""
        self.action_help()

    async def action_letter_quit(self) -> None:
        """End the console."""
        await self.action_quit()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(TextWindow("Keys", lambda width: texts.view(HELP, width)))

    async def action_quit(self) -> None:
        """End the console, unless something is being done."""
        if isinstance(self.screen, DeedWindow) and self.screen.is_busy:
            return
        self.exit()

    # What the panes share

    def look(self) -> Look:
        """How records are shown, and the present instant."""
        return Look(self.reads.now(), local=self._local)

    def tell(self, message: str, *, is_error: bool = False) -> None:
        """Show a message until the next one."""
        shown = self.query_one("#message", Static)
        shown.update(texts.message(message))
        shown.display = bool(message)
        shown.set_class(is_error, "error")

    def tell_error(self, error: AuthctlError) -> None:
        """Show an error and its hint."""
        self.tell("; ".join(filter(None, (f"error: {error.message}", error.hint))), is_error=True)

    def _warn(self, text: str) -> None:
        if self.is_running:
            self.call_later(self.tell, f"warning: {text}", is_error=True)

    # Changes by others

    def _watch(self) -> None:
        begin(self, self._look_for_changes, "watch")

    async def _look_for_changes(self) -> None:
        try:
            # decision 214: the change number costs microseconds, and only a change reads the list again
            changed = await self.reads.has_changed()
        except AuthctlError as error:
            self._is_lost = True
            self.tell_error(error)
            return
        if not self.query("#panes"):  # the screen was closed meanwhile
            return
        if self._is_lost:  # the registry can be read again: the error is over, and every list may be an older one
            self._is_lost, changed = False, True
            self.tell("")
        if changed or monotonic() - self._read_at > _CLOCK_SECONDS:
            self._read_at = monotonic()
            for pane in self._others():
                pane.is_outdated = True
            self.pane.changed()
        elif self.pane.is_behind:
            self.pane.changed()

    def _others(self) -> Iterator[Pane]:
        return (pane for pane in self._panes if pane is not self.pane)
