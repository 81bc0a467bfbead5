"""Counting sessions by status from indexes alone: no row is read, but of those that were ended since.

A hard end pulls a session's deadline to its own instant. So what lives beyond an instant is what has its deadline beyond it, less
what ended beyond it.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from authctl.model import Kind, Status
from authctl.store.holding import BY_HARD_END
from authctl.store.selection import BY_EXPIRY, OPEN

_EVERYTHING = "SELECT count(*) FROM sessions"
_OF_KIND = "SELECT count(*) FROM sessions INDEXED BY sessions_by_use WHERE kind = ?"
_REVOKED = (
    "SELECT count(*) FROM (SELECT 1 FROM sessions INDEXED BY sessions_by_revocation"
    f" WHERE revocation_id < {OPEN} AND kind IN ({{kinds}}) UNION ALL SELECT 1 FROM sessions INDEXED BY sessions_by_revocation"
    f" WHERE revocation_id > {OPEN} AND kind IN ({{kinds}}) LIMIT ?)"
)
_UNREVOKED = f"SELECT count(*) FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = {OPEN} AND kind IN ({{kinds}})"
_OF_PROFILE = f"s.revocation_id = {OPEN} AND s.kind IN ({{kinds}}) AND s.profile_key = :profile"
_UNENDED = (
    f"SELECT (SELECT count(*) FROM {BY_EXPIRY} WHERE {_OF_PROFILE} AND s.expires_at > :since AND s.expires_at <= :until)"
    f" - (SELECT count(*) FROM {BY_HARD_END} WHERE {_OF_PROFILE} AND s.ended_at > :since AND s.ended_at <= :until)"
)
_EVER = 2**62


def tally(
    connection: sqlite3.Connection, statuses: Sequence[Status], kind: str | None, living_since: Mapping[str, int]
) -> int:
    """How many sessions have one of the statuses.

    `living_since` has, by the key of each profile with sessions that are not revoked, the instant beyond which a deadline has to
    lie for a session to live now.
    """
    kinds = ", ".join(f"'{one}'" for one in ([kind] if kind else Kind))

    @cache
    def total() -> int:
        return _total(connection, kind)

    def unrevoked() -> int:
        half = total() // 2 + 1
        revoked = _number(connection, _REVOKED.format(kinds=kinds), half)  # the smaller side is counted
        return total() - revoked if revoked < half else _number(connection, _UNREVOKED.format(kinds=kinds))

    def living() -> int:
        return sum(unended(connection, key, since, kinds=kinds) for key, since in living_since.items())

    active, expired, revoked = (int(not statuses or one in statuses) for one in Status)
    parts: list[tuple[int, Callable[[], int]]] = [
        (revoked, total),
        (expired - revoked, unrevoked),
        (active - expired, living),
    ]
    return sum(sign * count() for sign, count in parts if sign)


def _total(connection: sqlite3.Connection, kind: str | None) -> int:
    """All sessions, or those of a kind; SQLite counts a whole table page by page, and web sessions are the fewer."""
    if kind == Kind.WEB:
        return _number(connection, _OF_KIND, Kind.WEB)
    everything = _number(connection, _EVERYTHING)
    return everything - _number(connection, _OF_KIND, Kind.WEB) if kind else everything


def _number(connection: sqlite3.Connection, sql: str, *given: object) -> int:
    return int(connection.execute(sql, given).fetchone()[0])


def unended(
    connection: sqlite3.Connection,
    profile_key: str,
    since: int,
    until: int = _EVER,
    *,
    kinds: str = "'application', 'web'",
) -> int:
    """How many sessions of a profile that are neither revoked nor ended have their deadline after the one instant, and not
    after the other."""
    given = {"profile": profile_key, "since": since, "until": until}
    return int(connection.execute(_UNENDED.format(kinds=kinds), given).fetchone()[0])
