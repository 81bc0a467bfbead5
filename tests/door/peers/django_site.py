"""A resource server with django-oauth-toolkit, as a program: PORT DOOR ID SECRET FOLDER. It runs in the environment of the peers."""

import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

port, door, client_id, secret, folder = sys.argv[1:]
settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder) / "django.db")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={
        "RESOURCE_SERVER_INTROSPECTION_URL": f"{door}/introspect",
        "RESOURCE_SERVER_INTROSPECTION_CREDENTIALS": (client_id, secret),
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from oauth2_provider.decorators import protected_resource  # noqa: E402


@protected_resource()
def orders(request):
    """Who asks, as the door has told it."""
    owner = request.resource_owner
    return JsonResponse({"user": owner and owner.get_username()})


urlpatterns = [
    path("orders", orders),
    path("orders/read", protected_resource(scopes=["orders.read"])(orders.__wrapped__)),
    path("orders/cancel", protected_resource(scopes=["orders.cancel"])(orders.__wrapped__)),
]
call_command("migrate", verbosity=0)
with make_server("127.0.0.1", int(port), get_wsgi_application()) as server:
    server.serve_forever()
