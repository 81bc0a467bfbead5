"""A site in Django behind the middleware; its settings are made here."""

import os
from typing import Any

import django
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only-for-tests",
        MIDDLEWARE=["authctl.adapters.django.BearerMiddleware"],
        LOGGING_CONFIG=None,
        # of the server that a test starts
        AUTHCTL={"application": "Outlook", "source": os.environ.get("AUTHCTL_TEST_SITE")},
    )
    django.setup()


def me(request: HttpRequest) -> JsonResponse:
    """Answer with the user."""
    return JsonResponse({"user": request.authctl_session.username, "process": os.getpid()})


async def me_too(request: HttpRequest) -> JsonResponse:
    """Answer with the user, in the event loop."""
    return JsonResponse({"user": request.authctl_session.username})


@login_not_required
def sign_in(request: HttpRequest) -> JsonResponse:
    """Answer without a session."""
    return JsonResponse({"page": "sign in"})


urlpatterns = [path("app/me", me), path("app/me-too", me_too), path("sign-in", sign_in)]


def client(source: Any, **options: Any) -> Client:
    """A client of a site with that registry."""
    settings.AUTHCTL = {"application": "Outlook", "source": source} | options
    made = Client()
    made.handler.load_middleware()
    return made


def async_client(source: Any) -> AsyncClient:
    """The same of a site that runs in an event loop."""
    settings.AUTHCTL = {"application": "Outlook", "source": source}
    made = AsyncClient()
    made.handler.load_middleware(is_async=True)
    return made


def application() -> WSGIHandler:
    """The site as a server runs it."""
    return WSGIHandler()
