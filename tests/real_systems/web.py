"""A client of HTTP that keeps cookies, follows no redirection, and takes every status for an answer."""

import json
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, ProxyHandler, Request, build_opener

SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """The status of an answer, its headers, and its body."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body of an answer that was no refusal, read as JSON."""
        assert self.status < 300, (self.status, self.body)
        return json.loads(self.body or b"null")


class _EveryStatus(HTTPErrorProcessor):
    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response


class Client:
    """One visitor of one server on the loopback address."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.cookies = CookieJar()
        # the empty ProxyHandler: a proxy that the environment names would see the requests
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.cookies), _EveryStatus)

    def ask(self, method: str, path: str, *, body: Any = None, form: Any = None, token: str | None = None) -> Answer:
        """The answer to a request, with a body of JSON or of a form."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = None if form is None else urlencode(form).encode()
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = Request(self.address + path, method=method, data=content, headers=headers)
        with self._opener.open(request, timeout=SECONDS) as response:
            return Answer(response.status, response.headers, response.read())

    def answers(self, path: str) -> bool:
        """Whether the server is up and answers this path with a success."""
        try:
            return self.ask("GET", path).status == 200
        except (URLError, ConnectionError, TimeoutError):
            return False
