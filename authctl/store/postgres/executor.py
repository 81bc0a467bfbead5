"""The shared SQL on a connection of psycopg, which writes parameters as `%s` and `%(name)s`."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authctl.store.postgres.dialect import POSTGRES
from authctl.store.postgres.library import psycopg
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection

_OPEN = tables(POSTGRES).open_revocation

_PARTS = re.compile(r"'(?:[^']|'')*'|(?<!:):([a-z]\w*)|\?|%")
"""Texts in quotes, which stay as they are; parameters by name and by place; and the sign that psycopg gives a meaning to."""


@lru_cache(maxsize=2_000)
def translated(sql: str) -> str:
    """A statement with its parameters as psycopg writes them (decision 169)."""
    return _PARTS.sub(_translated_part, sql)


def _translated_part(part: re.Match[str]) -> str:
    text = part[0]
    if part[1]:
        return f"%({part[1]})s"
    return "%s" if text == "?" else text.replace("%", "%%")


class PostgresExecutor:
    """`Executor` on an open transaction; in a `snapshot` the open revocation stays the same one."""

    def __init__(self, connection: "Connection", *, snapshot: bool = False) -> None:
        self.connection = connection
        self._snapshot = snapshot
        self._open_id: str | None = None

    def execute(self, sql: str, parameters: Any = ()) -> "psycopg.Cursor[tuple[Any, ...]]":
        text = translated(sql)
        if self._snapshot and _OPEN in text:
            # decision 330: as a number, so that the planner knows that nearly all sessions have it
            text = text.replace(_OPEN, self._open_revocation())
        return self.connection.execute(text, parameters)

    def _open_revocation(self) -> str:
        """The id of the open revocation in this snapshot."""
        if self._open_id is None:
            row = self.connection.execute(f"SELECT {_OPEN}").fetchone()
            # a registry without one is damaged, and no session is unrevoked there
            self._open_id = "NULL" if row is None or row[0] is None else str(int(row[0]))
        return self._open_id

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "psycopg.Cursor[tuple[Any, ...]]":
        cursor: psycopg.Cursor[tuple[Any, ...]] = self.connection.cursor()
        cursor.executemany(translated(sql), list(parameters))
        return cursor
