"""Effects of operations: the sessions that one ended, and the access that remains."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authctl.store.protocol.cursors import MoveCounters


class Ends(NamedTuple):
    """Counts of sessions or tokens by the time in which they end by themselves. Each is counted once."""

    hour: int = 0
    """Within an hour."""
    day: int = 0
    """Within a day, and not within an hour; and so on."""
    week: int = 0
    later: int = 0
    never: int = 0
    last: int | None = None
    """The latest of these ends; None where there is none."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.hour + self.day + self.week + self.later + self.never

    @property
    def until(self) -> int | None:
        """When all of them have ended; None where there is none, or one never ends."""
        return None if self.never else self.last


class Aftermath(NamedTuple):
    """The sessions that an operation ended, and the access that remains."""

    ended: int
    others: Ends
    """The active sessions of the same users."""
    others_by_application: tuple[tuple[str | None, int], ...]
    """Up to five applications with most of them."""
    sealed: Ends
    """Of the ended sessions those with sealed tokens, by the latest end that such a token can have."""
    by_source: "Mapping[str, int]"


class EffectsView(Protocol):
    """Reading the effects of operations."""

    def ended_among(self, numbers: "Sequence[int]", at: int, reason: str | None) -> "Sequence[int]":
        """Those of the numbers, ascending, whose sessions an operation at an instant ended: for a reason, or without one by a revocation."""

    def ended_by_changeover(self, at: int, now: int, since: "MoveCounters") -> "Sequence[int]":
        """The numbers, ascending, of the sessions that profiles applied at an instant ended, until `now`.

        `since` are the counters of before. Sessions that are revoked or have ended otherwise since then are left out.
        """

    def aftermath(self, numbers: "Sequence[int]", now: int) -> Aftermath:
        """The rest of the sessions of the same users at `now`, after the sessions with those numbers have ended."""

    def aftermath_by_user(self, numbers: "Sequence[int]", now: int) -> dict[str, Aftermath]:
        """The same for each user of them, by the folded key of the name."""

    def ends_of_profiles(self, profiles: "Sequence[str]", now: int) -> Ends:
        """The active sessions of those profiles, by their ends."""
