"""Continuity events: for how long the sessions of a profile are held beyond their deadlines."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContinuityEvent:
    """An outage during which the sessions of one profile that were alive when it began stay so."""

    id: int
    profile: str
    started_at: int
    ends_at: int
    """When it ended or will end; `NEVER` while nobody has said."""
    actor: str
    note: str
    ended_by: str | None = None
    end_note: str | None = None

    def is_running(self, now: int) -> bool:
        """Whether it holds sessions at `now`."""
        return self.started_at <= now < self.ends_at
