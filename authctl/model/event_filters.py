"""Filters of audit events."""

from dataclasses import dataclass

from authctl import names
from authctl.errors import InvalidInput
from authctl.model.audit import ACTIONS
from authctl.model.filters import Texts, checked_texts, texts_of

_LONGEST_ACTION = 64

_EXACT = ("actor", "action", "session_id")
"""The criteria that are compared as they stand."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which audit events are meant: every criterion that is given must hold.

    Actor, action, user and session may be one text, or a tuple of several of which any matches.
    Raises InvalidInput for a text that no event could have.
    """

    since: int | None = None
    until: int | None = None
    actor: Texts = None
    action: Texts = None
    username: Texts = None
    session_id: Texts = None
    search: str | None = None

    def __post_init__(self) -> None:
        """Check each text, and keep each once."""
        names.field(self.search or "", "search")
        texts = {name: checked_texts(getattr(self, name), name.replace("_", " "), key=str) for name in _EXACT}
        texts["username"] = checked_texts(self.username, "username", names.username)
        for name, checked in texts.items():
            object.__setattr__(self, name, checked)
        for action in texts_of(self.action):
            _check_action(action)


def _check_action(action: str) -> None:
    """Raise InvalidInput for an action that no event can have, with those that are spelled like it, or all."""
    if action not in ACTIONS:
        from difflib import get_close_matches

        near = get_close_matches(action[:_LONGEST_ACTION].lower(), ACTIONS)
        raise InvalidInput(f"no event has the action {names.quoted(action)}", f"one of: {', '.join(near or ACTIONS)}")
