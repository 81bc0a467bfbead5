"""What every use case needs: the store, the clock, and a transaction that writes its audit event with the deed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from authctl import audit, names
from authctl.errors import InvalidInput
from authctl.instants import Clock, instant_of, utc_now
from authctl.settings import Home, default_actor
from authctl.store.base import Change, Store, View

AUTHCTL = "authctl"
"""The actor of what authctl does by itself."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One transaction: what to change, the one instant it happens at, and who does it."""

    tx: Change
    now: int
    actor: str

    def record(
        self, action: str, *, subject: str | None = None, note: str | None = None, detail: dict[str, Any]
    ) -> None:
        """Append the event of what this transaction does to the audit chain."""
        event = audit.sealed(
            self.tx.last_event(),
            at=self.now,
            actor=self.actor,
            action=action,
            subject=subject,
            note=note,
            detail=detail,
        )
        self.tx.add_event(event)


class Core:
    """A registry's parts, shared by the use cases."""

    def __init__(self, home: Home, store: Store, clock: Clock | None) -> None:
        self.home = home
        self.store = store
        self._clock = clock

    def now(self) -> int:
        """The present instant."""
        return utc_now() if self._clock is None else instant_of(self._clock())

    @contextmanager
    def change(self, actor: str | None, *, wait: bool = True, attempts: int = 1) -> Iterator[Unit]:
        """Change the registry: all of the block and what it records, or nothing. The time is taken once the turn has come."""
        who = actor_name(actor)
        with self.store.change(wait=wait, attempts=attempts) as tx:
            yield Unit(tx, self.now(), who)

    @contextmanager
    def look(self) -> Iterator[tuple[View, int]]:
        """Read one snapshot of the registry, with the instant it is judged at."""
        with self.store.view() as view:
            yield view, self.now()


def actor_name(actor: str | None) -> str:
    """The actor as recorded. Raises InvalidInput when it is blank or cannot be stored."""
    name = names.field(default_actor() if actor is None else actor, "actor")
    if not name.strip():
        raise InvalidInput("the actor is blank", 'say who acts: --actor "alice"')
    return name
