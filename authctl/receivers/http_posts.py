"""HTTP posts to one server, over one connection: TLS verified, no redirect followed, and a limit on the time of each."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Timer
from time import time
from typing import NamedTuple
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
            # The server may have closed a connection that was kept: the message has its id, so that it may come twice.
            if not is_kept:
                raise
            self.close()
            return self._once(body, headers)

    def _once(self, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, bytes]:
        if self._connection.sock is None:
            self._connection.connect()
        with self._limited_time():
            self._connection.request("POST", self._path, body, dict(headers))
            response = self._connection.getresponse()
            content = response.read(_LONGEST_ANSWER + 1)
        if len(content) > _LONGEST_ANSWER:
            self.close()
        return response, content[:_LONGEST_ANSWER]

    @contextmanager
    def _limited_time(self) -> Iterator[None]:
        """Cut the connection off after the time limit: the socket's own limit begins anew with each byte of a slow answer."""
        descriptor = socket.socket(fileno=socket.dup(self._connection.sock.fileno()))
        is_late = []

        def cut_off() -> None:
            is_late.append(True)
            with suppress(OSError):
                descriptor.shutdown(socket.SHUT_RDWR)

        timer = Timer(self._timeout, cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, HTTPException, ValueError):
            if not is_late:
                raise
        finally:
            timer.cancel()
            descriptor.close()
        # An answer that was cut off in its body is read without an error.
        if is_late:
            raise TimeoutError(f"no answer within {self._timeout:g} s")


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
