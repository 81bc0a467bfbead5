"""Names by their beginning, for the completion of a shell: each is found by a look-up in an index.

See docs/glossary.md#folded-key.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader
    from authctl.store.sql.dialect import Dialect

_RECENT_SESSIONS = 300
_LAST_CHARACTER = chr(0x10FFFF)


@cache
def _keys(dialect: "Dialect", key: str, index: str, spelling: str, order: str = "") -> str:
    """The keys that begin so, each in a spelling. One look-up finds the first key, the next one the first after it, and so on."""
    table = dialect.table("sessions", index=index)
    first = f"SELECT min({key}) FROM {table} WHERE {key} {{sign}} AND {key} < :end"
    return (
        f"WITH RECURSIVE found (key) AS ({first.format(sign='>= :start')}"
        f" UNION ALL SELECT ({first.format(sign='> found.key')}) FROM found WHERE found.key IS NOT NULL)"
        f" SELECT (SELECT {spelling} FROM {table} WHERE {key} = found.key{order} LIMIT 1)"
        " FROM found WHERE found.key IS NOT NULL LIMIT :limit"
    )


def users(reader: "Reader", start: str, limit: int) -> list[str]:
    """Up to `limit` users whose folded key begins so, as they were spelled last."""
    newest = " ORDER BY last_used_at DESC"
    return _names(reader, _keys(reader.dialect, "username_key", "sessions_by_user", "username", newest), start, limit)


def sources(reader: "Reader", start: str, limit: int) -> list[str]:
    """Up to `limit` sources of sessions whose folded key begins so."""
    return _names(reader, _keys(reader.dialect, "source_key", "sessions_by_source", "source"), start, limit)


def recent_names(reader: "Reader", field: str) -> list[str]:
    """The applications, devices or platforms of the sessions of each kind that were used last."""
    from authctl.model import Kind

    table = reader.dialect.table("sessions", index="sessions_by_use")
    newest = f"SELECT {field} FROM {table} WHERE kind = ? ORDER BY last_used_at DESC LIMIT {_RECENT_SESSIONS}"
    sql = f"SELECT {field} FROM ({newest}) AS newest WHERE {field} IS NOT NULL"
    names = (row[0] for kind in Kind for row in reader.all_rows(sql, (kind.value,)))
    return list(dict.fromkeys(names))


def _names(reader: "Reader", sql: str, start: str, limit: int) -> list[str]:
    given = {"start": start, "end": start + _LAST_CHARACTER, "limit": limit}
    return [row[0] for row in reader.all_rows(sql, given)]
