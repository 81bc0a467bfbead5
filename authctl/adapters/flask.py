"""Flask: `Bearer` before each request of an application or a blueprint, or around a single view.

The session is in `flask.g.authctl_session`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response, current_app, g, json, request

from authctl.adapters.guard import Guard, Refusal, Source
from authctl.model import Request

Facts = Callable[[], Request]
View = TypeVar("View", bound=Callable[..., Any])


class Bearer:
    """Lets in the requests whose token is valid. `facts` returns further facts of the present request, such as the platform."""

    def __init__(
        self, source: Source = None, *, application: str, cookie: str | None = None, facts: Facts | None = None
    ) -> None:
        self.guard = Guard(source, application, cookie)
        self._facts = facts

    def check(self) -> Response | None:
        """Put the session on the present request, or return the answer that refuses it: for `before_request`."""
        facts = _facts() | (self._facts() if self._facts else {})
        outcome = self.guard.judge(request.headers.get("Authorization"), request.headers.get("Cookie"), **facts)
        if isinstance(outcome, Refusal):
            return Response(json.dumps(outcome.content), outcome.status, outcome.headers, "application/json")
        g.authctl_session = outcome
        return None

    def required(self, view: View) -> View:
        """A view, with this check before it; `@bearer.required` stands below `@app.route`."""

        @wraps(view)
        def checked(*arguments: Any, **named: Any) -> Any:
            refusal = self.check()
            return current_app.ensure_sync(view)(*arguments, **named) if refusal is None else refusal

        return checked  # type: ignore[return-value]  # the same call


def _facts() -> Request:
    """The address and the page of a request, as the server gives them."""
    return Request(ip=request.remote_addr, referrer=request.headers.get("Referer"))
