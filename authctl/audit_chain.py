"""The audit chain: every event carries the hash of the one before it, from the first event on.

Pure: events in, events or a verdict out. An event's hash is SHA-256 over the JSON array
`[seq, at, actor, action, subject, note, detail, prev_hash]`, ASCII, no blanks; `at` in microseconds, `detail` as
the text that is stored. The first event follows sixty-four zeros.

See docs/glossary.md#audit-chain.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from authctl.model import AuditEvent

FIRST_PREV_HASH = "0" * 64


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
    # Sorted and without blanks: the hash is over the text, so that the same detail must always give the same text.
    text = json.dumps(detail, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    seq, prev_hash = (previous.seq + 1, previous.hash) if previous else (1, FIRST_PREV_HASH)
    event = AuditEvent(seq, at, actor, action, subject, note, text, prev_hash, "")
    return event._replace(hash=digest(event))


def digest(event: AuditEvent) -> str:
    """The hash that an event must have, in hexadecimal."""
    # A JSON array keeps the fields apart: joined texts could move a letter from the note to the subject unnoticed.
    fields = [event.seq, event.at, event.actor, event.action, event.subject, event.note, event.detail, event.prev_hash]
    return sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


class Verifier:
    """A verification of the chain, event by event; `bad` is the fault of the first bad event."""

    def __init__(self) -> None:
        self.last: AuditEvent | None = None
        self.bad: str | None = None

    def verify_events(self, events: Iterable[AuditEvent]) -> bool:
        """Follow some more events; False as soon as one does not fit."""
        for event in events:
            self.bad = self._fault(event)
            if self.bad is not None:
                return False
            self.last = event
        return True

    def _fault(self, event: AuditEvent) -> str | None:
        expected = self.last.seq + 1 if self.last else 1
        if event.seq != expected:
            return f"event {expected} is missing"
        if event.prev_hash != (self.last.hash if self.last else FIRST_PREV_HASH):
            return f"event {event.seq} does not follow the one before it"
        if not _matches(event):
            return f"event {event.seq} was changed"
        return None


def _matches(event: AuditEvent) -> bool:
    try:
        # A row may hold a value of another type if it was changed by hand: json.dumps raises TypeError then.
        return digest(event) == event.hash
    except (TypeError, ValueError):
        return False
