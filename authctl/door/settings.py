"""The settings of a door, as `authctl serve` was given them. They are passed to each worker process."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

REQUEST_BYTES = 8_192
"""The most bytes of a request's head, and of its body. A token has at most 4,096."""

REQUEST_SECONDS = 10
"""How long a request may take from its first byte to its answer; then its connection is closed."""

WAIT_SECONDS = 1.0
"""How long an answer waits for a registry that cannot be read, before it is 503."""

LOCK_SECONDS = 2.0
"""How long a change waits for its turn to write, and a revocation twice as long, before the answer is 503."""

Network = IPv4Network | IPv6Network


class AccessLog(StrEnum):
    """The form of the log: one line a request."""

    TEXT = "text"
    JSON = "json"
    OFF = "off"


@dataclass(frozen=True)
class Settings:
    """The settings of a door: its installation, the tokens that it lets in, and its log."""

    home: Path
    registry: str | None = None
    keys: str | None = None
    issuer: str = "http://localhost"
    """The URL under which clients reach the door; the base of the addresses in its metadata."""
    proxies: tuple[Network, ...] = ()
    """The networks of the proxies whose `X-Forwarded-` headers are believed."""
    trusts_unix: bool = False
    """Whether every peer of the Unix socket is such a proxy."""
    verify_any: bool = False
    """Whether `/verify` is open: it lets in the tokens of every application."""
    cookie: str | None = None
    """The cookie that may contain the token of forward-auth; None for `Authorization` alone."""
    access_log: AccessLog = AccessLog.TEXT
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    """The certificates that sign those of clients; None where no client may use one."""
