"""Clients of the door in Python, as a program: NAME ID SECRET. One order a line in JSON, one answer a line.

It runs in the environment of the peers, without authctl.
"""

import asyncio
import json
import os
import sys

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback


class Authlib:
    """authlib.integrations.requests_client."""

    def __init__(self, client_id, secret):
        from authlib.integrations.requests_client import OAuth2Session

        self.session = OAuth2Session(client_id, secret)

    def introspect(self, door, token):
        """Ask whether a token is active."""
        return self.session.introspect_token(f"{door}/introspect", token=token).json()

    def let_in(self, door, token, scope):
        """Whether a resource server with its `IntrospectTokenValidator` lets a token in where it needs that scope: the user, or the refusal."""
        from authlib.oauth2.rfc6749 import OAuth2Error
        from authlib.oauth2.rfc7662 import IntrospectTokenValidator

        validator = IntrospectTokenValidator()
        validator.introspect_token = lambda text: self.introspect(door, text)
        try:
            found = validator.authenticate_token(token)
            validator.validate_token(found, [scope], None)
        except OAuth2Error as refusal:
            return refusal.error
        return found["username"]

    def refresh(self, door, token):
        """Exchange a refresh token."""
        return self.session.refresh_token(f"{door}/token", refresh_token=token)

    def revoke(self, door, token):
        """Revoke a token."""
        return self.session.revoke_token(f"{door}/revoke", token=token).status_code


class RequestsOauthlib:
    """requests-oauthlib, with the requests of oauthlib."""

    def __init__(self, client_id, secret):
        from requests.auth import HTTPBasicAuth
        from requests_oauthlib import OAuth2Session

        self.session, self.auth = OAuth2Session(client_id), HTTPBasicAuth(client_id, secret)

    def refresh(self, door, token):
        """Exchange a refresh token."""
        self.session.token = {"refresh_token": token, "token_type": "Bearer"}
        return self.session.refresh_token(f"{door}/token", auth=self.auth)

    def revoke(self, door, token):
        """Revoke a token."""
        import requests

        url, headers, body = self.session._client.prepare_token_revocation_request(f"{door}/revoke", token)
        return requests.post(url, body, headers=headers, auth=self.auth, timeout=10).status_code


class HttpxOauth:
    """httpx-oauth."""

    def __init__(self, client_id, secret):
        self.id, self.secret = client_id, secret

    def client(self, door):
        """A client of the door at that address."""
        from httpx_oauth.oauth2 import OAuth2

        return OAuth2(
            self.id,
            self.secret,
            f"{door}/authorize",
            f"{door}/token",
            refresh_token_endpoint=f"{door}/token",
            revoke_token_endpoint=f"{door}/revoke",
            token_endpoint_auth_method="client_secret_basic",
            revocation_endpoint_auth_method="client_secret_basic",
        )

    def refresh(self, door, token):
        """Exchange a refresh token."""
        return dict(asyncio.run(self.client(door).refresh_token(token)))

    def revoke(self, door, token):
        """Revoke a token."""
        asyncio.run(self.client(door).revoke_token(token, "access_token"))
        return 200


CLIENTS = {"Authlib": Authlib, "requests-oauthlib": RequestsOauthlib, "httpx-oauth": HttpxOauth}


def main():
    """Carry out the orders on standard input."""
    name, client_id, secret = sys.argv[1:]
    client = CLIENTS[name](client_id, secret)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {
                "answer": getattr(client, order["do"])(order["door"], order["token"], *filter(None, [order["other"]]))
            }
        except Exception as error:  # noqa: BLE001  # each client has errors of its own
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201  # it is a program


if __name__ == "__main__":
    main()
