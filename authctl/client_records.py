"""Clients of the door to records: nothing of their secrets, but once, when one is made.

See docs/glossary.md#client.
"""

from typing import TYPE_CHECKING

from authctl.instants import format_timeout
from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.model import Client
    from authctl.registry.clients import NewSecret


def client(client_: "Client") -> Record:
    """A client of the door; nothing of its secrets."""
    return {
        "client_id": client_.client_id,
        "name": client_.name,
        "may": [right.value for right in client_.may],
        "applications": list(client_.applications),
        "cache_for": format_timeout(client_.cache_for),
        "lag": format_timeout(client_.lag),
        "facts": client_.facts,
        "revoke_note": client_.revoke_note,
        "certificate": client_.certificate,
        "created_at": instant(client_.created_at),
        "created_by": client_.created_by,
        "secret_at": instant(client_.secret_at),
        "has_old_secret": client_.old_secret_hash is not None,
    }


def new_secret(made: "NewSecret") -> Record:
    """A client with the secret that was just made."""
    shown = client(made.client)
    return {"client_id": shown.pop("client_id"), "client_secret": made.secret, **shown}
