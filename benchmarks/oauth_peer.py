"""The introspection view of django-oauth-toolkit over SQLite: a peer of `door.py`, run by the interpreter of .venv-peers."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only for the benchmark",  # noqa: S106
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={"SCOPES": {"introspection": "ask"}},
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["AUTHCTL_PEER_DATABASE"],
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from oauth2_provider.views import IntrospectTokenView  # noqa: E402

urlpatterns = [path("introspect", IntrospectTokenView.as_view())]


def fill(tokens: int) -> None:
    """Make the database. The secret of the client is kept as it is: hashing it would cost far more than all else."""
    from django.contrib.auth.models import User
    from oauth2_provider.models import AccessToken, Application

    call_command("migrate", verbosity=0)
    client = Application.objects.create(
        client_id="client",
        client_secret="secret",  # noqa: S106
        hash_client_secret=False,
        client_type="confidential",
        authorization_grant_type="client-credentials",
    )
    until = datetime.now(UTC) + timedelta(days=1)
    for number in range(tokens):
        user = User.objects.create(username=f"user{number}")
        AccessToken.objects.create(
            user=user, token=f"token{number}", application=client, expires=until, scope="introspection"
        )


def application() -> Any:
    """The application."""
    return get_wsgi_application()
