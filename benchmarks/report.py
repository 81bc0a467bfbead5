"""The measured part of docs/benchmarks.md and the charts in docs/charts, from the lines that benchmarks wrote.

    AUTHCTL_BENCH_RESULTS=results.jsonl python benchmarks/peers.py
    python benchmarks/report.py results.jsonl [MORE.jsonl ...]

What stands between the two markers is written anew; the prose around them stays.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import charts
from bounds import verdict
from measuring import HEAD, Fact, Line

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DOCS = Path(__file__).parents[1] / "docs"

Machine = dict[str, Any]
Row = TypeVar("Row", Line, Fact)


def read(paths: Iterable[Path]) -> tuple[list[Line], list[Fact], list[Machine]]:
    """Every row of the files, and the machines that they name, each once. Of one that is there twice, with one reference, the last counts."""
    lines: dict[tuple[str, str, str], Line] = {}
    facts: dict[tuple[str, str], Fact] = {}
    machines: list[Machine] = []
    for path in paths:
        for text in path.read_text().splitlines():
            row = json.loads(text)
            found = row.pop("machine", None)
            if found and found not in machines:
                machines.append(found)
            if "cells" in row:
                fact = Fact(**row)
                facts[fact.table, next(iter(fact.cells.values()))] = fact
            else:
                line = Line(**row)
                lines[line.table, line.name, line.against] = line
    return list(lines.values()), list(facts.values()), machines


def where(machines: Sequence[Machine]) -> str:
    """On what it was measured, and when."""
    if not machines:
        return "Measured on a machine that the results do not name."
    named = dict.fromkeys(f"{m['cores']} cores, Python {m['python']}, SQLite {m['sqlite']}" for m in machines)
    dates = sorted({str(m["date"]) for m in machines})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured on {'; '.join(named)}; {days}."


def result(line: Line) -> str:
    """The last column: whether the limit was met. Says so on standard error where the words are no bound."""
    try:
        return verdict(line)
    except ValueError as error:
        print(f"{line.table}: {line.name}: {error}", file=sys.stderr)
        return "not judged"


def tables(lines: Sequence[Line], facts: Sequence[Fact] = ()) -> str:
    """Each table under its name, in order of appearance."""
    head, rule = HEAD.split("\n")
    compared = [
        [f"## {table}\n", f"{head} result |", f"{rule}---|", *(f"{x.markdown()} {result(x)} |" for x in group)]
        for table, group in gathered(lines)
    ]
    noted = [
        [f"## {table}\n", group[0].head(), *(each.markdown() for each in group)] for table, group in gathered(facts)
    ]
    return "\n\n".join("\n".join(each) for each in (*compared, *noted))


def gathered(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each table."""
    order = list(dict.fromkeys(row.table for row in rows))
    found = groupby(sorted(rows, key=lambda row: order.index(row.table)), key=lambda row: row.table)
    return [(table, list(group)) for table, group in found]


def measured(lines: Sequence[Line], facts: Sequence[Fact], machines: Sequence[Machine], drawn: Iterable[str]) -> str:
    """All that stands between the markers."""
    text = (
        f"{where(machines)}\n"
        "Times are medians of rounds in which both sides took turns; the ratio is authctl's time to the reference's, so below 1\n"
        "is faster. `speed` in the column `limit` means the inverse."
    )
    pictures = [f"![{name.capitalize()}](charts/{name}.svg)" for name in drawn]
    return "\n\n".join([text, *pictures, tables(lines, facts)])


def spliced(document: str, part: str) -> str:
    """The document with that part between its markers. Raises ValueError where it has none."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(END) < document.index(BEGIN):
        raise ValueError(f"one {BEGIN} and one {END} after it have to be there")
    before, after = document.split(BEGIN, maxsplit=1)[0], document.split(END)[1]
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def report(paths: Iterable[Path], docs: Path = DOCS) -> None:
    """Write the document and its charts; a chart that has nothing to show is removed."""
    lines, facts, machines = read(paths)
    if not lines:
        raise SystemExit("no results")
    folder = docs / "charts"
    folder.mkdir(exist_ok=True)
    drawn = []
    for name, image in {"ratios": charts.ratios(lines), "growth": charts.growth(lines)}.items():
        file = folder / f"{name}.svg"
        if image is None:
            file.unlink(missing_ok=True)
            continue
        file.write_text(image)
        drawn.append(name)
    document = docs / "benchmarks.md"
    document.write_text(spliced(document.read_text(), measured(lines, facts, machines, drawn)))


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    report([Path(argument) for argument in sys.argv[1:]])
