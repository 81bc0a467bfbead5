"""Who presents a token, or signs in."""

from typing import NamedTuple


class Caller(NamedTuple):
    """The facts that an application back end knows about whoever presents a token or signs in; None for an unknown fact.

    The application of the token, its version and platform, the network address, and the page that refers to the back end.
    """

    application: str | None = None
    application_version: str | None = None
    platform: str | None = None
    ip: str | None = None
    referrer: str | None = None
