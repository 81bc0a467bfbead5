"""Revocations in SQLite.

See docs/glossary.md#open-revocation and docs/glossary.md#revocation-by-criteria.
"""

import json
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.sql import rows
from authctl.store.sqlite.dialect import EACH_NUMBER, OPEN
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.store.protocol.revocations import PastRevocation

_LATEST_REVOKE_ALL = (
    "SELECT id, at, selector, last_number FROM revocations INDEXED BY revocations_by_time WHERE everything AND at IS NOT NULL"
    " ORDER BY at DESC, id DESC LIMIT 1"
)
_BY_SOURCE = "FROM sessions AS s INDEXED BY sessions_by_source WHERE s.source_key IS NOT NULL AND"
# One look-up finds the first source, the next one the first after it, and so on.
_SOURCES = (
    f"WITH RECURSIVE found (key) AS (SELECT min(s.source_key) {_BY_SOURCE} TRUE"
    f" UNION ALL SELECT (SELECT min(s.source_key) {_BY_SOURCE} s.source_key > found.key) FROM found WHERE key IS NOT NULL)"
    f" SELECT (SELECT s.source {_BY_SOURCE} s.source_key = found.key LIMIT 1),"
    f" (SELECT count(*) {_BY_SOURCE} s.source_key = found.key AND s.revocation_id = ?) FROM found WHERE key IS NOT NULL"
)
_LAST_NUMBER = "(SELECT coalesce(max(number), 0) FROM sessions)"
_PROFILES_OF_SELECTOR = "(SELECT profiles FROM registry WHERE json_extract(?, '$.profile') IS NOT NULL)"


class RevocationsReader(Reader):
    """`RevocationsView` over SQLite."""

    def count_of_revocation(self, revocation_id: int) -> int:
        sql = "SELECT count(*) FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = ?"
        return self.one_number(sql, (revocation_id,))

    def numbers_of_revocation(self, revocation_id: int) -> Sequence[int]:
        sql = "SELECT number FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = ?"
        return array("q", sorted(row[0] for row in self.all_rows(sql, (revocation_id,))))

    def sources_of_revocation(self, revocation_id: int) -> dict[str, int]:
        return {name: count for name, count in self.all_rows(_SOURCES, (revocation_id,)) if count}

    def count_revocations_by_criteria(self) -> tuple[int, int]:
        sql = "SELECT count(*), max(id) FROM revocations INDEXED BY revocations_by_criteria WHERE by_criteria"
        count, last = self.one_row(sql) or (0, None)
        return count, last or 0

    def revocations_by_criteria(self) -> "list[PastRevocation]":
        from authctl.store.protocol.revocations import PastRevocation

        sql = (
            "SELECT id, at, selector, last_number, profiles FROM revocations INDEXED BY revocations_by_criteria"
            " WHERE by_criteria AND NOT everything ORDER BY at, id"
        )
        return [
            PastRevocation(id_, at, selector, last_number, rows.profiles(profiles) if profiles else None)
            for id_, at, selector, last_number, profiles in self.all_rows(sql)
        ]

    def latest_revoke_all(self) -> "PastRevocation | None":
        from authctl.store.protocol.revocations import PastRevocation

        row = self.one_row(_LATEST_REVOKE_ALL)
        return PastRevocation(row[0], row[1], row[2], row[3], None) if row else None


class RevocationsWriter(Writer):
    """`RevocationsChange` over SQLite."""

    def add_revocation(self, at: int, actor: str, note: str, selector: str, *, by_criteria: bool = False) -> int:
        # decision 115: what a later import needs is kept with every revocation
        from authctl.store.sqlite import search_index

        sql = (
            "INSERT INTO revocations (at, actor, note, note_key, selector, by_criteria, last_number, profiles)"
            f" VALUES (?, ?, ?, ?, ?, ?, {_LAST_NUMBER}, {_PROFILES_OF_SELECTOR}) RETURNING id"
        )
        added = self.one_number(sql, (at, actor, note, fold(note), selector, by_criteria, selector))
        search_index.add_batch_at(self.connection, added)
        return added

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        # decision 1: one row is closed and one is opened, however many sessions name them
        from authctl.store.sqlite import search_index

        sql = (
            "UPDATE revocations SET at = ?, actor = ?, note = ?, note_key = ?, selector = ?, everything = 1,"
            f" by_criteria = 1, last_number = {_LAST_NUMBER} WHERE id = {OPEN} RETURNING id"
        )
        closed = self.one_number(sql, (at, actor, note, fold(note), selector))
        # The row is older than its note: the index passed its number while it was open and had none.
        search_index.add_note(self.connection, closed, fold(note))
        self.write("INSERT INTO revocations (at) VALUES (NULL)")
        return closed

    def assign(self, selection: "SessionFilter", now: int, revocation_id: int) -> int:
        chosen = self.select(selection, now)
        sql = (
            # NOT INDEXED: the index by revocation changes under the update, which must go by number.
            f"UPDATE sessions NOT INDEXED SET revocation_id = :revocation_id WHERE revocation_id = {OPEN}"
            f" AND number IN (SELECT s.number FROM {chosen.count_source()} WHERE {chosen.where_in_all_parts})"
        )
        return self.write(sql, {**chosen.parameters, "revocation_id": revocation_id})

    def assign_numbers(self, numbers: Sequence[int], revocation_id: int) -> int:
        sql = (
            f"UPDATE sessions NOT INDEXED SET revocation_id = :revocation_id WHERE revocation_id = {OPEN}"
            f" AND {EACH_NUMBER}"
        )
        return self.write(sql, {"revocation_id": revocation_id, "numbers": json.dumps(list(numbers))})

    def unassign(self, numbers: Sequence[int], revocation_id: int) -> int:
        sql = (
            f"UPDATE sessions NOT INDEXED SET revocation_id = {OPEN} WHERE revocation_id = :revocation_id"
            f" AND {EACH_NUMBER}"
        )
        return self.write(sql, {"revocation_id": revocation_id, "numbers": json.dumps(numbers)})
