"""Filters as SQL: the conditions of a WHERE, each with its parameter.

See docs/glossary.md#folded-key.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from authctl.model import DeliveryChoice, SessionFilter, Status, Texts, Wipe, texts_of
from authctl.names import fold, is_storable
from authctl.store.sql.orders import BY_END, BY_REVOCATION, FOLDED, Order
from authctl.store.sql.tables import UNACKNOWLEDGED, Tables, tables

if TYPE_CHECKING:
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.dialect import Dialect

SEARCHED = (
    "s.username_key",
    "s.application_key",
    "s.device_key",
    "s.platform_key",
    "lower(s.ip)",
    "s.source_key",
    "s.source_id_key",
)
"""The texts of a session that a search looks at."""

OF_KIND = "s.kind = :kind"
UNREVOKED = frozenset({Status.ACTIVE, Status.EXPIRED})
_WIPES = {
    Wipe.PENDING: f"{UNACKNOWLEDGED} AND s.wipe_delivered_at IS NULL",
    Wipe.DELIVERED: f"{UNACKNOWLEDGED} AND s.wipe_delivered_at IS NOT NULL",
    Wipe.ACKNOWLEDGED: "s.wipe_on_revoke = 1 AND s.wipe_acknowledged_at IS NOT NULL",
}
_STATES: dict[str, tuple[str, ...]] = {
    DeliveryChoice.PENDING: ("pending",),
    DeliveryChoice.DELIVERED: ("delivered", "gone"),
    DeliveryChoice.REFUSED: ("refused", "dead"),
}
"""The states of a delivery by choice: a receiver that does not know a session any more has nothing left to do."""


class Criteria:
    """The conditions of a WHERE, each with its parameter. A criterion that was not asked for adds none."""

    def __init__(self, dialect: "Dialect") -> None:
        self.conditions: list[str] = []
        self.parameters: dict[str, Any] = {}
        self._dialect = dialect

    @property
    def where(self) -> str:
        """All conditions."""
        return " AND ".join(self.conditions) or "TRUE"

    def add(self, condition: str, name: str, value: Any) -> None:
        """Add a condition with its parameter, unless the value is None."""
        if value is not None:
            self.conditions.append(condition)
            self.parameters[name] = value

    def add_text(self, condition: str, name: str, text: str | None) -> None:
        """Add a condition on the folded key of a text, unless there is no text."""
        self.add(condition, name, None if text is None else fold(text))

    def add_texts(self, column: str, name: str, texts: Texts) -> None:
        """Ask for one of several texts in a column of folded keys, unless there is none."""
        if texts is not None:
            self.add_values(column, name, keys_of(texts))

    def add_values(self, column: str, name: str, values: Sequence[str]) -> None:
        """Ask for one of several values in a column, unless there is none. A single value is compared by `=`."""
        # With `=`, the rest of an index that begins with this column stays in order; with IN it does not.
        if len(values) == 1:
            self.add(f"{column} = :{name}", name, values[0])
        elif values:
            self.add_list(self._dialect.is_listed(column, name), name, values)

    def add_list(self, condition: str, name: str, values: Sequence[str] | Sequence[int]) -> None:
        """Add a condition with a list as its parameter, unless the list is empty."""
        self.add(condition, name, self._dialect.list_of(values) if values else None)


def keys_of(texts: Texts) -> list[str]:
    """The folded keys of a criterion."""
    return list(map(fold, texts_of(texts)))


def only_id(selection: SessionFilter) -> str | None:
    """The id of a filter that names one session; None for any other filter, and for an id that no database can store."""
    # To read a list of one takes a database longer than the session itself.
    return selection.ids[0] if len(selection.ids) == 1 and is_storable(selection.ids[0]) else None


def contains_search(dialect: "Dialect") -> str:
    """Whether a session `s` itself contains the searched text."""
    return " OR ".join(dialect.contains(text, "search") for text in SEARCHED)


def criteria_of(selection: SessionFilter, dialect: "Dialect", numbers: Sequence[int] | None) -> Criteria:
    """The criteria of a filter, its status apart; `numbers` are those that the search index gave, if it was asked."""
    criteria = Criteria(dialect)
    if (only := only_id(selection)) is not None:
        criteria.add("s.id = :id", "id", only)
    elif selection.ids:
        # Ids are the entrance to the table, not a condition: see `selections._entrance`.
        criteria.parameters["ids"] = dialect.list_of(dict.fromkeys(selection.ids))
    if selection.except_ids:
        criteria.add_list(f"NOT {dialect.is_listed('s.id', 'except_ids')}", "except_ids", selection.except_ids)
    for name in FOLDED:
        criteria.add_texts(f"s.{name}_key", name, getattr(selection, name))
    criteria.add("s.created_at >= :created_since", "created_since", selection.created_since)
    criteria.add("s.created_at < :created_before", "created_before", selection.created_before)
    criteria.add("s.last_used_at >= :used_since", "used_since", selection.used_since)
    criteria.add("s.last_used_at <= :unused_since", "unused_since", selection.unused_since)
    criteria.add("s.expires_at < :expires_before", "expires_before", selection.expires_before)
    if numbers is not None:
        # The search index has compared the text already: its numbers are the entrance, and no condition is left.
        criteria.parameters["search_numbers"] = dialect.list_of(numbers)
    elif selection.search is not None:
        # The note belongs to the revocation: one row, whether it revoked ten sessions or a million.
        in_note = dialect.contains("r.note_key", "search")
        criteria.add_text(f"({contains_search(dialect)} OR {in_note})", "search", selection.search)
    criteria.add(OF_KIND, "kind", selection.kind)
    criteria.add("s.key_id = :key_id", "key_id", selection.key_id)
    if selection.used_after_end:
        criteria.conditions.append("s.used_after_end_at IS NOT NULL")
    if selection.delivery is not None:
        from authctl.store.sql.outbox_conditions import outbox_conditions

        criteria.conditions.append(outbox_conditions(dialect).has_delivery(_STATES[selection.delivery]))
    if selection.wipe is not None:
        is_open = tables(dialect).open_revocation
        criteria.conditions.append(f"s.revocation_id <> {is_open} AND {_WIPES[Wipe(selection.wipe)]}")
    return criteria


def has_status(status: Status, continuity: "Continuity", now: int) -> str:
    """Whether a session has a status at `now`, which is the parameter of that name, too."""
    is_open = continuity.tables.open_revocation
    if status is Status.REVOKED:
        return f"(s.revocation_id <> {is_open})"
    held = continuity.holds(now)
    if status is Status.ACTIVE:
        alive = f"(s.expires_at > :now OR {held})" if held else "s.expires_at > :now"
        return f"(s.revocation_id = {is_open} AND {alive} AND s.ended_at IS NULL)"
    # A hard end moves the deadline to its own instant. It is asked for as well, since it may lie after `now`: the
    # clock was set back, and what was ended stays ended.
    past = f"(s.expires_at <= :now AND NOT {held})" if held else "s.expires_at <= :now"
    return f"(s.revocation_id = {is_open} AND ({past} OR s.ended_at IS NOT NULL))"


def has_any_status(statuses: Collection[Status], order: Order, continuity: "Continuity", now: int) -> str:
    """Whether a session has one of some statuses, as shortly as the entrance of their order allows."""
    entrances: Tables = continuity.tables
    # The entrance of revoked sessions begins with the time of the revocation, so that this condition is the range.
    if order is BY_REVOCATION:
        return "r.at IS NOT NULL"
    if order is BY_END:
        return has_status(Status.EXPIRED, continuity, now)
    if set(statuses) == UNREVOKED:
        return entrances.unrevoked
    conditions = [has_status(status, continuity, now) for status in sorted(statuses)]
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"
