"""Requests to the door: their headers, and the fields of their form."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from authctl.door.answers import ABANDONED, TOO_LARGE, Answer, error
from authctl.door.settings import REQUEST_BYTES

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

_FORM = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 32


class NoAnswer(Exception):  # it is no failure of the door
    """The request ends here, with that answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Request:
    """One request. Its body is read by `form` alone: forward-auth must never wait for one (nginx announces a body that it does not send)."""

    __slots__ = ("_receive", "client_name", "headers", "is_read", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.headers: dict[bytes, bytes] = {}
        """The headers by their lower-case name."""
        self.is_read = False
        """Whether the whole body was read."""
        self.client_name: str | None = None
        """The name of the client that asked, for the log; None while it is not known."""
        for name, value in scope["headers"]:
            # A second `Authorization` could be meant for another server: joined, neither of them is accepted.
            self.headers[name] = value if name not in self.headers else self.headers[name] + b", " + value

    @property
    def certificate(self) -> str | None:
        """The SHA-256 fingerprint of the TLS certificate that the peer has shown; None without one."""
        state = self.scope.get("state")
        return state.get("certificate") if state else None

    def header(self, name: bytes) -> str | None:
        """The value of a header, in which each byte is a character; None without it."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def form(self) -> dict[str, str]:
        """The fields of the form in the body. Raises NoAnswer for another body, a field that is given twice, or too much of it."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != _FORM:
            raise NoAnswer(error(400, "invalid_request", f"the body must be {_FORM.decode()}"))
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and len(announced) < 10 and int(announced) > REQUEST_BYTES:  # noqa: PLR2004  # digits of a size
            raise NoAnswer(TOO_LARGE)
        body: bytes = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise NoAnswer(ABANDONED)
            body += message.get("body", b"")
            if len(body) > REQUEST_BYTES:
                raise NoAnswer(TOO_LARGE)
            if not message.get("more_body", False):
                self.is_read = True
                return _fields(body)


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form. A blank field counts as absent (RFC 6749, section 3.1)."""
    # Latin-1 has a character for each byte, so that no body fails here; a field with other bytes fails its own check.
    pairs = body.decode("latin-1").split("&")
    if len(pairs) > _MOST_FIELDS:
        raise NoAnswer(error(400, "invalid_request", f"more than {_MOST_FIELDS} fields"))
    fields: dict[str, str] = {}
    for pair in filter(None, pairs):
        name, _, value = pair.partition("=")
        name = _decoded(name)
        if name in fields:
            raise NoAnswer(error(400, "invalid_request", "a field is given twice"))
        fields[name] = _decoded(value)
    return {name: value for name, value in fields.items() if value}


def _decoded(text: str) -> str:
    """A form-encoded text, decoded; most texts here are letters and digits, which need no decoding."""
    return unquote_plus(text) if "%" in text or "+" in text else text
