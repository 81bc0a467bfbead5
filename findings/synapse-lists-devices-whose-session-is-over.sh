#!/bin/sh
# Synapse: a device stays in the list of devices although its session is over by `session_lifetime`.
#
# Expected: a device whose only token has expired is listed no more, or the list gives the end of its session.
# Seen: it stays in the list of devices, with the time of its last use and nothing else, until the user signs in with the same device
# and out again, or somebody deletes it. So with `session_lifetime` a list of devices has those that are signed in and all those that
# ever were; the end has to be computed from the time of the sign-in, which the list does not have.
# With: matrix-synapse 1.163.2.
# Documented: the manual says how long a session "remains valid", and nothing about the list; only `delete_stale_devices_after`,
# which goes by the last use and is off by default, deletes devices.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check matrix-synapse==1.163.2

cat > "$folder/expected" <<'END'
signed in: token accepted, listed: ['PC']
the session is over: token refused, listed: ['PC']
half a minute later: token refused, listed: ['PC']
END
"$folder/python/bin/python" - "$folder" > "$folder/seen" <<'END'
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

folder = Path(sys.argv[1])
with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    port = found.getsockname()[1]
configuration = {
    "server_name": "example.test",
    "report_stats": False,
    "listeners": [{"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "resources": [{"names": ["client"]}]}],
    "database": {"name": "sqlite3", "args": {"database": str(folder / "synapse.db")}},
    "media_store_path": str(folder / "media"),
    "signing_key_path": str(folder / "signing.key"),
    "registration_shared_secret": "made up",
    "trusted_key_servers": [],
    "session_lifetime": "3s",
    "rc_login": {"account": {"per_second": 1000, "burst_count": 1000}, "address": {"per_second": 1000, "burst_count": 1000}},
}
(folder / "homeserver.json").write_text(json.dumps(configuration))
command = [sys.executable, "-m", "synapse.app.homeserver", "--config-path", str(folder / "homeserver.json")]
subprocess.run([*command, "--generate-keys"], check=True, capture_output=True, cwd=folder)
opener = build_opener(ProxyHandler({}))


def ask(method: str, path: str, token: str = "", body: object = None) -> tuple[int, dict]:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(f"http://127.0.0.1:{port}{path}", method=method, data=content, headers=headers)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as refusal:
        return refusal.code, {}


def register(name: str, role: str) -> None:
    nonce = ask("GET", "/_synapse/admin/v1/register")[1]["nonce"]
    signature = hmac.new(b"made up", "\0".join([nonce, name, "made up", role]).encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "made up", "admin": role == "admin", "mac": signature}
    token = ask("POST", "/_synapse/admin/v1/register", body=body)[1]["access_token"]
    assert ask("POST", "/_matrix/client/v3/logout", token, {})[0] == 200


def sign_in(name: str, device: str) -> str:
    user = {"type": "m.id.user", "user": name}
    body = {"type": "m.login.password", "identifier": user, "password": "made up", "device_id": device}
    return ask("POST", "/_matrix/client/v3/login", body=body)[1]["access_token"]


def show(what: str) -> None:
    accepted = ask("GET", "/_matrix/client/v3/account/whoami", alice)[0] == 200
    admin = sign_in("admin", "DESK")
    devices = ask("GET", "/_synapse/admin/v2/users/@alice:example.test/devices", admin)[1]["devices"]
    print(f"{what}: token {'accepted' if accepted else 'refused'}, listed: {[device['device_id'] for device in devices]}")


server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
try:
    until = time.monotonic() + 60
    while True:
        try:
            opener.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except URLError:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.2)
    register("admin", "admin")
    register("alice", "notadmin")
    alice = sign_in("alice", "PC")
    show("signed in")
    time.sleep(4)
    show("the session is over")
    time.sleep(30)
    show("half a minute later")
finally:
    server.terminate()
    server.wait(30)
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
