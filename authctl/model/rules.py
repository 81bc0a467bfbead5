"""The parts of a profile: the tokens of its sessions, the places where these are accepted, and the duties of the application."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from authctl import lifetimes
from authctl.instants import DAY, format_timeout, parse_length, parse_timeout


class OnReuse(StrEnum):
    """The reaction to a spent refresh token that comes back."""

    REVOKE = "revoke"
    REFUSE = "refuse"


class OnRevoke(StrEnum):
    """The duty of an application when its session is revoked."""

    SIGN_OUT = "sign_out"
    WIPE = "wipe"
    """The application must also remove its data, and confirm it."""


class PairRules(NamedTuple):
    """Access and refresh tokens; lengths in microseconds."""

    access_lifetime: int = lifetimes.DEFAULT_ACCESS_LIFETIME
    # decision 30: within the grace period a thief can use a spent token, so it must be written
    grace: int = 0
    """How long a spent refresh token is still answered with its successor."""
    on_reuse: OnReuse = OnReuse.REVOKE

    def to_document(self) -> dict[str, Any]:
        """These rules in the fields of `profiles.yaml`."""
        refresh = {"grace": format_timeout(self.grace), "on_reuse": self.on_reuse.value}
        return {"access_lifetime": format_timeout(self.access_lifetime), "refresh": refresh}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PairRules":
        """The inverse of `to_document`."""
        refresh = document["refresh"]
        grace, on_reuse = parse_length(refresh["grace"]), OnReuse(refresh["on_reuse"])
        return cls(parse_timeout(document["access_lifetime"]), grace, on_reuse)


class RequestRules(NamedTuple):
    """Lifetimes that are asked for; in microseconds."""

    default_lifetime: int = lifetimes.DEFAULT_REQUESTED_LIFETIME
    max_lifetime: int = lifetimes.LONGEST_REQUESTED_LIFETIME
    sealed: bool = False
    """Whether tokens contain user and expiry, encrypted."""

    def to_document(self) -> dict[str, Any]:
        """These rules in the fields of `profiles.yaml`."""
        lengths = {name: format_timeout(getattr(self, name)) for name in ("default_lifetime", "max_lifetime")}
        return {**lengths, "sealed": self.sealed}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "RequestRules":
        """The inverse of `to_document`."""
        default, longest = (parse_timeout(document[name]) for name in ("default_lifetime", "max_lifetime"))
        return cls(default, longest, document["sealed"])


class Conditions(NamedTuple):
    """The conditions for the use of a session: networks, platforms, versions, applications. Each that is given must be met."""

    networks: tuple[str, ...] = ()
    """The networks; one of them must contain the address of the request."""
    platforms: tuple[str, ...] = ()
    """The operating systems that are allowed; `*` stands for any text."""
    minimum_versions: Mapping[str, str] = MappingProxyType({})
    """The oldest version of an application that may be used, by its name; `*` stands for any text."""
    blocked_applications: tuple[str, ...] = ()
    """Applications that may not be used; `*` stands for any text."""

    def to_document(self) -> dict[str, Any]:
        """The conditions that are given, in the fields of `profiles.yaml`."""
        fields = {
            "networks": list(self.networks),
            "platforms": list(self.platforms),
            "minimum_versions": dict(self.minimum_versions),
            "blocked_applications": list(self.blocked_applications),
        }
        return {name: value for name, value in fields.items() if value}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Conditions":
        """The inverse of `to_document`."""
        networks, platforms, blocked = (
            tuple(map(_text, document.get(name, ()))) for name in ("networks", "platforms", "blocked_applications")
        )
        minimum = {_text(name): _text(version) for name, version in document.get("minimum_versions", {}).items()}
        return cls(networks, platforms, minimum, blocked)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


class CacheRules(NamedTuple):
    """The longest time for which a successful login is remembered, and the most users of whom one is."""

    max_age: int = DAY
    """From the success, in microseconds; use does not extend it."""
    capacity: int = 10_000
    """The most logins; beyond it, the least recently used are removed."""

    def to_document(self) -> dict[str, Any]:
        """The cache in the fields of `profiles.yaml`."""
        return {"max_age": format_timeout(self.max_age), "capacity": self.capacity}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "CacheRules":
        """The inverse of `to_document`."""
        return cls(parse_timeout(document["max_age"]), document["capacity"])
