"""Starlette and FastAPI: `BearerMiddleware` for an application or a mount, `Bearer` as the dependency of single routes.

The session is in `request.state.authctl_session`. The event loop is never blocked.
"""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from authctl.adapters.guard import Guard, Refusal, Source
from authctl.model import Request, Session

Facts = Callable[[HTTPConnection], Request]


class Bearer:
    """A dependency of FastAPI: the session of a request. Plain Starlette has the middleware below. `facts` returns further facts of it, such as the platform."""

    def __init__(
        self, source: Source = None, *, application: str, cookie: str | None = None, facts: Facts | None = None
    ) -> None:
        self.guard = Guard(source, application, cookie)
        self._facts = facts

    async def __call__(self, request: HTTPConnection) -> Session:
        """The session of a request. Raises HTTPException where it is not let in."""
        outcome = await self.judge(request)
        if isinstance(outcome, Refusal):
            raise HTTPException(outcome.status, outcome.content, outcome.headers)  # type: ignore[arg-type]  # FastAPI has JSON
        return outcome

    async def judge(self, request: HTTPConnection) -> Session | Refusal:
        """The session of a request, which is put there, or the refusal."""
        authorization = ", ".join(request.headers.getlist("authorization")) or None
        cookies = "; ".join(request.headers.getlist("cookie"))
        facts = _facts(request) | (self._facts(request) if self._facts else {})
        outcome = (
            self.guard.judge_at_once(authorization, cookies, **facts)
            if self.guard.is_open
            else await run_in_threadpool(self.guard.judge, authorization, cookies, **facts)
        )
        if isinstance(outcome, Refusal):
            return await self._delivered(outcome, authorization, cookies, facts)
        request.state.authctl_session = outcome
        return outcome

    async def _delivered(
        self, refusal: Refusal, authorization: str | None, cookies: str, facts: Request
    ) -> Session | Refusal:
        """The refusal. That its order was delivered is recorded in a thread, since it may wait."""
        if not refusal.is_order:
            return refusal
        return await run_in_threadpool(self.guard.judge, authorization, cookies, **facts)


class BearerMiddleware:
    """Lets in the requests and web sockets whose token is valid. Around a whole application or a `Mount`."""

    def __init__(
        self,
        app: ASGIApp,
        source: Source = None,
        *,
        application: str,
        cookie: str | None = None,
        facts: Facts | None = None,
    ) -> None:
        self._app = app
        self._bearer = Bearer(source, application=application, cookie=cookie, facts=facts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] in ("http", "websocket"):
            outcome = await self._bearer.judge(HTTPConnection(scope))
            if isinstance(outcome, Refusal):
                await _refuse(outcome, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})  # the server answers 403
    else:
        await JSONResponse(refusal.content, refusal.status, refusal.headers)(scope, receive, send)


def _facts(request: HTTPConnection) -> Request:
    """The address and the page of a request, as the server gives them."""
    return Request(ip=request.client.host if request.client else None, referrer=request.headers.get("referer"))
