"""Requests with a token, as an application back end knows their facts."""

from typing import NamedTuple, TypedDict


class Request(TypedDict, total=False):
    """The facts of a request with a token, as the arguments of `verify` and `refresh`; None for a fact that is not known."""

    application: str | None
    """The application that presents the token; another one than the session's is refused."""
    application_version: str | None
    """The version of that application, for profiles with a condition about it."""
    platform: str | None
    """The operating system that the request comes from, for profiles with a condition about it."""
    ip: str | None
    """The address that the request comes from, for tokens that are bound to it and for conditions."""
    referrer: str | None
    """The page that the request comes from, for tokens that are bound to it."""


class Caller(NamedTuple):
    """The same facts as a value, which checks and conditions read; the name of each field is explained in `Request`."""

    application: str | None = None
    application_version: str | None = None
    platform: str | None = None
    ip: str | None = None
    referrer: str | None = None
