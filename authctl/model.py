"""The values that everything passes about: frozen, comparable, and with no way to the store.

Instants are integers, microseconds since 1970 UTC; `NEVER` stands for no end. The rules that
give these values their meaning are in `lifetimes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from authctl import lifetimes
from authctl.errors import InvalidInput, NotFound
from authctl.instants import NEVER, Duration, format_timeout, instant_of, parse_duration, parse_timeout
from authctl.names import field as checked_field
from authctl.names import fold, pattern_fit, profile_name, quoted, username


class Status(StrEnum):
    """What a session is at an instant; derived, never stored."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Kind(StrEnum):
    """What holds the session: a registered application, or a web application or portal."""

    APPLICATION = "application"
    WEB = "web"


SIGN_IN_METHODS = ("password", "key", "saml", "other")


@dataclass(frozen=True, slots=True)
class Profile:
    """How long sessions live that are registered under this name; lengths in microseconds."""

    name: str
    idle_timeout: int = lifetimes.DEFAULT_IDLE_TIMEOUT
    absolute_timeout: int = NEVER
    description: str | None = None

    def deadlines(self, created_at: int, used_at: int) -> lifetimes.Deadlines:
        """When a session of this profile ends that was created and last used then."""
        return lifetimes.deadlines(self.idle_timeout, self.absolute_timeout, created_at, used_at)

    def to_document(self) -> dict[str, Any]:
        """The profile as `profiles.yaml` would say it, every field written out."""
        return {
            "description": self.description,
            "idle_timeout": format_timeout(self.idle_timeout),
            "absolute_timeout": format_timeout(self.absolute_timeout),
        }

    @classmethod
    def from_document(cls, name: str, document: Mapping[str, Any]) -> "Profile":
        """The inverse of `to_document`."""
        return cls(
            name,
            parse_timeout(document["idle_timeout"]),
            parse_timeout(document["absolute_timeout"]),
            document["description"],
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which profile a new session gets; `*` in user or application stands for any text."""

    profile: str
    user: str | None = None
    application: str | None = None

    def specificity(self, username: str, application: str) -> tuple[tuple[int, int], ...] | None:
        """How closely this fits, greater is closer; None when it does not. A user outweighs an application."""
        fits = (pattern_fit(self.user, username), pattern_fit(self.application, application))
        return None if None in fits else fits  # type: ignore[return-value]

    def to_document(self) -> dict[str, Any]:
        """The assignment as `profiles.yaml` would say it."""
        said = {"user": self.user, "application": self.application, "profile": self.profile}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """Everything `profiles.yaml` says; `withdrawn` profiles still rule the sessions they have."""

    retention: Duration
    default_profile: str
    profiles: Mapping[str, Profile]
    assignments: tuple[Assignment, ...] = ()
    withdrawn: Mapping[str, Profile] = field(default_factory=dict)

    def in_force(self, name: str) -> Profile | None:
        """The profile in force of that name, however it is spelled."""
        return _spelled(name, self.profiles)

    def get(self, name: str) -> Profile | None:
        """The profile of that name, however it is spelled, in force or withdrawn."""
        return self.in_force(name) or _spelled(name, self.withdrawn)

    def named(self, name: str) -> Profile:
        """The profile in force of that name, however it is spelled. Raises NotFound."""
        if found := self.in_force(profile_name(name)):
            return found
        raise NotFound(f"no profile {quoted(name)} in force", "to see them: authctl profiles list")

    def assigned(self, username: str, application: str) -> Profile:
        """The profile of a new session: the most specific assignment's, the first of equals, or the default."""
        fitting = [(a.specificity(username, application), a.profile) for a in self.assignments]
        closest = max((f for f in fitting if f[0]), key=lambda f: f[0] or (), default=(None, self.default_profile))
        return self.profiles[closest[1]]

    def to_document(self) -> dict[str, Any]:
        """Everything in the shape of `profiles.yaml`, with `withdrawn` beside it; JSON can carry it."""
        return {
            "retention": str(self.retention),
            "default_profile": self.default_profile,
            "assignments": [assignment.to_document() for assignment in self.assignments],
            "profiles": {name: profile.to_document() for name, profile in self.profiles.items()},
            "withdrawn": {name: profile.to_document() for name, profile in self.withdrawn.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ProfileSet":
        """The inverse of `to_document`. Raises KeyError, TypeError or AuthctlError for a damaged one."""
        profiles, withdrawn = (
            {name: Profile.from_document(name, one) for name, one in document[part].items()}
            for part in ("profiles", "withdrawn")
        )
        assignments = tuple(Assignment(**one) for one in document["assignments"])
        retention = parse_duration(document["retention"])
        return cls(retention, document["default_profile"], profiles, assignments, withdrawn)


def _spelled(name: str, profiles: Mapping[str, Profile]) -> Profile | None:
    key = fold(name)
    return next((profile for profile in profiles.values() if fold(profile.name) == key), None)


class Session(NamedTuple):
    """One user, application and device that was authenticated, as read at `read_at`."""

    number: int
    id: str
    username: str
    application: str | None
    application_version: str | None
    platform: str | None
    device: str | None
    ip: str | None
    user_agent: str | None
    kind: str
    profile: str
    signed_in_with: str | None
    referrer: str | None
    created_at: int
    last_used_at: int
    slid_at: int
    use_due_at: int
    """From this instant on, a use is written."""
    idle_expires_at: int
    absolute_expires_at: int
    fixed_expires_at: int | None
    """A deadline that was given with the session; no profile changes it."""
    expires_at: int
    ended_at: int | None
    ended_by: str | None
    """Why a hard end was made; `ended_reason` covers deadlines, too."""
    generation: int
    key_id: str | None
    revocation_id: int
    revoked_at: int | None
    revoked_by: str | None
    note: str | None
    read_at: int

    def status_at(self, now: int) -> Status:
        """Active, expired or revoked at `now`."""
        if self.revoked_at is not None:
            return Status.REVOKED
        return Status.ACTIVE if self.is_alive(now) else Status.EXPIRED

    def is_alive(self, now: int) -> bool:
        """Whether neither a deadline nor a hard end has come, revoked or not."""
        return lifetimes.is_alive(self.ended_at, self.expires_at, now)

    @property
    def status(self) -> Status:
        """The status when this was read."""
        return self.status_at(self.read_at)

    @property
    def ended_reason(self) -> str | None:
        """Why the session is over, its revocation apart; None while it lives."""
        if self.is_alive(self.read_at):
            return None
        return self.ended_by or lifetimes.deadline_reason(
            self.idle_expires_at, self.absolute_expires_at, self.fixed_expires_at
        )

    @property
    def end(self) -> int:
        """The instant that retention counts from: revoked, else ended, else expired."""
        return self.revoked_at if self.revoked_at is not None else self.expires_at


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be registered; the store gives it its number."""

    id: str
    username: str
    profile: str
    created_at: int
    last_used_at: int
    deadlines: lifetimes.Deadlines
    application: str | None = None
    application_version: str | None = None
    platform: str | None = None
    device: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    kind: str = Kind.APPLICATION
    signed_in_with: str | None = None
    referrer: str | None = None
    fixed_expires_at: int | None = None
    secret_hash: bytes | None = None
    key_id: str | None = None


def _instant(value: "int | datetime | None") -> int | None:
    return instant_of(value) if isinstance(value, datetime) else value


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are meant: every criterion that is given must hold.

    One value drives list, count, dry run and revoke, so what was previewed is what is revoked.
    Texts are compared by their folded key and never as patterns; `search` is a literal substring of
    user, application, device, platform, address or note. Instants may be given as datetimes.
    Raises InvalidInput for a text that no session could have.
    `kind` None means every kind. `ids` are whole ids or unique beginnings of one, and where there are any,
    the others narrow them. With no criterion at all it lists everything, but revokes only with `everything`.
    """

    ids: tuple[str, ...] = ()
    status: tuple[Status, ...] | str = ()
    username: str | None = None
    application: str | None = None
    device: str | None = None
    platform: str | None = None
    profile: str | None = None
    kind: str | None = None
    search: str | None = None
    created_since: int | datetime | None = None
    created_before: int | datetime | None = None
    used_since: int | datetime | None = None
    unused_since: int | datetime | None = None
    expires_before: int | datetime | None = None
    except_ids: tuple[str, ...] = ()
    everything: bool = False

    def __post_init__(self) -> None:
        given = (self.status,) if isinstance(self.status, str) else self.status
        for value, choices in (*((one, Status) for one in given), (self.kind, Kind)):
            if value is not None and value not in tuple(choices):
                raise InvalidInput(f"{quoted(value)} is none of: {', '.join(choices)}")
        object.__setattr__(self, "status", tuple(s for s in Status if s in given))
        if self.username is not None:
            username(self.username)
        if self.profile is not None:
            profile_name(self.profile)
        if self.search is not None and not fold(self.search):
            raise InvalidInput("the search is blank")
        for name in ("application", "device", "platform", "search"):
            checked_field(getattr(self, name) or "", name)
        for name in ("created_since", "created_before", "used_since", "unused_since", "expires_before"):
            object.__setattr__(self, name, _instant(getattr(self, name)))

    @property
    def statuses(self) -> tuple[Status, ...]:
        """The statuses asked for, each once, in a fixed order; empty means all three."""
        return self.status  # type: ignore[return-value]

    def narrowed(self, **changes: object) -> "SessionFilter":
        """The same filter with some criteria replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def criteria(self) -> dict[str, object]:
        """What is given, for the audit log: only the criteria that say something."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v not in (None, (), False)}


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One link of the audit chain."""

    seq: int
    at: int
    actor: str
    action: str
    subject: str | None
    note: str | None
    detail: str
    """A JSON object as text, exactly as it was hashed."""
    prev_hash: str
    hash: str
