"""The events of the audit log, and the actions that they can have."""

from typing import NamedTuple


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


class NewEvent(NamedTuple):
    """An event without its place in the chain; a store that appends it computes the hashes of `audit_chain.digest`."""

    at: int
    actor: str
    action: str
    subject: str | None
    note: str | None
    detail: str
    """A JSON object as text."""
    hashed: str
    """The text that is hashed between its number and the hash of the event before it."""


class Place(NamedTuple):
    """The place of an event in the chain."""

    seq: int
    prev_hash: str
    hash: str


ACTIONS = tuple(
    sorted(
        [
            "audit.accept",
            "cache.clear",
            "cleanup.done",
            "cleanup.run",
            "client.add",
            "client.remove",
            "client.rotate",
            "clock.accept",
            "continuity.end",
            "continuity.start",
            "delivery.drop",
            "delivery.give_up",
            "delivery.retry",
            "delivery.run",
            "import.undo",
            "key.retire",
            "key.rotate",
            "profile.apply",
            "profile.done",
            "receiver.change",
            "registry.give_up_move",
            "registry.init",
            "registry.move",
            "registry.restore",
            "session.end",
            "session.import",
            "session.issue",
            "session.revoke",
            "token.refresh",
            "token.reuse",
            "user.disable",
            "user.enable",
            "user.password",
            "wipe.delivered",
            "wipe.done",
        ]
    )
)
"""Every action that an event can have."""
