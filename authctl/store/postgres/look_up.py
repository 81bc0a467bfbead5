"""The look-ups that every request needs: a session by its number, and a client by its id. Each is one prepared statement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.errors import RegistryUnavailable
from authctl.instants import check_now
from authctl.model import Session
from authctl.store import move_marks
from authctl.store.nouns.reader import continuity_events
from authctl.store.postgres import versions
from authctl.store.postgres.exchange import Row, Statement
from authctl.store.postgres.executor import PostgresExecutor
from authctl.store.postgres.facts import FIND_EVENT, SERVER_CLOCK
from authctl.store.postgres.upgrades import check_version
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.store.postgres.connection import Connection

_NOW = f"greatest(coalesce($2::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

_HERE = "pg_is_in_recovery(), (SELECT moved_to FROM registry)"
"""Whether this server may answer: the last columns of each look-up."""

# After an upgrade by a newer authctl no row is found any more (decision 323).
_OF_SCHEMA = f"JOIN schema_version AS v ON v.version = {versions.SCHEMA_VERSION}"
_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, {_HERE} FROM sessions AS s {WITH_REVOCATION} {_OF_SCHEMA}"
    " WHERE s.number = $1"
)
_CLIENT = f"SELECT {rows.CLIENT}, {_HERE} FROM clients {_OF_SCHEMA} WHERE client_id = $1 AND removed_at IS NULL"
_IS_STANDBY = Statement("SELECT pg_is_in_recovery()")
_NO_ROW = Statement(f"SELECT (SELECT version FROM schema_version), {_HERE}")
_MARKS = Statement(f"SELECT {move_marks.COLUMNS} FROM registry")
_MOST_KEPT = 1_000


def session(connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
    """The session with that number, and the hash of its secret; without `now` at the time of the server's clock.

    Raises RegistryUnavailable if a standby answered, and after an upgrade by a newer authctl.
    """
    given = (number, None if now is None else check_now(now))
    row = _primary_row(connection, Statement(_SESSION, given))
    if row is None:
        return None
    read = rows.session(row)
    check_now(read.read_at)
    if read.read_at >= read.token_expires_at:
        read = read.held_by(continuity_events(PostgresExecutor(connection)))
    return read, row[-3]


def check_place(connection: "Connection") -> None:
    """Raise RegistryMoved if the registry is at another place now."""
    for marks in connection.exchange(_MARKS)[0]:
        move_marks.check(connection.address, *marks)


def _primary_row(connection: "Connection", look_up: Statement) -> Row | None:
    """The row that a look-up finds. Raises RegistryUnavailable if it may be out of date, as its last columns tell.

    A balancer may have asked a standby without our knowledge (decision 312). It may not have the newest revocation or session.
    A registry that was moved must not answer that it knows no such session or client (decision 326). Where there is no row, the
    server is asked that, and whether the schema is a newer one (decision 323).
    """
    (found,) = connection.exchange(look_up)
    row = found[0] if found else connection.exchange(_NO_ROW)[0][0]
    is_standby, moved_to = row[-2:]
    _refuse(is_standby=is_standby)
    if moved_to is not None:
        check_place(connection)
    if not found:
        check_version(row[0])
        return None
    return row


def has_events(connection: "Connection", events: Sequence[tuple[int, str]]) -> bool:
    """Whether the audit log has all events of those numbers and hashes. Raises RegistryUnavailable if a standby answered."""
    *found, ((is_standby,),) = connection.exchange(*(Statement(FIND_EVENT, event) for event in events), _IS_STANDBY)
    _refuse(is_standby=is_standby)
    return all(found)


def _refuse(*, is_standby: bool) -> None:
    if is_standby:
        raise RegistryUnavailable("the registry cannot be used: a standby answered, which may be behind")


class ClientLookUp:
    """Clients by id. The value of a row is kept, so that an unchanged client stays the same value."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Client]] = {}

    def client(self, connection: "Connection", client_id: str) -> "Client | None":
        """The client with that id; None where there is none, or where it was removed."""
        # decision 246: the row is read each time, so that a removal or a new secret counts at once
        row = _primary_row(connection, Statement(_CLIENT, (client_id,)))
        if row is None:
            return None
        row = row[:-2]
        kept = self._kept.get(client_id)
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[client_id] = (row, rows.client(row))
        return kept[1]
