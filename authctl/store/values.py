"""What a store is given and gives beside the model's values."""

from __future__ import annotations  # the values passed about are imported where they are made

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.instants import DAY

if TYPE_CHECKING:
    from authctl.model import NewSession, ProfileSet, Session


class Mark(NamedTuple):
    """How far a registry had counted at an instant: by it is known later which sessions moved since within their lists."""

    seen_at: int
    moves: int
    """How many changes had moved sessions; below zero where each session counts as moved."""
    last_number: int
    """The highest number of a session."""
    open_revocation: int
    last_revocation: int


class Cursor(NamedTuple):
    """Where a page of sessions ended, so that the next one goes on from there."""

    key: tuple[Any, ...]
    found: Sequence[int] | None = None
    """The numbers of all sessions of the list, where they were found by what they say and not along an index."""
    is_many: bool = False
    """Whether they were looked for that way, and are too many."""
    since: Mark | None = None
    """With a mark, what moved since, or was registered since, is left out."""


class Page(NamedTuple):
    """Some sessions in the order of their list, and where to go on; no cursor where none comes after them."""

    sessions: list[Session]
    after: Cursor | None


class DeadlineChanges(NamedTuple):
    """How many active sessions of a profile its new deadlines would shorten, lengthen and end."""

    shortened: int
    lengthened: int
    ended: int


class Largest(NamedTuple):
    """What sessions have in common, counted: the names that most of them have, and how many names there are besides."""

    counts: tuple[tuple[str | None, int], ...]
    more: int


class Summary(NamedTuple):
    """Some sessions, counted."""

    total: int
    web: int
    """How many of them are web sessions."""
    active: int
    expired: int
    users: Largest
    applications: Largest


class Signed(NamedTuple):
    """The active sessions whose present tokens one key signed."""

    sessions: int
    until: int
    """When the last of those tokens ends, whatever is used meanwhile; `NEVER` where one may live on for ever."""


class Removable(NamedTuple):
    """Sessions whose retention is over, counted by the status they then have."""

    expired: int
    revoked: int
    unacknowledged: int
    """How many of the revoked were to be wiped, and their applications have not said that they were."""

    @property
    def total(self) -> int:
        """How many they are."""
        return self.expired + self.revoked


class Removed(NamedTuple):
    """A batch of sessions that were removed, and where to go on; no cursor after the last."""

    sessions: Removable
    after: Cursor | None


class StagedRow(NamedTuple):
    """A row of an import: its instant, its details by name, and the line of the file that it begins on."""

    at: int
    details: dict[str, Any]
    line: int = 0


class StagedKey(NamedTuple):
    """A key of an import with all its rows, oldest first."""

    key: bytes
    key_without_user: bytes | None
    """The digest of the key as the mapping gives it, where that does not name the user."""
    rows: list[StagedRow]


class Imported(NamedTuple):
    """A session as an import knows it: the key of its rows, and the instant of the row that each detail is from."""

    key: bytes
    session: NewSession
    said_at: dict[str, int]
    revocation_id: int | None
    """A closed revocation to register it under, or None."""
    key_without_user: bytes | None = None
    profile_named: bool = False
    """Whether the import named its profile, so that no assignment decided it."""


class ImportedDetail(NamedTuple):
    """A session that an import registered, and the instant of the row that each detail is from."""

    session: Session
    said_at: dict[str, int]
    key: bytes
    key_without_user: bytes | None = None
    profile_named: bool = False


class PastRevocation(NamedTuple):
    """A revocation by criteria, which binds what imports bring later of the time before it."""

    id: int
    at: int
    selector: str
    """The criteria as JSON, in the form of `SessionFilter.criteria`, times resolved to instants."""
    last_number: int | None
    """The greatest number of a session when it was made; None where 0.1.0 made it."""
    profiles: ProfileSet | None
    """The profiles in force then, where the criteria name one."""


class Carried(NamedTuple):
    """What was taken over from the registry that a restore replaces, counted: what the backup alone would not have."""

    disabled_users: int
    password_changes: int
    revocations: int
    sessions_revoked: int
    sessions_ended: int
    """Sessions that were ended before their deadline; some of them may be revoked, too."""
    continuity_ended: int
    """Continuity events that the backup has as longer ones."""
    import_keys: int
    """Keys whose rows change nothing up to an instant that the backup does not know."""

    def plus(self, other: Carried) -> Carried:
        """The counts of both."""
        return Carried(*(one + more for one, more in zip(self, other, strict=True)))


LEAP = 7 * 31 * DAY
"""How far apart two changes are between which a clock may have jumped."""

Archive = Callable[["Sequence[Session]"], None]
"""Is given sessions before they are removed, and has written them for good when it returns."""
