"""The shared SQL on a connection of psycopg, which writes parameters as `%s` and `%(name)s`."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authctl.store.postgres.dialect import POSTGRES
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection
    from authctl.store.postgres.library import psycopg

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
    """`Executor` on an open transaction. In a snapshot the open revocation stays the same one, whose id is given as SQL."""

    def __init__(self, connection: "Connection", open_revocation: str | None = None) -> None:
        self.connection = connection
        self._open_revocation = open_revocation

    def execute(self, sql: str, parameters: Any = ()) -> "psycopg.Cursor[tuple[Any, ...]]":
        text = translated(sql)
        if self._open_revocation is not None:
            # decision 330: as a number, so that the planner knows that nearly all sessions have it
            text = text.replace(_OPEN, self._open_revocation)
        return self.connection.execute(text, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "psycopg.Cursor[tuple[Any, ...]]":
        cursor: psycopg.Cursor[tuple[Any, ...]] = self.connection.cursor()
        cursor.executemany(translated(sql), list(parameters))
        return cursor
