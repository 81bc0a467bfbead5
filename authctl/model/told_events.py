"""The decisions that receivers can be told.

A module of its own, since every revocation imports it.

See docs/glossary.md#announcement.
"""

from enum import StrEnum


class Event(StrEnum):
    """The decisions that receivers can be told."""

    SESSION_REVOKED = "session-revoked"
    SESSION_ENDED = "session-ended"
    SESSION_WIPED = "session-wiped"
    USER_DISABLED = "user-disabled"
    USER_ENABLED = "user-enabled"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  # the name of an event
