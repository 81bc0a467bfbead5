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

from authctl.model.audit import AuditEvent, NewEvent, Place

FIRST_PREV_HASH = "0" * 64

# A detail as it is stored, sorted and without blanks: the hash is over the text, so that the same detail must always give the same text.
_detail_text = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_array_text = json.JSONEncoder(separators=(",", ":")).encode


def new_event(
    *, at: int, actor: str, action: str, subject: str | None, note: str | None, detail: dict[str, Any]
) -> NewEvent:
    """The event without its place, for a store that appends it by itself."""
    text = _detail_text(detail)
    whole = _hashed(0, at, actor, action, subject, note, text, "")
    # "[0" and '"]' at the ends are the number, and the end of the hash of the event before
    return NewEvent(at, actor, action, subject, note, text, whole[2:-2])


def placed(event: NewEvent, place: Place) -> AuditEvent:
    """The event at its place in the chain, with the hash that the store computed."""
    return AuditEvent(place.seq, *event[:6], place.prev_hash, place.hash)


def follow(previous: AuditEvent | None, event: NewEvent) -> AuditEvent:
    """The event that follows `previous`, with its hash."""
    seq, prev_hash = (previous.seq + 1, previous.hash) if previous else (1, FIRST_PREV_HASH)
    return placed(event, Place(seq, prev_hash, _hash_of(f'[{seq}{event.hashed}{prev_hash}"]')))


def digest(event: AuditEvent) -> str:
    """The hash that an event must have, in hexadecimal."""
    return _hash_of(_hashed(*event[:8]))


def _hashed(*fields: Any) -> str:
    """The text of an event whose hash is taken: its fields from `seq` to `prev_hash`."""
    # A JSON array keeps the fields apart: joined texts could move a letter from the note to the subject unnoticed.
    return _array_text(fields)


def _hash_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


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
