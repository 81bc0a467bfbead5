"""The shared SQL on a connection of psycopg, which writes parameters as `%s` and `%(name)s`."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authctl.store.postgres.library import psycopg

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection

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
    """`Executor` on an open transaction."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    def execute(self, sql: str, parameters: Any = ()) -> "psycopg.Cursor[tuple[Any, ...]]":
        return self.connection.execute(translated(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "psycopg.Cursor[tuple[Any, ...]]":
        cursor = self.connection.cursor()
        cursor.executemany(translated(sql), list(parameters))
        return cursor
