"""PostgreSQL's words for the shared SQL: no index hints, and lists as arrays."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authctl.store.sql.executor import Executor


class PostgresDialect:
    """`Dialect` for PostgreSQL."""

    no_limit = None
    event_text = "text_key"
    """A column that has the folded text of the event: no function of ours runs in the server."""

    def table(self, name: str, alias: str = "", index: str = "") -> str:
        # There are no hints. The index that is meant stands in a comment, which keeps the entrances apart, and tells a reader of the
        # server's log which one the planner should have taken.
        named = f"{name} AS {alias}" if alias else name
        return f"{named} /* {index} */" if index else named

    def whole_table(self, name: str, alias: str = "") -> str:
        return self.table(name, alias, "no index")

    def join_in_order(self, first: str, second: str, condition: str) -> str:
        return f"{first} JOIN {second} ON {condition}"

    def list_rows(self, parameter: str, alias: str, kind: str) -> str:
        return f"unnest(:{parameter}::{kind}[]) WITH ORDINALITY AS {alias}(value, id)"

    def is_listed(self, column: str, parameter: str) -> str:
        return f"{column} = ANY(:{parameter})"

    def list_of(self, values: Iterable[str] | Iterable[int]) -> list[Any]:
        plain = (value.value if isinstance(value, Enum) else value for value in values)
        return [value for value in plain if not isinstance(value, str) or _can_be_stored(value)]

    def contains(self, text: str, parameter: str) -> str:
        return f"strpos({text}, :{parameter}) > 0"

    def greatest(self, *values: str) -> str:
        return self._unless_null("greatest", values)

    def least(self, *values: str) -> str:
        return self._unless_null("least", values)

    def _unless_null(self, function: str, values: Sequence[str]) -> str:
        """The function of several values; NULL if one of them is NULL, which PostgreSQL ignores."""
        columns = [value for value in values if not value.startswith((":", "coalesce(", "?"))]
        called = f"{function}({', '.join(values)})"
        return (
            f"CASE WHEN {' AND '.join(f'({c}) IS NOT NULL' for c in columns)} THEN {called} END" if columns else called
        )

    def is_member(self, value: str, column: str, name: str) -> str:
        return f"({column}::jsonb -> '{name}') @> to_jsonb({value})"

    def count_members(self, column: str, name: str) -> str:
        return f"jsonb_array_length({column}::jsonb -> '{name}')"

    def collected(self, column: str) -> str:
        return f"json_agg({column})::text"

    def list_pairs(self, parameter: str, alias: str) -> str:
        pairs = f"jsonb_array_elements(:{parameter}::jsonb) WITH ORDINALITY AS pair(value, id)"
        numbers = "(value ->> 0)::bigint AS first, (value ->> 1)::bigint AS second, id"
        return f"(SELECT {numbers} FROM {pairs}) AS {alias}"

    def is_set(self, flag: str) -> str:
        return f"{flag} = 1"

    def differs(self, left: str, right: str) -> str:
        return f"{left} IS DISTINCT FROM {right}"

    def same(self, left: str, right: str) -> str:
        return f"{left} IS NOT DISTINCT FROM {right}"

    def hexadecimal(self, column: str) -> str:
        return f"upper(encode({column}, 'hex'))"

    def json_array(self, values: Iterable[str]) -> str:
        return f"json_build_array({', '.join(values)})"

    def json_arrays(self, values: Iterable[str], source: str) -> str:
        return f"(SELECT coalesce(json_agg({self.json_array(values)}), '[]') FROM {source})"

    columns_of_table = (  # a column that the server computes is written by nobody
        "SELECT attname, atttypid = 'bytea'::regtype FROM pg_attribute WHERE attrelid = to_regclass(?)"
        " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
    )

    def of_latest(self, column: str, instant: str) -> str:
        return f"(array_agg({column} ORDER BY {instant} DESC))[1]"

    def is_beyond_ascii(self, text: str) -> str:
        return f"{text} ~ '[^ -~]'"

    def member(self, column: str, name: str) -> str:
        return f"({column}::jsonb ->> '{name}')"

    def has_member(self, column: str, name: str, parameter: str) -> str:
        member = f"{column}::jsonb -> '{name}'"
        array = f"CASE jsonb_typeof({member}) WHEN 'array' THEN {member} ELSE '[]'::jsonb END"
        values = f"jsonb_array_elements_text({array}) AS named(value)"
        return f"EXISTS (SELECT 1 FROM {values} WHERE {self.is_listed('named.value', parameter)})"

    def insert(self, connection: "Executor", sql: str, values: Sequence[Any], key: str) -> int:
        return int(connection.execute(f"{sql} RETURNING {key}", values).fetchone()[0])

    def sorted_by(self, column: str, *, descending: bool) -> str:
        return f"{column} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"  # NULL counts as the greatest by default


def _can_be_stored(text: str) -> bool:
    """Whether a text can be in the database. One with a NUL, or with half a surrogate pair, is equal to nothing that is there."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


POSTGRES = PostgresDialect()
