"""Django: `BearerMiddleware` lets in the requests whose token is valid, except those to views with `login_not_required`.

In the settings, `AUTHCTL` is a dictionary: `application`; `source`, an open registry or its home; `cookie` and `facts` where they are
wanted. The session is in `request.authctl_session`.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.deprecation import MiddlewareMixin

from authctl.adapters.guard import Guard, Refusal
from authctl.model import Request

_KNOWN = {"application", "source", "cookie", "facts"}


class BearerMiddleware(MiddlewareMixin):  # type: ignore[misc]  # Django has no types
    """Checks each request before its view. Django runs `process_view` in a thread where the server has an event loop."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        options: dict[str, Any] = dict(getattr(settings, "AUTHCTL", {}))
        if "application" not in options or options.keys() - _KNOWN:
            raise ImproperlyConfigured(f"AUTHCTL needs `application`, and may have {', '.join(sorted(_KNOWN))}")
        self._facts: Callable[[HttpRequest], Request] | None = options.pop("facts", None)
        self.guard = Guard(options.get("source"), options["application"], options.get("cookie"))

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_arguments: Any) -> HttpResponse | None:
        """Put the session on a request, or return the answer that refuses it."""
        if not getattr(view, "login_required", True):
            return None
        facts = _facts(request) | (self._facts(request) if self._facts else {})
        outcome = self.guard.judge(request.headers.get("Authorization"), request.headers.get("Cookie"), **facts)
        if isinstance(outcome, Refusal):
            return JsonResponse(outcome.content, status=outcome.status, headers=outcome.headers)
        request.authctl_session = outcome
        return None


def _facts(request: HttpRequest) -> Request:
    """The address and the page of a request, as the server gives them."""
    return Request(ip=request.META.get("REMOTE_ADDR"), referrer=request.headers.get("Referer"))
