"""Synapse, a Matrix server: started in a folder, with users, devices that sign in and out, and listings of devices."""

import hashlib
import hmac
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from tests.ports import free_port
from tests.real_systems.listings import Listing
from tests.real_systems.programs import Program, python_of
from tests.real_systems.web import Client

DOMAIN = "example.test"
LISTER = "lister"
"""The administrator who takes the listings, and has one device for that."""

ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
SECRET = "made up for this test"
GENEROUS = {"per_second": 1_000, "burst_count": 1_000}
LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"output": {"class": "logging.StreamHandler"}},
    "root": {"level": "WARNING", "handlers": ["output"]},
}


def configuration(folder: Path, port: int) -> dict:
    """A server that talks to this machine only, with a database in the folder."""
    return {
        "server_name": DOMAIN,
        "report_stats": False,
        "listeners": [
            {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "resources": [{"names": ["client"]}]}
        ],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "synapse.db")}},
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "log_config": str(folder / "log.json"),
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": SECRET,
        "form_secret": SECRET,
        "trusted_key_servers": [],
        "bcrypt_rounds": 4,
        "rc_login": {"address": GENEROUS, "account": GENEROUS, "failed_attempts": GENEROUS},
    }


def user_id(name: str) -> str:
    """The name of a user as Matrix writes it."""
    return f"@{name}:{DOMAIN}"


def password_of(name: str) -> str:
    """The password of a user, which is made up."""
    return f"made up for {name}"


class Synapse:
    """A server that runs, with one administrator."""

    def __init__(self, folder: Path) -> None:
        python = str(python_of("synapse"))
        port = free_port()
        (folder / "log.json").write_text(json.dumps(LOG))
        (folder / "homeserver.json").write_text(json.dumps(configuration(folder, port)))
        command = [python, "-m", "synapse.app.homeserver", "--config-path", str(folder / "homeserver.json")]
        subprocess.run([*command, "--generate-keys"], cwd=folder, check=True, capture_output=True)
        self.client = Client(port)
        self.program = Program(command, folder)
        self.program.wait_until(lambda: self.client.answers("/health"))

    def prepare(self, *names: str) -> None:
        """Create the administrator who takes listings, and users who have no device yet."""
        self._register_administrator()
        self.token = self.sign_in(LISTER, "LISTER")
        for name in names:
            self._administer("PUT", f"/v2/users/{quote(user_id(name))}", {"password": password_of(name)})

    def _register_administrator(self) -> None:
        nonce = self.client.ask("GET", f"{ADMIN}/v1/register").json["nonce"]
        parts = [nonce, LISTER, password_of(LISTER), "admin"]
        signature = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        names = ("nonce", "username", "password")
        body = {**dict(zip(names, parts, strict=False)), "admin": True, "mac": signature}
        token = self.client.ask("POST", f"{ADMIN}/v1/register", body=body).json["access_token"]
        self.sign_out(token)  # the registration is a sign-in of its own, with a device that nobody asked for

    def _administer(self, method: str, path: str, body: object = None) -> bytes:
        answer = self.client.ask(method, ADMIN + path, body=body, token=self.token)
        assert answer.status < 300, (answer.status, answer.body)
        return answer.body

    def sign_in(self, name: str, device: str) -> str:
        """The token of a user who signed in on a device with a password."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": name},
            "password": password_of(name),
            "device_id": device,
            "initial_device_display_name": device,
        }
        return str(self.client.ask("POST", f"{CLIENT}/login", body=body).json["access_token"])

    def accepts(self, token: str) -> bool:
        """Whether a token is accepted; the device is in use by that."""
        return self.client.ask("GET", f"{CLIENT}/account/whoami", token=token).status == 200

    def sign_out(self, token: str) -> None:
        """Sign out as a user does."""
        assert self.client.ask("POST", f"{CLIENT}/logout", body={}, token=token).status == 200

    def delete_device(self, name: str, device: str) -> None:
        """Delete a device as an administrator does."""
        self._administer("DELETE", f"/v2/users/{quote(user_id(name))}/devices/{quote(device)}")

    def listing(self, *names: str) -> Listing:
        """The devices of these users, or of all users of the server."""
        taken_at = datetime.now(UTC)
        users = [user_id(name) for name in names] or self._users()
        return Listing(taken_at, {user: self._administer("GET", f"/v2/users/{quote(user)}/devices") for user in users})

    def _users(self) -> list[str]:
        found = json.loads(self._administer("GET", "/v2/users?limit=100"))
        assert "next_token" not in found, "more users than one page has"
        return [user["name"] for user in found["users"]]
