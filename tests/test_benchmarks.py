"""Benchmarks: what they make of results, and the populations they measure on. What they measure is not tested."""

import ast
import json
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from authctl import SessionFilter
from authctl.store.sqlite.library import sqlite3

FOLDER = Path(__file__).parents[1] / "benchmarks"
PROGRAMS = [path for path in sorted(FOLDER.glob("*.py")) if "sys.argv" in path.read_text()]
sys.path.insert(0, str(FOLDER))

import bounds  # noqa: E402
import charts  # noqa: E402
import measuring  # noqa: E402
import population  # noqa: E402
import report  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {"cores": 2, "python": "3.11.7", "sqlite": "3.40.1", "date": "2026-03-02"}
DOCUMENT = f"# Measurements\n\nBefore.\n\n{report.BEGIN}\nold figures\n{report.END}\n\nAfter.\n"


def line(name, ours, reference, limit="", table="Store"):
    """A made-up measurement."""
    ratio = ours / reference
    return measuring.Line(
        table, name, ours, reference, ratio, ratio * 0.9, ratio * 1.1, limit, "bare <libraries> & more"
    )


LINES = [
    line("verify", 2e-5, 1.7e-5, "speed >= 0.75", "Verify"),
    line("verify, the oldest key", 2e-5, 1e-5, "speed >= 0.75", "Verify"),
    line("first page at 10k", 2e-4, 2e-4, "<= 1.5 x"),
    line("first page at 100k", 2.2e-4, 2e-4, "<= 1.5 x", "Store, 100,000 sessions"),
    line("first page at 1M", 4e-4, 2e-4, "≤ 1.5 × the page at 10k"),
    line("search at 10k", 1e-3, 3e-2, ">= 20 x faster than LIKE"),
    line("search at 1M", 1e-2, 3, ">= 20 x faster"),
    line("longest wait", 0.2, 0.1, "<= 250 ms"),
    line("verify: a peer", 2e-5, 1e-3, table="Peers"),
]


def written(folder, *, machine=MACHINE, lines=LINES):
    """A file of results, as runs write it."""
    path = folder / "results.jsonl"
    rows = [vars(one) | ({"machine": machine} if machine else {}) for one in lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "benchmarks.md").write_text(DOCUMENT)
    return path


@pytest.mark.parametrize(
    ("limit", "ratio", "verdict"),
    [
        ("<= 1.15", 1.15, "met"),
        ("<= 1.15", 1.16, "missed"),
        ("< 1.15", 1.15, "missed"),
        (">= 0.75 x", 0.74, "missed"),
        (">= 0.75 x", 0.76, "met"),
        ("≤ 1.5 ×", 1.4, "met"),
        ("≤ 2 × the commit", 2.1, "missed"),
        ("speed >= 0.75", 1.3, "met"),
        ("speed >= 0.75", 1.4, "missed"),
        ("≥ 20 × faster than LIKE", 0.04, "met"),
        (">= 20 x faster", 0.06, "missed"),
        ("<= 250 ms", 500.0, "missed"),
        ("<= 1,000 s", 500.0, "met"),
        ("", 7.0, ""),
    ],
)
def test_a_limit_is_judged_by_its_own_words(limit, ratio, verdict):
    """A bound limits the ratio of times, its inverse where it speaks of speed, and our time where it has a unit."""
    assert bounds.verdict(line("any", ratio, 1.0, limit)) == verdict


@pytest.mark.parametrize("limit", ["constant", "<= fast", "1.5", "<= 0", "at most <= 2", "<= 2ish"])
def test_words_that_are_no_bound_are_refused(limit):
    """What cannot be judged is neither met nor missed."""
    with pytest.raises(ValueError, match="no bound"):
        bounds.bound(limit)


def test_the_report_has_every_line_and_leaves_the_prose(tmp_path):
    """Tables in order of appearance, met or missed in the last column, the machine from the results."""
    report.report([written(tmp_path)], tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert text.startswith("# Measurements\n\nBefore.\n")
    assert text.endswith(f"{report.END}\n\nAfter.\n")
    assert "old figures" not in text
    assert "Measured on 2 cores, Python 3.11.7, SQLite 3.40.1; 2026-03-02." in text
    assert [row[3:] for row in text.splitlines() if row.startswith("## ")] == [
        "Verify",
        "Store",
        "Store, 100,000 sessions",
        "Peers",
    ]
    cells = [row.strip("|").split("|") for row in text.splitlines() if row.startswith("| ")]
    results = {row[0].strip(): row[-1].strip() for row in cells if row[0] != " operation "}
    assert results == {
        "verify": "met",
        "verify, the oldest key": "missed",
        "first page at 10k": "met",
        "first page at 100k": "met",
        "first page at 1M": "missed",
        "search at 10k": "met",
        "search at 1M": "met",
        "longest wait": "met",
        "verify: a peer": "",
    }
    assert {len(row) for row in cells} == {7}


def test_reporting_again_changes_nothing(tmp_path):
    """The same results give the same document."""
    path = written(tmp_path)
    report.report([path], tmp_path)
    once = (tmp_path / "benchmarks.md").read_text()
    report.report([path, path], tmp_path)
    assert (tmp_path / "benchmarks.md").read_text() == once


def test_a_later_line_of_the_same_name_counts(tmp_path):
    """A benchmark that was run again replaces what it measured before."""
    path = written(tmp_path, lines=[LINES[0], line("verify", 1.0, 1.0, table="Verify")])
    assert [one.ours for one in report.read([path])[0]] == [1.0]


def test_words_that_are_no_bound_are_said_and_not_judged(tmp_path, capsys):
    """The report goes on, and says on standard error which line it could not judge."""
    report.report([written(tmp_path, lines=[line("next page", 1.0, 1.0, "constant")])], tmp_path)
    assert "| constant | bare <libraries> & more | not judged |" in (tmp_path / "benchmarks.md").read_text()
    assert "next page" in capsys.readouterr().err


def test_results_that_name_no_machine_are_not_given_one(tmp_path):
    """The machine that reports need not be the one that measured."""
    report.report([written(tmp_path, machine=None)], tmp_path)
    assert "a machine that the results do not name" in (tmp_path / "benchmarks.md").read_text()


def test_a_document_without_markers_is_left_alone(tmp_path):
    """Nobody's prose is written over."""
    path = written(tmp_path)
    (tmp_path / "benchmarks.md").write_text("# Mine\n")
    with pytest.raises(ValueError, match="measured: begin"):
        report.report([path], tmp_path)
    assert (tmp_path / "benchmarks.md").read_text() == "# Mine\n"


def test_the_charts_are_images_with_a_title_and_words(tmp_path):
    """Valid XML; a bar for each ratio and a tick for each bound; a line for each operation of two sizes."""
    report.report([written(tmp_path)], tmp_path)
    images = {name: ET.parse(tmp_path / "charts" / f"{name}.svg").getroot() for name in ("ratios", "growth")}
    for image in images.values():
        assert image.get("role") == "img"
        assert image.find(f"{SVG}title").text
    assert len(images["ratios"].findall(f"{SVG}rect")) == len(LINES)
    ticks = [one for one in images["ratios"].findall(f"{SVG}line") if one.get("stroke-width") == "3"]
    assert len(ticks) == sum(bool(one.limit) for one in LINES)
    words = {one.text for one in images["ratios"].findall(f"{SVG}text")}
    assert {"1.18 met", "2 missed", "0.02", "first page at 1M"} <= words
    curves = [one.get("points").split() for one in images["growth"].findall(f"{SVG}polyline")]
    assert [len(points) for points in curves] == [3, 2]
    assert {"first page", "search", "10k", "1M"} <= {one.text for one in images["growth"].findall(f"{SVG}text")}


def test_a_chart_with_nothing_to_show_is_not_there(tmp_path):
    """Nothing was measured at two sizes: no line to draw, and no picture in the document."""
    assert charts.growth(LINES[:3]) is None
    report.report([written(tmp_path)], tmp_path)
    report.report([written(tmp_path, lines=LINES[:3])], tmp_path)
    assert not (tmp_path / "charts" / "growth.svg").exists()
    assert "growth.svg" not in (tmp_path / "benchmarks.md").read_text()


def test_a_result_says_where_it_was_measured(tmp_path, monkeypatch, capsys):
    """What a run appends is what the report reads."""
    path = tmp_path / "results.jsonl"
    monkeypatch.setenv("AUTHCTL_BENCH_RESULTS", str(path))
    said = measuring.compared("Store", "any", [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], limit="<= 1.5")
    measuring.fact("Growth on disk", {"what": "log", "at most": "7 MiB"})
    lines, facts, machines = report.read([path])
    assert lines == [said]
    assert facts == [measuring.Fact("Growth on disk", {"what": "log", "at most": "7 MiB"})]
    assert "## Growth on disk\n\n| what | at most |\n|---|---|\n| log | 7 MiB |" in report.tables(lines, facts)
    assert machines == [measuring.machine()]
    assert "| any | 2 s | 2 s | 1.00 (0.50-1.50) | <= 1.5 |" in capsys.readouterr().out


@pytest.fixture(scope="module")
def populated(tmp_path_factory):
    """A registry of 300 sessions."""
    return population.populate(tmp_path_factory.mktemp("populated"), 300)


def test_a_population_has_the_shares_it_promises(populated):
    """30 % expired, 5 % revoked whatever they were, 8 % web sessions; give or take what chance does to 300."""
    with closing(sqlite3.connect(populated.home / "registry.db")) as connection:
        asked = (
            "SELECT count(*), avg(expires_at < ?), avg(kind = 'web'),"
            " avg(revocation_id <> (SELECT id FROM revocations WHERE at IS NULL)) FROM sessions"
        )
        total, expired, web, revoked = connection.execute(asked, (populated.now,)).fetchone()
    assert total == 300
    assert expired == pytest.approx(population.EXPIRED, abs=0.08)
    assert web == pytest.approx(population.WEB, abs=0.05)
    assert revoked == pytest.approx(population.REVOKED, abs=0.04)


def test_the_tokens_of_a_population_verify(populated):
    """Each active session answers to the token that is made for its number."""
    with populated.open() as registry:
        active = {session.id for session in registry.sessions(SessionFilter(status="active"))}
        numbers = {population.id_of(number): number for number in range(1, 301)}
        assert active
        assert {registry.verify(populated.token(numbers[one])).id for one in active} == active


def test_search_finds_a_device_of_a_population(populated):
    """The search index is as if the sessions had been registered one by one."""
    with populated.open() as registry:
        device = next(session.device for session in registry.sessions() if session.device)
        assert [session.device for session in registry.sessions(SessionFilter(search=device))] == [device]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_every_file_compiles_and_says_what_it_is(path):
    """Programs that need what is not installed here are at least whole."""
    said = ast.get_docstring(ast.parse(compile_checked(path)))
    assert said
    assert path not in PROGRAMS or f"python benchmarks/{path.name}" in said


def compile_checked(path):
    """The source of a file, which compiles."""
    source = path.read_text()
    compile(source, str(path), "exec")
    return source


def names_of(module):
    """The names at the top of a module of authctl, by its source: what it imports may not be installed here."""
    path = FOLDER.parent.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    names = {child.stem for child in path.glob("*")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_every_name_of_authctl_that_a_benchmark_imports_exists(path):
    """A benchmark runs seldom: a name that was changed would be noticed by the next person who measures."""
    imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in imported:
        if (node.module or "").partition(".")[0] == "authctl":
            assert {alias.name for alias in node.names} <= names_of(node.module), path
