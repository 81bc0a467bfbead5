"""Statistics to records: one object for JSON, and rows of numbers for tables and CSV."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from authctl.charts import day_of
from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.model import Breakdown, Statistics


def statistics(found: "Statistics") -> Record:
    """All statistics; every number is a number of sessions, but for `other_names`."""
    return {
        "at": instant(found.at),
        "active": found.active,
        "active_by": {name.value: _breakdown(counts) for name, counts in found.active_by.items()},
        "days": [
            {"day": day_of(one.day), "sign_ins": one.sign_ins, "ends": one.ends, "revocations": one.revocations}
            for one in found.past
        ],
        "expiries": [{"day": day_of(one.day), "sessions": one.expiries} for one in found.future],
        "expiring_later": found.later,
    }


def _breakdown(counts: "Breakdown") -> Record:
    return {
        "names": [{"name": one.name, "sessions": one.sessions} for one in counts.names],
        "other_names": counts.other_names,
        "other_sessions": counts.other_sessions,
    }


def rows(found: "Statistics") -> Iterator[Record]:
    """The same as rows: a statistic, a name or day, and a number."""
    record = statistics(found)
    for statistic, name, number in _numbers(record):
        yield {"statistic": statistic, "name": name, "number": number, "at": record["at"]}


def _numbers(record: Record) -> Iterator[tuple[str, str | None, int]]:
    yield "active", None, record["active"]
    for name, counts in record["active_by"].items():
        for one in counts["names"]:
            yield f"active_by_{name}", one["name"], one["sessions"]
        for field in ("other_names", "other_sessions"):
            yield f"active_by_{name}.{field}", None, counts[field]
    for field in ("sign_ins", "ends", "revocations"):
        for one in record["days"]:
            yield field, one["day"], one[field]
    for one in record["expiries"]:
        yield "expiries", one["day"], one["sessions"]
    yield "expiring_later", None, record["expiring_later"]
