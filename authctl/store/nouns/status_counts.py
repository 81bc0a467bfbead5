"""Counts of sessions by status, from indexes alone.

See docs/glossary.md#deadline.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from authctl.model import Kind, Status
from authctl.store.sql.counts import EVERY_KIND, counts

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader

_FOREVER = 2**62


def count_by_status(
    reader: "Reader", statuses: Sequence[Status], kind: str | None, living_since: Mapping[str, int]
) -> int:
    """How many sessions have one of the statuses, all of them without any (decision 97).

    `living_since` has, for the key of each profile with sessions that are not revoked, the instant that the deadline of an
    active session is after. Three numbers are enough: all sessions, those that are not revoked, and the active ones.
    """
    kinds = f"'{kind}'" if kind else EVERY_KIND
    texts = counts(reader.dialect)

    @cache
    def everything() -> int:
        return _total(reader, kind)

    def unrevoked() -> int:
        # Of a registry where nearly all sessions are revoked the others are counted, and the reverse. The count stops at half.
        half = everything() // 2 + 1
        revoked = _number(reader, texts.revoked.format(kinds=kinds), most=half)  # the smaller side is counted
        return everything() - revoked if revoked < half else _number(reader, texts.unrevoked.format(kinds=kinds))

    def active() -> int:
        return sum(count_unended(reader, key, since, kinds=kinds) for key, since in living_since.items())

    # all = active + expired + revoked, unrevoked = active + expired: each wanted status adds its own part
    wants_active, wants_expired, wants_revoked = (int(not statuses or status in statuses) for status in Status)
    parts: list[tuple[int, Callable[[], int]]] = [
        (wants_revoked, everything),
        (wants_expired - wants_revoked, unrevoked),
        (wants_active - wants_expired, active),
    ]
    return sum(sign * number() for sign, number in parts if sign)


def _total(reader: "Reader", kind: str | None) -> int:
    """All sessions, or those of a kind. A whole table is counted page by page, and web sessions are fewer."""
    texts = counts(reader.dialect)
    if kind == Kind.WEB:
        return _number(reader, texts.of_kind, kind=Kind.WEB)
    everything = _number(reader, texts.everything)
    return everything - _number(reader, texts.of_kind, kind=Kind.WEB) if kind else everything


def _number(reader: "Reader", sql: str, **given: object) -> int:
    return reader.one_number(sql, given)


def count_unended(
    reader: "Reader",
    profile_key: str,
    since: int,
    until: int = _FOREVER,
    *,
    kinds: str = EVERY_KIND,
) -> int:
    """How many sessions of a profile, neither revoked nor ended, have a deadline after the one instant and up to the other."""
    sql = counts(reader.dialect).unended.format(kinds=kinds)
    return _number(reader, sql, profile=profile_key, since=since, until=until)
