"""HTTP posts to one server, over one connection: TLS verified, no redirect followed, and a limit on the time of each."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from time import monotonic, time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from authctl.errors import ReceiverUnavailable, reason
from authctl.receivers.messages import excerpt

_LONGEST_ANSWER = 65_536
_BUSY = (429, 503)


class Answer(NamedTuple):
    """The answer to a post."""

    status: int
    body: bytes


class Posts:
    """The connection to one server, and the posts over it."""

    def __init__(self, url: str, ca_file: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout
        self._connection = _connection(parts.scheme, parts.hostname or "", parts.port, ca_file, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body. Raises ReceiverUnavailable where there is no answer, or one that the server is busy."""
        try:
            response, content = self._answered(body, headers)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise ReceiverUnavailable(_reason(error)) from None
        if response.status in _BUSY:
            raise ReceiverUnavailable(f"HTTP {response.status}", _retry_after(response.getheader("Retry-After")))
        return Answer(response.status, content)

    def _answered(self, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, bytes]:
        is_kept = self._connection.sock is not None
        try:
            return self._once(body, headers)
        except (ConnectionError, HTTPException):
            # The server may have closed a kept connection. Sending again is safe: the receiver knows the id of the message.
            if not is_kept:
                raise
            self.close()
            return self._once(body, headers)

    def _once(self, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, bytes]:
        connection, until = self._connection, monotonic() + self._timeout
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(self._timeout)  # for sending; the answer has a limit of its own
        connection.response_class = partial(_limited_response, until, self._timeout)  # type: ignore[assignment]
        connection.request("POST", self._path, body, dict(headers))
        response = connection.getresponse()
        content = response.read(_LONGEST_ANSWER + 1)
        # The rest of a long answer would be read as the next answer on this connection.
        if len(content) > _LONGEST_ANSWER:
            self.close()
        return response, content[:_LONGEST_ANSWER]


def _limited_response(until: float, timeout: float, sock: socket.socket, *given: Any, **named: Any) -> HTTPResponse:
    """A response that is read until an instant."""
    return HTTPResponse(_Limited(sock, until, timeout), *given, **named)  # type: ignore[arg-type]


class _Limited:
    """A socket whose answer is read until an instant: the limit of the socket itself begins anew with each byte of a slow answer."""

    def __init__(self, sock: socket.socket, until: float, timeout: float) -> None:
        self._sock = sock
        self._until = until
        self._timeout = timeout

    def makefile(self, _mode: str) -> BufferedReader:
        """The answer, to be read."""
        return BufferedReader(_LimitedReading(self._sock, self._until, self._timeout))


class _LimitedReading(RawIOBase):
    """The bytes of an answer that come in time."""

    def __init__(self, sock: socket.socket, until: float, timeout: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", 0)
        self._until = until
        self._timeout = timeout

    def readable(self) -> bool:
        """As for every answer."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As for any file. Raises TimeoutError."""
        left = self._until - monotonic()
        if left > 0:
            self._sock.settimeout(left)
            with suppress(TimeoutError):
                return self._raw.readinto(buffer)
        raise TimeoutError(f"no answer within {self._timeout:g} s")

    def close(self) -> None:
        """Give the socket back to its connection."""
        self._raw.close()
        super().close()


def _connection(scheme: str, host: str, port: int | None, ca_file: str | None, timeout: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=timeout)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ReceiverUnavailable(f"cannot read the certificates in {ca_file}: {reason(error)}") from None
    return HTTPSConnection(host, port, timeout=timeout, context=context)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, TimeoutError) and error.strerror is None:
        return excerpt(str(error)) or "no answer in time"
    text = reason(error) if isinstance(error, OSError) else str(error)
    return excerpt(f"{text}") or type(error).__name__


def _retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header; None without one, and for one that cannot be read."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None
