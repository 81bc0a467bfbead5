"""Answers of the door. Each has a length, and none may be kept by a cache."""

import json
from typing import Any, NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]

_NO_STORE = (b"cache-control", b"no-store")
_JSON = (b"content-type", b"application/json")
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Answer(NamedTuple):
    """A status, headers and a body."""

    status: int
    body: bytes
    headers: Headers = ()

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that are sent: those of this answer, and those of every answer."""
        return [*self.headers, _NO_STORE, (b"content-length", b"%d" % len(self.body))]

    def header_lines(self) -> bytes:
        """The same as lines of a head."""
        if self.headers is _JSON_ALONE:
            return b"%bcontent-length: %d\r\n" % (_JSON_LINES, len(self.body))
        return b"".join([b"%b: %b\r\n" % header for header in self.all_headers()])


_JSON_ALONE: Headers = (_JSON,)
_JSON_LINES = b"".join([b"%b: %b\r\n" % header for header in (_JSON, _NO_STORE)])


def json_text_answer(text: str) -> Answer:
    """An answer in JSON that is text already, in ASCII."""
    return Answer(200, text.encode("ascii"), _JSON_ALONE)


def json_answer(content: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """An answer in JSON."""
    return Answer(status, _ENCODER.encode(content).encode(), (_JSON, *headers) if headers else _JSON_ALONE)


def error(status: int, code: str, description: str | None = None, headers: Headers = ()) -> Answer:
    """An error as RFC 6749, section 5.2, has it. It never contains `active`, which some resource servers would read."""
    content = {"error": code}
    if description:
        content["error_description"] = description
    return json_answer(content, status, headers)


def unavailable(description: str = "the registry cannot be used now") -> Answer:
    """The answer to a question that could not be judged: not a yes, and not a 401, which would end the login of users."""
    return error(503, "temporarily_unavailable", description, ((b"retry-after", b"1"),))


INVALID_CLIENT = error(401, "invalid_client", headers=((b"www-authenticate", b'Basic realm="authctl"'),))
TOO_MANY_FAILURES = error(429, "invalid_client", "too many requests with a wrong secret", ((b"retry-after", b"1"),))
NOT_FOUND = error(404, "not_found")
TOO_LARGE = error(413, "invalid_request", "the body is larger than 8 KiB", ((b"connection", b"close"),))
ABANDONED = error(400, "invalid_request", "the body did not arrive", ((b"connection", b"close"),))


def method_not_allowed(allowed: str) -> Answer:
    """The answer to another method than the route has."""
    return error(405, "invalid_request", f"only {allowed}", ((b"allow", allowed.encode()),))
