#!/bin/sh
# JupyterHub: the deletion of one token by its id deletes all tokens that this user has for the same OAuth application.
#
# Expected: `DELETE /users/alice/tokens/a5` deletes the token a5, as it does for tokens that a user made.
# Seen: alice is signed in to an application in two browsers, and has a token for each, with an id and a session of its own. The
# deletion of the first, answered with 204 and without a body, ends the second one too. Whoever lists tokens as sessions cannot end
# one of them alone; the sign-out in one browser does. A token that the user made for a script stays.
# With: JupyterHub 6.1.1.
# Documented: otherwise; the REST API has "Delete (revoke) a token by id" and "The token has been deleted".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check jupyterhub==6.1.1

cat > "$folder/expected" <<'END'
listed: script, browser 1, browser 2
browser 1 signed out: script, browser 2
listed: script, browser 2, browser 3
the token of browser 2 deleted: script
tokens accepted: script
END
cat > "$folder/config.py" <<'END'
import os

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    should_start = False
    routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.routes)


c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = c.JupyterHub.hub_bind_url = os.environ["HUB"]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = {"alice"}
c.JupyterHub.services = [
    {"name": "lister", "api_token": "made-up-token-of-lister"},
    {
        "name": "wiki",
        "url": os.environ["HUB"],
        "api_token": "made-up-token-of-wiki",
        "oauth_client_id": "service-wiki",
        "oauth_redirect_uri": "http://127.0.0.1/back",
        "oauth_no_confirm": True,
    },
]
c.JupyterHub.load_roles = [
    {"name": "lister", "services": ["lister"], "scopes": ["tokens"]},
    {"name": "user", "scopes": ["self", "access:services"]},
]
END
"$folder/python/bin/python" - "$folder" > "$folder/seen" <<'END'
import json
import os
import socket
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from urllib.error import URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, ProxyHandler, Request, build_opener

with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    hub = f"http://127.0.0.1:{found.getsockname()[1]}"


class EveryStatus(HTTPErrorProcessor):
    def http_response(self, request, response):
        return response


class Client:
    def __init__(self):
        self.cookies = CookieJar()
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.cookies), EveryStatus)

    def ask(self, method, path, token=None, body=None, form=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = json.dumps(body).encode() if body else urlencode(form).encode() if form else None
        with self.opener.open(Request(hub + path, method=method, data=content, headers=headers), timeout=30) as answer:
            return answer.status, answer.headers, answer.read()


def browser(number):
    visitor = Client()
    visitor.ask("GET", "/hub/login")
    guard = next(cookie.value for cookie in visitor.cookies if cookie.name == "_xsrf")
    visitor.ask("POST", "/hub/login", form={"username": "alice", "password": "any", "_xsrf": guard})
    application = {"client_id": "service-wiki", "redirect_uri": "http://127.0.0.1/back"}
    query = urlencode({**application, "response_type": "code"})
    address = visitor.ask("GET", f"/hub/api/oauth2/authorize?{query}")[1]["Location"]
    code = parse_qs(urlsplit(address).query)["code"][0]
    form = {**application, "client_secret": "made-up-token-of-wiki", "grant_type": "authorization_code", "code": code}
    answer = json.loads(visitor.ask("POST", "/hub/api/oauth2/token", form=form)[2])
    remember(f"browser {number}", answer["access_token"])
    return visitor


def remember(name, token):
    names[json.loads(client.ask("GET", "/hub/api/user", token)[2])["token_id"]] = name
    tokens[name] = token


def listed():
    rows = json.loads(client.ask("GET", "/hub/api/users/alice/tokens", "made-up-token-of-lister")[2])["api_tokens"]
    return ", ".join(names[row["id"]] for row in sorted(rows, key=lambda row: row["created"]))


names, tokens, client = {}, {}, Client()
command = [sys.executable, "-m", "jupyterhub", "--config", "config.py"]
process = subprocess.Popen(
    command, cwd=sys.argv[1], env={**os.environ, "HUB": hub}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
try:
    until = time.monotonic() + 60
    while True:
        try:
            if client.ask("GET", "/hub/health")[0] == 200:
                break
        except URLError:
            pass
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    made = client.ask("POST", "/hub/api/users/alice/tokens", "made-up-token-of-lister", body={"note": "script"})
    remember("script", json.loads(made[2])["token"])
    first, second = browser(1), browser(2)
    print("listed:", listed())
    first.ask("GET", "/hub/logout")
    print("browser 1 signed out:", listed())
    browser(3)
    print("listed:", listed())
    ident = next(ident for ident, name in names.items() if name == "browser 2")
    assert client.ask("DELETE", f"/hub/api/users/alice/tokens/{ident}", "made-up-token-of-lister")[0] == 204
    print("the token of browser 2 deleted:", listed())
    accepted = [name for name, token in tokens.items() if client.ask("GET", "/hub/api/user", token)[0] == 200]
    print("tokens accepted:", ", ".join(accepted))
finally:
    process.terminate()
    process.wait(30)
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
