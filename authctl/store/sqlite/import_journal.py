"""The journal of imports in SQLite: ranges of registered sessions, and the rows of changed ones as they were before.

Columns that a later schema adds to these rows are journaled, too. See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.sqlite.dialect import EACH_NUMBER, OPEN, TABLES
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.store.protocol.import_journal import RecordedImport
    from authctl.store.sqlite.library import sqlite3

# an import that wrote nothing has no batch in its journal, which is never dropped then
_WROTE = "({0}.journal <> 'whole' OR EXISTS (SELECT 1 FROM import_batches AS b WHERE b.import_id = {0}.id))"
_RECORDED = (
    "id, at, actor, source, detail, finished_at, journal = 'whole', undo_begun_at, undone_at, undone_by, undone_note,"
    f" undo_counts, {_WROTE.format('imports')}"
)
WAS_REVOKED = (
    f"s.revocation_id <> {OPEN} AND (s.revocation_id = b.open_revocation OR s.revocation_id > b.last_revocation)"
)
LAST_SEEN_AT = "max(s.created_at, s.last_used_at, coalesce(i.listed_at, s.last_used_at))"
"""The last instant at which the source of an imported session showed it, as `SessionFromRows` compares it with listings."""
KEPT_TABLES = ("sessions", "imported", "imported_rows")
_UNMOVED_SINCE = (
    "EXISTS (SELECT 1 FROM sessions AS s CROSS JOIN import_batches AS b ON b.id = import_changes.batch"
    f" WHERE s.number = excluded.number AND s.moved_in = b.move AND NOT ({WAS_REVOKED}))"
)
_IS_LATEST = (
    "NOT EXISTS (SELECT 1 FROM imports AS later WHERE later.source_key IS imports.source_key AND later.id > imports.id"
    f" AND later.undone_at IS NULL AND {_WROTE.format('later')})"
)
_HAS_CHANGES = (
    "(EXISTS (SELECT 1 FROM import_changes AS c WHERE c.import_id = imports.id)"
    " OR EXISTS (SELECT 1 FROM import_finals AS f WHERE f.import_id = imports.id)"
    " OR EXISTS (SELECT 1 FROM import_batches AS b WHERE b.import_id = imports.id AND b.listed IS NOT NULL))"
)
_DROP = f"""
    UPDATE imports SET journal = 'dropped' WHERE journal = 'whole' AND (
        undone_at IS NOT NULL OR coalesce(undo_begun_at, at) < ?
        OR undo_begun_at IS NULL AND NOT {_IS_LATEST} AND {_HAS_CHANGES}
    )
"""
_CACHE_KIB = 48 * 1024
"""The memory for pages of the file during an import, whose keys are spread over whole indexes."""
_KEYS = {"import_changes": "number", "import_finals": "key, created_at", "import_batches": "id"}
"""The tables of the journal, each with the columns that order the rows of an import."""


class ImportJournalReader(Reader):
    """`ImportJournalView` over SQLite."""

    def recorded_imports(self) -> list[RecordedImport]:
        return [_recorded(row) for row in self.all_rows(f"SELECT {_RECORDED} FROM imports ORDER BY id DESC")]

    def recorded_import(self, import_id: int) -> RecordedImport | None:
        row = self.one_row(f"SELECT {_RECORDED} FROM imports WHERE id = ?", (import_id,))
        return _recorded(row) if row else None

    def last_import_detail(self, source: str | None) -> str | None:
        sql = "SELECT detail FROM imports WHERE source_key IS ? ORDER BY id DESC LIMIT 1"
        row = self.one_row(sql, (source and fold(source),))
        return None if row is None else str(row[0])

    def latest_import(self, source: str | None) -> int | None:
        sql = f"SELECT max(id) FROM imports WHERE source_key IS ? AND undone_at IS NULL AND {_WROTE.format('imports')}"
        return self.one_number(sql, (source and fold(source),)) or None


def _recorded(row: Sequence[Any]) -> RecordedImport:
    from authctl.store.protocol.import_journal import RecordedImport

    recorded = RecordedImport(*row)
    return recorded._replace(has_journal=bool(recorded.has_journal), has_written=bool(recorded.has_written))


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table, those of a later schema among them."""
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def blobs_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table that contain bytes, which JSON cannot carry."""
    sql = "SELECT name FROM pragma_table_info(?) WHERE type = 'BLOB'"
    return {name for (name,) in connection.execute(sql, (table,))}


class _Batch:
    """The journal of one change: of the import, the number of its row, and the content so far."""

    def __init__(self, import_id: int, batch_id: int) -> None:
        self.import_id = import_id
        self.id = batch_id
        self.columns: dict[str, list[str]] | None = None
        """The columns of the journaled tables, once a session was journaled."""
        self.keep = ""
        """The statement that journals sessions."""
        self.first: int | None = None
        self.last: int | None = None
        self.listed: list[Any] = []


class ImportJournalWriter(Writer):
    """`ImportJournalChange` over SQLite. Within a batch, the writers of imported sessions call the methods `keep_…`."""

    _batch: _Batch | None = None

    @property
    def import_id(self) -> int | None:
        """The import whose batch is open."""
        return None if self._batch is None else self._batch.import_id

    def add_import(self, at: int, actor: str, source: str | None, detail: dict[str, Any]) -> int:
        self.limit_page_cache(_CACHE_KIB)
        sql = "INSERT INTO imports (at, actor, source, source_key, detail) VALUES (?, ?, ?, ?, ?) RETURNING id"
        return self.one_number(sql, (at, actor, source, source and fold(source), json.dumps(detail)))

    def finish_import(self, import_id: int | None, at: int, detail: dict[str, Any]) -> None:
        sql = "UPDATE imports SET finished_at = ?, detail = ? WHERE id = ?"
        self.write(sql, (at, json.dumps(detail), import_id))
        self.limit_page_cache()

    def open_batch(self, import_id: int, at: int) -> bool:
        if self.one_row("SELECT 1 FROM imports WHERE id = ? AND undo_begun_at IS NULL", (import_id,)) is None:
            return False
        sql = (
            "INSERT INTO import_batches (import_id, at, move, open_revocation, last_revocation)"
            f" SELECT ?, ?, 0, {OPEN}, (SELECT max(id) FROM revocations) RETURNING id"
        )
        self._batch = _Batch(import_id, self.one_number(sql, (import_id, at)))
        return True

    def keep_range(self, first: int, last: int) -> None:
        """Journal that the sessions of those numbers are registered."""
        if self._batch:
            self._batch.first, self._batch.last = self._batch.first or first, last

    def keep_before(self, numbers: Sequence[int]) -> None:
        batch = self._batch
        if batch is None:
            return
        if batch.columns is None:
            batch.columns = {table: columns_of(self.connection, table) for table in KEPT_TABLES}
            batch.keep = self._keeping(batch.columns)
        given = {"import": batch.import_id, "batch": batch.id, "numbers": json.dumps(numbers)}
        self.write(batch.keep, given)
        self.write(f"UPDATE imported SET import_id = :import WHERE {EACH_NUMBER}", given)

    def _keeping(self, columns: dict[str, list[str]]) -> str:
        """The statement that journals sessions. Changed twice by an import, a session is kept as it was before the first time."""
        values = {}
        for table, alias in zip(KEPT_TABLES, "six", strict=True):
            blobs = blobs_of(self.connection, table)
            each = [
                f"nullif(hex({alias}.{name}), '')" if name in blobs else f"{alias}.{name}" for name in columns[table]
            ]
            values[table] = f"json_array({', '.join(each)})"
        rows = f"SELECT json_group_array({values['imported_rows']}) FROM imported_rows AS x WHERE x.number = s.number"
        return (
            "INSERT INTO import_changes (import_id, number, batch, before) SELECT :import, s.number, :batch,"
            f" json_array({values['sessions']}, {values['imported']}, json(({rows})))"
            f" FROM {TABLES.by_numbers} CROSS JOIN imported AS i ON i.number = s.number WHERE TRUE"
            " ON CONFLICT (import_id, number) DO UPDATE"
            f" SET batch = iif(batch = :batch OR {_UNMOVED_SINCE}, :batch, NULL) WHERE batch IS NOT NULL"
        )

    def record_met(self, numbers: Sequence[int]) -> None:
        sql = (
            f"UPDATE imported SET import_id = :import WHERE {EACH_NUMBER} AND import_id <> :import"
            " AND (SELECT source_key FROM sessions AS s WHERE s.number = imported.number) IS NOT NULL"
        )
        self.write(sql, {"import": self.import_id, "numbers": json.dumps(numbers)})

    def keep_listed(self, listed: Sequence[tuple[int, int]]) -> None:
        """Journal when sessions were last listed, before a later listing is recorded."""
        if self._batch is None or not listed:
            return
        sql = f"SELECT number, listed_at FROM imported WHERE {EACH_NUMBER}"
        known = dict(self.all_rows(sql, {"numbers": json.dumps([number for number, _ in listed])}))
        later = ((number, known[number], at) for number, at in listed)
        self._batch.listed += [(number, old, at) for number, old, at in later if old is None or old < at]

    def keep_finals(self, of_keys: str, given: dict[str, Any]) -> None:
        """Journal the finals of some keys that have no source, before they get one."""
        if self._batch is None:
            return
        of_source = (
            "SELECT at FROM imported_finals AS o WHERE o.key = f.key AND o.source_key = :source_key"
            " AND o.created_at = f.created_at"
        )
        sql = (
            "INSERT OR IGNORE INTO import_finals (import_id, key, created_at, at, without_user, at_of_source)"
            f" SELECT :import, key, created_at, at, without_user, ({of_source}) FROM imported_finals AS f"
            f" WHERE {of_keys} AND source_key = ''"
        )
        self.write(sql, {**given, "import": self._batch.import_id})

    def close_batch(self) -> None:
        batch = self._batch
        assert batch is not None
        if batch.first is None and batch.columns is None and not batch.listed:
            self.write("DELETE FROM import_batches WHERE id = ?", (batch.id,))
        else:
            columns, listed = (json.dumps(content) if content else None for content in (batch.columns, batch.listed))
            sql = (
                "UPDATE import_batches SET move = (SELECT moves FROM registry), first = ?, last = ?, columns = ?, listed = ?"
                " WHERE id = ?"
            )
            self.write(sql, (batch.first, batch.last, columns, listed, batch.id))
        self._batch = None

    def drop_journals(self, before: int, limit: int) -> int:
        self.write(_DROP, (before,))
        import_id = self.one_number("SELECT min(id) FROM imports WHERE journal = 'dropped'")
        for table, keys in _KEYS.items():
            some = f"SELECT {keys} FROM {table} WHERE import_id = ? ORDER BY {keys} LIMIT ?"
            sql = f"DELETE FROM {table} WHERE import_id = ? AND ({keys}) IN ({some})"
            if dropped := self.write(sql, (import_id, import_id, limit)):
                return dropped
        return self.write("UPDATE imports SET journal = 'none' WHERE id = ?", (import_id,))

    def remove_imports(self, before: int) -> int:
        return self.write("DELETE FROM imports WHERE at < ? AND journal = 'none'", (before,))
