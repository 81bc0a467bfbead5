#!/bin/sh
# Django, sessions in signed cookies: "remember me for 30 days" ends after 14, and the session itself tells 30 until then.
#
# Expected: `set_expiry` decides how long this session lasts, as with every other engine; the browser gets a cookie of 30 days.
# Seen: the browser does, and `get_expiry_age` has 30 days. But the signature is checked against SESSION_COOKIE_AGE (14 days by default),
# whatever the session says, and a cookie that is older is an empty session. A form that sets the expiry by a check box works in each
# test that is shorter than two weeks. SESSION_COOKIE_AGE has to be the longest expiry that is ever set.
# With: Django 5.2.19.
# Documented: no; the manual describes `set_expiry` for all engines, and the section on cookie-based sessions has no word of it. A comment
# in the source does (ticket 19201, of 2012).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check Django==5.2.19

cat > "$folder/expected" <<'END'
db, set_expiry of 30 days: cookie of 30 days
db, day 13: alice, ends in 30 days if it is used
db, day 15: alice, ends in 30 days if it is used
signed_cookies, set_expiry of 30 days: cookie of 30 days
signed_cookies, day 13: alice, ends in 30 days if it is used
signed_cookies, day 15: anonymous, ends in 14 days if it is used
END
"$folder/python/bin/python" -W ignore > "$folder/seen" <<'END'
import time
from datetime import datetime
from unittest.mock import patch

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

DAY = 86_400
START = 1_800_000_000
settings.configure(
    SECRET_KEY="a made-up secret of some length",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
)
django.setup()


def sign_in(request):
    request.session["user"] = "alice"
    request.session.set_expiry(30 * DAY)
    return HttpResponse()


def show(request):
    days = request.session.get_expiry_age() // DAY
    return HttpResponse(f"{request.session.get('user', 'anonymous')}, ends in {days} days if it is used")


urlpatterns = [path("sign-in", sign_in), path("show", show)]

from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

call_command("migrate", verbosity=0)


def at(day):
    """The clocks that Django reads, so many days after the sign-in."""
    now = datetime.fromtimestamp(START + day * DAY, timezone.get_fixed_timezone(0))
    return patch.multiple(time, time=lambda: START + day * DAY), patch.object(timezone, "now", lambda: now)


for engine in ("db", "signed_cookies"):
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        browser = Client()
        clock, zone = at(0)
        with clock, zone:
            cookie = browser.get("/sign-in").cookies["sessionid"]
        print(f"{engine}, set_expiry of 30 days: cookie of {cookie['max-age'] // DAY} days")
        for day in (13, 15):
            clock, zone = at(day)
            with clock, zone:
                print(f"{engine}, day {day}: {browser.get('/show').content.decode()}")
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
