"""Selections: a `SessionFilter` as SQL, with the entrance to the tables, the order and all conditions."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.model import Kind, SessionFilter, Status
from authctl.store.sql.continuity import OrderedPart
from authctl.store.sql.filters import OF_KIND, UNREVOKED, criteria_of, has_any_status, keys_of, only_id
from authctl.store.sql.orders import BY_END, BY_REVOCATION, Order, order_of
from authctl.store.sql.tables import OF_EVERY_KIND, WITH_REVOCATION, Tables

if TYPE_CHECKING:
    from authctl.store.sql.continuity import Continuity

ProfileKeys = Callable[[], Sequence[str]]
"""A function that gives the keys of the profiles with sessions; it is called only if they matter."""


class Selection(NamedTuple):
    """A filter as SQL."""

    tables: Tables
    table: str
    """The entrance."""
    order: Order
    conditions: tuple[str, ...]
    parameters: dict[str, Any]
    by_kind: bool
    """Whether the index is in order only within one kind."""
    parts: tuple[OrderedPart, ...] = (OrderedPart(),)
    """The parts that their index gives in order."""
    scan: str | None = None
    """The entrance for reading all of it in no order, if that may be faster than along the index."""
    index_conditions: str = "TRUE"
    """The conditions that the index answers without reading the row."""
    scan_conditions: str | None = None
    """The same of the index of `scan`; None if that reads the whole table."""

    def source(self, part: OrderedPart = OrderedPart()) -> str:  # noqa: B008
        """The sessions of a part after FROM, each with its revocation."""
        table = part.table or self.table
        return table if table == self.tables.revoked else f"{table} {WITH_REVOCATION}"

    def unordered_source(self) -> str:
        """The sessions of all parts after FROM, in no order."""
        return f"{self.scan} {WITH_REVOCATION}" if self.scan else self.source()

    def count_source(self, part: OrderedPart = OrderedPart()) -> str:  # noqa: B008
        """The sessions of a part after FROM, with their revocations only if a condition needs them."""
        if "r." in self.where:
            return self.unordered_source() if self.scan else self.source(part)
        return part.table or self.scan or self.table

    @property
    def needs_filtering(self) -> bool:
        """Whether a walk along the index may pass sessions that are not selected."""
        return self.scan is not None

    @property
    def where(self) -> str:
        """The conditions, in every part."""
        return " AND ".join(self.conditions) or "TRUE"

    @property
    def where_in_all_parts(self) -> str:
        """The conditions if the parts are not kept apart."""
        is_by_deadline = self.table == self.tables.by_deadline
        return f"{self.where} AND s.expires_at <= {self.tables.over_by}" if is_by_deadline else self.where

    @property
    def parts_to_count(self) -> Sequence[OrderedPart]:
        """The parts, each to be counted alone; of several users one for all, since a count needs no order."""
        # decision 268: one query for all users; with one for each, a list of 100,000 users took minutes
        is_by_user = self.table == self.tables.by_user and self.order is not BY_END
        return (OrderedPart(),) if is_by_user else self.parts

    @property
    def of_every_kind(self) -> str:
        """A condition more, where an index that begins with the kind is read for all kinds at once."""
        return f" AND {OF_EVERY_KIND}" if self.by_kind else ""

    @property
    def kinds(self) -> tuple[str | None, ...]:
        """The kinds to ask for one after another, so that each answer comes from the index in order."""
        return tuple(Kind) if self.by_kind else (None,)


def select(
    selection: SessionFilter,
    now: int,
    continuity: "Continuity",
    profile_keys: ProfileKeys,
    numbers: Sequence[int] | None = None,
) -> Selection:
    """The SQL of a filter; `numbers` are all sessions with the searched text, if the search index gave them."""
    entrances = continuity.tables
    criteria = criteria_of(selection, entrances.dialect, numbers)
    criteria.parameters |= {"now": now, **continuity.parameters}
    statuses = set(selection.statuses)
    order = order_of(statuses)
    table, by_kind = _entrance(entrances, selection, statuses, has_numbers=numbers is not None)
    parts: Sequence[OrderedPart] = (OrderedPart(),)
    if table == entrances.by_deadline:
        keys = profile_keys() if selection.profile is None else keys_of(selection.profile)
        # decision 73: the index of deadlines begins with the profile, so that each profile is a range of it
        criteria.add(entrances.of_profiles, "profiles", entrances.dialect.list_of(keys))
        parts = [part for key in keys for part in continuity.parts_of_profile(now, key)]
    elif order is BY_END:
        parts = continuity.parts(now)
    elif table == entrances.by_user:
        parts = _parts_of_users(keys_of(selection.username))
    if statuses and len(statuses) < len(Status):
        criteria.conditions.append(has_any_status(statuses, order, continuity, now))
    chosen = Selection(
        entrances,
        table,
        order,
        tuple(criteria.conditions),
        criteria.parameters,
        by_kind and selection.kind is None,
        tuple(parts),
    )
    return _with_scan(chosen, statuses, now, continuity, profile_keys) if table in entrances.walks else chosen


def _entrance(
    entrances: Tables, selection: SessionFilter, statuses: set[Status], *, has_numbers: bool
) -> tuple[str, bool]:
    """The entrance with the fewest sessions, and whether its index is in order only within one kind."""
    # From few to many: found by a text, named, of one user, and at last everything in the order of the list.
    if has_numbers:
        return entrances.by_search_numbers, False
    if selection.ids:
        return (entrances.by_ids if only_id(selection) is None else entrances.by_id), False
    if selection.username is not None:
        return entrances.by_user, False
    order = order_of(statuses)
    if order is BY_REVOCATION:
        return entrances.revoked, True
    if order is BY_END:
        return entrances.by_deadline, True
    return entrances.unrevoked_by_use if statuses and statuses <= UNREVOKED else entrances.by_use, True


def _parts_of_users(keys: Sequence[str]) -> Sequence[OrderedPart]:
    """A part for each of several users: their index is in the order of use only within one user."""
    part = OrderedPart("s.username_key = :part_key")
    # One user needs no part: the whole index of that user is in order already.
    return [part._replace(parameters={"part_key": key}) for key in keys] if len(keys) > 1 else (OrderedPart(),)


def _with_scan(
    chosen: Selection, statuses: set[Status], now: int, continuity: "Continuity", profile_keys: ProfileKeys
) -> Selection:
    """A selection along an index of use, with a second way to its sessions if the index does not answer all conditions.

    A walk along the index may pass millions that do not meet the conditions; a scan reads them in no order (decision 95).
    Active sessions are few among all that ever were, and lie together in the index of deadlines: those with a deadline
    after now, or after the start of a running event.
    """
    entrances = chosen.tables
    of_kind = [condition for condition in chosen.conditions if condition == OF_KIND]
    of_index = [entrances.unrevoked, *of_kind] if chosen.table == entrances.unrevoked_by_use else of_kind
    # The index answers everything: a walk passes no session in vain, and is the fastest way.
    if set(chosen.conditions) <= set(of_index):
        return chosen
    index_conditions = " AND ".join(of_index) or "TRUE"
    if statuses != {Status.ACTIVE}:
        return chosen._replace(index_conditions=index_conditions, scan=entrances.anywhere)
    # A session that an event holds has its deadline in the past, but after the start of the event.
    since = min([now, *(event.started_at for event in continuity.running(now).values())])
    active = f"{OF_EVERY_KIND} AND {entrances.of_profiles} AND s.expires_at > :living_since"
    return chosen._replace(
        index_conditions=index_conditions,
        scan=entrances.by_deadline,
        scan_conditions=f"{entrances.unrevoked} AND {active}",
        conditions=(*chosen.conditions, active),
        parameters={
            **chosen.parameters,
            "profiles": entrances.dialect.list_of(profile_keys()),
            "living_since": since,
        },
    )
