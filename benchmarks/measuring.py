"""Two sides of one run, in turn: medians, and the ratio with its spread. One line for each measurement, as Markdown and as JSON.

AUTHCTL_BENCH_RESULTS=FILE   each line is appended there as JSON, too; `report.py` makes docs/benchmarks.md of it
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from authctl import Registry
from authctl.errors import Overtaken
from authctl.store.sqlite.library import sqlite3

Operation = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """What one comparison came to; times in seconds, the ratio is ours to the reference's."""

    table: str
    name: str
    ours: float
    reference: float
    ratio: float
    low: float
    high: float
    limit: str
    against: str
    """What the reference is."""

    def markdown(self) -> str:
        """A row of a table."""
        spread = f"{self.ratio:.2f} ({self.low:.2f}-{self.high:.2f})"
        return (
            f"| {self.name} | {shown(self.ours)} | {shown(self.reference)} | {spread} | {self.limit} | {self.against} |"
        )


@dataclass(frozen=True)
class Fact:
    """What was measured beside no reference: a row of a table, by its columns."""

    table: str
    cells: dict[str, str]

    def head(self) -> str:
        """The two lines that begin its table."""
        return f"| {' | '.join(self.cells)} |\n{'|---' * len(self.cells)}|"

    def markdown(self) -> str:
        """A row of a table."""
        return f"| {' | '.join(self.cells.values())} |"


HEAD = "| operation | authctl | reference | ratio (quartiles) | limit | the reference |\n|---|---|---|---|---|---|"


def shown(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def seconds(operation: Operation) -> float:
    """How long an operation takes."""
    began = perf_counter()
    operation()
    return perf_counter() - began


def peak(operation: Callable[..., object], *arguments: object) -> float:
    """The largest resident size in MiB, as Linux gives it, of a process of its own that calls a function of a benchmark."""
    # `ru_maxrss` of a child counts this process, too, which it was until it began its program
    high = "next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))"
    module = Path(operation.__code__.co_filename).stem
    call = f"import {module}; {module}.{operation.__name__}(*{arguments!r}); print({high})"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {call}"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[-1]) / 1024


@contextmanager
def noted_changes(registry: Registry, took: list[float], clock: Callable[[], float] = perf_counter) -> Iterator[None]:
    """Note how long each change of a registry takes while the block runs: from the wait for its turn to the end of its commit."""
    store = registry._installation.store
    change = store.change
    wasted: list[float] = []

    @contextmanager
    def timed(**how: Any) -> Iterator[Any]:
        began = clock()
        try:
            with change(**how) as tx:
                yield tx
        except Overtaken:  # it is repeated, and has taken that time, too
            wasted.append(clock() - began)
            raise
        took.append(clock() - began + sum(wasted))
        wasted.clear()

    store.change = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        store.change = change  # type: ignore[method-assign]


def compare(
    table: str,
    name: str,
    ours: Operation,
    reference: Operation,
    *,
    limit: str = "",
    against: str = "",
    rounds: int = 9,
    each: int = 1,
) -> Line:
    """Do both in turn, once to warm up and then in rounds; `each` is how many operations one operation is."""
    pairs = [(seconds(ours), seconds(reference)) for _ in range(rounds + 1)][1:]
    return compared(
        table, name, [a / each for a, _ in pairs], [b / each for _, b in pairs], limit=limit, against=against
    )


def compared(
    table: str, name: str, ours: list[float], reference: list[float], *, limit: str = "", against: str = ""
) -> Line:
    """The same of times that were taken elsewhere, round by round."""
    ratios = sorted(a / b for a, b in zip(ours, reference, strict=True))
    quarter = len(ratios) // 4
    line = Line(
        table,
        name,
        statistics.median(ours),
        statistics.median(reference),
        statistics.median(ratios),
        ratios[quarter],
        ratios[-1 - quarter],
        limit,
        against,
    )
    return said(line)


def fact(table: str, cells: dict[str, str]) -> None:
    """Print and keep a row of a table, by its columns."""
    _print(Fact(table, cells))


def said(line: Line) -> Line:
    """Print and keep a line."""
    _print(line)
    return line


def _print(row: Line | Fact) -> None:
    """Print a row, under the head of its table where it is the first."""
    if row.table not in _SAID:
        _SAID.add(row.table)
        print(f"\n{row.table}\n\n{HEAD if isinstance(row, Line) else row.head()}")
    print(row.markdown())
    sys.stdout.flush()
    if results := os.environ.get("AUTHCTL_BENCH_RESULTS"):
        with Path(results).open("a") as file:
            file.write(json.dumps(asdict(row) | {"machine": machine()}) + "\n")


def machine() -> dict[str, str | int | None]:
    """What the run can say of where and when it was."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "date": datetime.now(UTC).date().isoformat(),
    }


_SAID: set[str] = set()
