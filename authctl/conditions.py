"""The conditions for the use of a session: its network, platform, version and application.

Pure. Conditional access as Microsoft Entra has it: nothing is revoked, and a refused session works again when the
condition is met. A fact that is not given meets no condition.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from authctl.errors import InvalidInput
from authctl.model import Caller, Conditions
from authctl.names import pattern_fit, quoted
from authctl.token_binding import read_address
from authctl.visible_text import is_invisible

_MAPPED = ip_network("::ffff:0:0/96")

Network = IPv4Network | IPv6Network


class Unmet(NamedTuple):
    """A condition that is not met: the field of `profiles.yaml`, and why."""

    rule: str
    why: str


def unmet(conditions: Conditions, caller: Caller) -> Unmet | None:
    """The first condition that is not met; None when all are. A blank fact is none."""
    # A blank fact comes from a variable that was not filled in: it must meet no condition by chance.
    known = Caller(*(fact if fact and fact.strip() else None for fact in caller))
    return next(_unmet(conditions, known), None)


def _unmet(conditions: Conditions, caller: Caller) -> Iterator[Unmet]:
    blocked = conditions.blocked_applications
    # An application that is not named may be a blocked one.
    if blocked and (caller.application is None or any(_fit(pattern, caller.application) for pattern in blocked)):
        yield Unmet("blocked_applications", _in_words("the application", caller.application, "is blocked"))
    if conditions.networks and not _is_within(conditions.networks, caller.ip):
        yield Unmet("networks", _in_words("the address", caller.ip, "is in none of them"))
    if conditions.platforms and (caller.platform is None or not _fits_any(conditions.platforms, caller.platform)):
        yield Unmet("platforms", _in_words("the platform", caller.platform, "is none of them"))
    for minimum in _minima(conditions.minimum_versions, caller.application or ""):
        if not is_at_least(caller.application_version, minimum):
            reason = f"is not known to be {minimum} or later"
            yield Unmet("minimum_versions", _in_words("the version", caller.application_version, reason))


def _in_words(noun: str, fact: str | None, reason: str) -> str:
    return f"{noun} is not given" if fact is None else f"{noun} {quoted(fact)} {reason}"


def _fits_any(patterns: tuple[str, ...], text: str) -> bool:
    return any(pattern_fit(pattern, text) is not None for pattern in patterns)


def _fit(pattern: str, application: str) -> tuple[int, int] | None:
    """How closely a pattern fits the visible name of an application: `POP3` with an invisible character in it is POP3."""
    # decision 55: otherwise an invisible character would pass a blocked name
    return pattern_fit(pattern, "".join(c for c in application if not is_invisible(c)))


def _is_within(networks: tuple[str, ...], presented: str | None) -> bool:
    address = None if presented is None else read_address(presented)
    return address is not None and any(address in network for network in _read(networks))


@lru_cache(maxsize=64)
def _read(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(read_network, networks))


def read_network(text: str) -> Network:
    """A network as `10.0.0.0/8` or `2001:db8::/32`; one of IPv4-mapped addresses is the IPv4 network that they stand for.

    Raises InvalidInput, also where bits are set beyond its length: that was meant as an address, or as another network.
    """
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise InvalidInput(f"{quoted(text)} is not a network such as 10.0.0.0/8 or 2001:db8::/32") from None
    # A server with IPv6 sockets sees 10.0.0.7 as ::ffff:10.0.0.7: both are compared as IPv4.
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):  # type: ignore[arg-type]
        return ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _minima(minimum_versions: Mapping[str, str], application: str) -> list[str]:
    """The oldest version of an application that may be used: the most specific pattern's, and of equals every one."""
    # decision 56: of two equally specific names, the spelling must not decide
    fitting = [(_fit(name, application), minimum) for name, minimum in minimum_versions.items()]
    # `Outlook*: 16.0` and `Outlook Mobile: 5.0`: the mobile version counts by its own name alone.
    closest = max((fit for fit, _ in fitting if fit), default=None)
    return [minimum for fit, minimum in fitting if fit and fit == closest]


def is_at_least(version: str | None, minimum: str) -> bool:
    """Whether a version is that one or a later one, by the rules of PEP 440 (16.0.10 is later than 16.0.9, 2.0rc1 earlier than 2.0).

    One that these cannot read, such as `16.0 (Build 5000)`, is not known to be, and neither is one that is not given.
    """
    from packaging.version import Version

    try:
        return version is not None and Version(version) >= Version(minimum)
    except ValueError:  # no version, or numbers of more digits than Python reads
        return False


def check_version(text: str) -> str:
    """The version as written. Raises InvalidInput for one that cannot be compared."""
    from packaging.version import Version

    try:
        Version(text)
    except ValueError:
        raise InvalidInput(f"{quoted(text)} is not a version such as 16.0.5000") from None
    return text
