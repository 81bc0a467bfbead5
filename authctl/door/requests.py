"""Requests to the door: their headers, and the fields of their form."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
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
    """One request. Its body is read by `read` alone: forward-auth must never wait for one (nginx announces a body that it does not send)."""

    __slots__ = ("_receive", "body", "certificate", "client_name", "headers", "method", "path", "peer")

    def __init__(
        self,
        method: str,
        path: bytes,
        headers: Mapping[bytes, bytes],
        peer: tuple[str, int] | None,
        certificate: str | None,
        receive: Receive | None = None,
    ) -> None:
        self.method = method
        self.path = path
        """The path as it was sent, percent-encoded, without the query string."""
        self.headers = headers
        """The headers by their lower-case name."""
        self.peer = peer
        """Address and port of the peer; None behind a Unix socket."""
        self.certificate = certificate
        """The SHA-256 fingerprint of the TLS certificate that the peer has shown; None without one."""
        self.body: bytes | None = None
        """The whole body; None while it was not read."""
        self.client_name: str | None = None
        """The name of the client that asked, for the log; None while it is not known."""
        self._receive = receive

    @classmethod
    def of_asgi(cls, scope: Scope, receive: Receive) -> "Request":
        """A request as ASGI describes it."""
        state = scope.get("state") or {}
        path = scope.get("raw_path") or scope["path"].encode()
        return cls(
            scope["method"],
            path,
            joined(scope["headers"]),
            scope.get("client"),
            state.get("certificate"),
            receive,
        )

    def header(self, name: bytes) -> str | None:
        """The value of a header, in which each byte is a character; None without it."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def has_form(self) -> bool:
        """Whether the headers announce a form."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == _FORM

    @property
    def announces_too_much(self) -> bool:
        """Whether the headers announce a body that is larger than one may be, or a length that is no number."""
        announced = self.headers.get(b"content-length", b"0")
        # The number of digits first: Python refuses to convert very long numbers.
        return len(announced) > len(str(REQUEST_BYTES)) or not announced.isdigit() or int(announced) > REQUEST_BYTES

    async def read(self) -> None:
        """Wait for the whole body. Raises NoAnswer for a body that is no form, too large, or does not come."""
        if self.body is not None:
            return
        if not self.has_form:
            raise NoAnswer(error(400, "invalid_request", f"the body must be {_FORM.decode()}"))
        if self.announces_too_much:
            raise NoAnswer(TOO_LARGE)
        assert self._receive is not None
        body: bytes = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise NoAnswer(ABANDONED)
            body += message.get("body", b"")
            if len(body) > REQUEST_BYTES:
                raise NoAnswer(TOO_LARGE)
            if not message.get("more_body", False):
                self.body = body
                return

    def form(self) -> dict[str, str]:
        """The fields of the form in the body, which was read. Raises NoAnswer for a field that is given twice, or too many of them."""
        assert self.body is not None
        return _fields(self.body)


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by their name. One that is given twice has both values."""
    by_name: dict[bytes, bytes] = {}
    for name, value in headers:
        # A second `Authorization` could be meant for another server: joined, neither of them is accepted.
        by_name[name] = value if name not in by_name else by_name[name] + b", " + value
    return by_name


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
