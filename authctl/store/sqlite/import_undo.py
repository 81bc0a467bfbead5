"""The undo of an import in SQLite.

See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from authctl.store.sqlite.dialect import EACH_NUMBER, OPEN, TABLES
from authctl.store.sqlite.finals import insertion_of_finals
from authctl.store.sqlite.import_journal import KEPT_TABLES, LAST_SEEN_AT, WAS_REVOKED, blobs_of, columns_of
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.store.protocol.import_undo import Before, RegisteredSessions

_IS_OF_SOURCE = "(s.ended_at, s.ended_reason) IS (i.source_ended_at, i.source_ended_reason)"
_IS_ENDED_HERE = f"s.ended_at IS NOT NULL AND s.ended_reason <> 'not_listed' AND NOT {_IS_OF_SOURCE}"
"""Whether a session was ended by a decision here: its source and a complete listing make no decisions."""

# decision 150: a session is as the import left it if its last move is that of the batch, and no later revocation has it
_REGISTERED = f"""
    SELECT s.number, s.id, CASE
        WHEN {WAS_REVOKED} THEN 'revoked'
        WHEN {_IS_ENDED_HERE} AND s.moved_in > b.move THEN 'ended'
        WHEN i.import_id IS NOT :import THEN 'changed'
    END
    FROM import_batches AS b INDEXED BY import_batches_by_range
    CROSS JOIN sessions AS s ON s.number BETWEEN max(b.first, :after + 1) AND b.last
    CROSS JOIN imported AS i ON i.number = s.number
    WHERE b.import_id = :import AND b.last > :after ORDER BY b.last, s.number LIMIT :limit
"""
_NUMBERS_LOOKED_AT = """
    SELECT sum(min(last, :until) - max(first, :after + 1) + 1) FROM import_batches INDEXED BY import_batches_by_range
    WHERE import_id = :import AND last > :after AND first <= :until
"""
_IS_REGISTERED = (
    "coalesce((SELECT r.first FROM import_batches AS r INDEXED BY import_batches_by_range WHERE r.import_id = :import"
    " AND r.last >= c.number ORDER BY r.last LIMIT 1) <= c.number, FALSE)"
)
_CHANGED = f"""
    SELECT c.number, s.id, CASE
        WHEN s.number IS NULL THEN 'removed'
        WHEN b.id IS NULL THEN 'changed'
        WHEN {WAS_REVOKED} THEN 'revoked'
        WHEN s.moved_in IS NOT b.move THEN iif({_IS_ENDED_HERE}, 'ended', 'changed')
        WHEN i.import_id IS NOT :import THEN 'changed'
    END, s.ended_reason IS 'not_listed', b.at, {OPEN}, b.columns, c.before
    FROM import_changes AS c LEFT JOIN import_batches AS b ON b.id = c.batch
    LEFT JOIN sessions AS s ON s.number = c.number LEFT JOIN imported AS i ON i.number = c.number
    WHERE c.import_id = :import AND c.number > :after AND NOT {_IS_REGISTERED} ORDER BY c.number LIMIT :limit
"""
_NOT_RESTORED = ("number", "moved_in")
"""The columns that stay as they are: a session keeps its number, and to restore it is a move of its own."""

_MISSING_AT = (
    "SELECT min(l.taken_at) FROM complete_listings AS l WHERE l.source_key = s.source_key AND l.username_key IN ('', s.username_key)"
    f" AND l.taken_at > {LAST_SEEN_AT}"
)
"""The first complete listing that lacks a session."""


class ImportUndoReader(Reader):
    """`ImportUndoView` over SQLite."""

    def registered_by(self, import_id: int, after: int, limit: int) -> RegisteredSessions:
        from authctl.store.protocol.import_undo import Registered, RegisteredSessions

        given = {"import": import_id, "after": after, "limit": limit}
        sessions = [Registered(*row) for row in self.all_rows(_REGISTERED, given)]
        sql = "SELECT max(last) FROM import_batches WHERE import_id = :import AND last > :after"
        until = sessions[-1].number if len(sessions) == limit else self.one_number(sql, given)
        if not until:
            return RegisteredSessions(None, [], 0)
        looked_at = self.one_number(_NUMBERS_LOOKED_AT, {**given, "until": until})
        return RegisteredSessions(until, sessions, looked_at - len(sessions))

    def journal_size(self, import_id: int) -> int:
        sql = (
            "SELECT coalesce(sum(last - first + 1), 0) + (SELECT count(*) FROM import_changes WHERE import_id = :import)"
            " FROM import_batches WHERE import_id = :import"
        )
        return self.one_number(sql, {"import": import_id})

    def changed_by(self, import_id: int, after: int, limit: int) -> list[Before]:
        given = {"import": import_id, "after": after, "limit": limit}
        blobs = {table: blobs_of(self.connection, table) for table in KEPT_TABLES}
        return [_before(row, blobs) for row in self.all_rows(_CHANGED, given)]


def _before(row: Sequence[Any], blobs: dict[str, set[str]]) -> Before:
    from authctl.store.protocol.import_undo import Before

    number, session_id, kept, is_inferred, at, open_revocation, columns, before = row
    if kept is not None:
        return Before(number, session_id, kept, bool(is_inferred), 0, False, {}, {}, [])
    names, values = json.loads(columns), json.loads(before)
    session, imported, *rows = (
        _by_column(names[table], one, blobs[table])
        for table, one in (("sessions", values[0]), ("imported", values[1]), *(("imported_rows", x) for x in values[2]))
    )
    is_unrevoked = session["revocation_id"] == open_revocation
    return Before(number, session_id, None, bool(is_inferred), at, is_unrevoked, session, imported, rows)


def _by_column(names: Iterable[str], values: Iterable[Any], blobs: set[str]) -> dict[str, Any]:
    """The values of a row by column; bytes were written as hexadecimal digits."""
    pairs = zip(names, values, strict=True)
    return {name: bytes.fromhex(value) if value and name in blobs else value for name, value in pairs}


class ImportUndoWriter(Writer):
    """`ImportUndoChange` over SQLite."""

    def begin_undo(self, import_id: int, at: int, actor: str, note: str) -> None:
        sql = (
            "UPDATE imports SET undo_begun_at = coalesce(undo_begun_at, ?), undone_by = ?, undone_note = ? WHERE id = ?"
        )
        self.write(sql, (at, actor, note, import_id))
        self.write("DELETE FROM complete_listings WHERE import_id = ?", (import_id,))

    # decision 190: `imported_ahead` stays; without it, the same file would register an active session later
    def remove_registered(self, import_id: int, until: int, numbers: Sequence[int]) -> None:
        from authctl.store.sqlite.removal import remove_sessions

        remove_sessions(self, numbers)
        given = {"import": import_id, "until": until}
        first = "SELECT min(first) FROM import_batches WHERE import_id = :import"
        self.write(
            "DELETE FROM import_changes AS c WHERE import_id = :import"
            f" AND number BETWEEN ({first}) AND :until AND {_IS_REGISTERED}",
            given,
        )
        self.write(
            "UPDATE import_batches SET first = iif(last > :until, :until + 1, NULL), last = iif(last > :until, last, NULL)"
            " WHERE import_id = :import AND last IS NOT NULL AND first <= :until",
            given,
        )

    def restore_before(self, import_id: int, until: int, sessions: Sequence[Before], now: int) -> None:
        from authctl.store.sqlite import search_index

        numbers = [before.number for before in sessions]
        search_index.remove_sessions(self.connection, numbers)
        for table, rows in (
            ("sessions", [(before.number, before.session) for before in sessions]),
            ("imported", [(before.number, before.imported) for before in sessions]),
        ):
            self._restore(table, rows)
        self.write(f"DELETE FROM imported_rows WHERE {EACH_NUMBER}", {"numbers": json.dumps(numbers)})
        self._add_rows_again([row for before in sessions for row in before.imported_rows])
        if numbers:
            self.write(
                f"UPDATE sessions SET moved_in = :move WHERE {EACH_NUMBER}",
                {"numbers": json.dumps(numbers), "move": self.move},
            )
        search_index.add_sessions(self.connection, numbers)
        self._end_missing(numbers, now)
        sql = "DELETE FROM import_changes WHERE import_id = ? AND number <= ?"
        self.write(sql, (import_id, until))

    def _restore(self, table: str, rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
        known = columns_of(self.connection, table)
        for names, same in groupby(rows, key=lambda row: tuple(row[1])):
            # The journal may be of an older schema: columns that are gone are left out, and new ones keep their values.
            restored = [name for name in names if name in known and name not in _NOT_RESTORED]
            sql = f"UPDATE {table} SET {', '.join(f'{name} = :{name}' for name in restored)} WHERE number = :number"
            self.connection.executemany(sql, [{**row, "number": number} for number, row in same])

    def _add_rows_again(self, rows: Sequence[dict[str, Any]]) -> None:
        for names, same in groupby(rows, key=tuple):
            sql = f"INSERT INTO imported_rows ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
            self.connection.executemany(sql, list(same))

    def _end_missing(self, numbers: Sequence[int], now: int) -> None:
        """End the active sessions of some numbers that a complete listing lacks, at the first of these."""
        from authctl.model import Status
        from authctl.store.sql.filters import has_status

        is_active = has_status(Status.ACTIVE, self.continuity, now)
        sql = (
            f"SELECT ({_MISSING_AT}), s.number FROM {TABLES.by_numbers} JOIN imported AS i ON i.number = s.number"
            f" WHERE s.source_key IS NOT NULL AND {is_active}"
        )
        missing = [
            row for row in self.all_rows(sql, self.given(now, numbers=json.dumps(numbers))) if row[0] is not None
        ]
        sql = (
            "UPDATE sessions SET ended_at = ?1, ended_reason = 'not_listed', expires_at = ?1, moved_in = ?3"
            " WHERE number = ?2"
        )
        self.connection.executemany(sql, [(at, number, self.move) for at, number in missing])

    def restore_listings(self, import_id: int, limit: int) -> int:
        sql = "SELECT id, listed FROM import_batches WHERE import_id = ? AND listed IS NOT NULL ORDER BY id LIMIT ?"
        batches = self.all_rows(sql, (import_id, limit))
        for batch, listed in batches:
            sql = "UPDATE imported SET listed_at = ?2 WHERE number = ?1 AND listed_at = ?3"
            self.connection.executemany(sql, json.loads(listed))
            self.write("UPDATE import_batches SET listed = NULL WHERE id = ?", (batch,))
        return len(batches) + self._restore_finals(import_id, limit)

    def _restore_finals(self, import_id: int, limit: int) -> int:
        """Take the source from the next finals that an import gave one."""
        sql = (
            "SELECT f.key, f.created_at, f.at, f.without_user, f.at_of_source, i.source_key FROM import_finals AS f"
            " JOIN imports AS i ON i.id = f.import_id WHERE f.import_id = ? LIMIT ?"
        )
        rows = self.all_rows(sql, (import_id, limit))
        sql = insertion_of_finals("VALUES (?, '', ?, ?, ?)")
        self.connection.executemany(sql, [final[:4] for final in rows])
        of_source = "key = ?1 AND created_at = ?2 AND source_key = ?6 AND at = ?3"
        # The final without a source is there again, and it settles the same rows as the removed one.
        for sql in (
            f"DELETE FROM imported_finals WHERE {of_source} AND ?4 IS NOT NULL AND ?5 IS NULL",
            f"UPDATE imported_finals SET at = ?5 WHERE {of_source} AND ?4 IS NOT NULL AND ?5 < ?3",
        ):
            self.connection.executemany(sql, rows)
        sql = "DELETE FROM import_finals WHERE import_id = ? AND key = ? AND created_at = ?"
        self.connection.executemany(sql, [(import_id, *final[:2]) for final in rows])
        return len(rows)

    def record_undo(self, import_id: int, counts: dict[str, Any], undone_at: int | None = None) -> None:
        sql = "UPDATE imports SET undo_counts = ?, undone_at = ? WHERE id = ?"
        self.write(sql, (json.dumps(counts), undone_at, import_id))
