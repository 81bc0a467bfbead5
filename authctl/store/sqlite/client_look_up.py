"""The look-up of a client by its id, which every request to the door needs.

A client is read again each time, so that a removal or a new secret is in force at once; the value of a row is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authctl.store.sql import rows

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.store.sqlite.library import sqlite3

_MOST_KEPT = 1_000
_PRESENT = "FROM clients WHERE client_id = ? AND removed_at IS NULL"
_SECRETS = f"SELECT secret_hash, old_secret_hash {_PRESENT}"
"""The only columns that change while a client is there."""
_WHOLE = f"SELECT {rows.CLIENT} {_PRESENT}"


class ClientLookUp:
    """Clients by id, on one connection. One thread at a time may use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._kept: dict[str, tuple[tuple[Any, ...], Client]] = {}
        self._of_snapshot: dict[str, Client | None] = {}
        """The clients that were looked up in the snapshot that is open on the connection."""

    def client(self, client_id: str) -> Client | None:
        """The client with that id; None where there is none, or where it was removed. The same value as long as it did not change."""
        # decision 246: read for each request, so that a rotation or removal counts at once in every worker
        secrets = self._cursor.execute(_SECRETS, (client_id,)).fetchone()
        if secrets is None:
            return None
        kept = self._kept.get(client_id)
        return kept[1] if kept is not None and kept[0] == secrets else self._read(client_id)

    def client_of_snapshot(self, client_id: str) -> Client | None:
        """The same inside of a snapshot, in which it cannot change: it is read once."""
        try:
            return self._of_snapshot[client_id]
        except KeyError:
            client = self._of_snapshot[client_id] = self.client(client_id)
            return client

    def forget_snapshot(self) -> None:
        """The snapshot ended: the client that was looked up in it may have changed."""
        self._of_snapshot.clear()

    def _read(self, client_id: str) -> Client | None:
        row = self._connection.execute(_WHOLE, (client_id,)).fetchone()
        if row is None:
            return None
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        client = rows.client(row)
        self._kept[client_id] = ((client.secret_hash, client.old_secret_hash), client)
        return client
