"""The SQLite library of this process: pysqlite3 where it is installed, else the one of Python (decision 170).

No other module imports either of them. Two libraries in one process would not see each other's locks on a file, and
could corrupt it (sqlite.org/howtocorrupt.html, 2.2.1). sqlite-utils makes the same choice by itself.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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


def _register(kind: type[Any], adapter: Callable[[Any], Any]) -> None:
    """Register an adapter for the process, unless the host application has one."""
    if (kind, sqlite3.PrepareProtocol) not in sqlite3.adapters:
        sqlite3.register_adapter(kind, adapter)


# decision 354: for a value without an adapter that is neither number nor text, Python looks for two methods first, which no value has
_register(type(None), _as_it_is)
_register(bytes, bytes)
