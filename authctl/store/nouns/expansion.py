"""The expansion of announcements: a page of the sessions that one covers becomes deliveries.

See docs/glossary.md#announcement.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.store.sql.outbox_conditions import outbox_conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.store.nouns.reader import Writer
    from authctl.store.sql.dialect import Dialect

_FEW = 20_000
"""The sessions of so small a revocation are read from its index and sorted, page by page."""

_WINDOW = 200_000
"""How many numbers of sessions one page goes through where the sessions of a revocation are many."""


class _Texts:
    """The statements in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        conditions = outbox_conditions(dialect)
        add = "INSERT INTO deliveries (announcement, number, receiver_key, username_key, next_attempt_at)"
        once = "ON CONFLICT (announcement, number) DO NOTHING"
        listed = dialect.list_rows("numbers", "listed", "bigint")
        pending = dialect.table("announcements", "a", "announcements_pending")

        def of_sessions(announcements: str, which: str, condition: str) -> str:
            announced = dialect.join_in_order(listed, announcements, which)
            source = dialect.join_in_order(announced, "sessions AS s", "s.number = listed.value")
            return f"{add} SELECT a.id, s.number, a.receiver_key, NULL, :due FROM {source} WHERE {condition} AND {conditions.is_news} {once}"

        self.add_sessions = of_sessions("announcements AS a", "a.id = :id", conditions.is_told)
        # An earlier announcement may be in the middle of ten million sessions: its delivery about this one has to go first.
        earlier = (
            "a.receiver_key = :receiver AND a.rest = 'pending' AND a.id < :id AND a.username_key IS NULL AND a.list IS"
        )
        self.add_earlier = tuple(
            of_sessions(pending, f"{earlier} {which}", conditions.covers) for which in ("NULL", "NOT NULL")
        )
        """The same for earlier announcements: those of revocations first, then those of lists."""
        self.add_user = f"{add} SELECT a.id, 0, a.receiver_key, a.username_key, :due FROM announcements AS a WHERE a.id = :id {once}"
        # One that was begun comes after all that were not: a few sessions do not wait for the rest of ten million.
        self.next = (
            f"SELECT id, revocation_id, list, last_number, expanded_to FROM {pending}"
            " WHERE receiver_key = ? AND rest = 'pending' ORDER BY expanded_to > 0, id LIMIT 1"
        )


@cache
def _texts(dialect: "Dialect") -> _Texts:
    return _Texts(dialect)


class _Announcement(NamedTuple):
    id: int
    revocation_id: int | None
    list: int | None
    last_number: int
    expanded_to: int


def expand(writer: "Writer", receiver: str, limit: int, clock: int) -> int:
    """Expand announcements of a receiver: see `OutboxChange.expand`."""
    looked_at = 0
    while looked_at < limit and (row := writer.one_row(_texts(writer.dialect).next, (receiver,))):
        announcement = _Announcement(*row)
        looked_at += _expand_page(writer, receiver, announcement, limit - looked_at, clock)
    return looked_at


def _expand_page(writer: "Writer", receiver: str, announcement: _Announcement, limit: int, clock: int) -> int:
    texts = _texts(writer.dialect)
    given: dict[str, Any] = {"id": announcement.id, "receiver": receiver, "due": clock}
    if announcement.revocation_id is None and announcement.list is None:
        writer.write(texts.add_user, given)
        _go_on(writer, announcement, None)
        return 1
    numbers, expanded_to = _page(writer, announcement, limit)
    given["numbers"] = writer.dialect.list_of(numbers)
    for sql in (*texts.add_earlier, texts.add_sessions):
        writer.write(sql, given)
    _go_on(writer, announcement, expanded_to)
    # Never 0, so that announcements of nobody end the loop, too.
    return max(1, len(numbers))


def _go_on(writer: "Writer", announcement: _Announcement, expanded_to: int | None) -> None:
    """Note how far an announcement is expanded; None means to its end."""
    sql = "UPDATE announcements SET expanded_to = coalesce(?, last_number), rest = coalesce(?, rest) WHERE id = ?"
    writer.write(sql, (expanded_to, "none" if expanded_to is None else None, announcement.id))
    if expanded_to is None and announcement.list is not None:
        sql = (
            "DELETE FROM announced_sessions WHERE list = :list"
            " AND NOT EXISTS (SELECT 1 FROM announcements WHERE list = :list AND rest = 'pending')"
        )
        writer.write(sql, {"list": announcement.list})


def _page(writer: "Writer", announcement: _Announcement, limit: int) -> "tuple[Sequence[int], int | None]":
    """The numbers of the next sessions of an announcement, and the number that the page after them follows; None after the last."""
    given = {**announcement._asdict(), "limit": limit, "few": _FEW}
    if announcement.list is not None:
        sql = "SELECT number FROM announced_sessions WHERE list = :list AND number > :expanded_to ORDER BY number LIMIT :limit + 1"
        return _cut(limit, [row[0] for row in writer.all_rows(sql, given)])
    # Without a condition on the number, so that this reads no more entries of the index than it returns.
    few = f"SELECT number FROM {writer.tables.by_revocation} WHERE revocation_id = :revocation_id LIMIT :few"
    of_all = [row[0] for row in writer.all_rows(few, given)]
    if len(of_all) < _FEW:
        covered = range(announcement.expanded_to + 1, announcement.last_number + 1)
        return _cut(limit, sorted(number for number in of_all if number in covered))
    of_revocation = "revocation_id = :revocation_id AND number > :expanded_to AND number <= :last_number"
    given["window"] = min(announcement.last_number, announcement.expanded_to + _WINDOW)
    sql = f"SELECT number FROM {writer.tables.anywhere} WHERE {of_revocation} AND number <= :window ORDER BY number LIMIT :limit"
    numbers = [row[0] for row in writer.all_rows(sql, given)]
    if len(numbers) == limit:
        return numbers, numbers[-1]
    return numbers, given["window"] if given["window"] < announcement.last_number else None


def _cut(limit: int, numbers: "Sequence[int]") -> "tuple[Sequence[int], int | None]":
    """A page of numbers of which there is one more than a page has, if there are more; and the last one of it, or None."""
    return numbers[:limit], numbers[limit - 1] if len(numbers) > limit else None
