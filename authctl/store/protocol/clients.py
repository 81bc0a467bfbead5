"""Clients of the door.

See docs/glossary.md#client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authctl.model import Client


class ClientsView(Protocol):
    """Reading clients."""

    def clients(self) -> list[Client]:
        """All clients that were not removed, the oldest first."""

    def client_named(self, name: str) -> Client | None:
        """The client of that name, in any case and width; None where there is none, or where it was removed."""


class ClientsChange(Protocol):
    """Writing clients."""

    def add_client(self, client: Client) -> None:
        """Add a client."""

    def replace_client(self, client: Client) -> None:
        """Replace the client with that id, its secrets among the rest."""

    def remove_client(self, client_id: str, at: int) -> None:
        """Remove a client. Its id is never given to another."""
