"""SQLite's words for the shared SQL: index hints, lists as JSON, and the entrances made of them."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.sql.executor import Executor


_PIECE = 10_000


class SqliteDialect:
    """`Dialect` for SQLite."""

    no_limit = -1

    def table(self, name: str, alias: str = "", index: str = "") -> str:
        named = f"{name} AS {alias}" if alias else name
        return f"{named} INDEXED BY {index}" if index else named  # fails if there is no such index

    def whole_table(self, name: str, alias: str = "") -> str:
        return f"{name} AS {alias} NOT INDEXED" if alias else f"{name} NOT INDEXED"

    def join_in_order(self, first: str, second: str, condition: str) -> str:
        return f"{first} CROSS JOIN {second} ON {condition}"  # SQLite never reorders a CROSS JOIN

    def list_rows(self, parameter: str, alias: str, kind: str) -> str:  # noqa: ARG002  # a list of JSON has its own kinds
        return f"json_each(:{parameter}) AS {alias}"

    def is_listed(self, column: str, parameter: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(:{parameter}))"

    def list_of(self, values: Iterable[str | int]) -> str:
        # decision 284: in pieces, since between two of them another thread may run
        every = list(values)
        if len(every) <= _PIECE:
            return json.dumps(every)
        pieces = (json.dumps(every[start : start + _PIECE])[1:-1] for start in range(0, len(every), _PIECE))
        return f"[{','.join(pieces)}]"

    def contains(self, text: str, parameter: str) -> str:
        return f"instr({text}, :{parameter})"

    def greatest(self, *values: str) -> str:
        return f"max({', '.join(values)})"

    def least(self, *values: str) -> str:
        return f"min({', '.join(values)})"

    def is_member(self, value: str, column: str, name: str) -> str:
        return f"{value} IN (SELECT value FROM json_each({column}, '$.{name}'))"

    def count_members(self, column: str, name: str) -> str:
        return f"json_array_length({column}, '$.{name}')"

    def collected(self, column: str) -> str:
        return f"json_group_array({column})"

    def list_pairs(self, parameter: str, alias: str) -> str:
        pairs = f"SELECT value ->> 0 AS first, value ->> 1 AS second, id FROM json_each(:{parameter})"
        return f"({pairs}) AS {alias}"

    def is_set(self, flag: str) -> str:
        return flag  # as in the conditions of partial indexes, which are compared by their text

    def differs(self, left: str, right: str) -> str:
        return f"{left} IS NOT {right}"

    def same(self, left: str, right: str) -> str:
        return f"{left} IS {right}"

    def hexadecimal(self, column: str) -> str:
        return f"nullif(hex({column}), '')"

    def json_array(self, values: Iterable[str]) -> str:
        return f"json_array({', '.join(values)})"

    def json_arrays(self, values: Iterable[str], source: str) -> str:
        return f"json((SELECT json_group_array({self.json_array(values)}) FROM {source}))"

    columns_of_table = "SELECT name, type = 'BLOB' FROM pragma_table_info(?)"

    def of_latest(self, column: str, instant: str) -> str:  # noqa: ARG002  # SQLite takes a bare column from the row that has the maximum
        return column

    def is_beyond_ascii(self, text: str) -> str:
        return f"{text} GLOB '*[^ -~]*'"

    event_text = (
        "folded(coalesce(note, '') || ' ' || coalesce(subject, '') || ' ' || actor || ' ' || action || ' ' || detail)"
    )

    def member(self, column: str, name: str) -> str:
        return f"json_extract({column}, '$.{name}')"

    def has_member(self, column: str, name: str, parameter: str) -> str:
        values = f"json_each({column}, '$.{name}') AS named"
        return f"EXISTS (SELECT 1 FROM {values} WHERE {self.is_listed('named.value', parameter)})"

    def insert(self, connection: "Executor", sql: str, values: Sequence[Any], key: str) -> int:  # noqa: ARG002  # the row id
        return int(connection.execute(sql, values).lastrowid)  # type: ignore[attr-defined]  # of a sqlite3 cursor

    def sorted_by(self, column: str, *, descending: bool) -> str:
        return f"{column} {'DESC' if descending else 'ASC'}"  # NULL is the least value


SQLITE = SqliteDialect()
TABLES = tables(SQLITE)
OPEN = TABLES.open_revocation
UNREVOKED = TABLES.unrevoked
EACH_NUMBER = TABLES.each_number
