"""The SQLite library of this process: pysqlite3 where it is installed, else the one of Python (decision 170).

No other module imports either of them. Two libraries in one process would not see each other's locks on a file, and
could corrupt it (sqlite.org/howtocorrupt.html, 2.2.1). sqlite-utils makes the same choice by itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        from pysqlite3 import dbapi2 as sqlite3

        sqlite3.SQLITE_NOTADB  # noqa: B018  # a pysqlite3 without the codes of errors is too old to be used
    except (ImportError, AttributeError):
        import sqlite3

__all__ = ["sqlite3"]


def _as_it_is(value: None) -> None:
    return value


# decision 373: for a value without an adapter that is neither number nor text, Python looks for two methods first, which no value has
for _kind, _adapter in ((type(None), _as_it_is), (bytes, bytes)):
    if (_kind, sqlite3.PrepareProtocol) not in sqlite3.adapters:  # that of the host application stays
        sqlite3.register_adapter(_kind, _adapter)
