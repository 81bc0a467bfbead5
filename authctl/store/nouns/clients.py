"""Clients of the door.

See docs/glossary.md#client.
"""

from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows

if TYPE_CHECKING:
    from authctl.model import Client

_PRESENT = f"SELECT {rows.CLIENT} FROM clients WHERE removed_at IS NULL"
_COLUMNS = f"name_key, {rows.CLIENT}"
_PLACES = ", ".join("?" for _ in _COLUMNS.split(", "))


class ClientsReader(Reader):
    """`ClientsView` over any database."""

    def clients(self) -> "list[Client]":
        return [rows.client(row) for row in self.all_rows(f"{_PRESENT} ORDER BY created_at, client_id")]

    def client_named(self, name: str) -> "Client | None":
        row = self.one_row(f"{_PRESENT} AND name_key = ?", (fold(name),))
        return None if row is None else rows.client(row)


class ClientsWriter(Writer):
    """`ClientsChange` over any database."""

    def add_client(self, client: "Client") -> None:
        self.write(f"INSERT INTO clients ({_COLUMNS}) VALUES ({_PLACES})", _values(client))

    def replace_client(self, client: "Client") -> None:
        sql = f"UPDATE clients SET ({_COLUMNS}) = ({_PLACES}) WHERE client_id = ?"
        self.write(sql, (*_values(client), client.client_id))

    def remove_client(self, client_id: str, at: int) -> None:
        # The row stays without its secrets: a restore of an older copy must not bring the client back.
        sql = "UPDATE clients SET removed_at = ?, secret_hash = ?, old_secret_hash = NULL, certificate = NULL WHERE client_id = ?"
        self.write(sql, (at, b"", client_id))


def _values(client: "Client") -> tuple[object, ...]:
    return (fold(client.name), *rows.client_columns(client))
