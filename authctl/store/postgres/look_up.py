"""The look-ups that every request needs: a session by its number, and a client by its id. Each is one prepared statement."""

from typing import TYPE_CHECKING, Any

from authctl.errors import RegistryUnavailable
from authctl.instants import check_now
from authctl.model import Session
from authctl.store import move_marks
from authctl.store.nouns.reader import continuity_events
from authctl.store.postgres.executor import PostgresExecutor
from authctl.store.postgres.shared_connection import one_row
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.store.postgres.connection import Connection

SERVER_CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The clock of the server, in microseconds since 1970: one clock for all hosts."""

_NOW = f"greatest(coalesce(%(now)s::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

_HERE = "pg_is_in_recovery(), (SELECT moved_to FROM registry)"
"""Whether this server may answer: the last columns of each look-up."""

_SESSION = f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, {_HERE} FROM sessions AS s {WITH_REVOCATION} WHERE s.number = %(number)s"
_CLIENT = f"SELECT {rows.CLIENT}, {_HERE} FROM clients WHERE client_id = %s AND removed_at IS NULL"
_MOST_KEPT = 1_000


def session(connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
    """The session with that number, and the hash of its secret; without `now` at the time of the server's clock.

    Raises RegistryUnavailable if a standby answered.
    """
    row = connection.execute(_SESSION, {"now": None if now is None else check_now(now), "number": number}).fetchone()
    _check_answer(connection, row)
    if row is None:
        return None
    read = rows.session(row)
    check_now(read.read_at)
    if read.read_at >= read.token_expires_at:
        read = read.held_by(continuity_events(PostgresExecutor(connection)))
    return read, row[-3]


def check_place(connection: "Connection") -> None:
    """Raise RegistryMoved if the registry is at another place now."""
    row = connection.execute(f"SELECT {move_marks.COLUMNS} FROM registry").fetchone()
    if row is not None:
        move_marks.check(connection.place, *row)


def _check_answer(connection: "Connection", row: tuple[Any, ...] | None) -> None:
    """Refuse the answer of a look-up from where it may be out of date; its last columns tell, and without a row the server is asked.

    A balancer may have asked a standby without our knowledge (decision 312). It may not have the newest revocation or session.
    A registry that was moved must not answer that it knows no such session or client (decision 316). Raises RegistryUnavailable.
    """
    is_standby, moved_to = row[-2:] if row else one_row(connection, f"SELECT {_HERE}")
    if is_standby:
        raise RegistryUnavailable("the registry cannot be used: a standby answered, which may be behind")
    if moved_to is not None:
        check_place(connection)


class ClientLookUp:
    """Clients by id. The value of a row is kept, so that an unchanged client stays the same value."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Client]] = {}

    def client(self, connection: "Connection", client_id: str) -> "Client | None":
        """The client with that id; None where there is none, or where it was removed."""
        # decision 246: the row is read each time, so that a removal or a new secret counts at once
        row = connection.execute(_CLIENT, (client_id,)).fetchone()
        _check_answer(connection, row)
        if row is None:
            return None
        row = row[:-2]
        kept = self._kept.get(client_id)
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[client_id] = (row, rows.client(row))
        return kept[1]
