"""What a measurement owes, read from the words beside it: `<= 1.15`, `<= 2 x the commit`, `<= 250 ms`, `speed >= 0.75`."""

import re
from dataclasses import dataclass
from operator import ge, gt, le, lt

from measuring import Line

_WORDS = re.compile(
    r"(?P<speed>speed\s+)?(?P<sign><=|>=|<|>|≤|≥)\s*(?P<number>\d[\d,]*(?:\.\d+)?)"
    r"(?:\s*(?P<unit>µs|us|ms|s|x|\u00d7)(?!\w))?(?P<rest>[\s,;].*)?",
)
_SIGNS = {"<=": le, "≤": le, ">=": ge, "≥": ge, "<": lt, ">": gt}
_UNITS = {"µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Bound:
    """A limit to a ratio of times, to its inverse (a speed), or to our time alone."""

    sign: str
    number: float
    """A ratio, or seconds."""
    of: str
    """What is limited: `ratio`, `speed` or `time`."""

    def met(self, line: Line) -> bool:
        """Whether the median keeps it."""
        measured = {"ratio": line.ratio, "speed": 1 / line.ratio, "time": line.ours}[self.of]
        return bool(_SIGNS[self.sign](measured, self.number))

    def ratio(self, line: Line) -> float:
        """Where it lies on a scale of ratios of times."""
        return {"ratio": self.number, "speed": 1 / self.number, "time": self.number / line.reference}[self.of]


def bound(limit: str) -> Bound | None:
    """The limit that the words set; None where there is no limit. Raises ValueError where they say something else."""
    if not limit.strip():
        return None
    found = _WORDS.fullmatch(limit.strip())
    number = float(found["number"].replace(",", "")) if found else 0.0
    if not found or not number:
        raise ValueError(f"no bound: {limit!r}")
    if found["unit"] in _UNITS:
        return Bound(found["sign"], number * _UNITS[found["unit"]], "time")
    faster = found["speed"] or (found["rest"] or "").split()[:1] == ["faster"]
    return Bound(found["sign"], number, "speed" if faster else "ratio")


def verdict(line: Line) -> str:
    """`met`, `missed`, or nothing where there is no limit."""
    found = bound(line.limit)
    if found is None:
        return ""
    return "met" if found.met(line) else "missed"
