"""The authentication of clients: HTTP Basic in its three spellings, a secret in the form, or a TLS certificate.

RFC 6749, section 2.3.1, wants id and secret form-encoded in Basic; half of the clients in use send them as they are. Ids and secrets of
authctl consist of letters and digits, which all spellings write in the same way.

See docs/glossary.md#client.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable
from hmac import compare_digest
from typing import NamedTuple
from urllib.parse import unquote_plus

from authctl.door.answers import INVALID_CLIENT, TOO_MANY_FAILURES, error
from authctl.door.failures import Failures
from authctl.door.requests import NoAnswer, Request
from authctl.errors import InvalidInput
from authctl.model import Client, Right
from authctl.registry.clients import Clients, is_secret_of

FindClient = Callable[[str], Client | None]

_LONGEST = 200
"""The most characters of an id or a secret that are looked at."""

_MOST_KEPT = 1_000


class _Claim(NamedTuple):
    """The client that somebody claims to be; without a secret, a certificate has to prove it."""

    client_id: str
    secret: str | None


class Authentication:
    """The recognition of the client that sent a request."""

    def __init__(self, find: FindClient) -> None:
        self._find = find
        self._failures = Failures()
        self._proved: dict[bytes, Client] = {}
        """The clients whose `Authorization` was right. It counts as long as the client is the same value: any change makes another one."""

    def client(self, request: Request, form: dict[str, str], right: Right) -> Client:
        """The client that sent a request and has that right. Raises NoAnswer with 401, 403, or 429 after many failures."""
        client = self._known(request, form) or self._proved_client(request, form)
        request.client_name = client.name
        if right not in client.may:
            raise NoAnswer(error(403, "unauthorized_client", f"this client has no right to {right}"))
        return client

    def _known(self, request: Request, form: dict[str, str]) -> Client | None:
        """The client of an `Authorization` that was right before; None where it, or the client, is another one since."""
        known = self._proved.get(request.headers.get(b"authorization", b""))
        if known is None or "client_secret" in form:
            return None
        return known if self._find(known.client_id) is known else None

    def _proved_client(self, request: Request, form: dict[str, str]) -> Client:
        claim = _claim(request, form)
        if claim is None:
            raise NoAnswer(INVALID_CLIENT)
        client = self._find(claim.client_id)
        if client is None or not _is_proved(client, claim, request.certificate):
            raise NoAnswer(INVALID_CLIENT if self._failures.count(claim.client_id) else TOO_MANY_FAILURES)
        self._keep(request, client)
        return client

    def _keep(self, request: Request, client: Client) -> None:
        authorization = request.headers.get(b"authorization")
        if authorization is not None:
            # A limit, since the header comes from outside; all are removed at once, and proved again at their next
            # request.
            if len(self._proved) >= _MOST_KEPT:
                self._proved.clear()
            self._proved[authorization] = client


class NamedClients:
    """Finds clients by name, as the path of forward-auth has it. A client that was found before is only checked for a change."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._by_name: dict[str, Client] = {}

    def client(self, name: str) -> Client | None:
        """The client of that name or id; None where there is none."""
        # decision 266: the look-up by name cost a third of each request
        known = self._by_name.get(name)
        if known is not None and self._clients.by_id(known.client_id) is known:
            return known
        try:
            named = self._clients.find(name)
        except InvalidInput:  # a text that cannot be a name
            return None
        # The value that `by_id` keeps: the next look-up is compared with it.
        client = None if named is None else self._clients.by_id(named.client_id)
        if client is not None:
            if len(self._by_name) >= _MOST_KEPT:
                self._by_name.clear()
            self._by_name[name] = client
        return client


def _is_proved(client: Client, claim: _Claim, certificate: str | None) -> bool:
    if claim.secret is None:
        return certificate is not None and compare_digest(certificate, client.certificate or "")
    # Once as it was sent and once decoded: half of the clients in use do not encode it.
    return is_secret_of(client, claim.secret) or is_secret_of(client, unquote_plus(claim.secret))


def _claim(request: Request, form: dict[str, str]) -> _Claim | None:
    authorization = request.header(b"authorization")
    if authorization is not None:
        basic = _basic(authorization)
        if basic is not None and "client_secret" in form:
            raise NoAnswer(error(400, "invalid_request", "the client authenticates in two ways"))
        return basic
    client_id = form.get("client_id", "")[:_LONGEST]
    return _Claim(client_id, form.get("client_secret")) if client_id else None


def _basic(authorization: str) -> _Claim | None:
    """The id and the secret of a header; None for another kind of header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = text.partition(":")
    if not colon or len(text) > 2 * _LONGEST:
        return None
    return _Claim(unquote_plus(client_id), secret)
