"""The door as an ASGI application: routes, one registry, and answers that never contain a traceback or a token.

See docs/glossary.md#door.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from authctl.door import (
    forward_auth,
    health,
    introspection,
    metadata,
    metrics,
    refreshing,
    revocation,
    wiping,
)
from authctl.door.access_log import Log
from authctl.door.answers import NOT_FOUND, Answer, error, method_not_allowed, unavailable
from authctl.door.calls import Calls
from authctl.door.client_authentication import Authentication, NamedClients
from authctl.door.requests import NoAnswer, Receive, Request, Scope
from authctl.door.scopes import Scopes
from authctl.door.settings import LOCK_SECONDS, Settings
from authctl.door.turns import Judge, Turns
from authctl.errors import AuthctlError, InvalidInput, RegistryUnavailable
from authctl.model import Client
from authctl.registry import Registry
from authctl.settings import Home, find_home

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[["Door", Request], Awaitable[Answer]]

ROUTES: Mapping[str, tuple[str, Handler]] = {
    "/introspect": ("POST", introspection.answer),
    "/revoke": ("POST", revocation.answer),
    "/token": ("POST", refreshing.answer),
    "/wipe": ("POST", wiping.answer),
    "/.well-known/oauth-authorization-server": ("GET", metadata.answer),
    "/health": ("GET", health.ready),
    "/health/ready": ("GET", health.ready),
    "/health/live": ("GET", health.live),
    "/metrics": ("GET", metrics.answer),
}
"""The routes with one method, each with or without a slash at its end: a redirect would become a GET without the token."""

PREFIXES: Mapping[str, Handler] = {"verify": forward_auth.answer_any, "verify-as": forward_auth.answer_as}
"""The first parts of paths below which everything is one route, by any method."""

_logger = logging.getLogger("authctl.door")


class Door:
    """One process of the door. Opened by the server's start-up, closed by its shutdown."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home: Home = find_home(settings.home, settings.registry, settings.keys)
        self.registry = Registry.open(
            settings.home,
            registry=settings.registry,
            keys=settings.keys,
            # decision 251: clients give up after ten seconds; a revocation waits for two such timeouts
            lock_timeout=LOCK_SECONDS,
            warn=_logger.warning,
        )
        self.registry.now()
        self.scopes = Scopes(self.registry.profiles)  # a registry that cannot be read is found here, at the start
        self.calls = Calls()
        self.client = Authentication(self.registry.clients.by_id).client
        self.named = NamedClients(self.registry.clients)
        self.metrics = metrics.Metrics()
        self.turns = Turns(self)
        self._log = Log(settings.access_log)

    def close(self) -> None:
        """Let the running operations end, write the waiting uses, and close the registry."""
        self.calls.close()
        self.registry.close()

    def actor(self, client: Client) -> str:
        """The actor of the operations of a client."""
        return f"client {client.name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the server's life span (ASGI 3)."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        begun, request = perf_counter(), Request.of_asgi(scope, receive)
        route, handler = _route(scope["path"], request.method)
        answer = await self.outcome(handler, request)
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(request, answer)})
        # The answer to HEAD is that to GET, without its body: HAProxy asks so.
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})
        self.count(request, route, answer.status, begun)
        return None

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.close()
        await send({"type": "lifespan.shutdown.complete"})

    def count(self, request: Request, route: str, status: int, begun: float) -> None:
        """Count a request that was answered, and write its line of the log. `begun` is its `perf_counter`."""
        seconds = perf_counter() - begun
        self.metrics.count(route, status, seconds)
        self._log.write(request, route, status, seconds)

    def at_once(self, judge: Judge, request: Request) -> Answer | None:
        """The answer of a route that needs one look-up, for a request that was read; None where it has to wait for the registry."""
        try:
            return judge(self, request)
        except RegistryUnavailable:
            return None
        except Exception as end:  # noqa: BLE001  # the boundary, as below
            return _answer_to(end)

    async def outcome(self, handler: Handler, request: Request) -> Answer:
        """The answer of a route. An error in it becomes an answer, too."""
        try:
            return await handler(self, request)
        except Exception as end:  # noqa: BLE001  # the boundary: nobody sees a traceback, which may contain a token
            return _answer_to(end)


def _answer_to(end: Exception) -> Answer:
    """The answer to a request that ended with an exception."""
    if isinstance(end, NoAnswer):
        return end.answer
    if isinstance(end, InvalidInput):
        return error(400, "invalid_request", end.message)
    if isinstance(end, AuthctlError):
        _logger.warning("%s", end)
        return unavailable()
    _logger.error("unexpected failure: %s", type(end).__name__)
    return unavailable("the request could not be answered")


def _route(path: str, method_of_request: str) -> tuple[str, Handler]:
    """The name of a request's route, and its handler."""
    route = path if path in ROUTES else path.rstrip("/")
    if route in ROUTES:
        method, handler = ROUTES[route]
        allowed = method_of_request == method or (method == "GET" and method_of_request == "HEAD")
        return route, handler if allowed else _refuse_method(method)
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return (f"/{first}", PREFIXES[first]) if first in PREFIXES else ("other", _not_found)


def _refuse_method(allowed: str) -> Handler:
    async def refuse(door: Door, request: Request) -> Answer:  # noqa: ARG001  # as every route has it
        return method_not_allowed(allowed)

    return refuse


async def _not_found(door: Door, request: Request) -> Answer:  # noqa: ARG001  # as every route has it
    return NOT_FOUND


def _headers(request: Request, answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer. After a body that nobody read, the connection ends: the next request would begin with its bytes."""
    headers = answer.all_headers()
    if request.body is not None:
        return headers
    announced = request.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in request.headers
    if announced and (b"connection", b"close") not in headers:
        headers.append((b"connection", b"close"))
    return headers
