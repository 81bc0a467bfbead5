"""The newest events of the audit log, read after a commit in its own message, for whoever asks whether the log has some of them.

`audit.head` of a host with several processes asks that after nearly every change (decisions 331 and 360).
"""

from collections.abc import Sequence

READ_HASHES = "(SELECT string_agg(hash, ' ') FROM (SELECT hash FROM audit_events ORDER BY seq DESC LIMIT 64) AS newest)"
"""The hashes of the newest events. The hash of an event stands for its number, too: it is a part of what is hashed."""

_LASTS = 100
"""After a question, so many commits read the hashes with them. On a host with one process nobody asks, and none does."""


class RecentEvents:
    """The hashes that were read last."""

    def __init__(self) -> None:
        self._hashes = ""
        self._wanted = 0

    def is_wanted(self) -> bool:
        """Whether the next commit should read the hashes: somebody asked for events not long ago."""
        self._wanted -= 1
        return self._wanted >= 0

    def keep(self, hashes: str) -> None:
        """Keep hashes that were read after a commit."""
        self._hashes = hashes

    def has(self, events: Sequence[tuple[int, str]]) -> bool:
        """Whether they are all among those that were read last. If not, they may still be in the log.

        An event of a change that ended is only among hashes that were read after its commit: the answer is as good as a later one.
        """
        self._wanted = _LASTS
        return all(hash_ in self._hashes for _seq, hash_ in events)
