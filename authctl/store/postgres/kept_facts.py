"""Sign-ins that follow each other on one connection: the facts of one serve for the next one, which is a single message to the server.

Only changes that are alone alter what a sign-in judges by, and it asks at its turn whether one came between. Four things are left:
whether its user is disabled, the clock, the recorded time, and the number of its session (decision 374).
"""

from time import monotonic_ns
from typing import NamedTuple

from authctl.store.postgres.facts import END_OF_DISABLING, SignIn, with_times

LONGEST = 1_000_000
"""How long the facts that were read for a sign-in serve for later ones, in microseconds. It is also the limit for the error of an instant.

So a sign-in can be so much behind what another host has recorded, if that has a clock of its own.
"""

_DRIFT = 1_000
"""The microseconds in which two clocks drift apart by one at the most: each is corrected by up to 500 in a million."""


def present() -> int:
    """The clock of this host that is never set, in microseconds."""
    return monotonic_ns() // 1_000


class ServerClock:
    """The clock of a server, reckoned from its answers with the clock of this host, and never ahead of it."""

    def __init__(self) -> None:
        self._ahead: int | None = None
        self._noted_at = 0

    def note(self, of_server: int, sent: int, received: int) -> None:
        """Note an instant of the server that was read between two instants of this host: when the message was sent, and answered."""
        least = of_server - received
        if self._ahead is not None:
            least = max(least, self._ahead - (received - self._noted_at) // _DRIFT)
        # not beyond what the last answer allows: the clock of the server may have been set back
        self._ahead, self._noted_at = min(least, of_server - sent), received

    def at(self, instant: int) -> int | None:
        """The clock of the server at an instant of this host; None if nothing was noted."""
        return None if self._ahead is None else instant + self._ahead


class KeptFacts(NamedTuple):
    """The facts of the last sign-in, which was committed at their turn."""

    read: SignIn
    """With the number of the next session, once that is taken."""
    recorded_time: int

    def numbered(self, number: int) -> "KeptFacts":
        """The same with the number of the next session."""
        return KeptFacts(self.read._replace(number=number), self.recorded_time)

    def again(self, instant: int, clock: ServerClock, user_key: str) -> SignIn | None:
        """The facts of a sign-in of a user at an instant of this host; None if they have to be read."""
        now = clock.at(instant)
        if now is None or instant - self.read.read_at >= LONGEST or self.recorded_time > now:
            return None
        end = self.read.facts[END_OF_DISABLING]
        # another sign-in may have recorded that end, which is no change that is alone
        if end is not None and end <= now:
            return None
        known = with_times(self.read.facts, now, self.recorded_time)
        return self.read._replace(facts=known, reckoned=now, user_key=user_key)
