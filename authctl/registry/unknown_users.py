"""User names without a session: most are misspelled, so that an error gives the nearest names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl import names
from authctl.errors import NotFound
from authctl.model import SessionFilter

if TYPE_CHECKING:
    from authctl.store.protocol import View

MOST_NEAREST = 3
_LONGEST_NAME = 100


def is_known(view: "View", username: str, now: int) -> bool:
    """Whether a session of that user is in the registry, of any status and kind."""
    return view.count(SessionFilter(username=username), now, at_most=1) > 0


def unknown_user(view: "View", username: str) -> NotFound:
    """The error for a user who is not in the registry."""
    nearest = view.nearest_users(username, MOST_NEAREST)
    return NotFound(f"no user {names.quoted(username)}{nearest_in_words(nearest)}", "to see them: authctl users list")


def unknown_session(view: "View", text: str, now: int) -> NotFound:
    """The error for an id that no session has: a user's name may have been typed in its place."""
    message = f"no session {names.quoted(text)}"
    hint = "to find it: authctl sessions list --search TEXT"
    if names.id_prefix(text) is not None or not text.isprintable() or not 0 < len(text.strip()) <= _LONGEST_NAME:
        return NotFound(message, hint)
    if is_known(view, text, now):
        return NotFound(message, f"to see this user's sessions: authctl sessions list --user {names.quoted(text)}")
    nearest = view.nearest_users(text, MOST_NEAREST)
    return NotFound(f"{message}, and no user of that name{nearest_in_words(nearest)}" if nearest else message, hint)


def nearest_in_words(nearest: Sequence[str]) -> str:
    """The nearest names, for the end of a message; nothing where there are none."""
    return f"; nearest names: {', '.join(map(names.quoted, nearest))}" if nearest else ""
