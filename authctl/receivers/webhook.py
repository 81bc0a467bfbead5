"""A webhook: each message is posted as JSON, with a signature over time and body.

`Authctl-Signature: t=UNIX,v1=HEX` has the HMAC-SHA-256 of `t.body` with the shared secret, in the form that the field uses.

See docs/glossary.md#verdict.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from authctl.errors import ReceiverUnavailable
from authctl.files import read_private
from authctl.model.deliveries import DeliveryState
from authctl.receivers.http_posts import Answer, Posts
from authctl.receivers.messages import Message, Verdict, excerpt

if TYPE_CHECKING:
    from authctl.receivers.fields import WrittenWebhook

_SHORTEST_SECRET = 16
_GONE = 410
_REFUSED = (400, 409, 413, 422)


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The value of the signature's header for a body that is sent at that Unix time."""
    return f"t={at},v1={hmac.digest(secret, b'%d.%s' % (at, body), 'sha256').hex()}"


@dataclass(slots=True)
class Webhook:
    """`Channel` over posts of signed JSON."""

    written: WrittenWebhook
    timeout: float
    batch: int = 100
    is_complete: bool = True

    def send(self, messages: Sequence[Message]) -> Iterator[Verdict]:
        """As `Channel.send`."""
        secret = read_private(Path(self.written.secret_file), "webhook secret").strip()
        if len(secret) < _SHORTEST_SECRET:
            raise ReceiverUnavailable(
                f"the secret in {self.written.secret_file} is shorter than {_SHORTEST_SECRET} bytes"
            )
        until = monotonic() + self.timeout
        with closing(Posts(self.written.url, self.written.ca_file, self.timeout)) as posts:
            for message in messages:
                body = message.line
                yield _verdict(message, posts.post(body, _headers(secret, body)))
                # The lease of the batch must not end while it is sent: the rest is sent in the next batch.
                if monotonic() > until:
                    return


def _headers(secret: bytes, body: bytes) -> dict[str, str]:
    signed = signature(secret, int(time()), body)
    return {"Content-Type": "application/json", "User-Agent": "authctl", "Authctl-Signature": signed}


def _verdict(message: Message, answer: Answer) -> Verdict:
    """The verdict of a status: delivered, session unknown, or refused for ever; any other status means to send again."""
    if 200 <= answer.status < 300:  # noqa: PLR2004
        return Verdict(message.jti, DeliveryState.DELIVERED)
    if answer.status == _GONE:
        return Verdict(message.jti, DeliveryState.GONE, f"HTTP {_GONE}")
    # Only statuses about the message itself: 401, 404 or 500 concern settings or the server, and may change.
    state = DeliveryState.REFUSED if answer.status in _REFUSED else DeliveryState.PENDING
    body = excerpt(answer.body.decode(errors="replace"))
    return Verdict(message.jti, state, f"HTTP {answer.status}{f': {body}' if body else ''}")
