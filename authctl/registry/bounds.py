"""The bound of an operation: the sessions that a person was shown, and no others.

See docs/glossary.md#bound-of-a-preview.
"""

from array import array
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, Self

from authctl.errors import Refused
from authctl.names import counted


class Bound(NamedTuple):
    """The only sessions that an operation may newly end: those of its preview."""

    numbers: Sequence[int]
    """The sessions' numbers, ascending, eight bytes each."""

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Self:
        """The bound that allows those sessions; an array has the numbers in ascending order already."""
        # To sort a million numbers again would keep every other thread waiting.
        return cls(numbers if isinstance(numbers, array) else array("q", sorted(numbers)))

    @property
    def highest(self) -> int:
        """The highest number; a session that was registered later has a higher one. Zero if no session is allowed."""
        return self.numbers[-1] if self.numbers else 0

    @property
    def digest(self) -> str:
        """The SHA-256 of the numbers, in decimal with commas between: the same for the same sessions, on every machine."""
        return sha256(",".join(map(str, self.numbers)).encode()).hexdigest()

    def beyond(self, numbers: Iterable[int]) -> int:
        """The number of those sessions that the bound does not allow."""
        # decision 121: the set that was shown, not its size: a session may begin to match after the preview.
        # Fewer sessions than in the preview are allowed: some may have ended meanwhile, and nobody is surprised by that.
        return len(set(numbers).difference(self.numbers))

    def check(self, numbers: Sequence[int], fate: str) -> None:
        """Raise Refused where an operation would end any other session; `fate` is the verb of the message: "would end"."""
        if others := self.beyond(numbers):
            now = f"{counted(len(numbers), 'session')} {fate} now"
            not_shown = f"{others:,} of them {'was' if others == 1 else 'were'} not in the preview"
            raise Refused(f"not done: {now}, and {not_shown}", "to see them: run the same command again")
