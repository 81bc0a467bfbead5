"""Where a registry is: the path of a file, or the address of a database.

An address holds no password: it would show in the list of processes, in messages and in the history of a shell.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from authctl.errors import InvalidInput
from authctl.names import quoted

Location = Path | str
"""The path of a file, or as a text the address of a database."""

_SERVICE = "service="
_DATABASES = ("postgresql", "postgres")
_WORDS_OF_LIBPQ = ("dbname=", "host=", "hostaddr=", "passfile=", "password=", "port=", "sslmode=", "user=")
"""The beginnings of an address as words: `host=HOST dbname=DATABASE`."""
_BEGINNINGS = ("postgresql:", "postgres:", "jdbc:")
_WITHOUT_SCHEME = re.compile(r"(?!\.{0,2}/[^/])([A-Za-z+]*/)?/{0,2}[^/:@]+:[^/]*@[^/]")
"""The beginning of `USER:PASSWORD@HOST`: an address whose scheme is missing or torn."""
_KINDS = "a path to a file, sqlite:///PATH, postgresql://USER@HOST/DATABASE, or service=NAME"
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}
LOG_IN_FILES = "~/.pgpass with mode 0600, or to the file that PGPASSFILE or ?passfile=FILE names"
"""Where a password belongs, in words."""


def read_location(text: Path | str) -> Location:
    """The location that a text names. Raises InvalidInput for another kind of URL, for a password in it, and for words of libpq."""
    if isinstance(text, Path):
        return text
    scheme, is_url, rest = text.partition("://")
    if text.startswith(_SERVICE):
        return text
    if is_url and scheme.lower() in _DATABASES:
        check_no_password(text)
        return f"{scheme.lower()}://{rest}"  # libpq knows the scheme in lower case alone
    if not is_url:
        _check_no_other_address(text)
        return Path(text)
    # As a path, a URL would make a folder `mysql:` in the working directory.
    if scheme.lower() != "sqlite":
        raise InvalidInput(f"no such kind of registry: {quoted(scheme)}", _KINDS)
    return _file_of_url(text)


def is_address(text: str) -> bool:
    """Whether a text that `read_location` accepts is the address of a database, and no path."""
    return isinstance(read_location(text), str)


def _check_no_other_address(text: str) -> None:
    """Raise InvalidInput for an address in another form, without a word of it: it may hold a password."""
    # As a path, it would make a file `host=db password=secret` in the working directory.
    words = text.lstrip().lower().startswith(_WORDS_OF_LIBPQ)
    if words or text.lower().startswith(_BEGINNINGS) or _WITHOUT_SCHEME.match(text):
        raise InvalidInput(
            "the address of a database is a URL or the name of a service",
            "postgresql://USER@HOST/DATABASE, or service=NAME; for a file of such a name: ./NAME",
        )


def check_is_path(text: str, meant: str, hint: str) -> None:
    """Raise InvalidInput for the address of a database where a path is meant, without a word of it: it may hold a password."""
    if text.lower().startswith(_BEGINNINGS):
        raise InvalidInput(f"{meant}, and not the address of a database", hint)


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
        raise InvalidInput("the address of the registry holds a password", f"change it, and write it to {LOG_IN_FILES}")


def has_password(address: str) -> bool:
    """Whether an address of a database holds a password, or something that may be one."""
    # decision 295: an address is visible in the list of processes and in the history of the shell
    if "://" not in address:
        return "password=" in address.lower()
    rest = address.partition("://")[2]
    # it may hold any character, also one that should have been quoted: everything before the last @ counts
    user = rest.rpartition("@")[0]
    options = parse_qsl(rest.partition("?")[2], keep_blank_values=True)
    return ":" in user or any(name.lower() in _SECRETS for name, _ in options)
