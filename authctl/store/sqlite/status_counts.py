"""Counts of sessions by status in SQLite, from indexes alone.

See docs/glossary.md#deadline.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from authctl.model import Kind, Status
from authctl.store.sql.counts import EVERY_KIND, counts
from authctl.store.sqlite.dialect import SQLITE

if TYPE_CHECKING:
    from authctl.store.sqlite.library import sqlite3

_FOREVER = 2**62


def count_by_status(
    connection: "sqlite3.Connection", statuses: Sequence[Status], kind: str | None, living_since: Mapping[str, int]
) -> int:
    """How many sessions have one of the statuses, all of them without any (decision 97).

    `living_since` has, for the key of each profile with sessions that are not revoked, the instant that the deadline of an
    active session is after. Three numbers are enough: all sessions, those that are not revoked, and the active ones.
    """
    kinds = f"'{kind}'" if kind else EVERY_KIND
    texts = counts(SQLITE)

    @cache
    def everything() -> int:
        return _total(connection, kind)

    def unrevoked() -> int:
        # Of a registry where nearly all sessions are revoked the others are counted, and the reverse. The count stops at half.
        half = everything() // 2 + 1
        revoked = _number(connection, texts.revoked.format(kinds=kinds), most=half)  # the smaller side is counted
        return everything() - revoked if revoked < half else _number(connection, texts.unrevoked.format(kinds=kinds))

    def active() -> int:
        return sum(count_unended(connection, key, since, kinds=kinds) for key, since in living_since.items())

    # all = active + expired + revoked, unrevoked = active + expired: each wanted status adds its own part
    wants_active, wants_expired, wants_revoked = (int(not statuses or status in statuses) for status in Status)
    parts: list[tuple[int, Callable[[], int]]] = [
        (wants_revoked, everything),
        (wants_expired - wants_revoked, unrevoked),
        (wants_active - wants_expired, active),
    ]
    return sum(sign * number() for sign, number in parts if sign)


def _total(connection: "sqlite3.Connection", kind: str | None) -> int:
    """All sessions, or those of a kind. SQLite counts a whole table page by page, and web sessions are fewer."""
    texts = counts(SQLITE)
    if kind == Kind.WEB:
        return _number(connection, texts.of_kind, kind=Kind.WEB)
    everything = _number(connection, texts.everything)
    return everything - _number(connection, texts.of_kind, kind=Kind.WEB) if kind else everything


def _number(connection: "sqlite3.Connection", sql: str, **given: object) -> int:
    return int(connection.execute(sql, given).fetchone()[0])


def count_unended(
    connection: "sqlite3.Connection",
    profile_key: str,
    since: int,
    until: int = _FOREVER,
    *,
    kinds: str = EVERY_KIND,
) -> int:
    """How many sessions of a profile, neither revoked nor ended, have a deadline after the one instant and up to the other."""
    sql = counts(SQLITE).unended.format(kinds=kinds)
    return _number(connection, sql, profile=profile_key, since=since, until=until)
