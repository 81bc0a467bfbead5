"""Receivers: list those of `receivers.yaml`, and test one.

See docs/glossary.md#receiver.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import receivers
from authctl.errors import ReceiverUnavailable
from authctl.model.deliveries import DeliveryState
from authctl.receivers import Receiver
from authctl.receivers.messages import Message
from authctl.registry.installation import Installation

if TYPE_CHECKING:
    from authctl.receivers.messages import Verdict

VERIFICATION = "verification"
"""The event of a test, which no decision has."""


class Verification(NamedTuple):
    """The answer of a receiver to a verification event."""

    receiver: str
    jti: str
    at: int
    state: str
    """`pending` where the receiver gave no verdict, or wants the event again."""
    reason: str | None

    @property
    def ok(self) -> bool:
        """Whether the receiver took the event, or answered that it does not know its subject."""
        return self.state in (DeliveryState.DELIVERED, DeliveryState.GONE)

    @property
    def answer(self) -> str:
        """The answer in words."""
        word = "it answered" if self.ok else "it did not take the event"
        return f"{word}: {self.reason}" if self.reason else word


class Receivers:
    """The receivers of an installation, as `receivers.yaml` has them now."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def list(self) -> Sequence[Receiver]:
        """All receivers, in the order of the file; none where there is no file. Raises InvalidFile, RegistryUnavailable."""
        return list(self.by_name().values())

    def show(self, name: str) -> Receiver:
        """The receiver of a name. Raises NotFound, and as `list`."""
        return receivers.find(self.by_name(), name)

    def by_name(self) -> Mapping[str, Receiver]:
        """The receivers by folded name. Raises as `list`."""
        file = self._installation.home.receivers
        return receivers.load_file(file) if file.exists() else {}

    def key(self) -> Mapping[str, Any]:
        """The public key that verifies pushed tokens, as a JSON Web Key Set; the key is made where there is none yet.

        Raises ReceiverUnavailable where joserfc is not installed, RegistryUnavailable where the key is open to others.
        """
        from authctl.receivers import push_key

        return push_key.published(push_key.load_or_create(self._installation.home.push_key))

    def test(self, name: str) -> Verification:
        """Send a verification event to a receiver, which concerns no session and no user; nothing is recorded. Raises as `show`."""
        receiver = self.show(name)
        now = self._installation.clock.now()
        message = _verification(now)
        try:
            channel = receiver.open(self._installation.home.push_key)
            verdict = next((answer for answer in channel.send([message]) if answer.jti == message.jti), None)
        except ReceiverUnavailable as error:
            return Verification(receiver.name, message.jti, now, DeliveryState.PENDING, error.message)
        return _outcome(receiver, message, now, verdict)


def _verification(now: int) -> Message:
    from authctl.instants import format_instant

    fields: dict[str, Any] = dict.fromkeys(("note", "source", "source_id", "session", "username", "revocation_id"))
    jti = os.urandom(16).hex()
    head = {"jti": jti, "event": VERIFICATION, "at": format_instant(now), "actor": "authctl"}
    return Message(jti, head | fields, now, 0)


def _outcome(receiver: Receiver, message: Message, now: int, verdict: Verdict | None) -> Verification:
    if verdict is None:
        return Verification(receiver.name, message.jti, now, DeliveryState.PENDING, "no verdict")
    return Verification(receiver.name, message.jti, now, verdict.state, verdict.reason)
