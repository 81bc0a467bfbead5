"""/verify and /verify-as/CLIENT: a proxy asks whether to let a request in (nginx, Caddy, Apache, HAProxy, Envoy).

Any method, and any path below, since some proxies send those of the original request. The body is never read: nginx announces one that
it does not send. Only 200 lets in; a proxy makes an error of every other status than 401 and 403.

See docs/glossary.md#forward-auth.
"""

from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from authctl.bearer_tokens import presented_token
from authctl.door.answers import Answer, Headers
from authctl.door.bearer import judge
from authctl.door.requests import NoAnswer, Request
from authctl.errors import ConditionNotMet, InvalidInput, TokenInvalid, TokenMisused
from authctl.model import Client, Right, Session
from authctl.model import Request as Facts

if TYPE_CHECKING:
    from authctl.door.application import Door
    from authctl.door.settings import Settings

_NO_TOKEN = Answer(401, b"", ((b"www-authenticate", b"Bearer"),))
_INVALID = Answer(401, b"", ((b"www-authenticate", b'Bearer error="invalid_token"'),))
_FORBIDDEN = Answer(403, b"")
_LONGEST_VALUE = 380
"""The most bytes of one identity header: all five stay below 2 KiB, and nginx has room for 4 KiB."""

_FORWARDED = {b"x-forwarded-platform": "platform", b"x-forwarded-application-version": "application_version"}


async def answer_any(door: "Door", request: Request) -> Answer:
    """Let in the tokens of every application, if the settings of the door allow it."""
    return await door.calls.read(partial(any_at_once, door, request))


async def answer_as(door: "Door", request: Request) -> Answer:
    """Let in the tokens of the applications of the client that the path names."""
    return await door.calls.read(partial(as_at_once, door, request))


def any_at_once(door: "Door", request: Request) -> Answer:
    """The same as `answer_any`, without waiting. Raises RegistryUnavailable, NoAnswer."""
    return _answer(door, request, None) if door.settings.verify_any else _FORBIDDEN


def as_at_once(door: "Door", request: Request) -> Answer:
    """The same as `answer_as`, without waiting. Raises RegistryUnavailable, NoAnswer."""
    name = _client_name(request.path)
    try:
        client = door.named.client(name) if name else None
    except InvalidInput:  # no name of a client
        client = None
    if client is None or Right.VERIFY not in client.may:
        return _FORBIDDEN
    request.client_name = client.name
    return _answer(door, request, client)


def _client_name(path: bytes) -> str:
    """The name of a client, the part of the path after the first one; empty where there is none."""
    parts = path.split(b"/", 3)
    return unquote(parts[2].decode("latin-1")) if len(parts) > 2 else ""  # noqa: PLR2004  # nothing, the route, the name


def _answer(door: "Door", request: Request, client: Client | None) -> Answer:
    # decision 250: every other status is an error page in at least one proxy
    token = presented_token(request.header(b"authorization"), request.header(b"cookie"), door.settings.cookie)
    if token is None:
        return _NO_TOKEN
    try:
        session = judge(door.registry.tokens, client, token, _facts(request, door.settings))
    except (ConditionNotMet, TokenMisused):
        return _FORBIDDEN
    except (TokenInvalid, InvalidInput):
        return _INVALID
    return Answer(200, b"", identity(session))


def identity(session: Session) -> Headers:
    """The headers with the identity: always all of them, also blank ones. A proxy would pass on a header of the client that is not replaced."""
    values = {
        b"x-auth-user": session.username,
        b"x-auth-session": session.id,
        b"x-auth-application": session.application,
        b"x-auth-device": session.device,
        b"x-auth-profile": session.profile,
    }
    return tuple((name, _header_value(value or "")) for name, value in values.items())


def _header_value(text: str) -> bytes:
    """A text as a header can have it: percent-encoded outside of printable ASCII, and cut where it would be too long."""
    if text.isascii() and text.isprintable() and "%" not in text and len(text) <= _LONGEST_VALUE:
        return text.encode()
    encoded = quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode()
    if len(encoded) <= _LONGEST_VALUE:
        return encoded
    cut = encoded[:_LONGEST_VALUE]
    # no half of a percent-encoded byte, and no half of a character
    while cut and not _is_whole(cut):
        cut = cut[:-1]
    return cut


def _is_whole(encoded: bytes) -> bool:
    if b"%" in encoded[-2:]:
        return False
    try:
        unquote(encoded.decode(), errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _facts(request: Request, settings: "Settings") -> Facts:
    """The facts of a request, from the headers of a configured proxy. Those of other peers are ignored. Raises NoAnswer."""
    facts = Facts()
    if not _is_proxy(request.peer, settings):
        return facts
    forwarded = request.header(b"x-forwarded-for")
    if forwarded is not None:
        facts["ip"] = _address(forwarded, settings)
    for name, fact in _FORWARDED.items():
        if name in request.headers:
            facts[fact] = unquote(request.headers[name].decode("latin-1"))  # type: ignore[literal-required]
    if b"referer" in request.headers:
        facts["referrer"] = request.headers[b"referer"].decode("latin-1")
    return facts


def _address(forwarded: str, settings: "Settings") -> str:
    """The address of the client of our first proxy: the last one in the list that is not a proxy of ours."""
    chain = [text.strip().strip("[]") for text in forwarded.split(",")]
    # From the end: each proxy appends the address that it saw, and a client can write only the entries before.
    for text in reversed(chain):
        try:
            address = ip_address(text)
        except ValueError:
            raise NoAnswer(_FORBIDDEN) from None
        if not any(address in network for network in settings.proxies):
            return text
    return chain[0]


def _is_proxy(peer: tuple[str, int] | None, settings: "Settings") -> bool:
    if peer is None or not peer[0]:
        return settings.trusts_unix
    address = ip_address(peer[0])
    return any(address in network for network in settings.proxies)
