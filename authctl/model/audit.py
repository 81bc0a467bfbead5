"""What the audit log holds."""

from dataclasses import dataclass
from typing import NamedTuple

from authctl import names


class AuditEvent(NamedTuple):
    """One link of the audit chain."""

    seq: int
    at: int
    actor: str
    action: str
    subject: str | None
    note: str | None
    detail: str
    """A JSON object as text, exactly as it was hashed."""
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which audit events are meant: every criterion that is given must hold."""

    since: int | None = None
    until: int | None = None
    actor: str | None = None
    action: str | None = None
    username: str | None = None
    session_id: str | None = None
    search: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidInput for a text that no event could have."""
        if self.username is not None:
            names.username(self.username)
        for name in ("actor", "action", "session_id", "search"):
            names.field(getattr(self, name) or "", name.replace("_", " "))
