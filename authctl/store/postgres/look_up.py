"""The look-ups that every request needs: a session by its number, and a client by its id. Each is one prepared statement."""

from typing import TYPE_CHECKING, Any

from authctl.instants import check_now
from authctl.model import Session
from authctl.store.nouns.reader import continuity_events
from authctl.store.postgres.exchange import Statement
from authctl.store.postgres.executor import PostgresExecutor
from authctl.store.postgres.facts import SERVER_CLOCK
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.store.postgres.connection import Connection

_NOW = f"greatest(coalesce($2::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash FROM sessions AS s {WITH_REVOCATION} WHERE s.number = $1"
)
_CLIENT = f"SELECT {rows.CLIENT} FROM clients WHERE client_id = $1 AND removed_at IS NULL"
_MOST_KEPT = 1_000


def session(connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
    """The session with that number, and the hash of its secret; without `now` at the time of the server's clock."""
    given = (number, None if now is None else check_now(now))
    (found,) = connection.exchange(Statement(_SESSION, given))
    if not found:
        return None
    row = found[0]
    read = rows.session(row)
    check_now(read.read_at)
    if read.read_at >= read.token_expires_at:
        read = read.held_by(continuity_events(PostgresExecutor(connection)))
    return read, row[-1]


class ClientLookUp:
    """Clients by id. The value of a row is kept, so that an unchanged client stays the same value."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Client]] = {}

    def client(self, connection: "Connection", client_id: str) -> "Client | None":
        """The client with that id; None where there is none, or where it was removed."""
        # decision 246: the row is read each time, so that a removal or a new secret counts at once
        (found,) = connection.exchange(Statement(_CLIENT, (client_id,)))
        if not found:
            return None
        row = found[0]
        kept = self._kept.get(client_id)
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[client_id] = (row, rows.client(row))
        return kept[1]
