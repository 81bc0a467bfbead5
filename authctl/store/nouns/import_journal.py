"""The journal of imports: ranges of registered sessions, and the rows of changed ones as they were before.

Columns that a later schema adds to these rows are journaled, too. See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.protocol.import_journal import RecordedImport
    from authctl.store.sql.dialect import Dialect

# an import that wrote nothing has no batch in its journal, which is never dropped then
_WROTE = "({0}.journal <> 'whole' OR EXISTS (SELECT 1 FROM import_batches AS b WHERE b.import_id = {0}.id))"
_RECORDED = (
    "id, at, actor, source, detail, finished_at, journal = 'whole', undo_begun_at, undone_at, undone_by, undone_note,"
    f" undo_counts, {_WROTE.format('imports')}"
)
KEPT_TABLES = ("sessions", "imported", "imported_rows")
_HAS_CHANGES = (
    "(EXISTS (SELECT 1 FROM import_changes AS c WHERE c.import_id = imports.id)"
    " OR EXISTS (SELECT 1 FROM import_finals AS f WHERE f.import_id = imports.id)"
    " OR EXISTS (SELECT 1 FROM import_batches AS b WHERE b.import_id = imports.id AND b.listed IS NOT NULL))"
)
_CACHE_KIB = 48 * 1024
"""The memory for pages of the file during an import, whose keys are spread over whole indexes."""
_KEYS = {"import_changes": "number", "import_finals": "key, created_at", "import_batches": "id"}
"""The tables of the journal, each with the columns that order the rows of an import."""


@cache
def was_revoked(dialect: Dialect) -> str:
    """Whether a session `s` was revoked after the transaction `b` of an import."""
    since = "(s.revocation_id = b.open_revocation OR s.revocation_id > b.last_revocation)"
    return f"s.revocation_id <> {tables(dialect).open_revocation} AND {since}"


@cache
def last_seen_at(dialect: Dialect) -> str:
    """The last instant at which the source of an imported session showed it, as `SessionFromRows` compares it with listings."""
    return dialect.greatest("s.created_at", "s.last_used_at", "coalesce(i.listed_at, s.last_used_at)")


@cache
def _unmoved_since(dialect: Dialect) -> str:
    """Whether a session is as the last transaction of its import left it."""
    joined = dialect.join_in_order("sessions AS s", "import_batches AS b", "b.id = import_changes.batch")
    return (
        f"EXISTS (SELECT 1 FROM {joined} WHERE s.number = excluded.number AND s.moved_in = b.move"
        f" AND NOT ({was_revoked(dialect)}))"
    )


@cache
def _drop(dialect: Dialect) -> str:
    """The statement that marks the journals that are to be dropped."""
    is_latest = (
        f"NOT EXISTS (SELECT 1 FROM imports AS later WHERE {dialect.same('later.source_key', 'imports.source_key')}"
        f" AND later.id > imports.id AND later.undone_at IS NULL AND {_WROTE.format('later')})"
    )
    return (
        "UPDATE imports SET journal = 'dropped' WHERE journal = 'whole' AND (undone_at IS NOT NULL"
        f" OR coalesce(undo_begun_at, at) < ? OR undo_begun_at IS NULL AND NOT {is_latest} AND {_HAS_CHANGES})"
    )


class ImportJournalReader(Reader):
    """`ImportJournalView` over any database."""

    def recorded_imports(self) -> list[RecordedImport]:
        return [_recorded(row) for row in self.all_rows(f"SELECT {_RECORDED} FROM imports ORDER BY id DESC")]

    def recorded_import(self, import_id: int) -> RecordedImport | None:
        row = self.one_row(f"SELECT {_RECORDED} FROM imports WHERE id = ?", (import_id,))
        return _recorded(row) if row else None

    def last_import_detail(self, source: str | None) -> str | None:
        is_source = self.dialect.same("source_key", "?")
        sql = f"SELECT detail FROM imports WHERE {is_source} ORDER BY id DESC LIMIT 1"
        row = self.one_row(sql, (source and fold(source),))
        return None if row is None else str(row[0])

    def latest_import(self, source: str | None) -> int | None:
        of_source = f"{self.dialect.same('source_key', '?')} AND undone_at IS NULL"
        sql = f"SELECT max(id) FROM imports WHERE {of_source} AND {_WROTE.format('imports')}"
        return self.one_number(sql, (source and fold(source),)) or None


def _recorded(row: Sequence[Any]) -> RecordedImport:
    from authctl.store.protocol.import_journal import RecordedImport

    recorded = RecordedImport(*row)
    return recorded._replace(has_journal=bool(recorded.has_journal), has_written=bool(recorded.has_written))


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
    """`ImportJournalChange` over any database. Within a batch, the writers of imported sessions call the methods `keep_…`."""

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
            f" SELECT ?, ?, 0, {self.tables.open_revocation}, (SELECT max(id) FROM revocations) RETURNING id"
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
            columns = {table: self.columns_of(table) for table in KEPT_TABLES}
            batch.columns = {table: list(names) for table, names in columns.items()}
            batch.keep = self._keeping(columns)
        given = {"import": batch.import_id, "batch": batch.id, "numbers": self.dialect.list_of(numbers)}
        self.write(batch.keep, given)
        self.write(f"UPDATE imported SET import_id = :import WHERE {self.tables.each_number}", given)

    def _keeping(self, columns: dict[str, dict[str, bool]]) -> str:
        """The statement that journals sessions. Changed twice by an import, a session is kept as it was before the first time."""
        words = self.dialect
        # JSON cannot carry bytes
        session, imported, row = (
            [
                words.hexadecimal(f"{alias}.{name}") if is_blob else f"{alias}.{name}"
                for name, is_blob in of_table.items()
            ]
            for of_table, alias in zip(columns.values(), "six", strict=True)
        )
        rows = words.json_arrays(row, "imported_rows AS x WHERE x.number = s.number")
        before = words.json_array([words.json_array(session), words.json_array(imported), rows])
        source = words.join_in_order(self.tables.by_numbers, "imported AS i", "i.number = s.number")
        is_same = f"import_changes.batch = :batch OR {_unmoved_since(words)}"
        return (
            "INSERT INTO import_changes (import_id, number, batch, before)"
            f" SELECT :import, s.number, :batch, {before} FROM {source} WHERE TRUE ON CONFLICT (import_id, number) DO UPDATE"
            f" SET batch = CASE WHEN {is_same} THEN :batch END WHERE import_changes.batch IS NOT NULL"
        )

    def record_met(self, numbers: Sequence[int]) -> None:
        sql = (
            f"UPDATE imported SET import_id = :import WHERE {self.tables.each_number} AND import_id <> :import"
            " AND (SELECT source_key FROM sessions AS s WHERE s.number = imported.number) IS NOT NULL"
        )
        self.write(sql, {"import": self.import_id, "numbers": self.dialect.list_of(numbers)})

    def keep_listed(self, listed: Sequence[tuple[int, int]]) -> None:
        """Journal when sessions were last listed, before a later listing is recorded."""
        if self._batch is None or not listed:
            return
        sql = f"SELECT number, listed_at FROM imported WHERE {self.tables.each_number}"
        known = dict(self.all_rows(sql, {"numbers": self.dialect.list_of([number for number, _ in listed])}))
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
            "INSERT INTO import_finals (import_id, key, created_at, at, without_user, at_of_source)"
            f" SELECT :import, key, created_at, at, without_user, ({of_source}) FROM imported_finals AS f"
            f" WHERE {of_keys} AND source_key = '' ON CONFLICT DO NOTHING"
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
        self.write(_drop(self.dialect), (before,))
        import_id = self.one_number("SELECT min(id) FROM imports WHERE journal = 'dropped'")
        for table, keys in _KEYS.items():
            some = f"SELECT {keys} FROM {table} WHERE import_id = ? ORDER BY {keys} LIMIT ?"
            sql = f"DELETE FROM {table} WHERE import_id = ? AND ({keys}) IN ({some})"
            if dropped := self.write(sql, (import_id, import_id, limit)):
                return dropped
        return self.write("UPDATE imports SET journal = 'none' WHERE id = ?", (import_id,))

    def remove_imports(self, before: int) -> int:
        return self.write("DELETE FROM imports WHERE at < ? AND journal = 'none'", (before,))
