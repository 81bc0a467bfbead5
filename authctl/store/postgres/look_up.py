"""The look-ups that every request needs: a session by its number, and a client by its id. Each is one prepared statement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.errors import RegistryUnavailable
from authctl.instants import check_now
from authctl.model import Session
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

# After an upgrade by a newer authctl no row is found any more (decision 323).
_OF_SCHEMA = f"JOIN schema_version AS v ON v.version = {versions.SCHEMA_VERSION}"
_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, pg_is_in_recovery() FROM sessions AS s {WITH_REVOCATION} {_OF_SCHEMA}"
    " WHERE s.number = $1"
)
_CLIENT = (
    f"SELECT {rows.CLIENT}, pg_is_in_recovery() FROM clients {_OF_SCHEMA} WHERE client_id = $1 AND removed_at IS NULL"
)
_IS_STANDBY = Statement("SELECT pg_is_in_recovery()")
_NO_ROW = Statement("SELECT (SELECT version FROM schema_version), pg_is_in_recovery()")
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
    return read, row[-2]


def _primary_row(connection: "Connection", look_up: Statement) -> Row | None:
    """The row that a look-up finds. Raises RegistryUnavailable if a standby gave it, as its last column tells.

    A balancer may have asked a standby without our knowledge (decision 312). It may not have the newest revocation or session. Where
    there is no row, the server is asked that, and whether the schema is a newer one (decision 323).
    """
    (found,) = connection.exchange(look_up)
    if found:
        _refuse(is_standby=found[0][-1])
        return found[0]
    (((version, is_standby),),) = connection.exchange(_NO_ROW)
    _refuse(is_standby=is_standby)
    check_version(version)
    return None


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
        kept = self._kept.get(client_id)
        if kept is None or kept[0] != row:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[client_id] = (row, rows.client(row[:-1]))
        return kept[1]
