"""A realm of Keycloak for tests, as far as listings and the receiver need it.

Written from public texts, since Keycloak itself comes from no package index of Python: the Admin REST API of Keycloak 26
(https://www.keycloak.org/docs-api/latest/rest-api/index.html: UserSessionRepresentation, `users`, `users/{id}/sessions`,
`users/{id}/logout`, `sessions/{id}`, `push-revocation`, a partial update of the realm) and "Revoking active sessions" of its Server
Administration Guide. A token whose `iat` is before the not-before of its realm or user is refused, a refresh token also when its
session is gone. Deleting a session sets no not-before; signing a user out sets that of the user.
"""

import json
import threading
import time
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REALM = "staff"


class Keycloak:
    """A realm with users, their sessions, and a service account that may manage them."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.not_before = 0
        self.pushes = 0
        self.is_manager_of_realm = True
        keycloak = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                status, content = keycloak._answer(self.command, self.path, self.headers.get("Authorization", ""), body)
                raw = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()

    def sign_in(self, username: str, session_id: str, ago: float = 0) -> dict[str, str]:
        """Sign a user in some seconds ago; the access token and the refresh token."""
        self.users.setdefault(username, {"id": f"u-{username}", "enabled": True, "notBefore": 0})
        at = time.time() - ago
        times = {"start": int(at * 1000), "lastAccess": int(at * 1000)}
        self.sessions[session_id] = {"id": session_id, "username": username, "ipAddress": "192.0.2.7", **times}
        return {kind: _token(kind, username, session_id, at) for kind in ("access", "refresh")}

    def listing(self, username: str) -> bytes:
        """The sessions of a user as the Admin REST API lists them."""
        return json.dumps([one for one in self.sessions.values() if one["username"] == username]).encode()

    def accepts(self, token: str) -> bool:
        """Whether the realm takes a token: an access token at its own endpoints, a refresh token for a new one."""
        fields = json.loads(b64decode(token))
        user = self.users[fields["user"]]
        if fields["iat"] < max(self.not_before, user["notBefore"]) or not user["enabled"]:
            return False
        return fields["sid"] in self.sessions

    def _answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, Any]:
        path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
        if path == f"/realms/{REALM}/protocol/openid-connect/token":
            form = parse_qs(body)
            is_known = (form["client_id"], form["client_secret"]) == (["authctl"], ["made up"])
            token = _token("access", "service", "", time.time())
            return (200, {"access_token": token}) if is_known else (401, {"error": "unauthorized_client"})
        if not authorization.startswith("Bearer ") or json.loads(b64decode(authorization[7:]))["iat"] < self.not_before:
            return 401, {"error": "HTTP 401 Unauthorized"}
        parts = path.removeprefix(f"/admin/realms/{REALM}").split("/")[1:]
        return self._managed(method, parts, query, json.loads(body) if body and body != "null" else {})

    def _managed(self, method: str, parts: list[str], query: dict[str, list[str]], given: Any) -> tuple[int, Any]:
        match parts:
            case ["users"]:
                wanted = query.get("username")
                return 200, [user for name, user in self.users.items() if wanted in (None, [name])]
            case ["sessions", session_id] if method == "DELETE":
                return (204, None) if self.sessions.pop(session_id, None) else (404, {"error": "Session not found"})
            case ["users", user_id, *rest]:
                return self._of_user(method, user_id, rest, given)
            case [] | ["push-revocation"]:
                return self._of_realm(method, parts, given) if self.is_manager_of_realm else (403, {"error": "no"})
        return 404, {"error": "HTTP 404 Not Found"}

    def _of_realm(self, method: str, parts: list[str], given: Any) -> tuple[int, Any]:
        self.pushes += parts == ["push-revocation"]
        if method == "PUT":
            self.not_before = given.get("notBefore", self.not_before)
            return 204, None
        return 200, {} if parts else {"realm": REALM, "notBefore": self.not_before}

    def _of_user(self, method: str, user_id: str, rest: list[str], given: Any) -> tuple[int, Any]:
        name, user = next(((name, one) for name, one in self.users.items() if one["id"] == user_id), ("", None))
        if user is None:
            return 404, {"error": "User not found"}
        if (method, *rest) == ("GET", "sessions"):
            return 200, json.loads(self.listing(name))
        if (method, *rest) == ("POST", "logout"):
            user["notBefore"] = int(time.time())
            self.sessions = {key: one for key, one in self.sessions.items() if one["username"] != name}
        elif (method, *rest) == ("PUT",):
            user.update(given)
        else:
            return 404, {"error": "HTTP 404 Not Found"}
        return 204, None


def _token(kind: str, user: str, session_id: str, at: float) -> str:
    return b64encode(json.dumps({"typ": kind, "user": user, "sid": session_id, "iat": int(at)}).encode()).decode()
