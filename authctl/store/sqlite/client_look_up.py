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
_SQL = f"SELECT {rows.CLIENT} FROM clients WHERE client_id = ? AND removed_at IS NULL"


class ClientLookUp:
    """Clients by id, on one connection. One thread at a time may use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: dict[tuple[Any, ...], Client] = {}

    def client(self, client_id: str) -> Client | None:
        """The client with that id; None where there is none, or where it was removed."""
        row = self._connection.execute(_SQL, (client_id,)).fetchone()
        if row is None:
            return None
        client = self._kept.get(row)
        if client is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            client = self._kept[row] = rows.client(row)
        return client
