"""A snapshot, and a change, in PostgreSQL: its words, its search index, and the rows that a change locks."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from authctl.store.nouns.reader import Reader as AnyReader
from authctl.store.nouns.reader import Writer as AnyWriter
from authctl.store.postgres.dialect import POSTGRES
from authctl.store.postgres.executor import PostgresExecutor

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection


class Reader(AnyReader):
    """The open transaction of a connection, to read from."""

    dialect = POSTGRES
    connection: PostgresExecutor

    def __init__(self, connection: "Connection", open_revocation: str | None = None) -> None:
        super().__init__(PostgresExecutor(connection, open_revocation))

    def numbers_containing(self, text: str) -> Sequence[int] | None:
        from authctl.store.postgres import searching

        return searching.find(self, text)

    def numbers_with_trigram(self, trigram: str, limit: int) -> list[int]:
        from authctl.store.postgres import searching

        return searching.having_trigram(self, trigram, limit)

    def newest_users(self, limit: int) -> list[str]:
        newest = "SELECT username_key FROM sessions ORDER BY number DESC LIMIT ?"
        return [row[0] for row in self.all_rows(f"SELECT DISTINCT username_key FROM ({newest}) AS newest", (limit,))]


class Writer(Reader, AnyWriter):
    """The open transaction of a connection, to write in."""

    locks_rows = False
    """Whether other changes may be under way, so that the rows that are read have to be locked."""

    def insert_rows(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        # a third of the time of INSERT, also where that is sent in one pipeline
        with self.connection.connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def next_numbers(self, count: int) -> int:
        # Only behind the gate alone: a shared change could take a number in between.
        sequence = "pg_get_serial_sequence('sessions', 'number')"
        # decision 307: COPY needs the numbers before the rows
        first = self.one_number(f"SELECT nextval({sequence})")
        self.one_number(f"SELECT setval({sequence}, ?)", (first + count - 1,))
        return first

    def keep_unchanged(self, condition: str, parameters: dict[str, Any]) -> None:
        # By a statement of its own, in the order of numbers: the snapshot of a statement that locks is older than the lock.
        if self.locks_rows:
            self.write(f"SELECT 1 FROM sessions WHERE {condition} ORDER BY number FOR NO KEY UPDATE", parameters)
