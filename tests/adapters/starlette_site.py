"""An application in Starlette behind the middleware."""

import os
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from authctl.adapters.starlette import BearerMiddleware


async def me(request: Request) -> JSONResponse:
    """Answer with the user."""
    return JSONResponse({"user": request.state.authctl_session.username, "process": os.getpid()})


async def sign_in(request: Request) -> JSONResponse:
    """Answer without a session."""
    return JSONResponse({"page": "sign in"})


async def talk(socket: WebSocket) -> None:
    """Say who is there."""
    await socket.accept()
    await socket.send_text(socket.state.authctl_session.username)
    await socket.close()


def application(source: Any, **options: Any) -> Starlette:
    """An application whose part below `/app` needs a token."""
    guard = Middleware(BearerMiddleware, source, **({"application": "Outlook"} | options))
    inner = [Route("/me", me), WebSocketRoute("/talk", talk)]
    return Starlette(routes=[Mount("/app", routes=inner, middleware=[guard]), Route("/sign-in", sign_in)])
