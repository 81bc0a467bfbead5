"""Revocations.

See docs/glossary.md#open-revocation and docs/glossary.md#revocation-by-criteria.
"""

import json
from array import array
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.store.protocol.revocations import PastRevocation
    from authctl.store.sql.dialect import Dialect

_LAST_NUMBER = "(SELECT coalesce(max(number), 0) FROM sessions)"


@cache
def _sources(dialect: "Dialect") -> str:
    """How many sessions of a revocation each source has. One look-up finds the first source, the next one the first after it."""
    of_source = f"FROM {dialect.table('sessions', 's', 'sessions_by_source')} WHERE s.source_key IS NOT NULL AND"
    return (
        f"WITH RECURSIVE found (key) AS (SELECT min(s.source_key) {of_source} TRUE UNION ALL SELECT"
        f" (SELECT min(s.source_key) {of_source} s.source_key > found.key) FROM found WHERE found.key IS NOT NULL)"
        f" SELECT (SELECT s.source {of_source} s.source_key = found.key LIMIT 1),"
        f" (SELECT count(*) {of_source} s.source_key = found.key AND s.revocation_id = ?) FROM found WHERE key IS NOT NULL"
    )


def _by_criteria(dialect: "Dialect") -> str:
    return dialect.table("revocations", index="revocations_by_criteria")


@cache
def closing(dialect: "Dialect") -> str:
    """The statement that closes the open revocation, with its instant, actor, note, folded note and selector; it gives the id."""
    return (
        "UPDATE revocations SET at = ?, actor = ?, note = ?, note_key = ?, selector = ?, everything = 1, by_criteria = 1,"
        f" last_number = {_LAST_NUMBER} WHERE id = {tables(dialect).open_revocation} AND at IS NULL RETURNING id"
    )


OPEN_NEXT = "INSERT INTO revocations (at) VALUES (NULL)"
"""Opens the next revocation, when the open one was closed."""


class RevocationsReader(Reader):
    """`RevocationsView` over any database."""

    def count_of_revocation(self, revocation_id: int) -> int:
        sql = f"SELECT count(*) FROM {self.tables.by_revocation} WHERE revocation_id = ?"
        return self.one_number(sql, (revocation_id,))

    def numbers_of_revocation(self, revocation_id: int) -> Sequence[int]:
        sql = f"SELECT number FROM {self.tables.by_revocation} WHERE revocation_id = ?"
        return array("q", sorted(row[0] for row in self.all_rows(sql, (revocation_id,))))

    def sources_of_revocation(self, revocation_id: int) -> dict[str, int]:
        return {name: count for name, count in self.all_rows(_sources(self.dialect), (revocation_id,)) if count}

    def count_revocations_by_criteria(self) -> tuple[int, int]:
        sql = f"SELECT count(*), max(id) FROM {_by_criteria(self.dialect)} WHERE {self.dialect.is_set('by_criteria')}"
        count, last = self.one_row(sql) or (0, None)
        return count, last or 0

    def revocations_by_criteria(self) -> "list[PastRevocation]":
        from authctl.store.protocol.revocations import PastRevocation

        sql = (
            f"SELECT id, at, selector, last_number, profiles FROM {_by_criteria(self.dialect)}"
            f" WHERE {self.dialect.is_set('by_criteria')} AND everything = 0 ORDER BY at, id"
        )
        return [
            PastRevocation(id_, at, selector, last_number, rows.profiles(profiles) if profiles else None)
            for id_, at, selector, last_number, profiles in self.all_rows(sql)
        ]

    def latest_revoke_all(self) -> "PastRevocation | None":
        from authctl.store.protocol.revocations import PastRevocation

        sql = (
            f"SELECT id, at, selector, last_number FROM {self.dialect.table('revocations', index='revocations_by_time')}"
            " WHERE everything = 1 AND at IS NOT NULL ORDER BY at DESC, id DESC LIMIT 1"
        )
        row = self.one_row(sql)
        return PastRevocation(row[0], row[1], row[2], row[3], None) if row else None


class RevocationsWriter(Writer):
    """`RevocationsChange` over any database."""

    def add_revocation(self, at: int, actor: str, note: str, selector: str, *, by_criteria: bool = False) -> int:
        # decision 115: what a later import needs is kept with every revocation

        sql = (
            "INSERT INTO revocations (at, actor, note, note_key, selector, by_criteria, last_number, profiles)"
            f" VALUES (?, ?, ?, ?, ?, ?, {_LAST_NUMBER}, (SELECT profiles FROM registry WHERE ? = 1))"
        )
        names_profile = int(json.loads(selector).get("profile") is not None)
        values = (at, actor, note, fold(note), selector, int(by_criteria), names_profile)
        added = self.dialect.insert(self.connection, sql, values, "id")
        self.extend_search_at(added)
        return added

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        # decision 1: one row is closed and one is opened, however many sessions name them

        closed = self.one_number(closing(self.dialect), (at, actor, note, fold(note), selector))
        # The row is older than its note: the index passed its number while it was open and had none.
        self.add_note_to_search(closed, fold(note))
        self.write_later(OPEN_NEXT)
        return closed

    def assign(self, selection: "SessionFilter", now: int, revocation_id: int) -> int:
        chosen = self.select(selection, now)
        sql = (
            # Not by the index by revocation: it changes under the update, which must go by number.
            f"UPDATE {self.dialect.whole_table('sessions')} SET revocation_id = :revocation_id"
            f" WHERE revocation_id = {self.tables.open_revocation} AND number IN (SELECT s.number FROM {chosen.count_source()} WHERE {chosen.where_in_all_parts})"
        )
        return self.write(sql, {**chosen.parameters, "revocation_id": revocation_id})

    def assign_numbers(self, numbers: Sequence[int], revocation_id: int) -> int:
        sql = (
            f"UPDATE {self.dialect.whole_table('sessions')} SET revocation_id = :revocation_id"
            f" WHERE revocation_id = {self.tables.open_revocation} AND {self.tables.each_number}"
        )
        return self.write(sql, {"revocation_id": revocation_id, "numbers": self.dialect.list_of(numbers)})

    def unassign(self, numbers: Sequence[int], revocation_id: int) -> int:
        if not numbers:
            return 0
        sql = (
            f"UPDATE {self.dialect.whole_table('sessions')} SET revocation_id = {self.tables.open_revocation}"
            f" WHERE revocation_id = :revocation_id AND {self.tables.each_number}"
        )
        return self.write(sql, {"revocation_id": revocation_id, "numbers": self.dialect.list_of(numbers)})
