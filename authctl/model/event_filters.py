"""Filters of audit events."""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from authctl import names
from authctl.errors import InvalidInput
from authctl.model.audit import ACTIONS
from authctl.model.filters import Texts, checked_texts, texts_of

_LONGEST_ACTION = 64

_EXACT = ("actor", "action", "session_id")
"""The criteria that are compared as they stand."""


class _Criteria(NamedTuple):
    since: int | None = None
    until: int | None = None
    actor: Texts = None
    action: Texts = None
    username: Texts = None
    session_id: Texts = None
    search: str | None = None


class EventFilter(_Criteria):
    """A filter of audit events: every criterion that is given must be met.

    Actor, action, user and session may be one text, or a tuple of several of which any matches.
    Raises InvalidInput for a text that no event could have.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # its signature is that of the criteria

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
            return cls._make(_checked(_Criteria(*args, **kwargs)))


def _checked(criteria: _Criteria) -> _Criteria:
    """The criteria with each text once. Raises InvalidInput."""
    names.field(criteria.search or "", "search")
    texts: dict[str, Any] = {
        name: checked_texts(getattr(criteria, name), name.replace("_", " "), key=str) for name in _EXACT
    }
    texts["username"] = checked_texts(criteria.username, "username", names.username)
    for action in texts_of(texts["action"]):
        _check_action(action)
    return criteria._replace(**texts)


def _check_action(action: str) -> None:
    """Raise InvalidInput for an action that no event can have, with those that are spelled like it, or all."""
    if action not in ACTIONS:
        from difflib import get_close_matches

        near = get_close_matches(action[:_LONGEST_ACTION].lower(), ACTIONS)
        raise InvalidInput(f"no event has the action {names.quoted(action)}", f"one of: {', '.join(near or ACTIONS)}")
