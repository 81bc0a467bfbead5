"""The decisions that receivers are told, and the choices of deliveries in a filter of sessions.

A module of its own, since every revocation imports it.

See docs/glossary.md#announcement.
"""

from enum import StrEnum


class Event(StrEnum):
    """A decision that receivers are told."""

    SESSION_REVOKED = "session-revoked"
    SESSION_ENDED = "session-ended"
    SESSION_WIPED = "session-wiped"
    USER_DISABLED = "user-disabled"
    USER_ENABLED = "user-enabled"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  # the name of an event


class DeliveryChoice(StrEnum):
    """The deliveries by which sessions are selected."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"


STATES_OF_CHOICE: dict[str, tuple[str, ...]] = {
    DeliveryChoice.PENDING: ("pending",),
    DeliveryChoice.DELIVERED: ("delivered", "gone"),
    DeliveryChoice.REFUSED: ("refused", "dead"),
}
"""The states of each choice. `gone` counts as delivered: a receiver that does not know the session has nothing to do."""
