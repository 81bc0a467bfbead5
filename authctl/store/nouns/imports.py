"""Imported sessions: their keys, and the instant of each detail (decision 11).

See docs/glossary.md#late-row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.nouns.finals import insertion_of_finals
from authctl.store.nouns.import_journal import ImportJournalWriter, last_seen_at
from authctl.store.nouns.reader import Reader
from authctl.store.sql import rows
from authctl.store.sql.tables import ANY_CREATION

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.store.protocol.imports import (
        CompleteListing,
        Final,
        Imported,
        ImportedDetail,
        PlainSession,
        SameRows,
        StagedKey,
        StagedRow,
    )
    from authctl.store.sql.dialect import Dialect

_NEVER_REPLACED = ("id", "secret_hash", "key_id")
"""The columns of an imported session that no import replaces."""


_WRITTEN = (
    "key, said_at, key_without_user, profile_named, created_by_source, listed_at, source_ended_at, source_ended_reason,"
    " rows_digest"
)
_IMPORTED = (
    "i.said_at, i.key, i.key_without_user, i.profile_named, i.created_by_source, i.listed_at, i.source_ended_at,"
    " i.source_ended_reason"
)
_OF_ROWS = "created_at, ended_at, ended_reason, listed_at"


@cache
def _made_of_same_rows(dialect: Dialect) -> str:
    """The query of the sessions that were made of all rows of their keys; `{keys}` stands for marks."""
    by_key, others = (
        dialect.table("imported", "i", "imported_by_key"),
        dialect.table("imported", "o", "imported_by_key"),
    )
    without_user = dialect.table("imported", "o", "imported_by_key_without_user")
    is_not_inferred = dialect.differs("s.ended_reason", "'not_listed'")
    # whether another user has a session of the same key, as this version stored it or as 0.1.0 did
    of_others = (
        f"(i.key_without_user IS NOT NULL AND (EXISTS (SELECT 1 FROM {without_user}"
        " WHERE o.key_without_user = i.key_without_user AND o.key <> i.key)"
        f" OR EXISTS (SELECT 1 FROM {others} WHERE o.key = i.key_without_user)))"
    )
    return (
        "SELECT i.rows_digest, i.key, i.number, i.listed_at, s.used_after_end_at"
        f" FROM {dialect.join_in_order(by_key, 'sessions AS s', 's.number = i.number')}"
        " WHERE i.key IN ({keys}) AND i.rows_digest IS NOT NULL AND {of_source}"
        f" AND {is_not_inferred} AND NOT {of_others}"
    )


class ImportsReader(Reader):
    """`ImportsView` over any database."""

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        imported: dict[int, tuple[Any, ...]] = {}
        for column, values in (("key", keys), ("key_without_user", keys_without_user)):
            sql = (
                f"SELECT i.number, {_IMPORTED} FROM {self.dialect.table('imported', 'i', f'imported_by_{column}')}"
                f" WHERE i.{column} IN ({_marks(values)}) AND i.{column} IS NOT NULL"
            )
            imported |= {number: row for number, *row in (self.all_rows(sql, tuple(values)) if values else ())}
        if not imported:
            return []
        from authctl.store.nouns.sessions import sessions_by_number

        sessions = sessions_by_number(self, sorted(imported), now)
        details = [_detail(session, imported[session.number]) for session in sessions]
        beginnings = {detail.session.number: detail.facts.created_at for detail in details}
        stored = self._stored_rows(beginnings)
        return [
            detail._replace(rows=tuple(stored.get(detail.session.number, ()))) if stored else detail
            for detail in details
        ]

    def last_imported(self) -> int:
        return self.one_number("SELECT max(number) FROM imported")

    def made_of_same_rows(self, keys: Sequence[StagedKey], source: str | None) -> list[SameRows]:
        from authctl.store.protocol.imports import SameRows

        # decision 148: an import without a source meets the sessions of every source
        of_source = "TRUE" if source is None else "s.source_key = ?"
        sql = _made_of_same_rows(self.dialect).format(keys=_marks(keys), of_source=of_source)
        digests = {staged.key: staged.digest for staged in keys}
        rows = self.all_rows(sql, (*digests, *([] if source is None else [fold(source)])))
        return [SameRows(*row) for digest, *row in rows if digest == digests[row[0]]]

    def _stored_rows(self, beginnings: Mapping[int, int | None]) -> dict[int, list[StagedRow]]:
        """The stored rows of sessions, by their numbers; given are the numbers with the exact beginnings."""
        from authctl.store.protocol.imports import StagedRow

        sql = f"SELECT number, at, details, {_OF_ROWS} FROM imported_rows WHERE {self.tables.each_number}"
        stored: dict[int, list[StagedRow]] = {}
        for number, at, details, created_at, *rest in self.all_rows(sql, {"numbers": self.dialect.list_of(beginnings)}):
            is_exact = created_at is not None and created_at == beginnings[number]
            row = StagedRow(at, json.loads(details), 0, created_at, is_exact, *rest)
            stored.setdefault(number, []).append(row)
        return stored

    def imported_finals(
        self, keys: Sequence[bytes], source: str | None, *, without_user: bool = False
    ) -> dict[bytes, list[Final]]:
        from authctl.store.protocol.imports import Final

        finals: dict[bytes, list[Final]] = {}
        if not keys or not self.one_number("SELECT EXISTS (SELECT 1 FROM imported_finals)"):
            return finals
        of_source = "" if source is None else " AND source_key IN ('', ?)"
        sql = (
            "SELECT key, at, created_at, source_key = '' FROM imported_finals"
            f" WHERE key IN ({_marks(keys)}) AND without_user = ?{of_source}"
        )
        given = (*keys, int(without_user), *([] if source is None else [fold(source)]))
        for key, at, created_at, is_of_none in self.all_rows(sql, given):
            final = Final(at, None if created_at == ANY_CREATION else created_at, bool(is_of_none))
            finals.setdefault(key, []).append(final)
        return finals

    def imported_ahead(self, keys: Sequence[bytes]) -> set[tuple[bytes, int]]:
        if not self.one_number("SELECT EXISTS (SELECT 1 FROM imported_ahead)"):
            return set()
        return set(self.all_rows(f"SELECT key, at FROM imported_ahead WHERE key IN ({_marks(keys)})", tuple(keys)))

    def complete_listings(self, source: str) -> list[CompleteListing]:
        from authctl.store.protocol.imports import CompleteListing

        sql = (
            "SELECT username_key, taken_at FROM complete_listings WHERE source_key = ? ORDER BY taken_at, username_key"
        )
        return [CompleteListing(*row) for row in self.all_rows(sql, (fold(source),))]

    def missing_in_listing(
        self,
        source: str | None,
        user_keys: Sequence[str],
        taken_at: int,
        now: int,
        numbers: Sequence[int] | None = None,
    ) -> list[int]:
        active = self._active_of_source(source, user_keys, now, numbers)
        sql = f"SELECT s.number {active} AND {last_seen_at(self.dialect)} < :taken_at"
        given = self.given(now, **self._source_given(source, user_keys, numbers), taken_at=taken_at)
        return [number for (number,) in self.all_rows(sql, given)]

    def ended_later(
        self, source: str, user_keys: Sequence[str], taken_at: int, numbers: Sequence[int] | None = None
    ) -> list[int]:
        given = {**self._source_given(source, user_keys, numbers), "taken_at": taken_at}
        sql = (
            f"SELECT s.number {self._from(numbers)} WHERE {self._of_source(source, user_keys)} AND {self.tables.unrevoked}"
            f" AND s.ended_reason = 'not_listed' AND s.ended_at > :taken_at AND {last_seen_at(self.dialect)} < :taken_at"
        )
        return [number for (number,) in self.all_rows(sql, given)]

    def count_of_source(
        self, source: str | None, user_keys: Sequence[str], now: int, numbers: Sequence[int] | None = None
    ) -> int:
        sql = f"SELECT count(*) {self._active_of_source(source, user_keys, now, numbers)}"
        return self.one_number(sql, self.given(now, **self._source_given(source, user_keys, numbers)))

    def _active_of_source(
        self, source: str | None, user_keys: Sequence[str], now: int, numbers: Sequence[int] | None
    ) -> str:
        from authctl.model import Status
        from authctl.store.sql.filters import has_status

        is_active = has_status(Status.ACTIVE, self.continuity, now)
        return f"{self._from(numbers)} WHERE {self._of_source(source, user_keys)} AND {is_active}"

    def _from(self, numbers: Sequence[int] | None) -> str:
        """The imported sessions of a source, or those with some numbers."""
        by_source = self.dialect.table("sessions", "s", "sessions_by_source")
        return (
            f"FROM {by_source if numbers is None else self.tables.by_numbers} JOIN imported AS i ON i.number = s.number"
        )

    def _source_given(
        self, source: str | None, user_keys: Sequence[str], numbers: Sequence[int] | None
    ) -> dict[str, Any]:
        """The parameters of `_from` and `_of_source`."""
        given: dict[str, Any] = {} if source is None else {"source": fold(source)}
        lists = {"users": user_keys or None, "numbers": numbers}
        return given | {name: self.dialect.list_of(values) for name, values in lists.items() if values is not None}

    def _of_source(self, source: str | None, user_keys: Sequence[str]) -> str:
        """Whether a session is of a source, or of none, and of some users if there are any."""
        of_users = f" AND {self.dialect.is_listed('s.username_key', 'users')}" if user_keys else ""
        return f"s.source_key {'IS NULL' if source is None else '= :source'}{of_users}"


def _detail(session: Session, row: Sequence[Any]) -> ImportedDetail:
    from authctl.store.protocol.imports import ImportedDetail, SourceFacts

    detail_times, key, without_user, named, is_exact, *facts = row
    created_at = session.created_at if is_exact else None
    return ImportedDetail(
        session, json.loads(detail_times), key, without_user, bool(named), SourceFacts(created_at, *facts)
    )


def _marks(values: Sequence[object]) -> str:
    """A mark for each value, since JSON cannot carry the bytes of a key. Names for them cost the square of their number.

    With no values it is NULL, which equals nothing: not every database takes an empty list (decision 371).
    """
    return ", ".join("?" * len(values)) or "NULL"


def _values(new: Imported) -> tuple[Any, ...]:
    """The values of `_WRITTEN`."""
    facts = new.facts
    detail_times, is_exact = json.dumps(new.detail_times), facts.created_at is not None
    flags = int(new.profile_named), int(is_exact)
    return (new.key, detail_times, new.key_without_user, *flags, *facts[1:], new.rows_digest)


class ImportsWriter(ImportJournalWriter):
    """`ImportsChange` over any database. Many rows are inserted at once (decision 98)."""

    def add_imported(self, sessions: Sequence[Imported | PlainSession]) -> None:
        from authctl.store.nouns import plain_sessions
        from authctl.store.protocol.imports import PlainSession

        if not sessions:
            return
        first = self.next_numbers(len(sessions))
        revocation_id = self.one_number(f"SELECT {self.tables.open_revocation}")
        # Numbers are given in the order of the plan to both ways, so that one range of numbers is the journal of the
        # batch.
        plain = [(number, one) for number, one in enumerate(sessions, first) if isinstance(one, PlainSession)]
        plain_sessions.insert(self, plain, revocation_id, self.import_id)
        if len(plain) < len(sessions):
            self._add_others([(n, one) for n, one in enumerate(sessions, first) if not isinstance(one, PlainSession)])
        self.keep_range(first, first + len(sessions) - 1)
        self.extend_search()

    def _add_others(self, numbered: Sequence[tuple[int, Imported]]) -> None:
        """Add sessions that did not take the short way."""
        from authctl.store.nouns.sessions import insertion

        self.connection.executemany(
            insertion(self.dialect, ("number", *rows.columns(numbered[0][1].session))),
            ((number, *rows.columns(new.session).values(), new.revocation_id) for number, new in numbered),
        )
        of_keys = ((number, *_values(new), self.import_id) for number, new in numbered)
        self.insert_rows("imported", f"number, {_WRITTEN}, import_id", of_keys)
        self._add_rows((number, new.rows) for number, new in numbered if new.rows)

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        if not changes:
            return
        numbers = [number for number, _ in changes]
        self.keep_before(numbers)
        changed = [name for name in rows.columns(changes[0][1].session) if name not in _NEVER_REPLACED]
        self.remove_from_search(numbers)
        self.connection.executemany(
            f"UPDATE sessions SET {', '.join(f'{name} = :{name}' for name in changed)},"
            f" revocation_id = coalesce(:revocation_id, revocation_id), moved_in = {self.move} WHERE number = :number",
            (
                {**rows.columns(new.session), "revocation_id": new.revocation_id, "number": number}
                for number, new in changes
            ),
        )
        self.connection.executemany(
            "UPDATE imported SET key = ?, said_at = ?, key_without_user = ?, created_by_source = ?, listed_at = ?,"
            " source_ended_at = ?, source_ended_reason = ?, rows_digest = ? WHERE number = ?",
            ((*values[:3], *values[4:], number) for number, values in ((n, _values(new)) for n, new in changes)),
        )
        self._replace_rows([(number, new.rows) for number, new in changes if new.rows])
        self.return_to_search(numbers)

    def adopt_sessions(self, numbers: Sequence[int], source: str) -> None:
        if not numbers:
            return
        listed = self.dialect.list_of(numbers)
        given = {"source": source, "source_key": fold(source), "move": self.move, "numbers": listed}
        self.keep_before(numbers)
        self.remove_from_search(numbers)
        self.write(
            f"UPDATE sessions SET source = :source, source_key = :source_key, moved_in = :move WHERE {self.tables.each_number}",
            given,
        )
        self.return_to_search(numbers)

    def adopt_finals(self, keys: Iterable[bytes], source: str) -> None:
        for key in keys:
            given = {"key": key, "source_key": fold(source)}
            self.keep_finals("key = :key", given)
            self.write(
                insertion_of_finals(
                    self.dialect,
                    "SELECT key, :source_key, created_at, at, without_user FROM imported_finals"
                    " WHERE key = :key AND source_key = ''",
                ),
                given,
            )
            self.write("DELETE FROM imported_finals WHERE key = :key AND source_key = ''", given)

    def add_complete_listings(self, source: str, user_keys: Sequence[str], taken_at: int, import_id: int) -> None:
        self.connection.executemany(
            # decision 188: a run that was killed after this is completed by the same command, and its undo must remove
            # the listing
            "INSERT INTO complete_listings (source_key, username_key, taken_at, import_id) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (source_key, username_key, taken_at) DO UPDATE SET import_id = excluded.import_id"
            " WHERE EXISTS (SELECT 1 FROM imports WHERE id = complete_listings.import_id AND finished_at IS NULL)",
            ((fold(source), key, taken_at, import_id) for key in user_keys or [""]),
        )

    def remove_complete_listings(self, before: int) -> int:
        later = "later.source_key = old.source_key AND later.username_key = old.username_key AND later.taken_at > old.taken_at"
        sql = (
            "DELETE FROM complete_listings AS old WHERE taken_at < ?"
            f" AND EXISTS (SELECT 1 FROM complete_listings AS later WHERE {later})"
        )
        return self.write(sql, (before,))

    def end_earlier(self, numbers: Sequence[int], taken_at: int) -> None:
        if numbers:
            self.keep_before(numbers)
            self.write(
                f"UPDATE sessions SET ended_at = :taken_at, expires_at = :taken_at, moved_in = :move WHERE {self.tables.each_number}",
                {"numbers": self.dialect.list_of(numbers), "taken_at": taken_at, "move": self.move},
            )

    def record_listing(self, listed: Sequence[tuple[int, int]]) -> None:
        self.keep_listed(listed)
        latest = self.dialect.greatest("coalesce(listed_at, :at)", ":at")
        sql = f"UPDATE imported SET listed_at = {latest} WHERE number = :number"
        self.connection.executemany(sql, [{"number": number, "at": at} for number, at in listed])

    def record_use_after_end(self, uses: Sequence[tuple[int, int]]) -> None:
        sql = f"SELECT number, used_after_end_at FROM sessions WHERE {self.tables.each_number}"
        known = dict(self.all_rows(sql, {"numbers": self.dialect.list_of([number for number, _ in uses])}))
        # None counts as earlier than any use: `or at - 1` replaces it.
        later = [(number, at) for number, at in uses if (known[number] or at - 1) < at]
        if later:
            self.keep_before([number for number, _ in later])
            sql = f"UPDATE sessions SET used_after_end_at = ?, moved_in = {self.move} WHERE number = ?"
            self.connection.executemany(sql, [(at, number) for number, at in later])

    def replace_rows(self, rows: Sequence[tuple[int, Sequence[StagedRow]]]) -> None:
        numbers = [number for number, _ in rows]
        if numbers:
            self.keep_before(numbers)
            given = {"numbers": self.dialect.list_of(numbers), "move": self.move}
            self.write(f"UPDATE sessions SET moved_in = :move WHERE {self.tables.each_number}", given)
            self._replace_rows(rows)

    def _replace_rows(self, rows: Sequence[tuple[int, Sequence[StagedRow]]]) -> None:
        numbers = self.dialect.list_of([number for number, _ in rows])
        self.write(f"DELETE FROM imported_rows WHERE {self.tables.each_number}", {"numbers": numbers})
        self._add_rows(rows)

    def _add_rows(self, rows: Iterable[tuple[int, Sequence[StagedRow]]]) -> None:
        self.insert_rows(
            "imported_rows",
            f"number, at, details, {_OF_ROWS}",
            (
                (number, row.at, json.dumps(row.details), row.created_at, row.ended_at, row.ended_reason, row.listed_at)
                for number, of_session in rows
                for row in of_session
            ),
        )

    def keep_ahead(self, ahead: Iterable[tuple[bytes, int]]) -> None:
        # decision 143: by key and instant, since one instant of the key would also settle rows of the time between
        self.connection.executemany("INSERT INTO imported_ahead (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING", ahead)
