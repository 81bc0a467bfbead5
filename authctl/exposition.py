"""Statistics in the text format of Prometheus, for the textfile collector of its node exporter.

The sum over all labels of a metric has a meaning, so each property has a metric of its own. Only gauges: the sessions that
cleanup removed are not counted any more, so no number here only grows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from authctl.instants import SECOND
from authctl.model import Property
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.model import Breakdown, Statistics

MARK = "# Written by authctl stats\n"
"""The first line of each file."""

_MOST_VALUES = 100
_OTHER = "other"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Samples = Iterable[tuple[str, int]]


def exposition(statistics: "Statistics") -> str:
    """All metrics. A label has at most 100 values; the names with the fewest sessions are together `other`."""
    return MARK + "".join(_metrics(statistics))


def _metrics(statistics: "Statistics") -> Iterator[str]:
    for name, counts in statistics.active_by.items():
        suffix = "" if name is Property.APPLICATION else f"_by_{name}"
        samples = [(f'{{{name}="{_escaped(label)}"}}', number) for label, number in _by_label(counts).items()]
        # without any name a zero, so that a graph does not end
        # decision 219: a metric for each property: the sum over the labels of one metric must have a meaning
        yield _metric(f"authctl_sessions_active{suffix}", f"Active sessions by {name}.", samples or [("", 0)])
    today = statistics.past[-1]
    yield _metric("authctl_sign_ins_today", "Sessions created since midnight UTC.", [("", today.sign_ins)])
    yield _metric(
        "authctl_session_ends_today", "Sessions that ended since midnight UTC, without revocation.", [("", today.ends)]
    )
    yield _metric("authctl_sessions_revoked_today", "Sessions revoked since midnight UTC.", [("", today.revocations)])
    yield _metric(
        "authctl_sessions_expiring",
        "Active sessions that expire in so many UTC days if nobody uses them before; 0 is today.",
        [(f'{{days="{number}"}}', day.expiries) for number, day in enumerate(statistics.future)],
    )
    yield _metric(
        "authctl_statistics_timestamp_seconds",
        "Time of these numbers, in Unix seconds.",
        [("", statistics.at // SECOND)],
    )


def _metric(name: str, meaning: str, samples: Samples) -> str:
    lines = (f"{name}{labels} {number}\n" for labels, number in samples)
    return f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{''.join(lines)}"


def _by_label(counts: "Breakdown") -> Counter[str]:
    """The sessions by label. Two names with one visible form are one label: a series that comes twice makes the whole file invalid."""
    labels = Counter[str]()
    for count in counts.names:
        labels[visible(count.name or "")] += count.sessions
    rest = counts.other_sessions
    if counts.other_names or len(labels) > _MOST_VALUES:
        # One value is needed for `other` itself; a name that is spelled so is part of it.
        kept = dict(labels.most_common(_MOST_VALUES - 1))
        rest += sum(number for label, number in labels.items() if label not in kept)
        labels = Counter(kept)
        labels[_OTHER] += rest
    return labels


def _escaped(label: str) -> str:
    return label.translate(_ESCAPES)
