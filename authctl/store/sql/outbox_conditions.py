"""Conditions of the outbox on a session `s`.

See docs/glossary.md#announcement.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.store.sql.dialect import Dialect

_KEYS = {"source": "s.source_key", "application": "s.application_key", "profile": "s.profile_key", "kind": "s.kind"}

ANY_WAITS = (
    "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'pending')"
    " OR EXISTS (SELECT 1 FROM announcements WHERE rest = 'pending')"
)


class OutboxConditions:
    """The conditions in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        by_session = dialect.table("deliveries", "d", "deliveries_by_session")
        self.is_told = " AND ".join(
            f"(({dialect.count_members('a.narrowing', field)}) = 0 OR {dialect.is_member(key, 'a.narrowing', field)})"
            for field, key in _KEYS.items()
        )
        """Whether the receiver of an announcement `a` is told about a session `s`, by the narrowing of that time."""

        listed = "SELECT 1 FROM announced_sessions AS l WHERE l.list = a.list AND l.number = s.number"
        self.covers = (
            f"s.number <= a.last_number AND (s.revocation_id = a.revocation_id OR a.list IS NOT NULL AND EXISTS ({listed}))"
            f" AND {self.is_told}"
        )
        """Whether an announcement `a` covers a session `s`."""

        others = dialect.join_in_order(
            dialect.table("deliveries", "o", "deliveries_by_session"), "announcements AS b", "b.id = o.announcement"
        )
        self.is_news = (
            f"(a.event <> 'session-revoked' OR NOT EXISTS (SELECT 1 FROM {others} WHERE o.number > 0 AND o.number = s.number"
            " AND o.announcement <> a.id AND o.receiver_key = a.receiver_key AND o.state <> 'gone' AND b.event = a.event))"
        )
        """Whether no other announcement has told its receiver that a session `s` is revoked, as that of an announcement `a` does.

        A known session that an import brings under a revocation is covered by the list of the import and, until that is expanded,
        by the revocation.
        """

        lists = dialect.join_in_order("announced_sessions AS l", "announcements AS a", "a.list = l.list")
        self.waits = (
            f"(EXISTS (SELECT 1 FROM {by_session} WHERE d.number > 0 AND d.number = s.number AND d.state = 'pending')"
            " OR s.revocation_id IN (SELECT revocation_id FROM announcements WHERE rest = 'pending' AND revocation_id IS NOT NULL)"
            f" OR EXISTS (SELECT 1 FROM {lists} WHERE l.number = s.number AND a.rest = 'pending'))"
        )
        """Whether a delivery about a session `s` is pending, or is going to be made of an announcement."""

        self.is_pending = (
            "(EXISTS (SELECT 1 FROM deliveries AS d WHERE d.number = s.number AND d.number > 0 AND d.state = 'pending')"
            " OR EXISTS (SELECT 1 FROM announcements AS a WHERE a.rest = 'pending' AND s.number > a.expanded_to"
            f" AND {self.covers}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = s.number)))"
        )
        """Whether a delivery about a session is pending, its announcement expanded so far or not."""

    def has_delivery(self, states: Iterable[str]) -> str:
        """Whether a session `s` has a delivery in one of those states, those of announcements that were not expanded so far included."""
        if set(states) == {"pending"}:
            return self.is_pending
        listed = ", ".join(f"'{state}'" for state in sorted(states))
        return f"EXISTS (SELECT 1 FROM deliveries AS d WHERE d.number = s.number AND d.number > 0 AND d.state IN ({listed}))"


@cache
def outbox_conditions(dialect: "Dialect") -> OutboxConditions:
    """The conditions in a dialect, made once."""
    return OutboxConditions(dialect)
