"""The clipboard of the terminal, which it fills where it understands OSC 52; also over SSH. Tokens never get there."""

from textual.app import App

from authctl.names import without_tokens

COPIED = "the command was copied to the terminal's clipboard"


def copy(app: App[None], text: str) -> None:
    """Copy a text. A token in it is cut down to its readable beginning."""
    # decision 283: a token never leaves the screen by this way
    app.copy_to_clipboard(without_tokens(text))
