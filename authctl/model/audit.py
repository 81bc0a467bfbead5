"""What the audit log holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditEvent:
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
