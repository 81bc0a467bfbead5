"""The fields of the console in which a person types: one line, without characters that cannot be seen."""

from textual.widgets import Input

from authctl.visible_text import first_invisible, is_invisible


class TypedText(Input):
    """A field for one line of text."""

    def __init__(self, field: str, *, classes: str = "") -> None:
        super().__init__(id=field, classes=classes, compact=True, select_on_focus=False)

    def validate_value(self, value: str) -> str:
        """The text without invisible characters: pasted escape characters would get to the terminal unchanged."""
        # decision 211: no text with an escape character may reach a widget
        return value if first_invisible(value) is None else "".join(c for c in value if not is_invisible(c))
