"""The undo of an import.

See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from authctl.store.nouns.finals import insertion_of_finals
from authctl.store.nouns.import_journal import KEPT_TABLES, last_seen_at, was_revoked
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.protocol.import_undo import Before, RegisteredSessions
    from authctl.store.sql.dialect import Dialect

_NOT_RESTORED = ("number", "moved_in")
"""The columns that stay as they are: a session keeps its number, and to restore it is a move of its own."""


class _Texts:
    """The queries in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        is_of_source = dialect.same("(s.ended_at, s.ended_reason)", "(i.source_ended_at, i.source_ended_reason)")
        # by a decision here: its source and a complete listing make no decisions
        is_ended_here = f"s.ended_at IS NOT NULL AND s.ended_reason <> 'not_listed' AND NOT {is_of_source}"
        revoked = was_revoked(dialect)
        is_changed = dialect.differs("i.import_id", ":import")
        ranges = dialect.table("import_batches", "b", "import_batches_by_range")
        first, last = dialect.greatest("b.first", ":after + 1"), dialect.least("b.last", ":until")
        in_range = dialect.join_in_order(ranges, "sessions AS s", f"s.number BETWEEN {first} AND b.last")
        self.registered = f"""
            SELECT s.number, s.id, CASE
                WHEN {revoked} THEN 'revoked'
                WHEN {is_ended_here} AND s.moved_in > b.move THEN 'ended'
                WHEN {is_changed} THEN 'changed'
            END
            FROM {dialect.join_in_order(in_range, "imported AS i", "i.number = s.number")}
            WHERE b.import_id = :import AND b.last > :after ORDER BY b.last, s.number LIMIT :limit
        """
        self.numbers_looked_at = (
            f"SELECT sum({last} - {first} + 1) FROM {ranges}"
            " WHERE b.import_id = :import AND b.last > :after AND b.first <= :until"
        )
        self.is_registered = (
            f"coalesce((SELECT b.first FROM {ranges} WHERE b.import_id = :import"
            " AND b.last >= c.number ORDER BY b.last LIMIT 1) <= c.number, FALSE)"
        )
        self.changed = f"""
            SELECT c.number, s.id, CASE
                WHEN s.number IS NULL THEN 'removed'
                WHEN b.id IS NULL THEN 'changed'
                WHEN {revoked} THEN 'revoked'
                WHEN {dialect.differs("s.moved_in", "b.move")} THEN CASE WHEN {is_ended_here} THEN 'ended' ELSE 'changed' END
                WHEN {is_changed} THEN 'changed'
            END, {dialect.same("s.ended_reason", "'not_listed'")}, b.at, {tables(dialect).open_revocation}, b.columns, c.before
            FROM import_changes AS c LEFT JOIN import_batches AS b ON b.id = c.batch
            LEFT JOIN sessions AS s ON s.number = c.number LEFT JOIN imported AS i ON i.number = c.number
            WHERE c.import_id = :import AND c.number > :after AND NOT {self.is_registered} ORDER BY c.number LIMIT :limit
        """
        self.missing_at = (
            "SELECT min(l.taken_at) FROM complete_listings AS l WHERE l.source_key = s.source_key"
            f" AND l.username_key IN ('', s.username_key) AND l.taken_at > {last_seen_at(dialect)}"
        )
        """The first complete listing that lacks a session."""


@cache
def _texts(dialect: Dialect) -> _Texts:
    """The queries in a dialect, made once."""
    return _Texts(dialect)


class ImportUndoReader(Reader):
    """`ImportUndoView` over any database."""

    def registered_by(self, import_id: int, after: int, limit: int) -> RegisteredSessions:
        from authctl.store.protocol.import_undo import Registered, RegisteredSessions

        given = {"import": import_id, "after": after, "limit": limit}
        sessions = [Registered(*row) for row in self.all_rows(_texts(self.dialect).registered, given)]
        sql = "SELECT max(last) FROM import_batches WHERE import_id = :import AND last > :after"
        until = sessions[-1].number if len(sessions) == limit else self.one_number(sql, given)
        if not until:
            return RegisteredSessions(None, [], 0)
        looked_at = self.one_number(_texts(self.dialect).numbers_looked_at, {**given, "until": until})
        return RegisteredSessions(until, sessions, looked_at - len(sessions))

    def journal_size(self, import_id: int) -> int:
        sql = (
            "SELECT coalesce(sum(last - first + 1), 0) + (SELECT count(*) FROM import_changes WHERE import_id = :import)"
            " FROM import_batches WHERE import_id = :import"
        )
        return self.one_number(sql, {"import": import_id})

    def changed_by(self, import_id: int, after: int, limit: int) -> list[Before]:
        given = {"import": import_id, "after": after, "limit": limit}
        blobs = {table: {name for name, is_blob in self.columns_of(table).items() if is_blob} for table in KEPT_TABLES}
        return [_before(row, blobs) for row in self.all_rows(_texts(self.dialect).changed, given)]


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
    """`ImportUndoChange` over any database."""

    def begin_undo(self, import_id: int, at: int, actor: str, note: str) -> None:
        sql = (
            "UPDATE imports SET undo_begun_at = coalesce(undo_begun_at, ?), undone_by = ?, undone_note = ? WHERE id = ?"
        )
        self.write(sql, (at, actor, note, import_id))
        self.write("DELETE FROM complete_listings WHERE import_id = ?", (import_id,))

    # decision 190: `imported_ahead` stays; without it, the same file would register an active session later
    def remove_registered(self, import_id: int, until: int, numbers: Sequence[int]) -> None:
        from authctl.store.nouns.removal import remove_sessions

        remove_sessions(self, numbers)
        given = {"import": import_id, "until": until}
        first = "SELECT min(first) FROM import_batches WHERE import_id = :import"
        self.write(
            "DELETE FROM import_changes AS c WHERE import_id = :import"
            f" AND number BETWEEN ({first}) AND :until AND {_texts(self.dialect).is_registered}",
            given,
        )
        self.write(
            "UPDATE import_batches SET first = CASE WHEN last > :until THEN :until + 1 END, last = CASE WHEN last > :until THEN last END"
            " WHERE import_id = :import AND last IS NOT NULL AND first <= :until",
            given,
        )

    def restore_before(self, import_id: int, until: int, sessions: Sequence[Before], now: int) -> None:
        numbers = [before.number for before in sessions]
        self.remove_from_search(numbers)
        for table, rows in (
            ("sessions", [(before.number, before.session) for before in sessions]),
            ("imported", [(before.number, before.imported) for before in sessions]),
        ):
            self._restore(table, rows)
        listed = self.dialect.list_of(numbers)
        self.write(f"DELETE FROM imported_rows WHERE {self.tables.each_number}", {"numbers": listed})
        self._add_rows_again([row for before in sessions for row in before.imported_rows])
        if numbers:
            sql = f"UPDATE sessions SET moved_in = :move WHERE {self.tables.each_number}"
            self.write(sql, {"numbers": listed, "move": self.move})
        self.return_to_search(numbers)
        self._end_missing(numbers, now)
        sql = "DELETE FROM import_changes WHERE import_id = ? AND number <= ?"
        self.write(sql, (import_id, until))

    def _restore(self, table: str, rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
        known = self.columns_of(table)
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
            f"SELECT ({_texts(self.dialect).missing_at}), s.number FROM {self.tables.by_numbers} JOIN imported AS i ON i.number = s.number"
            f" WHERE s.source_key IS NOT NULL AND {is_active}"
        )
        read = self.all_rows(sql, self.given(now, numbers=self.dialect.list_of(numbers)))
        missing = [{"at": at, "number": number, "move": self.move} for at, number in read if at is not None]
        sql = (
            "UPDATE sessions SET ended_at = :at, ended_reason = 'not_listed', expires_at = :at, moved_in = :move"
            " WHERE number = :number"
        )
        self.connection.executemany(sql, missing)

    def restore_listings(self, import_id: int, limit: int) -> int:
        sql = "SELECT id, listed FROM import_batches WHERE import_id = ? AND listed IS NOT NULL ORDER BY id LIMIT ?"
        batches = self.all_rows(sql, (import_id, limit))
        for batch, listed in batches:
            sql = "UPDATE imported SET listed_at = ? WHERE number = ? AND listed_at = ?"
            self.connection.executemany(sql, [(old, number, at) for number, old, at in json.loads(listed)])
            self.write("UPDATE import_batches SET listed = NULL WHERE id = ?", (batch,))
        return len(batches) + self._restore_finals(import_id, limit)

    def _restore_finals(self, import_id: int, limit: int) -> int:
        """Take the source from the next finals that an import gave one."""
        sql = (
            "SELECT f.key, f.created_at, f.at, f.without_user, f.at_of_source, i.source_key FROM import_finals AS f"
            " JOIN imports AS i ON i.id = f.import_id WHERE f.import_id = ? LIMIT ?"
        )
        rows = self.all_rows(sql, (import_id, limit))
        sql = insertion_of_finals(self.dialect, "VALUES (?, '', ?, ?, ?)")
        self.connection.executemany(sql, [final[:4] for final in rows])
        of_source = "WHERE key = ? AND created_at = ? AND source_key = ? AND at = ?"
        # The final without a source is there again, and it settles the same rows as the removed one.
        alone = [(key, created, source, at) for key, created, at, _, before, source in rows if before is None]
        self.connection.executemany(f"DELETE FROM imported_finals {of_source}", alone)
        earlier = [
            (before, key, created, source, at)
            for key, created, at, _, before, source in rows
            if before is not None and before < at
        ]
        self.connection.executemany(f"UPDATE imported_finals SET at = ? {of_source}", earlier)
        sql = "DELETE FROM import_finals WHERE import_id = ? AND key = ? AND created_at = ?"
        self.connection.executemany(sql, [(import_id, *final[:2]) for final in rows])
        return len(rows)

    def record_undo(self, import_id: int, counts: dict[str, Any], undone_at: int | None = None) -> None:
        sql = "UPDATE imports SET undo_counts = ?, undone_at = ? WHERE id = ?"
        self.write(sql, (json.dumps(counts), undone_at, import_id))
