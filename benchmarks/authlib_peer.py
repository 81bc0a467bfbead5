"""Authlib's introspection endpoint in Flask, over SQLite: a peer of `door.py`, run by the interpreter of .venv-peers."""

import os
import sqlite3
import time
from typing import NamedTuple

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask


def _connected() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["AUTHCTL_PEER_DATABASE"], check_same_thread=False)


def fill(tokens: int) -> None:
    """Make the database."""
    with _connected() as connection:
        connection.execute("CREATE TABLE tokens (token TEXT PRIMARY KEY, username TEXT, issued_at INT, expires_at INT)")
        connection.execute("CREATE TABLE clients (id TEXT PRIMARY KEY, secret TEXT)")
        connection.execute("INSERT INTO clients VALUES ('client', 'secret')")
        now = int(time.time())
        rows = [(f"token{n}", f"user{n}", now, now + 86_400) for n in range(tokens)]
        connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", rows)


class _Client(ClientMixin):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self._secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic" and endpoint == "introspection"


class _Token(NamedTuple):
    username: str
    issued_at: int
    expires_at: int

    def is_expired(self) -> bool:
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return False


def application() -> Flask:
    """The application."""
    made, connection = Flask(__name__), _connected()

    def client_of(client_id: str) -> _Client | None:
        row = connection.execute("SELECT secret FROM clients WHERE id = ?", (client_id,)).fetchone()
        return row and _Client(row[0])

    class Endpoint(IntrospectionEndpoint):
        CLIENT_AUTH_METHODS = ("client_secret_basic",)

        def query_token(self, token_string: str, token_type_hint: str | None) -> "_Token | None":  # noqa: ARG002  # as Authlib calls it
            sql = "SELECT username, issued_at, expires_at FROM tokens WHERE token = ?"
            row = connection.execute(sql, (token_string,)).fetchone()
            return row and _Token(*row)

        def check_permission(self, token: "_Token", client: _Client, request: object) -> bool:  # noqa: ARG002  # likewise
            return token is not None

        def introspect_token(self, token: "_Token") -> dict[str, object]:
            return {"active": True, "username": token.username, "iat": token.issued_at, "exp": token.expires_at}

    server = AuthorizationServer(made, query_client=client_of, save_token=None)
    server.register_endpoint(Endpoint)

    @made.post("/introspect")
    def introspect() -> object:
        return server.create_endpoint_response(Endpoint.ENDPOINT_NAME)

    return made
