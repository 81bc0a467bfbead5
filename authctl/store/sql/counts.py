"""Counts of sessions by status, from indexes alone (decision 97): no row is read, except of sessions with a hard end.

A hard end moves the deadline of its session to its own instant. So the sessions that are alive after an instant are those
with a deadline after it, minus those with a hard end after it.
"""

from functools import cache
from typing import TYPE_CHECKING

from authctl.model import Kind
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.sql.dialect import Dialect

EVERY_KIND = ", ".join(f"'{kind}'" for kind in Kind)


class Counts:
    """The counts in one dialect. `{kinds}` stands for kinds in quotes, with commas."""

    def __init__(self, dialect: "Dialect") -> None:
        entrances = tables(dialect)
        is_open = entrances.open_revocation
        by_revocation = dialect.table("sessions", index="sessions_by_revocation")
        of_kinds = "kind IN ({kinds})"
        self.everything = "SELECT count(*) FROM sessions"
        self.of_kind = f"SELECT count(*) FROM {dialect.table('sessions', index='sessions_by_use')} WHERE kind = :kind"
        self.unrevoked = f"SELECT count(*) FROM {by_revocation} WHERE revocation_id = {is_open} AND {of_kinds}"
        # Two ranges of the index, below and above the open revocation; `<>` would read the whole index.
        below, above = (
            f"SELECT 1 FROM {by_revocation} WHERE revocation_id {sign} {is_open} AND {of_kinds}" for sign in "<>"
        )
        self.revoked = f"SELECT count(*) FROM ({below} UNION ALL {above} LIMIT :most) AS counted"
        within = f"{entrances.unrevoked} AND s.kind IN ({{kinds}}) AND s.profile_key = :profile"
        deadlines = f"{within} AND s.expires_at > :since AND s.expires_at <= :until"
        hard_ends = f"{within} AND s.ended_at > :since AND s.ended_at <= :until"
        self.unended = (
            f"SELECT (SELECT count(*) FROM {entrances.by_deadline} WHERE {deadlines})"
            f" - (SELECT count(*) FROM {entrances.by_hard_end} WHERE {hard_ends})"
        )
        """The sessions of a profile, neither revoked nor ended, with a deadline after one instant and up to another."""


@cache
def counts(dialect: "Dialect") -> Counts:
    """The counts in a dialect, made once."""
    return Counts(dialect)
