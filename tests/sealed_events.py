"""Audit events in their place in the chain, for tests that need a chain without a registry, or another one than the registry's."""

from typing import Any

from authctl.audit_chain import follow, new_event
from authctl.model import AuditEvent


def seal_event(
    previous: AuditEvent | None,
    *,
    at: int,
    actor: str,
    action: str,
    subject: str | None,
    note: str | None,
    detail: dict[str, Any],
) -> AuditEvent:
    """The event that follows `previous`, with its hash."""
    return follow(previous, new_event(at=at, actor=actor, action=action, subject=subject, note=note, detail=detail))
