"""Filters of audit events."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from authctl import names
from authctl.errors import InvalidInput
from authctl.instants import given_instant
from authctl.model.audit import ACTIONS
from authctl.model.filters import Texts, checked_search, checked_texts

_LONGEST_ACTION = 64


class _Criteria(NamedTuple):
    since: int | datetime | None = None
    until: int | datetime | None = None
    actor: Texts = None
    action: Texts = None
    username: Texts = None
    session_id: Texts = None
    search: str | None = None


class EventFilter(_Criteria):
    """A filter of audit events: every criterion that is given must be met.

    Actor, action, user and session may be one text, or a tuple of several of which any matches. Actor and user are compared by their
    folded key, as every name that a person gives.
    `since` and `until` may be given as datetimes. Raises InvalidInput for a text that no event could have.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # its signature is that of the criteria

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
            return cls._make(_checked(_Criteria(*args, **kwargs)))


def _checked(criteria: _Criteria) -> _Criteria:
    """The criteria with each text once. Raises InvalidInput."""
    checked_search(criteria.search)
    checked: dict[str, Any] = {
        name: checked_texts(getattr(criteria, name), name.replace("_", " "), check, key=str)
        for name, check in _EXACT.items()
    }
    checked["actor"] = checked_texts(criteria.actor, "actor")
    checked["username"] = checked_texts(criteria.username, "username", names.username)
    checked |= {name: given_instant(getattr(criteria, name), name) for name in ("since", "until")}
    return criteria._replace(**checked)


def _checked_action(action: str) -> str:
    """An action. Raises InvalidInput for one that no event can have, with those that are spelled like it, or all."""
    if action not in ACTIONS:
        from difflib import get_close_matches

        near = get_close_matches(action[:_LONGEST_ACTION].lower(), ACTIONS)
        raise InvalidInput(f"no event has the action {names.quoted(action)}", f"one of: {', '.join(near or ACTIONS)}")
    return action


def _checked_id(session_id: str) -> str:
    """An id, or a text that no session has as its id: such a text is unknown, and no wrong usage."""
    return names.field(session_id, "session id")


_EXACT = {"action": _checked_action, "session_id": _checked_id}
"""The criteria that are compared as they stand, each with its check."""
