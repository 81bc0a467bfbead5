"""A `SessionFilter` as SQL: where to enter the tables, in which order, and what must hold.

Every query names its index: without statistics SQLite chooses badly, and a missing index fails loudly.
`r` is the revocation that a session `s` names.

See docs/glossary.md#folded-key.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from authctl.model import Kind, Session, SessionFilter, SortField, Status, Texts, Wipe, texts_of
from authctl.names import fold
from authctl.store.holding import OVER_BY, Holding, Lane
from authctl.store.searching import SAYS

OPEN = "(SELECT id FROM revocations INDEXED BY revocations_open WHERE at IS NULL)"
JOINED = "JOIN revocations AS r ON r.id = s.revocation_id"

REVOKED = (
    "revocations AS r INDEXED BY revocations_by_time CROSS JOIN sessions AS s INDEXED BY sessions_by_revocation"
    " ON s.revocation_id = r.id"
)
BY_EXPIRY = "sessions AS s INDEXED BY sessions_by_expiry"
ALL_BY_USE = "sessions AS s INDEXED BY sessions_by_use"
UNREVOKED_BY_USE = "sessions AS s INDEXED BY sessions_by_revocation"
_BY_USER = "sessions AS s INDEXED BY sessions_by_user"
_NUMBERED = "json_each(:found) CROSS JOIN sessions AS s ON s.number = json_each.value"
_NAMED = "json_each(:ids) CROSS JOIN sessions AS s ON s.id = json_each.value"
_WALKS = (ALL_BY_USE, UNREVOKED_BY_USE)
AMONG_PROFILES = "s.profile_key IN (SELECT value FROM json_each(:profiles))"
_UNREVOKED = {Status.ACTIVE, Status.EXPIRED}
_UNREVOKED_SQL = f"s.revocation_id = {OPEN}"
_OF_KIND = "s.kind = :kind"
UNACKNOWLEDGED = "s.wipes AND s.wipe_acknowledged_at IS NULL"
_WIPES = {
    Wipe.PENDING: f"{UNACKNOWLEDGED} AND s.wipe_delivered_at IS NULL",
    Wipe.DELIVERED: f"{UNACKNOWLEDGED} AND s.wipe_delivered_at IS NOT NULL",
    Wipe.ACKNOWLEDGED: "s.wipes AND s.wipe_acknowledged_at IS NOT NULL",
}


class Order(NamedTuple):
    """The columns a list is sorted by, every one descending, ending in one that is unique."""

    columns: tuple[str, ...]

    def along(self, lane: Lane) -> tuple[str, ...]:
        """The columns, as they are in a lane."""
        return tuple(column.format(end=lane.end, deadline=lane.deadline) for column in self.columns)


BY_USE = Order(("s.last_used_at", "s.number"))
BY_END = Order(("{end}", "{deadline}", "s.number"))
"""By when they really ended; what a continuity event held ended with that, whatever its deadline."""

BY_REVOCATION = Order(("r.at", "r.id", "s.last_used_at", "s.number"))


_FOLDED = ("username", "application", "device", "platform", "profile")
SORTED = {field: f"s.{field}_key" if field in _FOLDED else f"s.{field}" for field in SortField} | {
    SortField.REVOKED_AT: "r.at"
}
"""What each order that may be asked for compares."""


def place(selection: SessionFilter, session: Session) -> tuple[Any, ...] | None:
    """Where a session stands in a selection's own order; None where its status has no place there."""
    order = _order(set(selection.statuses))
    if order is BY_REVOCATION:
        found = (session.revoked_at, session.revocation_id, session.last_used_at, session.number)
        return None if session.revoked_at is None else found
    if order is BY_END:
        is_alive = session.is_alive(session.read_at)
        return None if is_alive else (session.ends_at, session.expires_at, session.number)
    return (session.last_used_at, session.number)


def is_key(selection: SessionFilter, key: tuple[Any, ...]) -> bool:
    """Whether a text from outside could be the key of a place in a selection's own order: so many whole numbers."""
    return len(key) == len(_order(set(selection.statuses)).columns) and all(type(part) is int for part in key)


def _order(statuses: set[Status]) -> Order:
    if statuses == {Status.REVOKED}:
        return BY_REVOCATION
    return BY_END if statuses == {Status.EXPIRED} else BY_USE


class Selection(NamedTuple):
    """A filter, compiled: `source` is what to put after FROM, `where` what after WHERE."""

    table: str
    order: Order
    conditions: tuple[str, ...]
    parameters: dict[str, Any]
    by_kind: bool
    """Whether the index yields its order only within one kind."""
    lanes: tuple[Lane, ...] = (Lane(),)
    """Parts that their index yields in order."""
    scan: str | None = None
    """Where to enter to look at all of it in no order, where that may be quicker than along the index."""
    walked: str = "TRUE"
    """What of the criteria the index answers without a look at the row."""
    scanned: str | None = None
    """The same of the index that `scan` enters by; None where that reads the table as it lies."""

    def source(self, lane: Lane = Lane()) -> str:  # noqa: B008
        """The sessions of a lane, each joined with its revocation."""
        table = lane.table or self.table
        return table if table is REVOKED else f"{table} {JOINED}"

    def unordered(self) -> str:
        """The same in no order, all lanes in one."""
        return f"{self.scan} {JOINED}" if self.scan else self.source()

    def counted(self, lane: Lane = Lane()) -> str:  # noqa: B008
        """The same of a lane, joined only where the criteria ask about the revocation."""
        if "r." in self.where:
            return self.unordered() if self.scan else self.source(lane)
        return lane.table or self.scan or self.table

    @property
    def is_sifted(self) -> bool:
        """Whether a walk along the index may pass sessions that do not meet the criteria."""
        return self.scan is not None

    @property
    def where(self) -> str:
        """What must hold, whatever the lane."""
        return " AND ".join(self.conditions) or "TRUE"

    @property
    def where_at_all(self) -> str:
        """What must hold where the lanes are not told apart."""
        return f"{self.where} AND s.expires_at <= {OVER_BY}" if self.table is BY_EXPIRY else self.where


def status_sql(status: Status, holding: Holding, now: int) -> str:
    """Whether a session has a status at `now`, the parameter of that name."""
    if status is Status.REVOKED:
        return f"(s.revocation_id <> {OPEN})"
    held = holding.held(now)
    if status is Status.ACTIVE:
        alive = f"(s.expires_at > :now OR {held})" if held else "s.expires_at > :now"
        return f"(s.revocation_id = {OPEN} AND {alive} AND s.ended_at IS NULL)"
    past = f"(s.expires_at <= :now AND NOT {held})" if held else "s.expires_at <= :now"
    return f"(s.revocation_id = {OPEN} AND ({past} OR s.ended_at IS NOT NULL))"


def compiled(
    selection: SessionFilter,
    now: int,
    holding: Holding,
    profile_keys: Callable[[], Sequence[str]],
    found: Sequence[int] | None = None,
) -> Selection:
    """The SQL of a filter; `profile_keys` are of the profiles that have sessions, and asked for where they matter.

    `found` are the numbers of all sessions that have the searched text, where the index knows them.
    """
    asked = _criteria(selection, found)
    asked.parameters |= {"now": now, **holding.parameters}
    statuses = set(selection.statuses)
    table, order, by_kind = _entrance(selection, statuses, is_numbered=found is not None)
    lanes: Sequence[Lane] = (Lane(),)
    if table is BY_EXPIRY:
        keys = profile_keys() if selection.profile is None else keys_of(selection.profile)
        asked.add(AMONG_PROFILES, "profiles", json.dumps(keys))
        lanes = [lane for key in keys for lane in holding.lanes_of(now, key)]
    elif order is BY_END:
        lanes = holding.lanes(now)
    elif table is _BY_USER:
        lanes = _lanes_of_users(keys_of(selection.username))
    if statuses and len(statuses) < len(Status):
        asked.conditions.append(_status(statuses, order, {s: status_sql(s, holding, now) for s in Status}))
    chosen = Selection(
        table,
        order,
        tuple(asked.conditions),
        asked.parameters,
        by_kind and selection.kind is None,
        tuple(lanes),
    )
    return _sifted(chosen, statuses, now, holding, profile_keys) if table in _WALKS else chosen


def _lanes_of_users(keys: Sequence[str]) -> Sequence[Lane]:
    """A lane for each of several users: the index yields the order of use only within one of them."""
    lane = Lane("s.username_key = :lane")
    return [lane._replace(parameters={"lane": key}) for key in keys] if len(keys) > 1 else (Lane(),)


def _sifted(
    chosen: Selection, statuses: set[Status], now: int, holding: Holding, profile_keys: Callable[[], Sequence[str]]
) -> Selection:
    """A selection along an index, with how else to come by its sessions where the index does not answer all of its criteria."""
    of_kind = [condition for condition in chosen.conditions if condition == _OF_KIND]
    of_index = [_UNREVOKED_SQL, *of_kind] if chosen.table == UNREVOKED_BY_USE else of_kind
    if set(chosen.conditions) <= set(of_index):
        return chosen
    walked = " AND ".join(of_index) or "TRUE"
    if statuses != {Status.ACTIVE}:
        return chosen._replace(walked=walked, scan="sessions AS s NOT INDEXED")
    since = min([now, *(event.started_at for event in holding.running(now).values())])
    living = f"s.kind IN ('application', 'web') AND {AMONG_PROFILES} AND s.expires_at > {since}"
    parameters = {**chosen.parameters, "profiles": json.dumps(profile_keys())}
    conditions = (*chosen.conditions, living)
    scanned = f"{_UNREVOKED_SQL} AND {living}"
    return chosen._replace(walked=walked, scan=BY_EXPIRY, scanned=scanned, conditions=conditions, parameters=parameters)


def _entrance(selection: SessionFilter, statuses: set[Status], *, is_numbered: bool) -> tuple[str, Order, bool]:
    order = _order(statuses)
    if is_numbered:
        return _NUMBERED, order, False
    if selection.ids:
        return _NAMED, order, False
    if selection.username is not None:
        return _BY_USER, order, False
    if order is BY_REVOCATION:
        return REVOKED, order, True
    if order is BY_END:
        return BY_EXPIRY, order, True
    return UNREVOKED_BY_USE if statuses and statuses <= _UNREVOKED else ALL_BY_USE, order, True


def _status(statuses: set[Status], order: Order, conditions: dict[Status, str]) -> str:
    if order is BY_REVOCATION:
        return "r.at IS NOT NULL"
    if order is BY_END:
        return conditions[Status.EXPIRED]
    if statuses == _UNREVOKED:
        return _UNREVOKED_SQL
    if statuses == {Status.ACTIVE}:
        return conditions[Status.ACTIVE]
    return "(" + " OR ".join(conditions[status] for status in sorted(statuses)) + ")"


class Criteria:
    """The conditions of a WHERE, each with its parameter; what was not asked for adds none."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: dict[str, Any] = {}

    @property
    def where(self) -> str:
        """What must hold."""
        return " AND ".join(self.conditions) or "TRUE"

    def add(self, condition: str, name: str, value: Any) -> None:
        """Ask for something, unless the value is None."""
        if value is not None:
            self.conditions.append(condition)
            self.parameters[name] = value

    def add_text(self, condition: str, name: str, text: str | None) -> None:
        """Ask for something by the folded key of a text, unless there is none."""
        self.add(condition, name, None if text is None else fold(text))

    def add_texts(self, column: str, name: str, texts: Texts) -> None:
        """Ask for any of the texts in a column of folded keys, unless there is none; one is compared as it stands."""
        self.add_values(column, name, keys_of(texts))

    def add_values(self, column: str, name: str, values: Sequence[str]) -> None:
        """Ask for any of the values in a column, unless there is none."""
        if len(values) == 1:
            self.add(f"{column} = :{name}", name, values[0])
        else:
            self.add_list(f"{column} IN (SELECT value FROM json_each(:{name}))", name, values)

    def add_list(self, condition: str, name: str, values: Sequence[str]) -> None:
        """Ask for something by a list, unless it is empty."""
        self.add(condition, name, json.dumps(values) if values else None)


def keys_of(texts: Texts) -> list[str]:
    """The folded keys of what a criterion asks for."""
    return list(map(fold, texts_of(texts)))


def _criteria(selection: SessionFilter, found: Sequence[int] | None) -> Criteria:
    asked = Criteria()
    if selection.ids:
        asked.parameters["ids"] = json.dumps(list(dict.fromkeys(selection.ids)))
    if selection.except_ids:
        spared = json.dumps(selection.except_ids)
        asked.add("s.id NOT IN (SELECT value FROM json_each(:except_ids))", "except_ids", spared)
    for name in _FOLDED:
        asked.add_texts(f"s.{name}_key", name, getattr(selection, name))
    asked.add("s.created_at >= :created_since", "created_since", selection.created_since)
    asked.add("s.created_at < :created_before", "created_before", selection.created_before)
    asked.add("s.last_used_at >= :used_since", "used_since", selection.used_since)
    asked.add("s.last_used_at <= :unused_since", "unused_since", selection.unused_since)
    asked.add("s.expires_at < :expires_before", "expires_before", selection.expires_before)
    if found is not None:
        asked.parameters["found"] = json.dumps(found)
    else:
        asked.add_text(f"({SAYS} OR instr(r.note_key, :search))", "search", selection.search)
    asked.add(_OF_KIND, "kind", selection.kind)
    asked.add("s.key_id = :key_id", "key_id", selection.key_id)
    if selection.wipe is not None:
        asked.conditions.append(f"s.revocation_id <> {OPEN} AND {_WIPES[Wipe(selection.wipe)]}")
    return asked


def kinds(selection: Selection) -> tuple[str | None, ...]:
    """The kinds to ask for one after another, so that each answer comes in order from its index."""
    return tuple(Kind) if selection.by_kind else (None,)
