"""A limit to failed authentications, by client id. It never delays a request with the right secret."""

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple

_BURST = 20
_PER_SECOND = 2
_MOST_IDS = 1_000
"""The most ids that are counted: nobody has so many clients, so the oldest are forgotten."""


class _Bucket(NamedTuple):
    left: float
    at: float


class Failures:
    """The failed authentications of a moment, by client id."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def count(self, client_id: str) -> bool:
        """Count a failure. False if there were too many of that id, so that the answer is 429."""
        now = monotonic()
        bucket = self._buckets.pop(client_id, _Bucket(_BURST, now))
        left = min(_BURST, bucket.left + (now - bucket.at) * _PER_SECOND)
        self._buckets[client_id] = _Bucket(max(left - 1, 0), now)
        if len(self._buckets) > _MOST_IDS:
            self._buckets.popitem(last=False)
        return left >= 1
