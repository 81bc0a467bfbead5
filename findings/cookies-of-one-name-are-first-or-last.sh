#!/bin/sh
# Two cookies of one name in a request: four of ten frameworks take the first, six the last.
#
# Expected: one rule, at least within Python; the natural one is the first, since a browser sends the cookie of the longest path first
# (RFC 6265, section 5.4), which is the one that is meant for the place.
# Seen: Werkzeug (Flask), Falcon, Sanic, and cookie (Express) take the first; Django, Starlette (FastAPI), aiohttp, Tornado, Bottle and
# Litestar take the last. When an application moves its session cookie from / to /app, the browser keeps the old one beside the new one:
# those that take the last read the old session at each request, and signing in again does not help. If it moves from /app to /, those
# that take the first do. So the old cookie has to be deleted with its old path and domain, or the new one needs another name.
# With: Werkzeug 3.1.9, Falcon 4.4.0, Sanic 25.12.1, cookie 1.1.1; Django 5.2.19, Starlette 1.10.0, aiohttp 3.14.5, Tornado 6.6.1,
# Bottle 0.13.4, Litestar 2.25.0.
# Documented: by Falcon (the first), and by Sanic, which has `getlist`. The others speak of a dictionary with the cookies.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check Werkzeug==3.1.9 falcon==4.4.0 sanic==25.12.1 Django==5.2.19 \
    starlette==1.10.0 aiohttp==3.14.5 tornado==6.6.1 bottle==0.13.4 litestar==2.25.0
cd "$folder"
npm install --silent --no-audit --no-fund cookie@1.1.1

cat > expected <<'END'
Werkzeug: of /app
Falcon: of /app
Sanic: of /app
Django: of /
Starlette: of /
aiohttp: of /
Tornado: of /
Bottle: of /
Litestar: of /
cookie: of /app
END
{
    python/bin/python -W ignore - <<'END'
import bottle
import django
import falcon
import falcon.testing
import litestar
import sanic.request
import starlette.requests
import tornado.httputil
import werkzeug.wrappers
from aiohttp.test_utils import make_mocked_request
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from sanic import Sanic
from sanic.compat import Header

settings.configure()
django.setup()
# what a browser sends to /app that has a cookie for /app and one for /
COOKIES = "session=of-app; session=of-root"
NAMES = {"of-app": "of /app", "of-root": "of /"}


class Connection:
    context = None


environ = falcon.testing.create_environ(path="/app", headers={"Cookie": COOKIES})
headers = [(b"cookie", COOKIES.encode())]
scope = {"type": "http", "method": "GET", "path": "/app", "query_string": b"", "headers": headers}

READ = {
    "Werkzeug": lambda: werkzeug.wrappers.Request(environ).cookies["session"],
    "Falcon": lambda: falcon.Request(environ).cookies["session"],
    "Sanic": lambda: sanic.request.Request(
        b"/app", Header({"cookie": COOKIES}), "1.1", "GET", None, Sanic("application")
    ).cookies.get("session"),
    "Django": lambda: WSGIRequest(environ).COOKIES["session"],
    "Starlette": lambda: starlette.requests.Request(scope).cookies["session"],
    "aiohttp": lambda: make_mocked_request("GET", "/app", headers={"Cookie": COOKIES}).cookies["session"],
    "Tornado": lambda: tornado.httputil.HTTPServerRequest(
        "GET", "/app", headers=tornado.httputil.HTTPHeaders({"Cookie": COOKIES}), connection=Connection
    ).cookies["session"].value,
    "Bottle": lambda: bottle.BaseRequest(environ).get_cookie("session"),
    "Litestar": lambda: litestar.Request(scope).cookies["session"],
}


for name, read in READ.items():
    print(f"{name}: {NAMES[read()]}")
END
    node --input-type=module - <<'END'
import { parseCookie } from "cookie";

const NAMES = { "of-app": "of /app", "of-root": "of /" };
console.log(`cookie: ${NAMES[parseCookie("session=of-app; session=of-root").session]}`);
END
} > seen
cat seen
diff expected seen
echo "as described"
