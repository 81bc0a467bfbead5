"""Continuity events.

See docs/glossary.md#continuity-event.
"""

from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer, continuity_events

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent


class ContinuityReader(Reader):
    """`ContinuityView` over any database."""

    def continuity_events(self) -> "list[ContinuityEvent]":
        return continuity_events(self.connection)

    def held_by_continuity(self, profile: str, now: int) -> int:
        from authctl.store.nouns.status_counts import count_unended

        event = self.continuity.running(now).get(fold(profile))
        if event is None:
            return 0
        return count_unended(self, fold(profile), event.started_at, now)


class ContinuityWriter(Writer):
    """`ContinuityChange` over any database. Each method makes the snapshot read the events again."""

    def start_continuity(self, profile: str, at: int, ends_at: int, actor: str, note: str) -> None:
        sql = "INSERT INTO continuity (profile, started_at, ends_at, actor, note) VALUES (?, ?, ?, ?, ?)"
        self.write(sql, (profile, at, ends_at, actor, note))
        self._continuity = None

    def end_continuity(self, event_id: int, at: int, actor: str, note: str) -> None:
        # decision 71: a clock that was set back ends an event where it began
        end = self.dialect.greatest("started_at", "?")
        sql = f"UPDATE continuity SET ends_at = {end}, ended_by = ?, end_note = ? WHERE id = ?"
        self.write(sql, (at, actor, note, event_id))
        self._continuity = None

    def remove_continuity(self, cutoff: int) -> int:
        removed = self.write("DELETE FROM continuity WHERE ends_at < ?", (cutoff,))
        self._continuity = None
        return removed
