"""The windows of the console: texts to read, and the audit window, behind which every operation is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from authctl import names
from authctl.console import texts
from authctl.console.clipboard import COPIED, copy
from authctl.console.commands import command_line
from authctl.console.operations import PREVIEWED, Operation, Preview
from authctl.console.reads import Reads
from authctl.console.typing_field import TypedText
from authctl.console.work import begin
from authctl.errors import AuthctlError
from authctl.screens.tables import FittedColumn, arrange
from authctl.screens.times import Look


class TextWindow(ModalScreen[None]):
    """A text to read: details, help, a command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "Close"),
        Binding("y,ctrl+y", "copy", "Copy"),
    ]

    def __init__(self, title: str, shown: Callable[[int], Content], command: str | None = None) -> None:
        """Show a text; `shown` makes it for a width. `command` can be copied."""
        super().__init__()
        self._title = title
        self._shown = shown
        self._command = command

    def compose(self) -> ComposeResult:
        """The title, the text, and the keys."""
        with Vertical(classes="window"):
            yield Static(texts.text(self._title, "bold"), classes="line")
            with VerticalScroll(id="body"):
                yield Static(id="text")
            keys = "Up/Down scroll   Esc close" + ("   y copy the command" if self._command else "")
            yield Static(texts.text(keys, "dim"), classes="line", id="text-keys")

    def on_mount(self) -> None:
        """Scroll by keys from the beginning."""
        self.screen.set_focus(self.query_one("#body"))

    def on_resize(self) -> None:
        """Make the text for the new width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        self.query_one("#text", Static).update(self._shown(max(20, self.query_one("#body").size.width - 2)))

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()

    def action_copy(self) -> None:
        """Copy the command."""
        if self._command is not None:
            copy(self.app, self._command)
            self.query_one("#text-keys", Static).update(texts.text(COPIED, "dim"))


class DeedWindow(ModalScreen[str | None]):
    """The audit window: the preview of an operation, the note, and the command that does the same. Its result is the message of the outcome."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("ctrl+y", "copy", "Copy"),
        Binding("pageup", "scroll_preview(-1)", show=False),
        Binding("pagedown", "scroll_preview(1)", show=False),
    ]

    def __init__(
        self, operation: Operation, reads: Reads, look: Look, actor: str | None, before: tuple[str, ...]
    ) -> None:
        super().__init__()
        self._operation = operation
        self._reads = reads
        self._look = look
        self._actor = actor
        self._before = before
        self._preview: Preview | None = None
        self._is_note_entered = False
        self.is_busy = False

    def compose(self) -> ComposeResult:
        """The preview, the fields, the command, and the buttons."""
        with Vertical(classes="window"):
            yield Static(texts.text(self._operation.title, "bold"), classes="line")
            with VerticalScroll(id="preview", can_focus=False):
                yield Static(texts.text("counting ..."), id="preview-text")
            for field in self._operation.fields:
                yield from self._field(field, f"{field}:")
            yield from self._field("note", "note:")
            with Horizontal(classes="field", id="answer-field"):
                yield Static(id="answer-label", classes="label")
                yield TypedText("answer")
            yield Static(id="refusal")
            yield Static(id="same-command")
            with Horizontal(classes="buttons"):
                yield Button(texts.text(f"[{self._operation.verb}]"), id="do", compact=True, disabled=True)
                yield Button(texts.text("[Cancel]"), id="cancel", compact=True)
                yield Static(texts.text("PgDn more  Esc cancel", "dim"), classes="hint")

    @staticmethod
    def _field(field: str, label: str) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(texts.text(label), classes="label")
            yield TypedText(field)

    def on_mount(self) -> None:
        """Count the sessions of the operation, while the note is typed."""
        self.query_one("#answer-field").display = self.query_one("#refusal").display = False
        self.screen.set_focus(self.query_one("#note", Input))
        self._show_command()
        begin(self, self._read_preview)

    async def _read_preview(self) -> None:
        try:
            preview = await self._reads.run(self._operation.preview)
        except AuthctlError as error:
            self.query_one("#preview-text", Static).update(texts.text("no preview"))
            self._refuse(error)
            return
        self._preview = preview
        self._draw_preview()
        self.query_one("#do", Button).disabled = not preview.is_possible
        if preview.answer is not None:
            label = f"type {preview.answer} to confirm:"
            self.query_one("#answer-label", Static).update(texts.text(label))
            self.query_one("#answer-field").display = True
        if self._is_note_entered:
            self._after_note()

    def on_resize(self) -> None:
        """Fit the table of the preview into the new width."""
        self.call_after_refresh(self._draw_preview)

    def _draw_preview(self) -> None:
        if self._preview is None:
            return
        shown = list(map(texts.text, self._preview.lines))
        if self._preview.sessions:
            width = max(20, self.query_one("#preview").size.width - 2)
            shown += _table(arrange(self._preview.sessions, PREVIEWED, self._look, width))
        self.query_one("#preview-text", Static).update(texts.lines(shown))

    def _typed(self) -> dict[str, str]:
        return {field: self.query_one(f"#{field}", Input).value.strip() for field in self._operation.fields}

    def _show_command(self) -> None:
        self.query_one("#same-command", Static).update(texts.text(f"$ {self._command()}"))

    def _command(self) -> str:
        note = self.query_one("#note", Input).value
        return command_line(*self._operation.words(note or "WHY", self._typed()), before=self._before)

    def on_input_changed(self) -> None:
        """Show the command with the typed texts."""
        self._show_command()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: check the note, and go on; an operation for named sessions or users is done then."""
        if event.input.id in self._operation.fields:
            self.screen.set_focus(self.query_one("#note"))
        elif self._is_note_accepted():
            self._after_note()

    def _after_note(self) -> None:
        self._is_note_entered = True
        if self._preview is None:  # it goes on when the preview has come
            return
        if self._preview.answer is not None and not self.query_one("#answer", Input).value:
            self.screen.set_focus(self.query_one("#answer"))
        elif self._operation.is_asked_again:
            self.screen.set_focus(self.query_one("#do" if self._preview.is_possible else "#cancel"))
        else:
            self._begin()

    def _is_note_accepted(self) -> bool:
        """Whether the note has content, by the rule of the command line."""
        try:
            names.note(self.query_one("#note", Input).value)
        except AuthctlError as error:
            self._refuse(error)
            self.screen.set_focus(self.query_one("#note"))
            return False
        self._say("")
        return True

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do it, or go back."""
        if event.button.id == "cancel":
            self.action_cancel()
        elif self._is_note_accepted():
            self._begin()

    def _begin(self) -> None:
        preview = self._preview
        if preview is None or not preview.is_possible or self.is_busy:
            return
        # "1,200" and "1200" are the same count, as on the command line.
        if (
            preview.answer is not None
            and self.query_one("#answer", Input).value.strip().replace(",", "") != preview.answer
        ):
            self._say(f"not done: the answer was not '{preview.answer}'")
            self.screen.set_focus(self.query_one("#answer"))
            return
        self.is_busy = True
        self._say("working ...")
        begin(self, partial(self._perform, preview, self.query_one("#note", Input).value, self._typed()))

    async def _perform(self, preview: Preview, note: str, typed: dict[str, str]) -> None:
        try:
            outcome = await self._reads.run(
                lambda registry: self._operation.perform(registry, preview, note, typed, self._actor)
            )
        except AuthctlError as error:
            self.is_busy = self._is_note_entered = False
            self._refuse(error)
            # Sessions may have been registered meanwhile: the next try needs a new preview with a new bound.
            await self._read_preview()
            return
        self.is_busy = False
        self.dismiss(outcome)

    def _refuse(self, error: AuthctlError) -> None:
        hint = f"; {error.hint}" if error.hint else ""
        self._say(f"{error.message}{hint}")

    def _say(self, text: str) -> None:
        line = self.query_one("#refusal", Static)
        line.update(texts.message(text))
        line.display = bool(text)

    def action_copy(self) -> None:
        """Copy the command that does the same."""
        copy(self.app, self._command())
        self._say(COPIED)

    def action_scroll_preview(self, pages: int) -> None:
        """Show the rest of the preview."""
        shown = self.query_one("#preview")
        shown.scroll_relative(y=pages * shown.size.height, animate=False)

    def action_cancel(self) -> None:
        """Go back, and do nothing. An operation that runs cannot be cancelled."""
        if not self.is_busy:
            self.dismiss(None)


def _table(columns: Iterable[FittedColumn]) -> list[Content]:
    fitted = list(columns)
    widths = [column.width for column in fitted]
    return [texts.row(cells, widths) for cells in zip(*(column.cells for column in fitted), strict=True)]
