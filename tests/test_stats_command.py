"""`authctl stats`: the same numbers as charts on a terminal, as records, as a page and as metrics.

The screens are kept in `tests/screens/`, as those of `test_screens.py`.
"""

import csv
import io
import json
import os
import re
import stat
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authctl import Registry, SessionFilter, Statistics
from authctl.charts import charts
from authctl.exposition import exposition
from authctl.model import Property
from authctl.names import fold, quoted
from authctl.screens import statistics as screen
from authctl.statistics_page import page
from tests import places
from tests.conftest import HOSTILE, Authctl, Clock, Install, OnTerminal, unseen

SCREENS = Path(__file__).parent / "screens"
THEN = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
NAMES = ("Outlook", "Microsoft Teams", "電子メール", "An application with a name of sixty letters, and even some more")
PROFILES = """\
version: 1
default_profile: mail
profiles: {mail: {idle_timeout: 10d}, kiosk: {idle_timeout: 2h}}
assignments: [{application: Kiosk, profile: kiosk}]
"""


@pytest.fixture
def lived(install: Install, clock: Clock) -> Registry:
    """A registry of two weeks, up to a Friday."""
    clock.now = THEN - timedelta(days=14)
    registry = install(PROFILES)
    for day in range(15):
        for number in range(day % 5 + 1):
            registry.issue(username=f"user{number}", application=NAMES[number % 4], platform=("iOS", None)[day % 2])
        registry.issue(username="door", application="Kiosk", platform="Linux")
        if day % 4 == 3:
            registry.revoke(SessionFilter(username="user0", status="active"), note="lost device")
        if day < 14:
            clock.forward(days=1)
    for number in range(12):
        registry.issue(username="tester", application=f"app {number:02}")
    return registry


@pytest.fixture
def evil(install: Install) -> Registry:
    """A registry whose names are hostile, also to pages and metrics."""
    registry = install(folder="evil")
    for text in (*HOSTILE, *MARKUP):
        registry.issue(username="alice", application=text, platform=text)
    return registry


MARKUP = (
    "<script>alert(1)</script>",
    "</title></style></svg><img src=x onerror=alert(1)>",
    "\"' onload='alert(1)",
    "&lt;b&gt;&amp;",
    "-->",
    "]]>",
    'a"b\\c',
    "\\",
    '\\"',
    "line\nbreak",
    "\\n",
    'x"} 1\nauthctl_sessions_active{application="forged',
    "# HELP forged",
    "other",
)


class Page(HTMLParser):
    """A page as a browser reads it: elements, attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins and ends."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """The latest element ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """A text."""
        self.texts.append(data)


def metrics(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The metrics of a file, as Prometheus's own parser reads them; no series may come twice."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        assert family.name not in found
        series = [tuple(sample.labels.items()) for sample in family.samples]
        assert len(series) == len(set(series)) > 0
        found[family.name] = {labels: sample.value for labels, sample in zip(series, family.samples, strict=True)}
    return found


def test_every_format(lived: Registry, authctl: Authctl, clock: Clock):
    """JSON is one object; table and CSV have a row for each of its numbers; statistics have no ids."""
    assert lived.count()
    ran = authctl("stats", "-o", "json", "--days", "3")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert list(found) == ["at", "active", "active_by", "days", "expiries", "expiring_later"]
    assert list(found["active_by"]) == ["application", "platform", "profile", "source"]
    assert (len(found["days"]), len(found["expiries"])) == (3, 14)
    assert list(found["days"][0]) == ["day", "sign_ins", "ends", "revocations"]
    assert {**json.loads(authctl("stats", "-o", "ndjson", "--days", "3").out), "at": 0} == {**found, "at": 0}
    rows = list(csv.DictReader(io.StringIO(authctl("stats", "-o", "csv", "--days", "3").out)))
    assert list(rows[0]) == ["statistic", "name", "number", "at"]
    table = [line.split("\t") for line in authctl("stats", "--days", "3").out.splitlines()]
    assert table == [["statistic", "name", "number"], *([one["statistic"], one["name"], one["number"]] for one in rows)]
    assert len(rows) == 2 + sum(len(one["names"]) + 2 for one in found["active_by"].values()) + 3 * 3 + 14
    assert authctl("stats", "-o", "id").out == ""


def test_the_records_have_the_numbers_of_the_registry(registry: Registry, authctl: Authctl):
    """Each number of the library, in JSON and in rows."""
    now = datetime.now(UTC)
    for user in ("alice", "bob"):
        authctl("tokens", "issue", "--user", user, "--application", "Outlook", "-q")
    authctl("revoke", "--user", "bob", "--note", "lost device", "-q")
    found = authctl("stats", "-o", "json").json
    assert found["active"] == 1
    assert found["active_by"]["application"] == {
        "names": [{"name": "Outlook", "sessions": 1}],
        "other_names": 0,
        "other_sessions": 0,
    }
    assert found["active_by"]["source"]["names"] == [{"name": None, "sessions": 1}]
    assert [sum(one[name] for one in found["days"]) for name in ("sign_ins", "ends", "revocations")] == [2, 0, 1]
    assert [one["day"] for one in found["expiries"] if one["sessions"]] == [f"{now + timedelta(days=3):%Y-%m-%d}"]
    assert "expiries\t" + f"{now + timedelta(days=3):%Y-%m-%d}\t1\n" in authctl("stats").out


def drawn(statistics: Statistics, columns: int, encoding: str = "utf-8") -> str:
    """The charts on a terminal of that width, without colours."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", newline="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        screen.draw(out, statistics)
    out.flush()
    return raw.getvalue().decode(encoding)


def test_the_charts_as_they_were_looked_at(lived: Registry):
    """Labels, numbers and bars at 60, 80 and 120 columns, and in letters alone where there are no blocks."""
    found = lived.statistics.read()
    text = "".join(f"{'-' * columns}\n{drawn(found, columns)}" for columns in (60, 80, 120))
    text += f"{'-' * 80}\n{drawn(found, 80, 'ascii').encode().decode('unicode_escape')}"
    file = SCREENS / "stats.txt"
    if os.environ.get("AUTHCTL_WRITE_SCREENS"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 120, 200])
def test_the_charts_fit(lived: Registry, evil: Registry, columns: int):
    """No line is wider than the terminal, whatever the names; each number is whole."""
    from rich.cells import cell_len

    for registry in (lived, evil):
        found = registry.statistics.read()
        lines = drawn(found, columns).splitlines()
        assert max(map(cell_len, lines)) <= columns
        assert unseen("\n".join(lines)) == []
        for chart in charts(found, 10).by_name:
            for bar in chart.bars:
                assert any(re.search(rf"\s{bar.number:,}(\s|$)", line) for line in lines)


def test_on_a_terminal(installed: Authctl, on_terminal: OnTerminal):
    """Charts are drawn on a terminal, also of an empty registry; with a file nothing is drawn."""
    assert installed("stats").code == 0
    empty = on_terminal("stats", columns=80).text
    assert "0 active sessions at" in empty
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q")
    text = on_terminal("stats", columns=80, NO_COLOR="1").text
    assert "█" in text
    assert "Outlook" in text


def test_a_low_terminal(installed: Authctl, on_terminal: OnTerminal):
    """What has no room is left out, and the message names the ways to all of it; a tall one has everything."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q")
    low = on_terminal("stats", columns=80, lines=24, NO_COLOR="1").text
    assert len(low.splitlines()) <= 23
    assert re.search(r"warning: \d+ lines of the charts left out; for all of them: --pager, or -o csv", low)
    tall = on_terminal("stats", columns=80, lines=200, NO_COLOR="1").text
    assert "later or never" in tall
    assert "left out" not in tall
    assert "later or never" in on_terminal("stats", "--pager", columns=80, lines=24, NO_COLOR="1", PAGER="cat").text


def test_metrics(lived: Registry):
    """The numbers of one snapshot; the sum of each metric over its labels is the number of active sessions."""
    found = lived.statistics.read()
    read = metrics(exposition(found))
    assert read["authctl_sessions_active"][(("application", "電子メール"),)] == 6
    assert read["authctl_sessions_active_by_platform"][(("platform", ""),)] > 0
    for name in ("", "_by_platform", "_by_profile", "_by_source"):
        assert sum(read[f"authctl_sessions_active{name}"].values()) == found.active
    assert read["authctl_sign_ins_today"] == {(): found.past[-1].sign_ins}
    assert read["authctl_session_ends_today"] == {(): found.past[-1].ends}
    assert read["authctl_sessions_revoked_today"] == {(): found.past[-1].revocations}
    days = read["authctl_sessions_expiring"]
    assert [days[(("days", str(number)),)] for number in range(14)] == [one.expiries for one in found.future]
    assert read["authctl_statistics_timestamp_seconds"] == {(): THEN.timestamp()}


def test_metrics_of_an_empty_registry(registry: Registry):
    """Every metric is there, with a zero."""
    read = metrics(exposition(registry.statistics.read()))
    assert read["authctl_sessions_active"] == {(): 0}
    assert len(read) == 9


def test_hostile_names_in_metrics(evil: Registry):
    """Each name is one value of its label, as visible text; none of them makes a line or a label of its own."""
    read = metrics(exposition(evil.statistics.read()))
    values = [value for labels in read["authctl_sessions_active"] for _, value in labels]
    assert len(values) == len({fold(text) for text in (*HOSTILE, *MARKUP)})
    assert sum(read["authctl_sessions_active"].values()) == len(HOSTILE) + len(MARKUP)
    assert {'a"b\\c', "\\", '\\"', "<script>alert(1)</script>", "line\\nbreak"} <= set(values)
    assert unseen("".join(values)) == []
    assert not any("forged" in name for name in read)


@pytest.mark.parametrize("number", [99, 100, 101, 150])
def test_a_label_has_at_most_a_hundred_values(registry: Registry, number: int):
    """A hundred values are named; of more, the largest ninety-nine are, and the rest is `other`."""
    for place in range(number):
        for _ in range(2 if place == number - 1 else 1):
            registry.issue(username="alice", application=f"app {place:03}")
    values = metrics(exposition(registry.statistics.read()))["authctl_sessions_active"]
    assert len(values) == min(number, 100)
    assert sum(values.values()) == number + 1
    assert values[(("application", f"app {number - 1:03}"),)] == 2
    assert values.get((("application", "other"),), 0) == (0 if number <= 100 else number - 99)


def test_a_name_that_is_other(registry: Registry):
    """It is a value of its own, unless there is a rest: then it is part of the rest, since a series must not come twice."""
    for _ in range(2):
        registry.issue(username="alice", application="other")
    assert metrics(exposition(registry.statistics.read()))["authctl_sessions_active"] == {
        (("application", "other"),): 2
    }
    for place in range(120):
        registry.issue(username="alice", application=f"app {place:03}")
    values = metrics(exposition(registry.statistics.read()))["authctl_sessions_active"]
    assert values[(("application", "other"),)] == 2 + 22
    assert (len(values), sum(values.values())) == (99, 122)


def test_names_with_one_visible_form(registry: Registry):
    """They are one series, with the sum."""
    for name in ("a\tb", "a\\tb"):
        registry.issue(username="alice", application=name)
    assert metrics(exposition(registry.statistics.read()))["authctl_sessions_active"] == {
        (("application", "a\\tb"),): 2
    }


def test_the_page(lived: Registry):
    """Each chart is a picture with a title and a description, and a table with the same numbers beside it; no script."""
    found = lived.statistics.read()
    text = page(found)
    read = Page(text)
    assert read.open == []
    kinds = [tag for tag, _ in read.elements]
    drawn_charts = charts(found, 20)
    every = (*drawn_charts.by_name, *drawn_charts.past, drawn_charts.future)
    assert (
        kinds.count("svg") == kinds.count("desc") == kinds.count("table") == kinds.count("caption") == len(every) == 8
    )
    assert not {"script", "link", "img", "iframe", "object", "base", "form", "foreignobject"} & set(kinds)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in read.elements:
        assert not any(name.startswith("on") or name in ("style", "href", "src") for name in attributes), tag
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
        if tag == "svg":
            assert attributes["role"] == "img"
    for chart in every:
        for bar in chart.bars:
            assert f"{bar.number:,}" in read.texts
            assert f"{bar.label}: {bar.number:,}" in read.texts
    assert "url(" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_the_content_policy_of_the_page(lived: Registry):
    """It allows the style of the page by its hash, and nothing else."""
    text = page(lived.statistics.read())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_hostile_names_in_the_page(evil: Registry):
    """Each is a text, and visible; it makes no element and no attribute."""
    plain = Page(page(evil.statistics.read()._replace(active_by={})))
    read = Page(page(evil.statistics.read()))
    assert read.open == []
    assert {tag for tag, _ in read.elements} - {tag for tag, _ in plain.elements} <= {"text", "rect", "title", "desc"}
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert unseen("".join(read.texts)) == []
    names = evil.statistics.read().active_by[Property.APPLICATION].names
    in_chart = {one.name for one in names[:20]} & set(MARKUP)
    assert "<script>alert(1)</script>" in in_chart
    assert {name for name in in_chart if "\n" not in name} <= set(read.texts)


def test_the_page_of_a_year_and_of_nothing(registry: Registry):
    """Both are whole."""
    for days in (1, 366):
        assert Page(page(registry.statistics.read(days=days))).open == []


def test_files(installed: Authctl, tmp_path: Path):
    """Both are written whole, readable by everybody, and again in the place of the old ones; nothing else is printed."""
    html, prometheus = tmp_path / "page.html", tmp_path / "authctl.prom"
    before = os.umask(0o077)
    try:
        for _ in range(2):
            ran = installed("stats", "--html", str(html), "--prometheus", str(prometheus))
            assert (ran.code, ran.out) == (0, "")
            assert ran.err == (
                f"authctl: page written to {quoted(str(html))}\nauthctl: metrics written to {quoted(str(prometheus))}\n"
            )
    finally:
        os.umask(before)
    for file in (html, prometheus):
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert sorted(file.name for file in tmp_path.iterdir()) == ["authctl.prom", "home", "page.html"]
    assert Page(html.read_text()).open == []
    read = metrics(prometheus.read_text())
    (at,) = read["authctl_statistics_timestamp_seconds"].values()
    assert datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") in html.read_text()
    ran = installed("stats", "-q", "--html", str(html), "-o", "json")
    assert (ran.json["active"], ran.err) == (0, "")


def test_a_reader_sees_one_whole_file(installed: Authctl, tmp_path: Path):
    """A new file takes the place of the old one: whoever has the old one open reads the old one to its end."""
    file = tmp_path / "authctl.prom"
    installed("stats", "-q", "--prometheus", str(file))
    with file.open() as old:
        installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q")
        installed("stats", "-q", "--prometheus", str(file))
        assert 'application="Outlook"' not in old.read()
    assert 'application="Outlook"' in file.read_text()


@pytest.mark.parametrize("option", ["--html", "--prometheus"])
def test_another_file_is_never_replaced(installed: Authctl, home: Path, tmp_path: Path, option: str):
    """Neither the registry nor anything else that `stats` did not write, nor a device, a pipe or a folder."""
    other, link, pipe = tmp_path / "notes.txt", tmp_path / "link", tmp_path / "pipe"
    other.write_text("mine")
    link.symlink_to(other)
    os.mkfifo(pipe)
    installed("stats", "-q", {"--html": "--prometheus", "--prometheus": "--html"}[option], str(tmp_path / "sibling"))
    files = [home / "keys.json", home / "profiles.yaml", other, link, tmp_path / "sibling"]
    files += [] if places.ON_POSTGRES else [home / "registry.db"]
    contents = [file.read_bytes() for file in files]
    for place in (*files, Path("/dev/null")):
        ran = installed("stats", option, str(place))
        assert (ran.code, ran.out) == (4, ""), place
        assert "another file has this name" in ran.err or "not a regular file" in ran.err
    assert installed("stats", option, str(pipe)).code == 4
    assert installed("stats", option, str(tmp_path)).code == 6
    assert [file.read_bytes() for file in files] == contents
    other.write_text("")
    assert installed("stats", option, str(link)).code == 0
    assert link.is_symlink()
    assert other.read_bytes()
