"""Addresses of registries in PostgreSQL: `postgresql://USER@HOST/DATABASE`, or `service=NAME`.

An address holds no password: it would show in the list of processes and in messages. The password comes from a password file
that only its owner can read, or from the usual variables and service files of PostgreSQL (decision 295).
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from authctl.errors import InvalidInput, RegistryUnavailable, reason
from authctl.files import check_private
from authctl.names import LARGEST_PORT, is_number, quoted
from authctl.registry_locations import LOG_IN_FILES, check_no_password

_SERVICE = "service="
_POOLER = "pooler"
_HINT = "postgresql://USER@HOST/DATABASE, or service=NAME"
_TRUSTED = "verify-full"
_LIKE_PASSWORD = re.compile(r"pass|pwd|secret", re.IGNORECASE)

_USUAL = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "gssencmode": "disable",
    "application_name": "authctl",
}
"""Parameters of a connection where the address gives none: a server that is gone is noticed within about a minute."""

_FIXED = {"client_encoding": "UTF8", "target_session_attrs": "read-write"}
"""Parameters of every connection. A session is never verified on a standby, which may not know its revocation (decision 296)."""


class Address(NamedTuple):
    """Where a registry in PostgreSQL is, and how to connect to it."""

    text: str
    """The address as it was typed; it holds no secret."""
    parameters: dict[str, str]
    """The parameters of libpq."""
    is_pooled: bool
    """Whether a pooler lends another connection for each transaction, so that prepared statements do not last."""

    def __str__(self) -> str:
        return self.text


def read_address(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address that a text gives. Raises InvalidInput for a password in it; RegistryUnavailable without the driver."""
    url, pooler = _without_pooler(_as_url(text))
    given = _parameters(url)
    if "service" in given:
        given = {**_service(given.pop("service"), environment), **given}
    elif name := environment.get("PGSERVICE"):
        given = {**_service(name, environment), **given}
    parameters = {**_USUAL, **given, **_FIXED}
    parameters["sslmode"] = _tls_mode(parameters, environment)
    _check_password_file(parameters, environment)
    return Address(text, parameters, is_pooled=pooler)


def _as_url(text: str) -> str:
    """The address as a URL, with nothing secret in it. Raises InvalidInput."""
    check_no_password(text)
    if text.startswith(_SERVICE):
        return f"postgresql:///?service={quote(text.removeprefix(_SERVICE), safe='')}"
    return text


def _without_pooler(url: str) -> tuple[str, bool]:
    """The URL without our own parameter, and whether it names a pooler."""
    start, _, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    values = [value for name, value in given if name == _POOLER]
    if any(value != "transaction" for value in values):
        raise InvalidInput(f"no such kind of pooler: {quoted(values[-1])}", "?pooler=transaction")
    rest = urlencode([pair for pair in given if pair[0] != _POOLER], quote_via=quote)
    return f"{start}?{rest}" if rest else start, bool(values)


def _parameters(url: str) -> dict[str, str]:
    """The parameters of libpq in a URL."""
    from authctl.store.postgres.library import psycopg

    try:
        found = psycopg.conninfo.conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeDecodeError):
        _check_options(url)
        # without its options: a value in the wrong place may be a password
        message = f"not the address of a PostgreSQL database: {quoted(url.partition('?')[0])}"
        raise InvalidInput(message, _HINT) from None
    for port in str(found.get("port") or "").split(","):
        if port and not (is_number(port, LARGEST_PORT) and int(port)):
            raise InvalidInput(f"not a port of a server: {quoted(port)}", _HINT)
    return {name: str(value) for name, value in found.items()}


def _check_options(url: str) -> None:
    """Raise InvalidInput for an option that libpq does not know, without its value: `?passwd=SECRET` is meant as a password (decision 379)."""
    from authctl.store.postgres.library import psycopg

    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if name not in known:
            hint = f"a password: {LOG_IN_FILES}" if _LIKE_PASSWORD.search(name) else _HINT
            raise InvalidInput(f"not an option of an address: {quoted(name)}", hint)


def _service(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a service, as libpq finds them. Raises InvalidInput if no service file names it."""
    for file in _service_files(environment):
        if (found := _read_service(file, name)) is not None:
            if "password" in found:
                check_private(file, "service file with a password")
            return found
    raise InvalidInput(f"no service file names the service {quoted(name)}", "see: ~/.pg_service.conf, PGSERVICEFILE")


def _service_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    own = environment.get("PGSERVICEFILE")
    user = Path(own) if own else _in_home(environment, ".pg_service.conf")
    return user, Path(environment.get("PGSYSCONFDIR") or "/etc/postgresql-common") / "pg_service.conf"


def _in_home(environment: Mapping[str, str], name: str) -> Path:
    return Path(environment.get("HOME") or Path.home()) / name


def _read_service(file: Path, name: str) -> dict[str, str] | None:
    """The parameters of a service in a file; None if it is not there."""
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise RegistryUnavailable(f"cannot read the service file {file}: {why}") from None
    try:
        start = lines.index(f"[{name}]") + 1
    except ValueError:
        return None
    found: dict[str, str] = {}
    for line in lines[start:]:
        if line.startswith("["):
            break
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key.strip()] = value.strip()
    return found


def _tls_mode(parameters: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """How the server proves who it is: by its certificate and name, unless it is on this machine.

    Raises InvalidInput where the address asks for less.
    """
    asked = parameters.get("sslmode") or environment.get("PGSSLMODE")
    if all(map(_is_local, _hosts(parameters, environment))):
        return asked or "prefer"
    if asked not in (None, _TRUSTED):
        raise InvalidInput(
            f"sslmode {quoted(asked or '')} does not prove the server's name, and it is another machine",
            "sslmode=verify-full",
        )
    return _TRUSTED


def _hosts(parameters: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """The hosts that may be connected to; `hostaddr` beats `host`, as in libpq."""
    for name, variable in (("hostaddr", "PGHOSTADDR"), ("host", "PGHOST")):
        if value := parameters.get(name) or environment.get(variable):
            return value.split(",")
    return [""]


def _is_local(host: str) -> bool:
    """Whether a host is a socket or this machine."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_password_file(parameters: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Refuse a password file that others can read: libpq would only ignore it. Raises RegistryUnavailable."""
    named = parameters.get("passfile") or environment.get("PGPASSFILE")
    file = Path(named) if named else _in_home(environment, ".pgpass")
    if file.exists():
        check_private(file, "password file")
    elif named:
        raise RegistryUnavailable(f"there is no password file at {file}")
