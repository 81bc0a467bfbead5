#!/bin/sh
# JupyterHub: the id of a deleted token is given again to the next token, of whatever user.
#
# Expected: the id of a token, by which it is shown and deleted, stands for that token for ever.
# Seen: with the database that is there by default (SQLite), an id is the number of a row, and the highest number is free again when its
# row is deleted. So two listings, one a day later, show "a3 of alice" twice for two tokens, and an order to delete the first token
# that arrives late deletes the second. Only `created` tells them apart. A sign-out frees numbers as well: the browser's tokens go.
# With: JupyterHub 6.1.1, SQLite.
# Documented: no; the REST API has "The id of the API token. Used for modifying or deleting the token."
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check jupyterhub==6.1.1

cat > "$folder/expected" <<'END'
alice makes a token: a2, first
it is deleted: 204
bob makes a token: a2
it is deleted: 204
alice makes a token: a2, second
created later: True
an order for the first token, carried out late: 204
alice has: []
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
c.Authenticator.allowed_users = {"alice", "bob"}
c.JupyterHub.services = [{"name": "lister", "api_token": "made-up-token-of-lister"}]
c.JupyterHub.load_roles = [{"name": "lister", "services": ["lister"], "scopes": ["tokens"]}]
END
"$folder/python/bin/python" - "$folder" > "$folder/seen" <<'END'
import json
import os
import socket
import subprocess
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    hub = f"http://127.0.0.1:{found.getsockname()[1]}"
opener = build_opener(ProxyHandler({}))


def ask(method, path, token=None, body=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = json.dumps(body).encode() if body else None
    try:
        with opener.open(Request(hub + path, method=method, data=content, headers=headers), timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as refusal:
        return refusal.code, None


LISTER = "made-up-token-of-lister"


def make(name, note):
    return ask("POST", f"/hub/api/users/{name}/tokens", LISTER, {"note": note})[1]


def delete(name, ident):
    return ask("DELETE", f"/hub/api/users/{name}/tokens/{ident}", LISTER)[0]


command = [sys.executable, "-m", "jupyterhub", "--config", "config.py"]
process = subprocess.Popen(
    command, cwd=sys.argv[1], env={**os.environ, "HUB": hub}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
try:
    until = time.monotonic() + 60
    while True:
        try:
            if ask("GET", "/hub/health")[0] == 200:
                break
        except URLError:
            pass
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    first = make("alice", "first")
    print(f"alice makes a token: {first['id']}, {first['note']}")
    print("it is deleted:", delete("alice", first["id"]))
    bobs = make("bob", "")
    print("bob makes a token:", bobs["id"])
    print("it is deleted:", delete("bob", bobs["id"]))
    second = make("alice", "second")
    print(f"alice makes a token: {second['id']}, {second['note']}")
    print("created later:", second["created"] > first["created"])
    print("an order for the first token, carried out late:", delete("alice", first["id"]))
    print("alice has:", ask("GET", "/hub/api/users/alice/tokens", LISTER)[1]["api_tokens"])
finally:
    process.terminate()
    process.wait(30)
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
