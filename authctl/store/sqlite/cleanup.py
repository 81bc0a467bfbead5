"""Cleanup in SQLite: sessions whose retention is over, and pages of the file that nothing needs.

See docs/glossary.md#retention.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.store.sql.outbox_conditions import ANY_WAITS, outbox_conditions
from authctl.store.sql.tables import ANY_CREATION, OF_EVERY_KIND, UNACKNOWLEDGED, WITH_REVOCATION
from authctl.store.sqlite.dialect import SQLITE, TABLES
from authctl.store.sqlite.finals import insertion_of_finals
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.store.protocol.cleanup import Archive, Removable, Removed
    from authctl.store.protocol.cursors import Cursor

_KEEP_FINALS = insertion_of_finals(
    f"SELECT {{key}}, coalesce(s.source_key, ''), iif(i.created_by_source, s.created_at, {ANY_CREATION}) AS created,"
    " max(max(coalesce(r.at, s.ended_at), s.last_used_at)), {without_user} FROM json_each(?) AS gone"
    f" JOIN imported AS i ON i.number = gone.value JOIN sessions AS s ON s.number = i.number {WITH_REVOCATION}"
    " WHERE (r.at IS NOT NULL OR s.ended_at IS NOT NULL AND s.ended_reason <> 'not_listed') AND {key} IS NOT NULL GROUP BY 1, 2, 3",
    also=", without_user = min(without_user, excluded.without_user)",
)
_REVOKED = f"{TABLES.revoked} WHERE r.at IS NOT NULL AND r.at < :cutoff"
_UNNAMED = (
    "at IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = revocations.id)"
    " AND NOT by_criteria"
)
_FEW = 4_000
"""So many sessions are removed from the search index one by one, even if they are most of all."""

_CACHE_KIB = 65_536
"""The memory for pages of the file during a cleanup, in which each batch touches most pages of two indexes."""

_PAGES_AT_ONCE = 500
"""How many pages of the file one transaction returns to the disk (decision 105)."""


def _not_waiting(reader: Reader) -> str:
    """The condition that keeps a session until it was delivered; none where nothing is pending."""
    # decision 231: without its session, the message could not be sent
    return f" AND NOT {outbox_conditions(SQLITE).waits}" if reader.one_number(ANY_WAITS) else ""


def _expired(reader: Reader, cutoff: int) -> tuple[str, dict[str, Any]]:
    """The expired sessions that ended before a cutoff, and the parameters."""
    source = (
        f"{TABLES.by_deadline} WHERE {TABLES.unrevoked} AND {OF_EVERY_KIND} AND {TABLES.of_profiles}"
        f" AND s.expires_at < :cutoff AND NOT {reader.continuity.ended_later(cutoff)}{_not_waiting(reader)}"
    )
    profiles = json.dumps(reader.profile_keys())
    return source, {"cutoff": cutoff, "profiles": profiles, **reader.continuity.parameters}


class CleanupReader(Reader):
    """`CleanupView` over SQLite."""

    def ended_before(self, cutoff: int, *, keep_unacknowledged: bool = False) -> Removable:
        from authctl.store.protocol.cleanup import Removable

        expired, given = _expired(self, cutoff)
        sql = f"SELECT count(*), count(*) FILTER (WHERE {UNACKNOWLEDGED}) FROM {_REVOKED}{_not_waiting(self)}"
        revoked, unacknowledged = self.one_row(sql, given) or (0, 0)
        removable = (revoked - unacknowledged, 0) if keep_unacknowledged else (revoked, unacknowledged)
        return Removable(self.one_number(f"SELECT count(*) FROM {expired}", given), *removable)

    def oldest_end(self, cutoff: int, *, keep_unacknowledged: bool = False) -> int | None:
        expired, given = _expired(self, cutoff)
        kept = f" AND NOT ({UNACKNOWLEDGED})" if keep_unacknowledged else ""
        # An aggregate of no rows is one row with NULL.
        ends = (
            f"SELECT min(s.expires_at) FROM {expired}",
            f"SELECT min(r.at) FROM {_REVOKED}{_not_waiting(self)}{kept}",
        )
        found = [self.all_rows(sql, given)[0][0] for sql in ends]
        return min((end for end in found if end is not None), default=None)


class CleanupWriter(Writer):
    """`CleanupChange` over SQLite."""

    def begin_removal(self, due: int) -> None:
        from authctl.store.sqlite import search_index

        self.limit_page_cache(_CACHE_KIB)
        remaining = self.one_number("SELECT count(*) FROM sessions") - due
        # decision 174: to delete an entry takes twice the time of a new one
        if due > max(_FEW, remaining // 2):
            search_index.renew(self.connection)

    def end_removal(self) -> None:
        from authctl.store.sqlite import search_index

        search_index.end_renewal(self.connection)
        self.limit_page_cache()

    def remove_ended(
        self,
        cutoff: int,
        limit: int,
        after: Cursor | None = None,
        *,
        keep_unacknowledged: bool = False,
        archive: Archive | None = None,
    ) -> Removed:
        from authctl.store.nouns.sessions import sessions_by_number
        from authctl.store.protocol.cleanup import Removable, Removed
        from authctl.store.protocol.cursors import Cursor

        expired, given = _expired(self, cutoff)
        given["limit"] = limit
        numbers = [row[0] for row in self.all_rows(f"SELECT s.number FROM {expired} LIMIT :limit", given)]
        # decision 66: kept sessions count for the limit, and the next batch goes on after them
        read = self._revoked({**given, "limit": limit - len(numbers)}, after)
        revoked = [row for row in read if not (keep_unacknowledged and row[-1])]
        removed = sorted(numbers + [row[-2] for row in revoked])
        if archive and removed:
            archive(sessions_by_number(self, removed, cutoff))  # decision 83: before they are removed
        self._remove(removed)
        # Fewer than the limit: both entrances are through.
        is_last = len(numbers) + len(read) < limit
        last = Cursor(read[-1][:-1]) if read else after or Cursor((0, 0, "", 0, 0))
        counts = Removable(len(numbers), len(revoked), sum(row[-1] for row in revoked))
        return Removed(counts, None if is_last else last)

    def _revoked(self, given: dict[str, Any], after: Cursor | None) -> list[tuple[Any, ...]]:
        """The next revoked sessions in the order of their index, each with whether its wipe is unconfirmed."""
        sql = (
            f"SELECT r.at, r.id, s.kind, s.last_used_at, s.number, {UNACKNOWLEDGED} FROM {_REVOKED}{_not_waiting(self)}{{beyond}}"
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
        from authctl.store.sqlite.removal import remove_sessions

        for key, without_user in (("i.key", 0), ("i.key_without_user", 1)):
            self.write(_KEEP_FINALS.format(key=key, without_user=without_user), (json.dumps(numbers),))
        remove_sessions(self, numbers)

    def extend_search_index(self) -> int:
        from authctl.store.sqlite import search_index

        return search_index.extend(self.connection)

    def return_free_space(self) -> int:
        # A tenth stays: pages that are given back and needed again the next day cost a file that shrinks and grows.
        free = self.one_number("PRAGMA freelist_count") - self.one_number("PRAGMA page_count") // 10
        pages = max(0, min(free, _PAGES_AT_ONCE))
        for _ in range(pages):
            self.write("PRAGMA incremental_vacuum(1)")  # `execute` takes one step, which is one page
        return pages

    def remove_unnamed_revocations(self) -> int:
        from authctl.store.sqlite import search_index

        search_index.remove_notes(self.connection, _UNNAMED)
        return self.write(f"DELETE FROM revocations WHERE {_UNNAMED}")
