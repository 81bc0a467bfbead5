"""Where a registry is: the path of a file, or the address of a database.

An address holds no password: it would show in the list of processes, in messages and in the history of a shell.
"""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from authctl.errors import InvalidInput
from authctl.names import quoted

Location = Path | str
"""The path of a file, or as a text the address of a database."""

_SERVICE = "service="
_DATABASES = ("postgresql", "postgres")
_KINDS = "a path to a file, sqlite:///PATH, postgresql://USER@HOST/DATABASE, or service=NAME"
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}
_ELSEWHERE = (
    "change it, and write it to ~/.pgpass with mode 0600, or to the file that PGPASSFILE or ?passfile=FILE names"
)


def read_location(text: Path | str) -> Location:
    """The location that a text names. Raises InvalidInput for another kind of URL, and for a password in it."""
    if isinstance(text, Path):
        return text
    scheme, is_url, _ = text.partition("://")
    if text.startswith(_SERVICE) or (is_url and scheme.lower() in _DATABASES):
        check_no_password(text)
        return text
    if not is_url:
        return Path(text)
    # As a path, a URL would make a folder `mysql:` in the working directory.
    if scheme.lower() != "sqlite":
        raise InvalidInput(f"no such kind of registry: {quoted(scheme)}", _KINDS)
    return _file_of_url(text)


def _file_of_url(url: str) -> Path:
    """The file that a URL names, by its absolute path. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an address in brackets
        raise InvalidInput(f"not the URL of a file: {quoted(url)}", _KINDS) from None
    if parts.netloc or parts.query or parts.fragment or not parts.path.strip("/"):
        raise InvalidInput(f"not the URL of a file: {quoted(url)}", _KINDS)
    return Path("/" + unquote(parts.path).lstrip("/"))


def check_no_password(address: str) -> None:
    """Raise InvalidInput for an address with a password, without a word of it; `service=NAME` has no place for one."""
    if has_password(address):
        raise InvalidInput("the address of the registry holds a password", _ELSEWHERE)


def has_password(address: str) -> bool:
    """Whether an address of a database holds a password, or something that may be one."""
    # decision 295: an address is visible in the list of processes and in the history of the shell
    if "://" not in address:
        return False
    rest = address.partition("://")[2]
    # it may hold any character, also one that should have been quoted: everything before the last @ counts
    user = rest.rpartition("@")[0]
    options = parse_qsl(rest.partition("?")[2], keep_blank_values=True)
    return ":" in user or any(name.lower() in _SECRETS for name, _ in options)
