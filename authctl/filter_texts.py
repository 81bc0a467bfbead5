"""Filters from texts: the words of a person, or the parameters of a request, to a `SessionFilter` or `EventFilter`.

Pure: independent of the command line and of every other door. Names are those of the command line's options, with `_` for `-`; times are
a date, `today`, a time, or a length of time such as `7d`, which is counted from the present instant.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from authctl.errors import InvalidInput
from authctl.instants import parse_duration, parse_when
from authctl.model import Kind, SessionFilter, texts_of
from authctl.names import quoted

if TYPE_CHECKING:
    from authctl.model import EventFilter

FilterTexts = Mapping[str, str | Sequence[str] | None]
"""Texts by the name of their criterion; several texts as a sequence, and None or an empty sequence for a criterion that is not given."""

ALL_KINDS = "all"
"""The `kind` that stands for every kind of session."""


def _time(name: str, text: str, now: int) -> dict[str, Any]:
    return {name: parse_when(text, now)}


def _time_ahead(name: str, text: str, now: int) -> dict[str, Any]:
    return {name: parse_when(text, now, ahead=True)}


def _unused_for(_name: str, text: str, now: int) -> dict[str, Any]:
    return {"unused_since": parse_duration(text).before(now)}


def _kind(_name: str, text: str, _now: int) -> dict[str, Any]:
    if text not in (ALL_KINDS, *Kind):
        raise InvalidInput(f"{quoted(text)} is none of: {', '.join((*Kind, ALL_KINDS))}")
    return {"kind": None if text == ALL_KINDS else Kind(text)}


def _text(name: str, text: str, _now: int) -> dict[str, Any]:
    return {name: text}


Reader = Callable[[str, str, int], dict[str, Any]]

SESSION_TEXTS: dict[str, Reader] = {
    "kind": _kind,
    "search": _text,
    "created_since": _time,
    "created_before": _time,
    "used_since": _time,
    "unused_for": _unused_for,
    "expires_before": _time_ahead,
    "wipe": _text,
    "delivery": _text,
}
"""The criteria of sessions that take one text, each with its reader."""

SESSION_LISTS = {
    "status": "status",
    "user": "username",
    "application": "application",
    "device": "device",
    "platform": "platform",
    "profile": "profile",
    "source": "source",
}
"""The criteria of sessions that take several texts, with their names in `SessionFilter`."""

EVENT_TEXTS: dict[str, Reader] = {"since": _time, "until": _time, "search": _text}
EVENT_LISTS = {"actor": "actor", "action": "action", "user": "username", "session": "session_id"}


def read_session_filter(texts: FilterTexts, now: int, **others: Any) -> SessionFilter:
    """The filter of sessions that some texts describe; `others` are criteria that need no reading, such as ids.

    Raises InvalidInput for an unknown name, a time that cannot be read, or several texts where one is expected.
    """
    return SessionFilter(**_criteria(texts, SESSION_TEXTS, SESSION_LISTS, now), **others)


def read_event_filter(texts: FilterTexts, now: int) -> "EventFilter":
    """The filter of audit events that some texts describe. Raises InvalidInput as `read_session_filter`."""
    from authctl.model import EventFilter

    return EventFilter(**_criteria(texts, EVENT_TEXTS, EVENT_LISTS, now))


def _criteria(texts: FilterTexts, readers: Mapping[str, Reader], lists: Mapping[str, str], now: int) -> dict[str, Any]:
    # decision 130: a criterion that is left out in silence selects too many
    criteria: dict[str, Any] = {}
    for name, value in texts.items():
        several = texts_of(value)
        if name not in lists and name not in readers:
            raise InvalidInput(f"no such filter: {quoted(name)}", f"one of: {', '.join(sorted({*readers, *lists}))}")
        if name in readers and len(several) > 1:
            raise InvalidInput(f"the filter {quoted(name)} takes one value, and {len(several)} are given")
        if name in lists and several:
            criteria[lists[name]] = several
        elif several:
            criteria |= readers[name](name, several[0], now)
    return criteria
