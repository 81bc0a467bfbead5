"""Keys of the console. Each does its work before the next key is looked at, so that typing ahead of a slow line is safe.

Textual passes other keys on to the focused widget first, and looks for their bindings later: of `/rust` that comes at once, `r` would
then revoke.
"""

from textual.app import App
from textual.binding import Binding
from textual.widgets import Input


def bound(keys: str, action: str) -> Binding:
    """A binding of keys to an action."""
    # decision 213: otherwise, of typed letters that arrive at once, a later one could run an operation
    return Binding(keys, action, show=False, priority=True)


def is_typing(app: App[None]) -> bool:
    """Whether a letter belongs to a text that is being typed."""
    return isinstance(app.focused, Input)
