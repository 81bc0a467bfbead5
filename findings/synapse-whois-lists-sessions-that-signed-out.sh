#!/bin/sh
# Synapse: `whois`, the list of the active sessions of a user, lists connections of devices that signed out.
#
# Expected: after a user signed out everywhere, no session of that user is listed.
# Seen: the device is gone from the list of devices, and its token is refused, but `whois` goes on listing its connection, with the
# time of its last use, for 28 days (`user_ips_max_age`). The connections stand under one key, an empty text, so that it cannot be
# found out which of them belong to a device that is still there. The list of devices is the one that tells who is signed in.
# With: matrix-synapse 1.163.2.
# Documented: otherwise; the admin API calls it "information about the active sessions for a specific user".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check matrix-synapse==1.163.2

cat > "$folder/expected" <<'END'
signed in: token accepted, 1 device, connections {'': 1}
signed out: token refused, 0 devices, connections {'': 1}
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


def register(name: str, role: str) -> str:
    nonce = ask("GET", "/_synapse/admin/v1/register")[1]["nonce"]
    signature = hmac.new(b"made up", "\0".join([nonce, name, "made up", role]).encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "made up", "admin": role == "admin", "mac": signature}
    return ask("POST", "/_synapse/admin/v1/register", body=body)[1]["access_token"]


def show(what: str) -> None:
    accepted = ask("GET", "/_matrix/client/v3/account/whoami", alice)[0] == 200
    devices = ask("GET", "/_synapse/admin/v2/users/@alice:example.test/devices", admin)[1]["total"]
    whois = ask("GET", "/_synapse/admin/v1/whois/@alice:example.test", admin)[1]["devices"]
    connections = {name: sum(len(one["connections"]) for one in whois[name]["sessions"]) for name in whois}
    print(f"{what}: token {'accepted' if accepted else 'refused'}, {devices} device{'s' * (devices != 1)}, connections {connections}")


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
    admin, alice = register("admin", "admin"), register("alice", "notadmin")
    show("signed in")
    assert ask("POST", "/_matrix/client/v3/logout", alice, {})[0] == 200
    time.sleep(7)  # uses are written to the database every five seconds
    show("signed out")
finally:
    server.terminate()
    server.wait(30)
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
