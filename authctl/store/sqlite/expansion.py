"""The expansion of announcements in SQLite: a page of the sessions that one covers becomes deliveries.

See docs/glossary.md#announcement.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from authctl.store.sqlite.outbox_conditions import COVERS, IS_NEWS, IS_TOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.store.sqlite.reader import Writer

_FEW = 20_000
"""The sessions of so small a revocation are read from its index and sorted, page by page."""

_WINDOW = 200_000
"""How many numbers of sessions one page goes through where the sessions of a revocation are many."""

_ADD = "INSERT OR IGNORE INTO deliveries (announcement, number, receiver_key, username_key, next_attempt_at)"
_ADD_SESSIONS = (
    f"{_ADD} SELECT a.id, s.number, a.receiver_key, NULL, :due FROM json_each(:numbers) AS listed"
    f" CROSS JOIN announcements AS a ON a.id = :id CROSS JOIN sessions AS s ON s.number = listed.value WHERE {IS_TOLD} AND {IS_NEWS}"
)
# An earlier announcement may be in the middle of ten million sessions: its delivery about this one has to go first.
_ADD_EARLIER = (
    f"{_ADD} SELECT a.id, s.number, a.receiver_key, NULL, :due FROM json_each(:numbers) AS listed"
    " CROSS JOIN announcements AS a INDEXED BY announcements_pending"
    " ON a.receiver_key = :receiver AND a.rest = 'pending' AND a.id < :id AND a.username_key IS NULL"
    " AND (a.list IS NULL) = :of_revocation"
    f" CROSS JOIN sessions AS s ON s.number = listed.value WHERE {COVERS} AND {IS_NEWS}"
)
# decision 239: an event of a user goes to every receiver that asks for it, without its filter of sessions
_ADD_USER = f"{_ADD} SELECT a.id, 0, a.receiver_key, a.username_key, :due FROM announcements AS a WHERE a.id = :id"
# One that was begun comes after all that were not: a few sessions do not wait for the rest of ten million.
_NEXT = (
    "SELECT id, revocation_id, list, last_number, expanded_to FROM announcements INDEXED BY announcements_pending"
    " WHERE receiver_key = ? AND rest = 'pending' ORDER BY expanded_to > 0, id LIMIT 1"
)


class _Announcement(NamedTuple):
    id: int
    revocation_id: int | None
    list: int | None
    last_number: int
    expanded_to: int


def expand(writer: Writer, receiver: str, limit: int, clock: int) -> int:
    """Expand announcements of a receiver: see `OutboxChange.expand`."""
    looked_at = 0
    while looked_at < limit and (row := writer.one_row(_NEXT, (receiver,))):
        announcement = _Announcement(*row)
        looked_at += _expand_page(writer, receiver, announcement, limit - looked_at, clock)
    return looked_at


def _expand_page(writer: Writer, receiver: str, announcement: _Announcement, limit: int, clock: int) -> int:
    given = {"id": announcement.id, "receiver": receiver, "due": clock}
    if announcement.revocation_id is None and announcement.list is None:
        writer.write(_ADD_USER, given)
        _go_on(writer, announcement, None)
        return 1
    numbers, expanded_to = _page(writer, announcement, limit)
    given["numbers"] = json.dumps(numbers)
    for of_revocation in (True, False):
        writer.write(_ADD_EARLIER, {**given, "of_revocation": of_revocation})
    writer.write(_ADD_SESSIONS, given)
    _go_on(writer, announcement, expanded_to)
    # Never 0, so that announcements of nobody end the loop, too.
    return max(1, len(numbers))


def _go_on(writer: Writer, announcement: _Announcement, expanded_to: int | None) -> None:
    """Note how far an announcement is expanded; None means to its end."""
    sql = "UPDATE announcements SET expanded_to = coalesce(?, last_number), rest = iif(? IS NULL, 'none', rest) WHERE id = ?"
    writer.write(sql, (expanded_to, expanded_to, announcement.id))
    if expanded_to is None and announcement.list is not None:
        sql = (
            "DELETE FROM announced_sessions WHERE list = :list"
            " AND NOT EXISTS (SELECT 1 FROM announcements WHERE list = :list AND rest = 'pending')"
        )
        writer.write(sql, {"list": announcement.list})


def _page(writer: Writer, announcement: _Announcement, limit: int) -> tuple[Sequence[int], int | None]:
    """The numbers of the next sessions of an announcement, and the number that the page after them follows; None after the last."""
    given = {**announcement._asdict(), "limit": limit, "few": _FEW}
    if announcement.list is not None:
        sql = "SELECT number FROM announced_sessions WHERE list = :list AND number > :expanded_to ORDER BY number LIMIT :limit + 1"
        return _cut(limit, [row[0] for row in writer.all_rows(sql, given)])
    # Without a condition on the number, so that this reads no more entries of the index than it returns.
    few = (
        "SELECT number FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = :revocation_id LIMIT :few"
    )
    of_all = [row[0] for row in writer.all_rows(few, given)]
    # The index is in the order of use, and pages are in the order of numbers: a few are sorted, and many are read by
    # number.
    if len(of_all) < _FEW:
        covered = range(announcement.expanded_to + 1, announcement.last_number + 1)
        return _cut(limit, sorted(number for number in of_all if number in covered))
    of_revocation = "revocation_id = :revocation_id AND number > :expanded_to AND number <= :last_number"
    given["window"] = min(announcement.last_number, announcement.expanded_to + _WINDOW)
    sql = f"SELECT number FROM sessions NOT INDEXED WHERE {of_revocation} AND number <= :window ORDER BY number LIMIT :limit"
    numbers = [row[0] for row in writer.all_rows(sql, given)]
    # A page with room has no further session in its window, so the next page begins after the window.
    if len(numbers) == limit:
        return numbers, numbers[-1]
    return numbers, given["window"] if given["window"] < announcement.last_number else None


def _cut(limit: int, numbers: Sequence[int]) -> tuple[Sequence[int], int | None]:
    """A page of numbers of which there is one more than a page has, if there are more; and the last one of it, or None."""
    return numbers[:limit], numbers[limit - 1] if len(numbers) > limit else None
