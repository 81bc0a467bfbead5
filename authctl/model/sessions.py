"""Sessions: the value of a registered one, its statuses and kinds, and the rules by which it lives.

See docs/glossary.md#hard-end and docs/glossary.md#wipe.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from authctl.model.continuity import ContinuityEvent


class Status(StrEnum):
    """The status of a session at an instant; derived, never stored."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Kind(StrEnum):
    """The program that uses the session: a registered application, or a web application or portal."""

    APPLICATION = "application"
    WEB = "web"


class Wipe(StrEnum):
    """How far an order to remove an application's data has come."""

    PENDING = "pending"
    """The application has not been in contact since the revocation."""
    DELIVERED = "delivered"
    """It was told, and has not answered."""
    ACKNOWLEDGED = "acknowledged"
    """The application confirmed that its data is removed."""


SIGN_IN_METHODS = ("password", "key", "saml", "other")


_INSTANTS_OF_OPERATIONS = {
    "revoked_at": ("revoked_at", "revoked_by", "note"),
    "ended_at": ("ended_at", "ended_by"),
    "wipe_delivered_at": ("wipe_delivered_at",),
    "wipe_acknowledged_at": ("wipe_acknowledged_at",),
}
"""The instants of operations, and the fields that come with each."""


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
    """A deadline that was given with the session: requested, so that no profile lengthens it, or imported."""
    expires_at: int
    ends_at: int
    """When it really ends: `expires_at`, or the end of the continuity event that holds or held it."""
    ended_at: int | None
    ended_by: str | None
    """Why a hard end was made; `ended_reason` covers deadlines, too."""
    tokens: str
    """The form of its tokens, a value of `Tokens`; no profile changes it."""
    sealed: int
    """Whether its access token is a sealed one."""
    bound_to: str | None
    """From where alone its tokens are good, a value of `Binding`: its `ip` or its `referrer`."""
    generation: int
    """How often its tokens were refreshed; tokens of earlier generations are spent."""
    refreshed_at: int | None
    access_expires_at: int | None
    """When the access token of a pair ends; None where it is as good as its session."""
    access_ends_at: int | None
    """When it really ends, as `ends_at`."""
    key_id: str | None
    has_conditions: int
    """Whether its profile has conditions."""
    wipe_on_revoke: int
    """Whether its application must remove its data when it is revoked."""
    wipe_delivered_at: int | None
    """When the application was first told."""
    wipe_acknowledged_at: int | None
    """When the application confirmed that its data is removed."""
    source: str | None
    """The system that it lives in, for a session that was imported with a source."""
    source_id: str | None
    """Its id in that system."""
    used_after_end_at: int | None
    """When its source last listed it as used after it was revoked or ended here."""
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
        return is_alive(self.ended_at, self.ends_at, now)

    def as_of(self, instant: int) -> "Session":
        """The session at an earlier instant, as far as it is kept: without the revocation, end and wipe that came later."""
        later = [name for name in _INSTANTS_OF_OPERATIONS if (at := getattr(self, name)) is not None and at > instant]
        blank: dict[str, Any] = {name: None for first in later for name in _INSTANTS_OF_OPERATIONS[first]}
        return self._replace(read_at=instant, **blank)

    def held_by(self, events: "Sequence[ContinuityEvent]") -> "Session":
        """The same with what continuity events make of its deadlines; a hard end stays where it is."""
        if self.ended_at is not None:
            return self
        from authctl.model.continuity import held_until

        access = self.access_expires_at
        return self._replace(
            ends_at=held_until(self.expires_at, self.profile, events),
            access_ends_at=None if access is None else held_until(access, self.profile, events),
        )

    @property
    def status(self) -> Status:
        """The status when this was read."""
        return self.status_at(self.read_at)

    @property
    def ended_reason(self) -> str | None:
        """Why the session is over, its revocation apart; None while it lives."""
        if self.is_alive(self.read_at):
            return None
        return self.ended_by or self.last_deadline

    @property
    def last_deadline(self) -> str:
        """The deadline that ends it: `continuity_ended` where an event holds it beyond its first one."""
        return "continuity_ended" if self.ends_at > self.expires_at else self.first_deadline

    @property
    def first_deadline(self) -> str:
        """Which of its deadlines comes first: `idle`, `absolute` or `lifetime`."""
        return deadline_reason(self.idle_expires_at, self.absolute_expires_at, self.fixed_expires_at, self.expires_at)

    @property
    def end(self) -> int:
        """The instant that retention counts from: revoked, else ended, else expired or no longer held."""
        return self.revoked_at if self.revoked_at is not None else self.ends_at

    @property
    def is_held(self) -> bool:
        """Whether it lived beyond its deadline when this was read, by a continuity event."""
        return self.status is Status.ACTIVE and self.read_at >= self.expires_at

    @property
    def wipe(self) -> Wipe | None:
        """How far the order has come to remove the application's data; None where there is none."""
        if self.revoked_at is None or not self.wipe_on_revoke:
            return None
        if self.wipe_acknowledged_at is not None:
            return Wipe.ACKNOWLEDGED
        return Wipe.PENDING if self.wipe_delivered_at is None else Wipe.DELIVERED

    @property
    def token_issued_at(self) -> int:
        """When its present tokens were minted."""
        return self.created_at if self.refreshed_at is None else self.refreshed_at

    @property
    def token_expires_at(self) -> int:
        """When its present access token ends: with the session, or before. A continuity event may hold it beyond."""
        return self.expires_at if self.access_expires_at is None else min(self.access_expires_at, self.expires_at)

    @property
    def token_ends_at(self) -> int:
        """When its present access token really ends."""
        return self.ends_at if self.access_ends_at is None else min(self.access_ends_at, self.ends_at)


def is_alive(ended_at: int | None, expires_at: int, now: int) -> bool:
    """Whether a session that nobody revoked is active at `now`."""
    return ended_at is None and now < expires_at


def deadline_reason(idle: int, absolute: int, fixed: int | None, expires: int) -> str:
    """Which deadline comes first: `idle`, `absolute` or `lifetime` (one given with the session)."""
    # `expires` may lie before all three: a hard end moves it. Then the earliest deadline is still the one to name.
    if fixed is not None and fixed <= expires:
        return "lifetime"
    return "absolute" if absolute <= idle else "idle"
