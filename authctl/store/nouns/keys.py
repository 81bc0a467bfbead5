"""Signing keys: the active sessions of each key.

See docs/glossary.md#signing-key.
"""

from typing import TYPE_CHECKING

from authctl.model import Status
from authctl.store.nouns.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.store.protocol.keys import KeyUsage


class KeysReader(Reader):
    """`KeysView` over any database."""

    def key_usage(self, now: int) -> "dict[str, KeyUsage]":
        from authctl.store.protocol.keys import KeyUsage
        from authctl.store.sql.filters import has_status

        end = self.continuity.end("s.expires_at")
        # A refresh replaces the key of a pair. The deadline of a single token moves with each use, up to the absolute one
        # (decision 76).
        until = "CASE WHEN s.tokens = 'single' AND s.fixed_expires_at IS NULL THEN s.absolute_expires_at ELSE s.expires_at END"
        latest = self.dialect.greatest(until, end)
        sql = (
            f"SELECT s.key_id, count(*), max({latest}) FROM {self.tables.by_revocation}"
            f" WHERE {has_status(Status.ACTIVE, self.continuity, now)} AND s.key_id IS NOT NULL GROUP BY s.key_id"
        )
        return {key_id: KeyUsage(sessions, last) for key_id, sessions, last in self.all_rows(sql, self.given(now))}


class KeysWriter(Writer):
    """`KeysChange` over any database."""

    def end_signed(self, key_id: str, at: int, reason: str) -> int:
        from authctl.store.nouns.sessions import end_of_unrevoked
        from authctl.store.sql.filters import has_status

        sql = f"{end_of_unrevoked(self.dialect)} WHERE {has_status(Status.ACTIVE, self.continuity, at)} AND s.key_id = :key_id"
        return self.write(sql, self.given(at, reason=reason, key_id=key_id, move=self.move))
