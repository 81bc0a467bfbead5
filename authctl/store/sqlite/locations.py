"""Locations of a registry as a URL: `sqlite:///PATH`."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from authctl.errors import InvalidInput
from authctl.names import quoted

_HINT = "a path to a file, or sqlite:///PATH"


def file_of_url(url: str) -> Path:
    """The file that a URL names, by its absolute path. Raises InvalidInput for a URL of another kind."""
    scheme = url.partition("://")[0]
    if scheme.lower() != "sqlite":
        raise InvalidInput(f"no such kind of registry: {quoted(scheme)}", _HINT)
    parts = urlsplit(url)
    if parts.netloc or parts.query or parts.fragment or not parts.path.strip("/"):
        raise InvalidInput(f"not the URL of a file: {quoted(url)}", _HINT)
    return Path("/" + unquote(parts.path).lstrip("/"))
