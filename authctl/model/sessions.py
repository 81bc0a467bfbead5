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
    """The stage of an order to remove the data of an application."""

    PENDING = "pending"
    """The application has not been in contact since the revocation."""
    DELIVERED = "delivered"
    """The application received the order, and has not confirmed it."""
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
    """When it really ends: `expires_at`, or the end of the continuity event that keeps or kept it active."""
    ended_at: int | None
    ended_by: str | None
    """Why a hard end was made; `ended_reason` covers deadlines, too."""
    tokens: str
    """The form of its tokens, a value of `Tokens`; no profile changes it."""
    sealed: int
    """Whether its access token is a sealed one."""
    bound_to: str | None
    """The fact that its tokens are bound to, a value of `Binding`: its `ip` or its `referrer`."""
    generation: int
    """How often its tokens were refreshed; tokens of earlier generations are spent."""
    refreshed_at: int | None
    access_expires_at: int | None
    """When the access token of a pair ends; None for a token that is valid as long as its session."""
    access_ends_at: int | None
    """When it really ends, as `ends_at`."""
    key_id: str | None
    has_conditions: int
    """Whether its profile has conditions."""
    wipe_on_revoke: int
    """Whether its application must remove its data when it is revoked."""
    wipe_delivered_at: int | None
    """When the application first received the order to remove its data."""
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
        # A field of an operation is blank again if its instant is later; uses and deadlines of that time are not kept.
        later = [name for name in _INSTANTS_OF_OPERATIONS if (at := getattr(self, name)) is not None and at > instant]
        blank: dict[str, Any] = {name: None for first in later for name in _INSTANTS_OF_OPERATIONS[first]}
        return self._replace(read_at=instant, **blank)

    def held_by(self, events: "Sequence[ContinuityEvent]") -> "Session":
        """The session with its ends as continuity events move them; a hard end stays the same."""
        # A hard end has moved the deadline to its own instant, and no event keeps such a session active.
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
        """The reason for the end of the session, without its revocation; None as long as it is active."""
        if self.is_alive(self.read_at):
            return None
        return self.ended_by or self.last_deadline

    @property
    def last_deadline(self) -> str:
        """The deadline that ends it: `continuity_ended` if an event keeps it active beyond its first deadline."""
        return last_deadline(
            self.idle_expires_at, self.absolute_expires_at, self.fixed_expires_at, self.expires_at, self.ends_at
        )

    @property
    def first_deadline(self) -> str:
        """Which of its deadlines comes first: `idle`, `absolute` or `lifetime`."""
        return deadline_reason(self.idle_expires_at, self.absolute_expires_at, self.fixed_expires_at, self.expires_at)

    @property
    def end(self) -> int:
        """The instant from which retention counts: the revocation, otherwise the end."""
        return self.revoked_at if self.revoked_at is not None else self.ends_at

    @property
    def is_held(self) -> bool:
        """Whether a continuity event kept it active beyond its deadline when this was read."""
        return self.status is Status.ACTIVE and self.read_at >= self.expires_at

    @property
    def wipe(self) -> Wipe | None:
        """The stage of the order to remove the application's data; None without an order."""
        is_ordered = self.revoked_at is not None and self.wipe_on_revoke
        return wipe_stage(self.wipe_delivered_at, self.wipe_acknowledged_at) if is_ordered else None

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


def last_deadline(idle: int, absolute: int, fixed: int | None, expires: int, ends: int) -> str:
    """Which deadline ends a session: `continuity_ended` if an event keeps it active beyond the first one."""
    return "continuity_ended" if ends > expires else deadline_reason(idle, absolute, fixed, expires)


def wipe_stage(delivered_at: int | None, acknowledged_at: int | None) -> Wipe:
    """The stage of an order to remove the application's data."""
    # decision 47: the stage follows from two instants, as every status does, so a revocation of everything writes no row
    if acknowledged_at is not None:
        return Wipe.ACKNOWLEDGED
    return Wipe.PENDING if delivered_at is None else Wipe.DELIVERED
