"""Names of which no session is in the registry: most were misspelled, so that the nearest names are said with them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl import names
from authctl.errors import NotFound
from authctl.model import SessionFilter

if TYPE_CHECKING:
    from authctl.registry.installation import Installation
    from authctl.store.base import View

_MOST_NEAREST = 3
_LONGEST_NAME = 100


def is_known(view: "View", username: str, now: int) -> bool:
    """Whether a session of that user is in the registry, of whatever status and kind."""
    return view.count(SessionFilter(username=username), now, at_most=1) > 0


def unknown(installation: "Installation", usernames: Sequence[str]) -> list[str]:
    """See `Registry.unknown_users`."""
    once = {names.username_key(name): name for name in usernames}
    with installation.snapshot() as (view, now):
        return [name for name in once.values() if not is_known(view, name, now)]


def nearest(installation: "Installation", username: str) -> list[str]:
    """See `Registry.nearest_users`."""
    username = names.username(username)
    with installation.snapshot() as (view, now):
        return [] if is_known(view, username, now) else view.nearest_users(username, _MOST_NEAREST)


def no_user(view: "View", username: str) -> NotFound:
    """What is said where there is no such user."""
    near = view.nearest_users(username, _MOST_NEAREST)
    return NotFound(f"no user {names.quoted(username)}{said_nearest(near)}", "to see them: authctl users list")


def no_session(view: "View", text: str, now: int) -> NotFound:
    """What is said where no session has that id: it may be a user's name that was typed in its place."""
    what = f"no session {names.quoted(text)}"
    hint = "to find it: authctl sessions list --search TEXT"
    if names.id_prefix(text) is not None or not text.isprintable() or not 0 < len(text.strip()) <= _LONGEST_NAME:
        return NotFound(what, hint)
    if is_known(view, text, now):
        return NotFound(what, f"to see this user's sessions: authctl sessions list --user {names.quoted(text)}")
    near = view.nearest_users(text, _MOST_NEAREST)
    return NotFound(f"{what}, and no user of that name{said_nearest(near)}" if near else what, hint)


def said_nearest(near: Sequence[str]) -> str:
    """The nearest names, for the end of a message; nothing where there are none."""
    return f"; the nearest there: {', '.join(map(names.quoted, near))}" if near else ""
