"""Rows of sessions with the fields of a list alone, for lists in JSON of any length (decision 344)."""

from typing import Any

from authctl.model import Session
from authctl.model.listed_sessions import ListedSession
from authctl.store.sql import rows

_COLUMN_OF = dict(zip(Session._fields, rows.SESSION.split(", "), strict=True))
_COLUMNS = ", ".join(_COLUMN_OF[name] for name in ListedSession._fields)
_NEW = tuple.__new__
_WIDTH = len(ListedSession._fields)
_INSTANTS = [name.endswith("_at") for name in ListedSession._fields]
_LAST_INSTANT = max(index for index, is_instant in enumerate(_INSTANTS) if is_instant) + 1
_FIRST_OPTIONAL = ListedSession._fields.index("fixed_expires_at")
_NO_INSTANTS = (None,) * (_LAST_INSTANT - _FIRST_OPTIONAL)


def listed_columns(end: str) -> str:
    """The columns of a listed session, with the SQL for its real end."""
    return _COLUMNS.format(end=end, now=":now")


def listed_session(row: tuple[Any, ...]) -> ListedSession:
    """The session of a row of `listed_columns`; columns after them are ignored. Its instants are ones that can be written."""
    instants = row[1:_FIRST_OPTIONAL]
    optional = row[_FIRST_OPTIONAL:_LAST_INSTANT]
    if optional != _NO_INSTANTS:
        instants += tuple(instant for instant in optional if instant is not None)
    rows.check_instants(row[0], instants)
    read: ListedSession = _NEW(ListedSession, row[:_WIDTH])
    return read
