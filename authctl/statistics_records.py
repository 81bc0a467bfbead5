"""Statistics to records: one object for JSON, and rows of numbers for tables and CSV."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from authctl.charts import day_of
from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.model import Breakdown, Statistics


def statistics(statistics_: "Statistics") -> Record:
    """All statistics; every number is a number of sessions, but for `other_names`."""
    return {
        "at": instant(statistics_.at),
        "active": statistics_.active,
        "active_by": {name.value: _breakdown(counts) for name, counts in statistics_.active_by.items()},
        "days": [
            {"day": day_of(day.day), "sign_ins": day.sign_ins, "ends": day.ends, "revocations": day.revocations}
            for day in statistics_.past
        ],
        "expiries": [{"day": day_of(day.day), "sessions": day.expiries} for day in statistics_.future],
        "expiring_later": statistics_.later,
    }


def _breakdown(counts: "Breakdown") -> Record:
    return {
        "names": [{"name": count.name, "sessions": count.sessions} for count in counts.names],
        "other_names": counts.other_names,
        "other_sessions": counts.other_sessions,
    }


def rows(statistics_: "Statistics") -> Iterator[Record]:
    """The same as rows: a statistic, a name or day, and a number."""
    record = statistics(statistics_)
    for statistic, name, number in _numbers(record):
        yield {"statistic": statistic, "name": name, "number": number, "at": record["at"]}


def _numbers(record: Record) -> Iterator[tuple[str, str | None, int]]:
    yield "active", None, record["active"]
    for name, counts in record["active_by"].items():
        for entry in counts["names"]:
            yield f"active_by_{name}", entry["name"], entry["sessions"]
        for field in ("other_names", "other_sessions"):
            yield f"active_by_{name}.{field}", None, counts[field]
    for field in ("sign_ins", "ends", "revocations"):
        for entry in record["days"]:
            yield field, entry["day"], entry[field]
    for entry in record["expiries"]:
        yield "expiries", entry["day"], entry["sessions"]
    yield "expiring_later", None, record["expiring_later"]
