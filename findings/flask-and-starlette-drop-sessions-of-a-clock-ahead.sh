#!/bin/sh
# Flask and Starlette: a session that another machine wrote is dropped if that machine's clock is ahead, be it by two milliseconds.
#
# Expected: two machines behind a load balancer, synchronized by NTP, accept each other's sessions.
# Seen: the cookie has the second in which it was signed. One whose second is still to come counts as expired, so that 2 ms suffice at the
# end of a second. The user who has just signed in is anonymous at the next request. Writing to that empty session, for a visit counter or
# a CSRF token, replaces the cookie, and the sign-in is lost for good. There is no setting for a tolerance. Django, with sessions in
# signed cookies, accepts the same.
# With: itsdangerous 2.2.0, Flask 3.1.3, Starlette 1.10.0; Django 5.2.19.
# Documented: in none of the manuals on sessions; itsdangerous has `max_age` for what is older.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check itsdangerous==2.2.0 Flask==3.1.3 starlette==1.10.0 \
    httpx==0.28.1 Django==5.2.19

cat > "$folder/expected" <<'END'
Flask, the same clock: alice, then alice
Flask, signed 2 ms ahead: anonymous, a second later alice
Flask, signed 2 ms ahead, and a counter is written: anonymous, a second later anonymous
Starlette, the same clock: alice, then alice
Starlette, signed 2 ms ahead: anonymous, a second later alice
Starlette, signed 2 ms ahead, and a counter is written: anonymous, a second later anonymous
Django, signed 2 ms ahead: alice
END
"$folder/python/bin/python" -W ignore > "$folder/seen" <<'END'
import time
from unittest.mock import patch

import django
import flask
from django.conf import settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

SECRET = "a made-up secret of some length"
HERE = 1_800_000_000.999
AHEAD = 1_800_000_001.001

application = flask.Flask("application")
application.secret_key = SECRET


@application.get("/sign-in")
def sign_in():
    flask.session["user"] = "alice"
    return ""


@application.get("/read")
def read():
    return flask.session.get("user", "anonymous")


@application.get("/count")
def count():
    flask.session["visits"] = flask.session.get("visits", 0) + 1
    return flask.session.get("user", "anonymous")


async def starlette_sign_in(request):
    request.session["user"] = "alice"
    return PlainTextResponse("")


async def starlette_read(request):
    return PlainTextResponse(request.session.get("user", "anonymous"))


async def starlette_count(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(request.session.get("user", "anonymous"))


routes = [Route("/sign-in", starlette_sign_in), Route("/read", starlette_read), Route("/count", starlette_count)]
other = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key=SECRET)])


def get(browser, path, at):
    with patch.object(time, "time", lambda: at):
        return browser.get(path).text


for name, make in (("Flask", application.test_client), ("Starlette", lambda: TestClient(other))):
    browser = make()
    get(browser, "/sign-in", HERE)
    print(f"{name}, the same clock: {get(browser, '/read', HERE)}, then {get(browser, '/read', HERE + 1)}")
    for path, action in (("/read", ""), ("/count", ", and a counter is written")):
        browser = make()
        get(browser, "/sign-in", AHEAD)
        first = get(browser, path, HERE)
        print(f"{name}, signed 2 ms ahead{action}: {first}, a second later {get(browser, '/read', HERE + 1)}")

settings.configure(SECRET_KEY=SECRET, SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
django.setup()
from django.contrib.sessions.backends.signed_cookies import SessionStore

with patch.object(time, "time", lambda: AHEAD):
    session = SessionStore()
    session["user"] = "alice"
    session.save()
with patch.object(time, "time", lambda: HERE):
    print("Django, signed 2 ms ahead:", SessionStore(session.session_key).get("user", "anonymous"))
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
