"""Where queries enter the tables, and the pieces that many of them share.

Every query names its index: without statistics a database chooses badly, and where hints are taken a missing index fails
loudly. In all texts `s` is a session, and `r` the revocation that it names.

See docs/glossary.md#open-revocation.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.store.sql.dialect import Dialect

WITH_REVOCATION = "JOIN revocations AS r ON r.id = s.revocation_id"
UNACKNOWLEDGED = "s.wipe_on_revoke = 1 AND s.wipe_acknowledged_at IS NULL"
OF_EVERY_KIND = "s.kind IN ('application', 'web')"
"""A condition that every session meets: with it, an index that begins with the kind is entered for each kind."""
ANY_CREATION = -1
"""The creation in the final of a removed session whose source does not give it: no session can have it."""


class Tables:
    """The entrances to the tables, in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        self.dialect = dialect
        open_row = dialect.table("revocations", index="revocations_open")
        # decision 1: all sessions that are not revoked name the one row without a time
        self.open_revocation = f"(SELECT id FROM {open_row} WHERE at IS NULL)"
        self.unrevoked = f"s.revocation_id = {self.open_revocation}"
        self.revoked = dialect.join_in_order(
            dialect.table("revocations", "r", "revocations_by_time"),
            dialect.table("sessions", "s", "sessions_by_revocation"),
            "s.revocation_id = r.id",
        )
        """Revoked sessions in the order of their revocations."""
        self.by_deadline = dialect.table("sessions", "s", "sessions_by_expiry")
        self.by_hard_end = dialect.table("sessions", "s", "sessions_by_end")
        self.by_use = dialect.table("sessions", "s", "sessions_by_use")
        self.by_revocation = self.unrevoked_by_use = dialect.table("sessions", "s", "sessions_by_revocation")
        self.by_user = dialect.table("sessions", "s", "sessions_by_user")
        self.anywhere = dialect.whole_table("sessions", "s")
        sessions = dialect.table("sessions", "s")
        self.by_numbers = dialect.join_in_order(
            dialect.list_rows("numbers", "listed", "bigint"), sessions, "s.number = listed.value"
        )
        """The sessions of a list of numbers."""
        self.by_search_numbers = dialect.join_in_order(
            dialect.list_rows("search_numbers", "listed", "bigint"), sessions, "s.number = listed.value"
        )
        """The sessions that the search index found."""
        self.by_id = sessions
        """The session of one id, which is a condition."""
        self.by_ids = dialect.join_in_order(dialect.list_rows("ids", "listed", "text"), sessions, "s.id = listed.value")
        self.each_number = dialect.is_listed("number", "numbers")
        """Whether the number of a row is in a list."""
        self.of_profiles = dialect.is_listed("s.profile_key", "profiles")
        hard_ends = dialect.table("sessions", index="sessions_by_end")
        # A clock that was set back makes a hard end later than now; it moved the deadline to its own instant (decision 18).
        self.over_by = dialect.greatest(
            ":now", f"coalesce((SELECT max(ended_at) FROM {hard_ends} WHERE ended_at IS NOT NULL), 0)"
        )
        """The latest deadline that a session which is over can have."""

    @property
    def walks(self) -> tuple[str, str]:
        """The entrances in the order of use, over all sessions or over those that are not revoked."""
        return self.by_use, self.unrevoked_by_use


@cache
def tables(dialect: "Dialect") -> Tables:
    """The entrances in a dialect, made once."""
    return Tables(dialect)
