"""The sessions that a deed would hit, by their numbers: which they are, and what they have in common, as SQL.

See docs/glossary.md#bound-of-a-preview.
"""

import json
import sqlite3
from array import array
from collections.abc import Sequence
from typing import Any

from authctl.model import ProfileSet, Status
from authctl.names import fold
from authctl.store.counting import unended
from authctl.store.deadlines import ENDS_NOW, LIVING, NEW_DEADLINE, recomputations
from authctl.store.holding import Holding
from authctl.store.selection import BY_EXPIRY, JOINED, OPEN, Selection, status_sql
from authctl.store.values import DeadlineChanges, Largest, Summary

_NUMBERED = "json_each(:numbers) AS given CROSS JOIN sessions AS s ON s.number = given.value"
_LARGEST = (  # a bare column beside an aggregate is that of any row of its group
    f"SELECT name, sessions, count(*) OVER () FROM (SELECT s.{{field}} AS name, s.{{field}}_key AS key, count(*) AS sessions"
    f" FROM {_NUMBERED} GROUP BY s.{{field}}_key) ORDER BY sessions DESC, key LIMIT :largest"
)
_CHANGED = (
    f"SELECT sum({NEW_DEADLINE} < s.expires_at AND ({NEW_DEADLINE} > :now OR :since < :now)),"
    f" sum({NEW_DEADLINE} > s.expires_at), sum({ENDS_NOW}) FROM {BY_EXPIRY} WHERE {LIVING}"
)
_OF_PROFILE = f"s.revocation_id = {OPEN} AND s.kind IN ('application', 'web') AND s.profile_key = :profile"
_HELD = f"{BY_EXPIRY} WHERE {_OF_PROFILE} AND s.expires_at > :since AND s.expires_at <= :now AND s.ended_at IS NULL"


def selected(connection: sqlite3.Connection, chosen: Selection) -> Sequence[int]:
    """The numbers of a selection's sessions, ascending."""
    if chosen.scanned is not None:
        joined = JOINED if "r." in chosen.where else ""
        return _sifted(connection, chosen.scanned, f"{joined} WHERE {chosen.where}", chosen.parameters)
    return _numbers(connection, f"{chosen.counted()} WHERE {chosen.where_at_all}", chosen.parameters)


def _numbers(connection: sqlite3.Connection, source: str, given: dict[str, Any]) -> Sequence[int]:
    return array("q", sorted(row[0] for row in connection.execute(f"SELECT s.number FROM {source}", given)))


def _sifted(connection: sqlite3.Connection, by_index: str, sifted: str, given: dict[str, Any]) -> Sequence[int]:
    """What the index of deadlines has, as far as it meets the rest; rows are read in the order they lie in.

    Along the index that takes several times as long where they are many, as does leaving the sorting to SQLite.
    """
    near = _numbers(connection, f"{BY_EXPIRY} WHERE {by_index}", given)
    return _numbers(connection, f"{_NUMBERED} {sifted}", {**given, "numbers": json.dumps(list(near))})


def used_last(connection: sqlite3.Connection, numbers: Sequence[int], limit: int) -> list[int]:
    """Up to so many of the numbers, the session that was used last first."""
    sql = f"SELECT s.number FROM {_NUMBERED} ORDER BY s.last_used_at DESC, s.number DESC LIMIT :limit"
    return [row[0] for row in connection.execute(sql, {"numbers": json.dumps(list(numbers)), "limit": limit})]


def summary(
    connection: sqlite3.Connection, numbers: Sequence[int], holding: Holding, now: int, largest: int
) -> Summary:
    """The sessions of those numbers, counted."""
    given = {"numbers": json.dumps(list(numbers)), "now": now, "largest": largest, **holding.parameters}
    counted = (
        f"SELECT count(*), total(s.kind = 'web'), total({status_sql(Status.ACTIVE, holding, now)}) FROM {_NUMBERED}"
    )
    total, web, active = map(int, connection.execute(counted, given).fetchone())
    users, applications = (_largest(connection, field, given) for field in ("username", "application"))
    return Summary(total, web, active, total - active, users, applications)


def _largest(connection: sqlite3.Connection, field: str, given: dict[str, Any]) -> Largest:
    found = connection.execute(_LARGEST.format(field=field), given).fetchall()
    return Largest(tuple((name, sessions) for name, sessions, _ in found), found[0][2] - len(found) if found else 0)


def deadline_changes(
    connection: sqlite3.Connection, profiles: ProfileSet, holding: Holding, now: int
) -> dict[str, DeadlineChanges]:
    """How many active sessions of each profile its new deadlines would shorten, lengthen and end."""
    changes = {}
    for name, parameters in recomputations(profiles, now, holding):
        found = connection.execute(_CHANGED, parameters).fetchone()
        since = _let_go_since(profiles, name, holding, now)
        let_go = 0 if since is None else unended(connection, fold(name), since, now)
        if let_go or any(count is not None for count in found):
            shortened, lengthened, ended = (count or 0 for count in found)
            changes[name] = DeadlineChanges(shortened, lengthened, ended + let_go)
    return changes


def ended_by(connection: sqlite3.Connection, profiles: ProfileSet, holding: Holding, now: int) -> Sequence[int]:
    """The numbers of the active sessions that those profiles would end, ascending."""
    numbers: list[int] = []
    for name, parameters in recomputations(profiles, now, holding):
        by_index = f"{_OF_PROFILE} AND s.expires_at > :since"
        numbers += _sifted(connection, by_index, f"WHERE {LIVING} AND {ENDS_NOW}", parameters)
        since = _let_go_since(profiles, name, holding, now)
        if since is not None:
            numbers += _numbers(connection, _HELD, {"profile": fold(name), "since": since, "now": now})
    return array("q", sorted(numbers))


def _let_go_since(profiles: ProfileSet, name: str, holding: Holding, now: int) -> int | None:
    """When the event began that holds a profile's sessions now and would no longer be allowed to; None where there is none."""
    event = None if profiles.profiles[name].continuity else holding.running(now).get(fold(name))
    return event and event.started_at
