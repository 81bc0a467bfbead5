"""Names by their beginning, for the completion of a shell: each is found by a look-up in an index.

See docs/glossary.md#folded-key.
"""

from authctl.store.sqlite.library import sqlite3

_RECENT_SESSIONS = 300
_LAST_CHARACTER = chr(0x10FFFF)

_FIRST_KEY = "SELECT min({key}) FROM sessions INDEXED BY {index} WHERE {key} {sign} AND {key} < :end"
# One look-up finds the first key, the next one the first after it, and so on.
_KEYS = (
    f"WITH RECURSIVE found (key) AS ({_FIRST_KEY.replace('{sign}', '>= :start')}"
    f" UNION ALL SELECT ({_FIRST_KEY.replace('{sign}', '> found.key')}) FROM found WHERE found.key IS NOT NULL)"
    " SELECT ({spelling}) FROM found WHERE found.key IS NOT NULL LIMIT :limit"
)
_USERS = _KEYS.format(
    key="username_key",
    index="sessions_by_user",
    spelling="SELECT username FROM sessions INDEXED BY sessions_by_user WHERE username_key = found.key"
    " ORDER BY last_used_at DESC LIMIT 1",
)
_SOURCES = _KEYS.format(
    key="source_key",
    index="sessions_by_source",
    spelling="SELECT source FROM sessions INDEXED BY sessions_by_source WHERE source_key = found.key LIMIT 1",
)
_RECENT_NAMES = {
    field: f"SELECT {field} FROM (SELECT {field} FROM sessions INDEXED BY sessions_by_use"
    f" WHERE kind = ? ORDER BY last_used_at DESC LIMIT {_RECENT_SESSIONS}) WHERE {field} IS NOT NULL"
    for field in ("application", "device", "platform")
}


def users(connection: sqlite3.Connection, start: str, limit: int) -> list[str]:
    """Up to `limit` users whose folded key begins so, as they were spelled last."""
    return _names(connection, _USERS, start, limit)


def sources(connection: sqlite3.Connection, start: str, limit: int) -> list[str]:
    """Up to `limit` sources of sessions whose folded key begins so."""
    return _names(connection, _SOURCES, start, limit)


def recent_names(connection: sqlite3.Connection, field: str) -> list[str]:
    """The applications, devices or platforms of the sessions of each kind that were used last."""
    from authctl.model import Kind

    names = (row[0] for kind in Kind for row in connection.execute(_RECENT_NAMES[field], (kind,)))
    return list(dict.fromkeys(names))


def _names(connection: sqlite3.Connection, sql: str, start: str, limit: int) -> list[str]:
    given = {"start": start, "end": start + _LAST_CHARACTER, "limit": limit}
    return [row[0] for row in connection.execute(sql, given)]
