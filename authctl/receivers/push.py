"""Push of Security Event Tokens (RFC 8417) by HTTP (RFC 8935)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from authctl.errors import ReceiverUnavailable
from authctl.files import read_private
from authctl.instants import SECOND
from authctl.model.deliveries import DeliveryState
from authctl.receivers import push_key
from authctl.receivers.http_posts import Answer, Posts
from authctl.receivers.messages import Message, Verdict, excerpt
from authctl.receivers.security_events import claims, verification

if TYPE_CHECKING:
    from authctl.receivers.fields import WrittenReceiver

_ACCEPTED = (200, 202, 204)
_BAD_REQUEST = 400
_OF_THE_TOKEN = ("invalid_request",)
"""The error codes of RFC 8935 that concern this one token; all others concern keys and settings, which can be mended."""


@dataclass(slots=True)
class Push:
    """`Channel` over posts of Security Event Tokens."""

    written: WrittenReceiver
    key_file: Path
    timeout: float
    batch: int = 100
    is_complete: bool = True

    def send(self, messages: Sequence[Message]) -> Iterator[Verdict]:
        """As `Channel.send`."""
        written, push = self.written, self.written.push
        assert push is not None
        assert written.issuer is not None
        assert written.audience is not None
        key = push_key.load(self.key_file)
        headers = _headers(push.token_file)
        until = monotonic() + self.timeout
        with closing(Posts(push.url, push.ca_file, self.timeout)) as posts:
            for message in messages:
                token = push_key.sign(key, _claims(message, written.issuer, written.audience))
                yield _verdict(message, posts.post(token.encode(), headers))
                # The lease of the batch must not end while it is sent: the rest is sent in the next batch.
                if monotonic() > until:
                    return


def _claims(message: Message, issuer: str, audience: list[str]) -> dict[str, Any]:
    now = int(time()) * SECOND
    if message.fields["event"] == "verification":
        return verification(message.jti, issuer, audience, now)
    return claims(message, issuer, audience, now)


def _headers(token_file: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/secevent+jwt", "Accept": "application/json", "User-Agent": "authctl"}
    if token_file is not None:
        token = read_private(Path(token_file), "bearer token").strip()
        if not token or not token.isascii() or any(sign <= 32 for sign in token):  # noqa: PLR2004
            raise ReceiverUnavailable(f"there is no bearer token in {token_file}")
        headers["Authorization"] = f"Bearer {token.decode()}"
    return headers


def _verdict(message: Message, answer: Answer) -> Verdict:
    if answer.status in _ACCEPTED:
        return Verdict(message.jti, DeliveryState.DELIVERED)
    code, description = _error(answer) if answer.status == _BAD_REQUEST else (None, None)
    text = f"HTTP {answer.status}" + "".join(f": {part}" for part in (code, description) if part)
    # decision 243: all other answers concern keys, settings or the network, which an administrator can correct
    if code in _OF_THE_TOKEN:
        return Verdict(message.jti, DeliveryState.REFUSED, text)
    return Verdict(message.jti, DeliveryState.PENDING, text)


def _error(answer: Answer) -> tuple[str | None, str | None]:
    """The error code and the description in an answer as RFC 8935, section 2.3, has it."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None, None
    return (excerpt(body.get("err")), excerpt(body.get("description"))) if isinstance(body, dict) else (None, None)
