"""Limits that uvicorn's protocols do not have: the size of a request's head, and the time that a request may take.

A client that stops in the middle of a request occupies no thread, and its connection is closed after `REQUEST_SECONDS`.
"""

import asyncio
import hashlib
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authctl.door.settings import REQUEST_BYTES, REQUEST_SECONDS

_SWEEP_SECONDS = 1.0
_LAST_SECONDS = 1.0
"""How long a process that ends waits for a request on its idle connections."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"


class _JoinedWrites:
    """A transport that sends the head of an answer together with its body: each write is a system call, and a packet."""

    __slots__ = ("_kept", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes with those of the next write; if there is none in this turn of the event loop, alone."""
        # decision 265: uvicorn writes head and body one after the other, each as a system call and a packet
        if self._kept is None:
            self._kept = data
            self._loop.call_soon(self._flush)
        else:
            kept, self._kept = self._kept, None
            self._transport.write(kept + data)

    def close(self) -> None:
        """Send the kept bytes, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            self._transport.write(kept)


class DoorProtocol(HttpToolsProtocol):
    """One connection, with its limits, and with the certificate of its peer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._begun_at: float | None = None
        """When the request began that is under way; None between two requests."""
        self._is_leaving = False
        """Whether the process ends: the next answer is the last one of this connection."""
        self._head_bytes: int | None = 0
        """The bytes of the head so far; None once it is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: the first request is awaited from now on."""
        super().connection_made(transport)
        self.transport = _JoinedWrites(transport, self.loop)  # type: ignore[assignment]  # the same methods
        self._begun_at = monotonic()
        certificate = _fingerprint(transport)
        if certificate is not None:
            self.app_state = {**self.app_state, "certificate": certificate}
        _keep_sweeping(self.server_state, self.loop)

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes, and give up on a head that is too large."""
        if self._head_bytes is not None:
            if self._begun_at is None:
                self._begun_at = monotonic()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > REQUEST_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """Begin to answer. Raises ValueError, which the parser passes on, for a head that is too large."""
        received = self._head_bytes  # None for a request that came with the one before
        if (received is None or received > REQUEST_BYTES) and self._head_size() > REQUEST_BYTES:
            raise ValueError("the head is too large")
        self._head_bytes = None
        super().on_headers_complete()
        if self._is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request."""
        if self._head_bytes is not None and self._head_bytes > REQUEST_BYTES:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def on_response_complete(self) -> None:
        """The answer was sent: the next request may come."""
        self._begun_at, self._head_bytes = None, 0
        super().on_response_complete()

    def shutdown(self) -> None:
        """End after the answer that is under way, or after the next one. An idle connection may have a request on its way already.

        uvicorn closes an idle connection at once, and a client whose request was on its way gets no answer.
        """
        # decision 260: a request that is on its way would get no answer, which a proxy shows to users as an error
        self._is_leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LAST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def is_overdue(self, now: float) -> bool:
        """Whether the request that is under way takes too long."""
        return self._begun_at is not None and now - self._begun_at > REQUEST_SECONDS


def _fingerprint(transport: asyncio.Transport) -> str | None:
    """The SHA-256 fingerprint of the certificate that the peer has shown; None without one."""
    connection = transport.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection else None
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def _keep_sweeping(state: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Look at all connections of a process once a second, as long as there are any."""
    if getattr(state, "authctl_sweep", None) is None:
        state.authctl_sweep = loop.call_later(_SWEEP_SECONDS, _sweep, state, loop)


def _sweep(state: Any, loop: asyncio.AbstractEventLoop) -> None:
    # decision 252: one sweep a second over all connections, instead of a timer each
    state.authctl_sweep = None
    now = monotonic()
    for connection in list(state.connections):
        if isinstance(connection, DoorProtocol) and connection.is_overdue(now):
            connection.transport.abort()
    if state.connections:
        _keep_sweeping(state, loop)
