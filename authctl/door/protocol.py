"""Limits that uvicorn's protocols do not have: the size of a request's head, and the time that a request may take.

A client that stops in the middle of a request occupies no thread, and its connection is closed after `REQUEST_SECONDS`.
"""

import asyncio
import hashlib
from time import monotonic
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from authctl.door.answers import ABANDONED, Answer
from authctl.door.application import Door
from authctl.door.requests import Request, joined
from authctl.door.settings import REQUEST_BYTES, REQUEST_SECONDS
from authctl.door.turns import AT_ONCE, Exchange, is_usual, route_at_once

_SWEEP_SECONDS = 1.0
_LAST_SECONDS = 1.0
"""How long a process that ends waits for a request on its idle connections."""
_LAST = b"\r\ncontent-length: 0\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _LAST
_NO_REQUEST = b"HTTP/1.1 400 Bad Request" + _LAST


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

    def write_whole(self, data: bytes) -> None:
        """Send the bytes of a whole answer."""
        self._flush()
        self._transport.write(data)

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
        self._door: Door = self.app  # what `DoorFactory` makes
        self._turns = self._door.turns
        self._begun_at: float | None = None
        """When the request began that is under way; None between two requests."""
        self._idle_since = 0.0
        """When the latest answer was sent."""
        self._is_leaving = False
        """Whether the process ends: the next answer is the last one of this connection."""
        self._head_bytes: int | None = 0
        """The bytes of the head so far; None once it is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: the first request is awaited from now on."""
        super().connection_made(transport)
        self._writes = _JoinedWrites(transport, self.loop)
        self.transport = self._writes  # type: ignore[assignment]  # the same methods
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
        self._feed(data)
        if self._head_bytes is not None and self._head_bytes > REQUEST_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview | None = data
        try:
            while rest is not None:
                rest = self._parse(rest)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """Parse bytes. None when all are parsed; else those behind a head that offers another protocol, which is parsed without the offer."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":
                return None
            # decision 316: the parser leaves out the body of such a request, and stops
            head = _head_without_offer(self.parser, self.url, self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            self.parser.feed_data(head)
            return memoryview(data)[offer.args[0] :]
        return None

    def on_message_begin(self) -> None:
        """Begin a request. The values of ASGI are made later, for the requests that need them."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Begin to answer. Raises ValueError, which the parser passes on, for a head that is too large."""
        received = self._head_bytes  # None for a request that came with the one before
        if (received is None or received > REQUEST_BYTES) and self._head_size() > REQUEST_BYTES:
            raise ValueError("the head is too large")
        if self._is_offer():
            return
        self._head_bytes = None
        exchange = self._exchange()
        if exchange is None:
            self._begin_by_asgi()
        else:
            self.cycle = exchange  # type: ignore[assignment]  # uvicorn uses the attributes that both have
        if self._is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def _begin_by_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()

    def _exchange(self) -> Exchange | None:
        """The exchange of a request that one look-up answers, and that has nothing unusual; None for any other request."""
        before = self.cycle
        if (before is not None and not before.response_complete) or self.expect_100_continue or self.flow.write_paused:
            return None
        path = self.url.partition(b"?")[0]
        route = route_at_once(path)
        if route is None:
            return None
        method = self.parser.get_method().decode("ascii")
        request = Request(method, path, joined(self.headers), self.client, self.app_state.get("certificate"))
        if not is_usual(route, request):
            return None
        request.body = b""
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        return Exchange(self, request, route, keep_alive=keep_alive)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, which is as long as the head announced: not too long."""
        cycle: object = self.cycle
        if isinstance(cycle, Exchange):
            cycle.request.body = (cycle.request.body or b"") + body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, and can be judged."""
        cycle: object = self.cycle
        if self._is_offer():
            return
        if isinstance(cycle, Exchange):
            self._turns.add(cycle)
        else:
            super().on_message_complete()

    def _is_offer(self) -> bool:
        """Whether the parser has taken a request for the beginning of another protocol (RFC 9110, section 7.8)."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def answer_later(self, exchange: Exchange) -> None:
        """Answer a request that has to wait for the registry."""
        task = self.loop.create_task(self._answer_later(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer_later(self, exchange: Exchange) -> None:
        self.respond(exchange, await self._door.outcome(AT_ONCE[exchange.route].handler, exchange.request))

    def respond(self, exchange: Exchange, answer: Answer) -> None:
        """Send the answer of an exchange, and begin the next request of the connection."""
        exchange.response_complete = True
        # Before it is sent: whoever has the answer finds it counted.
        self._door.count(exchange.request, exchange.route, answer.status, exchange.begun)
        if not self.transport.is_closing():
            lines = [STATUS_LINE[answer.status]]
            lines += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
            lines.append(answer.header_lines())
            if not exchange.keep_alive:
                lines.append(b"connection: close\r\n")
            # The answer to HEAD is that to GET, without its body: HAProxy asks so.
            lines += b"\r\n", b"" if exchange.request.method == "HEAD" else answer.body
            self._writes.write_whole(b"".join(lines))
            if not exchange.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # as uvicorn calls it
        """Answer bytes that are no request."""
        if self._head_bytes is not None and self._head_bytes > REQUEST_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            self._refuse(_NO_REQUEST)

    def _refuse(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()

    def on_response_complete(self) -> None:
        """The answer was sent: the next request may come. As uvicorn does it, but the sweep watches over idle connections."""
        self._begun_at, self._head_bytes = None, 0
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._begun_at = monotonic()
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone. A request that it left in the middle is counted as ASGI's would be."""
        cycle: object = self.cycle
        if isinstance(cycle, Exchange) and not cycle.response_complete and not cycle.is_whole:
            cycle.response_complete = True
            self._door.count(cycle.request, cycle.route, ABANDONED.status, cycle.begun)
        super().connection_lost(exc)

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

    def sweep(self, now: float) -> None:
        """Cut the connection off if the request that is under way takes too long; close it if none came for a while."""
        if self._begun_at is not None:
            if now - self._begun_at > REQUEST_SECONDS:
                self.transport.abort()
        elif now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()


def _head_without_offer(parser: Any, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request without `Upgrade`, which the door does not follow: it answers as to any other request."""
    version: str = parser.get_http_version()
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            kept = [option for option in value.split(b",") if option.strip().lower() != b"upgrade"]
            lines.append(b"connection: " + b",".join(kept))
        elif name != b"upgrade":
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])


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
        if isinstance(connection, DoorProtocol):
            connection.sweep(now)
    if state.connections:
        _keep_sweeping(state, loop)
