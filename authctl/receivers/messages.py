"""Messages to receivers, and their verdicts.

A message is the JSON object that a command or webhook gets; a push makes a Security Event Token of it.

See docs/glossary.md#verdict.
"""

import json
from typing import Any, NamedTuple

from authctl.model.deliveries import DeliveryState
from authctl.visible_text import visible

LONGEST_REASON = 300


class Message(NamedTuple):
    """The message of one delivery to its receiver."""

    jti: str
    fields: dict[str, Any]
    at: int
    txn: int
    """The audit event of the decision."""

    @property
    def line(self) -> bytes:
        """The message as one line of JSON in ASCII, without its line end."""
        return json.dumps(self.fields).encode()


class Verdict(NamedTuple):
    """The answer of a receiver to one message."""

    jti: str
    state: DeliveryState
    """PENDING for a message that will be sent again."""
    reason: str | None = None


_STATES = {
    "done": DeliveryState.DELIVERED,
    "gone": DeliveryState.GONE,
    "retry": DeliveryState.PENDING,
    "refuse": DeliveryState.REFUSED,
}


def read_verdict(line: bytes) -> Verdict | None:
    """The verdict in one line of JSON; None for a line that is none."""
    try:
        answer = json.loads(line)
    # A receiver is outside software: deeply nested JSON must not stop the delivery of the other messages.
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("jti"), str):
        return None
    word = answer.get("verdict")
    state = _STATES.get(word) if isinstance(word, str) else None
    return None if state is None else Verdict(answer["jti"], state, excerpt(answer.get("reason")))


def excerpt(reason: Any) -> str | None:
    """The beginning of a foreign text that gives a reason, in one line; None for anything else, and for a blank one."""
    if not isinstance(reason, str):
        return None
    return visible(" ".join(reason[: 4 * LONGEST_REASON].split()))[:LONGEST_REASON] or None
