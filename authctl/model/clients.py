"""Clients of the door: programs that ask about tokens by HTTP, and their rights.

See docs/glossary.md#client.
"""

from enum import StrEnum
from typing import NamedTuple


class Right(StrEnum):
    """An operation of the door that a client may use."""

    INTROSPECT = "introspect"
    REVOKE = "revoke"
    REFRESH = "refresh"
    WIPE = "wipe"
    VERIFY = "verify"
    """A client with this right can be named in the path of forward-auth, where no secret can be sent."""


class Client(NamedTuple):
    """A client of the door. Its secrets are kept as hashes."""

    client_id: str
    name: str
    may: tuple[Right, ...]
    applications: tuple[str, ...]
    """The applications whose tokens the client may ask about; empty for all."""
    cache_for: int
    """The longest time, in microseconds, that a resource server may keep an answer."""
    lag: int
    """The longest time, in microseconds, until a resource server of this client notices a revocation."""
    facts: bool
    """Whether the client may give the facts of a request: address, platform, referrer, version of the application."""
    revoke_note: str | None
    """The note of the revocations that the client asks for."""
    certificate: str | None
    """The SHA-256 fingerprint of its TLS certificate, in lower-case hexadecimal digits; None for a client with secrets alone."""
    created_at: int
    created_by: str
    secret_hash: bytes
    secret_at: int
    """When the present secret was made."""
    old_secret_hash: bytes | None = None
    """The hash of the secret before, which is accepted until the next rotation; None where it was dropped."""

    def __repr__(self) -> str:
        return f"Client(client_id={self.client_id!r}, name={self.name!r})"
