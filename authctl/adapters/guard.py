"""The guard that the adapters share: whether a request is let in, and the answer where it is not.

The application is the sessions' own: a token of another application is refused, and an order to wipe is passed on and recorded.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Unpack

from authctl.bearer_tokens import cookie_name, presented_token
from authctl.errors import AuthctlError, ConditionNotMet, TokenInvalid, TokenMisused
from authctl.model import Request, Session
from authctl.registry import Registry

Source = Registry | str | Path | None
"""An open registry, or the home of one; None for the home that the command line uses."""


class Refusal(NamedTuple):
    """The answer to a request that is not let in."""

    status: int
    content: dict[str, str]
    """The body, as JSON."""
    challenge: str | None = None
    """The header `WWW-Authenticate`."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer; it may not be kept by a cache."""
        others = {"WWW-Authenticate": self.challenge} if self.challenge else {}
        return {"Cache-Control": "no-store"} | others

    @property
    def is_order(self) -> bool:
        """Whether it orders the bearer to remove the application's data."""
        return "action" in self.content


_logger = logging.getLogger("authctl.adapters")

_CHALLENGE = 'Bearer error="invalid_token"'
_NO_TOKEN = Refusal(401, {"error": "unauthorized"}, "Bearer")
_INVALID = Refusal(401, {"error": "invalid_token"}, _CHALLENGE)
_ORDER = Refusal(401, {"error": "invalid_token", "action": "wipe"}, _CHALLENGE)
# decision 264: as the statuses of forward-auth: 401 no valid token, 403 a valid token in the wrong place, 503 not
# judged
_FORBIDDEN = Refusal(403, {"error": "access_denied"})
_UNAVAILABLE = Refusal(503, {"error": "temporarily_unavailable"})


class _Process:
    """The registry of one process. A fork gets its own, with a lock that nobody holds."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry
        self._lock = threading.Lock()

    def open(self, home: str | Path | None) -> Registry:
        """The registry, opened where it is not yet."""
        with self._lock:
            if self.registry is None:
                self.registry = Registry.open(home)
            return self.registry


class Guard:
    """Judges the requests to one application. Threads may share it.

    With a home, each process opens it at its first request: a server may fork after the application was loaded. An open registry is for
    a process that does not fork.
    """

    def __init__(self, source: Source, application: str, cookie: str | None = None) -> None:
        self._source = source
        self._application = application
        self._cookie = cookie_name(cookie)
        self._processes: dict[int, _Process] = {}
        """By process id. That of a parent is kept: closing its database here would disturb the parent."""

    @property
    def is_open(self) -> bool:
        """Whether this process has the registry open, so that `judge_at_once` does not have to open it."""
        return isinstance(self._source, Registry) or self._process.registry is not None

    @property
    def registry(self) -> Registry:
        """The registry, opened where it is not yet. Raises RegistryUnavailable, IntegrityFailure."""
        if isinstance(self._source, Registry):
            return self._source
        process = self._process
        return process.registry or process.open(self._source)

    def judge(self, authorization: str | None, cookies: str | None, **facts: Unpack[Request]) -> Session | Refusal:
        """The session of a request that is let in, or why it is not. It may wait a moment: the delivery of an order is recorded."""
        return self._judge(lambda token: self.registry.verify(token, **facts), authorization, cookies, facts)

    def judge_at_once(
        self, authorization: str | None, cookies: str | None, **facts: Unpack[Request]
    ) -> Session | Refusal:
        """The same without a wait, for an event loop. After an order, `judge` has to be called in a thread, to record its delivery."""
        # decision 262: `introspect` never waits, and only the record of a delivered order may
        return self._judge(lambda token: self.registry.tokens.introspect(token, **facts), authorization, cookies, facts)

    @property
    def _process(self) -> _Process:
        # decision 263: a registry that was open before a fork cannot be used in the child
        return self._processes.setdefault(os.getpid(), _Process())

    def _judge(
        self, verify: Callable[[str], Session], authorization: str | None, cookies: str | None, facts: Request
    ) -> Session | Refusal:
        token = presented_token(authorization, cookies, self._cookie)
        if token is None:
            return _NO_TOKEN
        facts["application"] = self._application
        try:
            return verify(token)
        except AuthctlError as error:
            return _refusal(error)


def _refusal(error: AuthctlError) -> Refusal:
    if isinstance(error, ConditionNotMet | TokenMisused):
        return _FORBIDDEN
    if isinstance(error, TokenInvalid):
        return _ORDER if error.action == "wipe" else _INVALID
    _logger.warning("%s", error)
    return _UNAVAILABLE
