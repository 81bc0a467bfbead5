"""Imported sessions in SQLite: their keys, and the instant of each detail (decision 11).

See docs/glossary.md#late-row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.store.protocol.imports import Imported, ImportedDetail

_NEVER_REPLACED = ("id", "secret_hash", "key_id")
"""The columns of an imported session that no import replaces."""


class ImportsReader(Reader):
    """`ImportsView` over SQLite."""

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        from authctl.store.protocol.imports import ImportedDetail

        sql = (
            f"SELECT {self.session_columns}, i.said_at, i.key, i.key_without_user, i.profile_named FROM imported AS i"
            f" INDEXED BY {{index}} JOIN sessions AS s ON s.number = i.number {WITH_REVOCATION} WHERE {{condition}}"
        )
        without = (
            f"i.key_without_user IN ({_parameters('without', keys_without_user)}) AND i.key_without_user IS NOT NULL"
        )
        queries = [
            ("imported_by_key", f"i.key IN ({_parameters('key', keys)})", "key", keys),
            ("imported_by_key_without_user", without, "without", keys_without_user),
        ]
        details: dict[int, ImportedDetail] = {}
        for index, condition, name, values in queries:
            given = self.given(now, **_given(name, values))
            for row in self.all_rows(sql.format(index=index, condition=condition), given) if values else ():
                session = rows.checked_session(row)
                said_at, key, without_user, named = row[-4:]
                details[session.number] = ImportedDetail(session, json.loads(said_at), key, without_user, bool(named))
        return [details[number] for number in sorted(details)]

    def imported_finals(self, keys: Sequence[bytes], *, without_user: bool = False) -> dict[bytes, int]:
        names = _parameters("key", keys)
        sql = f"SELECT key, at FROM imported_finals WHERE key IN ({names}) AND without_user = :without_user"
        return dict(self.all_rows(sql, {**_given("key", keys), "without_user": without_user}))

    def imported_ahead(self, keys: Sequence[bytes]) -> set[tuple[bytes, int]]:
        sql = f"SELECT key, at FROM imported_ahead WHERE key IN ({_parameters('key', keys)})"
        return {(key, at) for key, at in self.all_rows(sql, _given("key", keys))}


def _parameters(name: str, values: Sequence[object]) -> str:
    """A parameter for each value: JSON cannot carry the bytes of a key."""
    return ", ".join(f":{parameter}" for parameter in _given(name, values))


def _given(name: str, values: Sequence[object]) -> dict[str, object]:
    return {f"{name}_{index}": value for index, value in enumerate(values)}


class ImportsWriter(Writer):
    """`ImportsChange` over SQLite. Many rows are inserted by `executemany` (decision 98)."""

    def add_imported(self, sessions: Sequence[Imported]) -> None:
        from authctl.store.sqlite import search_index
        from authctl.store.sqlite.sessions import insertion

        if not sessions:
            return
        first = self.one_number("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'") + 1
        numbered = list(enumerate(sessions, first))
        self.connection.executemany(
            insertion(("number", *rows.columns(sessions[0].session))),
            ((number, *rows.columns(new.session).values(), new.revocation_id) for number, new in numbered),
        )
        self.connection.executemany(
            "INSERT INTO imported (number, key, said_at, key_without_user, profile_named) VALUES (?, ?, ?, ?, ?)",
            (
                (number, new.key, json.dumps(new.said_at), new.key_without_user, new.profile_named)
                for number, new in numbered
            ),
        )
        search_index.catch_up(self.connection)

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        from authctl.store.sqlite import search_index

        if not changes:
            return
        numbers = [number for number, _ in changes]
        changed = [name for name in rows.columns(changes[0][1].session) if name not in _NEVER_REPLACED]
        # The index keeps no text (decision 92), so the old text has to be removed before it changes.
        search_index.remove_sessions(self.connection, numbers)
        self.connection.executemany(
            f"UPDATE sessions SET {', '.join(f'{name} = :{name}' for name in changed)},"
            f" revocation_id = coalesce(:revocation_id, revocation_id), moved_in = {self.move} WHERE number = :number",
            (
                {**rows.columns(new.session), "revocation_id": new.revocation_id, "number": number}
                for number, new in changes
            ),
        )
        self.connection.executemany(
            "UPDATE imported SET said_at = ?, key = ?, key_without_user = ? WHERE number = ?",
            ((json.dumps(new.said_at), new.key, new.key_without_user, number) for number, new in changes),
        )
        search_index.add_sessions(self.connection, numbers)

    def keep_ahead(self, ahead: Iterable[tuple[bytes, int]]) -> None:
        self.connection.executemany("INSERT OR IGNORE INTO imported_ahead (key, at) VALUES (?, ?)", ahead)
