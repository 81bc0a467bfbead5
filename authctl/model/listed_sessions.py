"""The fields of a session that a list in JSON has. A module of its own, since only such a list loads it."""

from operator import attrgetter
from typing import NamedTuple

from authctl.model.sessions import Session


class ListedSession(NamedTuple):
    """A session as a list in JSON shows it: some fields of `Session`, with the same names and meanings. Required instants come first."""

    number: int
    created_at: int
    last_used_at: int
    idle_expires_at: int
    absolute_expires_at: int
    expires_at: int
    ends_at: int
    read_at: int
    fixed_expires_at: int | None
    ended_at: int | None
    revoked_at: int | None
    wipe_delivered_at: int | None
    wipe_acknowledged_at: int | None
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
    ended_by: str | None
    wipe_on_revoke: int
    source: str | None
    source_id: str | None
    revocation_id: int
    revoked_by: str | None
    note: str | None

    @staticmethod
    def of(session: Session) -> "ListedSession":
        """The same of a whole session."""
        return ListedSession._make(_FIELDS(session))


_FIELDS = attrgetter(*ListedSession._fields)
