"""The requests that arrived in one turn of the event loop, judged together.

An event loop first reads all connections that have something to read, and then runs what waits to be run. Requests that arrived together
are judged one right after the other, and then answered: the processor finds the code of a verification in its caches, and a client
is looked up once for all of its requests. Each verdict is reached after the last of these requests has arrived: so a revocation
that was committed before a request was sent counts for it.

See docs/glossary.md#turn.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from authctl.door import forward_auth, introspection
from authctl.errors import RegistryUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Protocol

    from authctl.door.answers import Answer
    from authctl.door.application import Door
    from authctl.door.requests import Request

    class Connection(Protocol):
        """The connection of an exchange."""

        loop: AbstractEventLoop

        def respond(self, exchange: Exchange, answer: Answer) -> None:
            """Send the answer."""

        def answer_later(self, exchange: Exchange) -> None:
            """Answer when the registry can be read."""


Judge = Callable[["Door", "Request"], "Answer"]


class AtOnce(NamedTuple):
    """The answer of a route that needs one look-up."""

    judge: Judge
    """The answer without waiting; it raises RegistryUnavailable where it would have to wait."""
    handler: Callable[[Door, Request], Awaitable[Answer]]
    """The answer with waiting."""


AT_ONCE: Mapping[str, AtOnce] = {
    "/introspect": AtOnce(introspection.at_once, introspection.answer),
    "/verify": AtOnce(forward_auth.any_at_once, forward_auth.answer_any),
    "/verify-as": AtOnce(forward_auth.as_at_once, forward_auth.answer_as),
}

_logger = logging.getLogger("authctl.door")

_NO_BLOCK = nullcontext()
_INTROSPECT = (b"/introspect", b"/introspect/")


class _NoEvent:
    """The event of a request that nobody waits for."""

    __slots__ = ()

    def set(self) -> None:
        """Do nothing."""


class Exchange:
    """A request of a route that one look-up answers, and its answer. To uvicorn's protocol it is a cycle of request and response."""

    __slots__ = (
        "begun",
        "connection",
        "disconnected",
        "is_whole",
        "keep_alive",
        "request",
        "response_complete",
        "route",
    )

    message_event = _NoEvent()

    def __init__(self, connection: Connection, request: Request, route: str, *, keep_alive: bool) -> None:
        self.connection = connection
        self.request = request
        self.route = route
        self.keep_alive = keep_alive
        """Whether the connection stays open after the answer."""
        self.begun = perf_counter()
        self.is_whole = False
        """Whether the whole request has arrived."""
        self.disconnected = False
        self.response_complete = False


def route_at_once(path: bytes) -> str | None:
    """The route of a path that one look-up answers; None for another one, or one that is spelled in an unusual way."""
    if path in _INTROSPECT:
        return "/introspect"
    if not path.isascii() or b"#" in path:
        return None
    if path.startswith(b"/verify-as/"):
        return "/verify-as"
    return "/verify" if path.startswith(b"/verify/") or path == b"/verify" else None


def is_usual(route: str, request: Request) -> bool:
    """Whether a request has the usual form: a form with a length, or no body. All others go by ASGI, which refuses most of them."""
    headers = request.headers
    if b"transfer-encoding" in headers or b"upgrade" in headers:
        return False
    if route == "/introspect":
        return request.method == "POST" and request.has_form and not request.announces_too_much
    return headers.get(b"content-length", b"0") == b"0"


class Turns:
    """The requests of one process that wait for the end of the turn in which they arrived."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._waiting: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Answer a request, which is whole now, at the end of this turn."""
        exchange.is_whole = True
        if not self._waiting:
            exchange.connection.loop.call_soon(self._judge)
        self._waiting.append(exchange)

    def _judge(self) -> None:
        waiting, self._waiting = self._waiting, []
        for exchange, answer in zip(waiting, self._answers(waiting), strict=True):
            try:
                if answer is None:
                    exchange.connection.answer_later(exchange)
                else:
                    exchange.connection.respond(exchange, answer)
            except Exception as failure:  # noqa: BLE001  # the others of this turn still get their answers
                _logger.error("an answer could not be sent: %s", type(failure).__name__)  # noqa: TRY400

    def _answers(self, waiting: list[Exchange]) -> list[Answer | None]:
        """The answers to these requests; None for each that has to wait for the registry."""
        door = self._door
        # A snapshot takes as long as a third of a verdict, which one request alone would not save.
        block = door.registry.tokens.together() if len(waiting) > 1 else _NO_BLOCK
        try:
            # Begun now, after all of them arrived: none is judged by what was true before.
            with block:
                return [door.at_once(AT_ONCE[exchange.route].judge, exchange.request) for exchange in waiting]
        except RegistryUnavailable:
            return [None] * len(waiting)
