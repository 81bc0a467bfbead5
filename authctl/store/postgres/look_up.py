"""The look-ups that every request needs: a session by its number, and a client by its id. Each is one prepared statement."""

from typing import TYPE_CHECKING, Any

from authctl.errors import RegistryUnavailable
from authctl.instants import check_now
from authctl.model import Session
from authctl.store.nouns.reader import continuity_events
from authctl.store.postgres import versions
from authctl.store.postgres.executor import PostgresExecutor
from authctl.store.postgres.shared_connection import one_row
from authctl.store.postgres.upgrades import check_version
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.store.postgres.connection import Connection

SERVER_CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The clock of the server, in microseconds since 1970: one clock for all hosts."""

_NOW = f"greatest(coalesce(%(now)s::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

# After an upgrade by a newer authctl no row is found any more (decision 332).
_OF_SCHEMA = f"JOIN schema_version AS v ON v.version = {versions.SCHEMA_VERSION}"
_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, pg_is_in_recovery() FROM sessions AS s {WITH_REVOCATION} {_OF_SCHEMA}"
    " WHERE s.number = %(number)s"
)
_CLIENT = (
    f"SELECT {rows.CLIENT}, pg_is_in_recovery() FROM clients {_OF_SCHEMA} WHERE client_id = %s AND removed_at IS NULL"
)
_NO_ROW = "SELECT pg_is_in_recovery(), (SELECT version FROM schema_version)"
_MOST_KEPT = 1_000


def session(connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
    """The session with that number, and the hash of its secret; without `now` at the time of the server's clock.

    Raises RegistryUnavailable if a standby answered, and after an upgrade by a newer authctl.
    """
    row = connection.execute(_SESSION, {"now": None if now is None else check_now(now), "number": number}).fetchone()
    _check_answer(connection, row)
    if row is None:
        return None
    read = rows.session(row)
    check_now(read.read_at)
    if read.read_at >= read.token_expires_at:
        read = read.held_by(continuity_events(PostgresExecutor(connection)))
    return read, row[-2]


def _check_answer(connection: "Connection", row: tuple[Any, ...] | None) -> None:
    """Raise RegistryUnavailable if a standby gave that answer, whose last column tells; where it has no row, the server is asked
    that, and whether the schema is a newer one.

    A balancer may have asked a standby without our knowledge (decision 312). It may not have the newest revocation or session.
    """
    if row:
        is_standby = row[-1]
    else:
        is_standby, version = one_row(connection, _NO_ROW)
        check_version(version)
    if is_standby:
        raise RegistryUnavailable("the registry cannot be used: a standby answered, which may be behind")


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
        kept = self._kept.get(client_id)
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[client_id] = (row, rows.client(row[:-1]))
        return kept[1]
