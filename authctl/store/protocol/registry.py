"""Facts about the registry itself: its id, the instants that it has recorded, and the last event of its audit log.

See docs/glossary.md#recorded-time.
"""

from typing import Protocol


class RegistryView(Protocol):
    """Reading facts about the registry."""

    def registry_id(self) -> str:
        """The id of the registry, different from the id of every other one."""

    def recorded_time(self) -> int:
        """The latest instant of any change."""

    def clock(self) -> int | None:
        """The time of the store's own clock when this transaction had its turn, as `Store.clock`; None if it has only this machine's."""

    def last_clock_jump(self) -> int | None:
        """The instant to which the recorded time moved by more than `instants.CLOCK_JUMP` at once; None if it has not, or was set since."""

    def restored_at(self) -> int | None:
        """The instant of the last restore, or of the last acceptance of an audit chain. All earlier sessions ended then."""

    def last_seal(self) -> tuple[int, str]:
        """The number and the hash of the newest audit event; 0 and a blank text without any."""

    def moving_to(self) -> str | None:
        """The place to which a move was begun that did not end; this registry is still in force."""


class RegistryChange(Protocol):
    """Writing facts about the registry."""

    def record_time(self, at: int) -> None:
        """Record that a change is made at that instant. The latest instant stays."""

    def set_recorded_time(self, at: int) -> None:
        """Set the recorded time, also to an earlier one. A restore at a later instant then counts as made at this one."""

    def set_restored(self, at: int) -> None:
        """Record a restore, or the acceptance of an audit chain: all earlier sessions ended then. The latest instant stays."""

    def set_moving_to(self, place: str | None) -> None:
        """Record that a move to that place begins, or with None that it was given up."""

    def set_arriving_from(self, place: str) -> None:
        """Keep this copy of the registry at that place closed until its move is finished. The last statement of a change."""

    def take_time(self) -> None:
        """Let this change take as long as it needs: a server would end one that stands still while something else is done."""

    def close_for_move(self, place: str) -> None:
        """Close the registry: it is at that place now. The last statement of a change.

        Every later view, change and look-up, also of stores that were opened before, raises RegistryMoved.
        """
