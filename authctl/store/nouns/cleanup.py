"""Cleanup: sessions whose retention is over, and revocations that nothing needs.

See docs/glossary.md#retention.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.model import Kind
from authctl.store.nouns.finals import insertion_of_finals
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql.outbox_conditions import ANY_WAITS, outbox_conditions
from authctl.store.sql.tables import ANY_CREATION, OF_EVERY_KIND, UNACKNOWLEDGED, WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.store.protocol.cleanup import Archive, Removable, RemovalPlace, Removed
    from authctl.store.protocol.cursors import Cursor
    from authctl.store.sql.dialect import Dialect


_FIRST_DEADLINE = -(2**63)


@cache
def _keep_finals(dialect: Dialect) -> str:
    """The statement that keeps the finals of sessions before they are removed; with `{key}` and `{without_user}`."""
    least = dialect.least("imported_finals.without_user", "excluded.without_user")
    last = dialect.greatest("coalesce(r.at, s.ended_at)", "s.last_used_at")
    return insertion_of_finals(
        dialect,
        f"SELECT {{key}}, coalesce(s.source_key, ''), CASE WHEN i.created_by_source = 1 THEN s.created_at ELSE {ANY_CREATION} END,"
        f" max({last}), {{without_user}} FROM {dialect.list_rows('numbers', 'listed', 'bigint')}"
        f" JOIN imported AS i ON i.number = listed.value JOIN sessions AS s ON s.number = i.number {WITH_REVOCATION}"
        " WHERE (r.at IS NOT NULL OR s.ended_at IS NOT NULL AND s.ended_reason <> 'not_listed') AND {key} IS NOT NULL"
        " GROUP BY 1, 2, 3",
        also=f", without_user = {least}",
    )


@cache
def unnamed_revocations(dialect: Dialect) -> str:
    """The condition on a closed revocation that no session names."""
    by_revocation = dialect.table("sessions", index="sessions_by_revocation")
    return (
        f"at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {by_revocation} WHERE revocation_id = revocations.id)"
        " AND by_criteria = 0"
    )


def _revoked(reader: Reader) -> str:
    """The sessions of revocations before a cutoff."""
    return f"{reader.tables.revoked} WHERE r.at IS NOT NULL AND r.at < :cutoff"


def _not_waiting(reader: Reader) -> str:
    """The condition that keeps a session until it was delivered; none where nothing is pending."""
    # decision 231: without its session, the message could not be sent
    return f" AND NOT {outbox_conditions(reader.dialect).waits}" if reader.one_number(ANY_WAITS) else ""


def _expired(reader: Reader, cutoff: int, part: str) -> tuple[str, dict[str, Any]]:
    """The expired sessions of some kinds and profiles, a condition, that ended before a cutoff, and the parameters."""
    source = (
        f"{reader.tables.by_deadline} WHERE {reader.tables.unrevoked} AND {part}"
        f" AND s.expires_at < :cutoff AND NOT {reader.continuity.ended_later(cutoff)}{_not_waiting(reader)}"
    )
    return source, {"cutoff": cutoff, **reader.continuity.parameters}


def _all_expired(reader: Reader, cutoff: int) -> tuple[str, dict[str, Any]]:
    """All expired sessions that ended before a cutoff, and the parameters."""
    source, given = _expired(reader, cutoff, f"{OF_EVERY_KIND} AND {reader.tables.of_profiles}")
    return source, {**given, "profiles": reader.dialect.list_of(reader.profile_keys())}


class CleanupReader(Reader):
    """`CleanupView` over any database."""

    def ended_before(self, cutoff: int, *, keep_unacknowledged: bool = False) -> Removable:
        from authctl.store.protocol.cleanup import Removable

        expired, given = _all_expired(self, cutoff)
        sql = f"SELECT count(*), count(*) FILTER (WHERE {UNACKNOWLEDGED}) FROM {_revoked(self)}{_not_waiting(self)}"
        revoked, unacknowledged = self.one_row(sql, given) or (0, 0)
        removable = (revoked - unacknowledged, 0) if keep_unacknowledged else (revoked, unacknowledged)
        return Removable(self.one_number(f"SELECT count(*) FROM {expired}", given), *removable)

    def oldest_end(self, cutoff: int, *, keep_unacknowledged: bool = False) -> int | None:
        expired, given = _all_expired(self, cutoff)
        kept = f" AND NOT ({UNACKNOWLEDGED})" if keep_unacknowledged else ""
        # An aggregate of no rows is one row with NULL.
        queries = (
            f"SELECT min(s.expires_at) FROM {expired}",
            f"SELECT min(r.at) FROM {_revoked(self)}{_not_waiting(self)}{kept}",
        )
        ends = [self.all_rows(sql, given)[0][0] for sql in queries]
        return min((end for end in ends if end is not None), default=None)


class RemovalWriter(Writer):
    """The part of `CleanupChange` that removes rows, over any database."""

    def remove_ended(
        self,
        cutoff: int,
        limit: int,
        after: RemovalPlace | None = None,
        *,
        keep_unacknowledged: bool = False,
        archive: Archive | None = None,
    ) -> Removed:
        from authctl.store.nouns.sessions import sessions_by_number
        from authctl.store.protocol.cleanup import Removable, RemovalPlace, Removed
        from authctl.store.protocol.cursors import Cursor

        place = after or RemovalPlace(tuple(self.profile_keys()), 0, _FIRST_DEADLINE, None)
        numbers, place = self._expired_after(place, cutoff, limit)
        # decision 66: kept sessions count for the limit, and the next batch goes on after them
        read = self._revoked({"cutoff": cutoff, "limit": limit - len(numbers)}, place.revoked)
        revoked = [row for row in read if not (keep_unacknowledged and row[-1])]
        removed = sorted(numbers + [row[-2] for row in revoked])
        if archive and removed:
            archive(sessions_by_number(self, removed, cutoff))  # decision 83: before they are removed
        self._remove(removed)
        # Fewer than the limit: both entrances are through.
        is_last = len(numbers) + len(read) < limit
        place = place._replace(revoked=Cursor(read[-1][:-1]) if read else place.revoked)
        counts = Removable(len(numbers), len(revoked), sum(row[-1] for row in revoked))
        return Removed(counts, None if is_last else place)

    def _expired_after(self, place: RemovalPlace, cutoff: int, limit: int) -> tuple[list[int], RemovalPlace]:
        """The numbers of the next expired sessions, and the place after them."""
        # decision 375: not from the beginning, where a server passes all rows that the batches before removed
        source, given = _expired(self, cutoff, "s.kind = :kind AND s.profile_key = :profile AND s.expires_at >= :since")
        sql = f"SELECT s.number, s.expires_at FROM {source} ORDER BY s.expires_at, s.number LIMIT :limit"
        parts = [(kind.value, key) for kind in Kind for key in place.profiles]
        numbers: list[int] = []
        while place.parts < len(parts) and len(numbers) < limit:
            kind, key = parts[place.parts]
            of_part = {"kind": kind, "profile": key, "since": place.deadline, "limit": limit - len(numbers)}
            rows = self.all_rows(sql, {**given, **of_part})
            numbers += [row[0] for row in rows]
            if len(numbers) < limit:
                place = place._replace(parts=place.parts + 1, deadline=_FIRST_DEADLINE)
            else:
                place = place._replace(deadline=rows[-1][1])
        return numbers, place

    def _revoked(self, given: dict[str, Any], after: Cursor | None) -> list[tuple[Any, ...]]:
        """The next revoked sessions in the order of their index, each with whether its wipe is unconfirmed."""
        sql = (
            f"SELECT r.at, r.id, s.kind, s.last_used_at, s.number, {UNACKNOWLEDGED} FROM {_revoked(self)}{_not_waiting(self)}{{beyond}}"
            " ORDER BY r.at, r.id, s.kind, s.last_used_at, s.number LIMIT :limit"
        )
        if after is None:
            return self.all_rows(sql.format(beyond=""), given)
        # First the rest of the revocation that the last batch ended in, then the later ones: each is a range of an index.
        given |= {f"after_{index}": value for index, value in enumerate(after.key)}
        within = " AND r.id = :after_1 AND (s.kind, s.last_used_at, s.number) > (:after_2, :after_3, :after_4)"
        rest = self.all_rows(sql.format(beyond=within), given)
        # One limit for both ranges: a batch is never larger than the lock allows.
        given["limit"] -= len(rest)
        return rest + self.all_rows(sql.format(beyond=" AND (r.at, r.id) > (:after_0, :after_1)"), given)

    def _remove(self, numbers: Sequence[int]) -> None:
        from authctl.store.nouns.removal import remove_sessions

        if self.one_number("SELECT EXISTS (SELECT 1 FROM imported)"):
            for key, without_user in (("i.key", 0), ("i.key_without_user", 1)):
                sql = _keep_finals(self.dialect).format(key=key, without_user=without_user)
                self.write(sql, {"numbers": self.dialect.list_of(numbers)})
        remove_sessions(self, numbers)

    def remove_unnamed_revocations(self, most: int) -> int:
        # decision 376: in steps, since PostgreSQL looks for sessions of each one twice
        oldest = f"SELECT id FROM revocations WHERE {unnamed_revocations(self.dialect)} ORDER BY id LIMIT {most:d}"
        self.remove_notes_from_search(f"id IN ({oldest})")
        return self.write(f"DELETE FROM revocations WHERE id IN ({oldest})")
