"""Orders of lists: the columns they are sorted by, and the place of a session in one."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from authctl.model import Session, SessionFilter, Status
from authctl.store.sql.continuity import OrderedPart

if TYPE_CHECKING:
    from authctl.model import SortField


class Order:
    """The columns that a list is sorted by, each of them descending; the last one is unique."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def columns_in(self, part: OrderedPart) -> tuple[str, ...]:
        """The columns as they are in a part."""
        return tuple(column.format(end=part.end, deadline=part.deadline) for column in self.columns)


BY_USE = Order("s.last_used_at", "s.number")
BY_END = Order("{end}", "{deadline}", "s.number")
"""By the real end. Sessions that a continuity event held ended with the event, and not at their deadline."""

BY_REVOCATION = Order("r.at", "r.id", "s.last_used_at", "s.number")

FOLDED = ("username", "application", "device", "platform", "profile", "source")
"""The fields of a session that are compared by their folded keys (decision 19)."""


def column_of(field: "SortField") -> str:
    """The column of an order that was asked for."""
    if field == "revoked_at":
        return "r.at"
    return f"s.{field}_key" if field in FOLDED else f"s.{field}"


def order_of(statuses: Collection[Status]) -> Order:
    """The order of a list with those statuses; of all sessions without any."""
    if set(statuses) == {Status.REVOKED}:
        return BY_REVOCATION
    return BY_END if set(statuses) == {Status.EXPIRED} else BY_USE


def key_of_session(selection: SessionFilter, session: Session) -> tuple[Any, ...] | None:
    """The key of a session in a selection's own order; None if its status has no place there."""
    order = order_of(selection.statuses)
    if order is BY_REVOCATION:
        key = (session.revoked_at, session.revocation_id, session.last_used_at, session.number)
        return None if session.revoked_at is None else key
    if order is BY_END:
        # A session that is still active has no end that it could be sorted by.
        is_alive = session.is_alive(session.read_at)
        return None if is_alive else (session.ends_at, session.expires_at, session.number)
    return (session.last_used_at, session.number)


def is_key(selection: SessionFilter, key: tuple[Any, ...]) -> bool:
    """Whether a key from outside fits a selection's own order: it has as many whole numbers as the order has columns."""
    return len(key) == len(order_of(selection.statuses).columns) and all(type(part) is int for part in key)
