"""SQLite's words for the shared SQL: index hints, lists as JSON, and the entrances made of them."""

import json
from collections.abc import Iterable

from authctl.store.sql.tables import tables


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

    def list_rows(self, parameter: str, alias: str) -> str:
        return f"json_each(:{parameter}) AS {alias}"

    def is_listed(self, column: str, parameter: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(:{parameter}))"

    def list_of(self, values: Iterable[str | int]) -> str:
        return json.dumps(list(values))

    def contains(self, text: str, parameter: str) -> str:
        return f"instr({text}, :{parameter})"

    def greatest(self, *values: str) -> str:
        return f"max({', '.join(values)})"

    def least(self, *values: str) -> str:
        return f"min({', '.join(values)})"

    def has_delivery(self, states: Iterable[str]) -> str:
        from authctl.store.sqlite.outbox_conditions import IS_PENDING

        if set(states) == {"pending"}:
            return IS_PENDING
        listed = ", ".join(f"'{state}'" for state in sorted(states))
        return f"EXISTS (SELECT 1 FROM deliveries AS d WHERE d.number = s.number AND d.number > 0 AND d.state IN ({listed}))"

    def sorted_by(self, column: str, *, descending: bool) -> str:
        return f"{column} {'DESC' if descending else 'ASC'}"  # NULL is the least value


SQLITE = SqliteDialect()
TABLES = tables(SQLITE)
OPEN = TABLES.open_revocation
UNREVOKED = TABLES.unrevoked
EACH_NUMBER = SQLITE.is_listed("number", "numbers")
"""Whether the number of a row is in a list."""
