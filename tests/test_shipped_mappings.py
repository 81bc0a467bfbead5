"""The shipped mappings: each on a small listing of its shape, made up in `tests/data/listings`, through the real command line."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from authctl import NotFound, shipped_mappings
from authctl.import_mappings import read_mapping
from tests.conftest import HOSTILE, Authctl, unseen

ROOT = Path(__file__).parents[1]
LISTINGS = ROOT / "tests" / "data" / "listings"
NAMES = shipped_mappings.names()
PROFILES = "version: 1\ndefault_profile: default\nprofiles: {default: {idle_timeout: never}}\n"
TAKEN_AT = "2025-02-01T12:00:00Z"
TEXTS = ("username", "application", "application_version", "platform", "device", "ip", "user_agent", "referrer")
TIMES = ("created_at", "last_used_at", "expires_at", "ended_at")
COMPARED = (*TEXTS, *TIMES, "status", "ended_reason", "source", "source_id")


@pytest.fixture
def endless(authctl: Authctl, tmp_path: Path) -> Authctl:
    """The command line on an installation whose sessions expire only when an import says so."""
    (tmp_path / "endless.yaml").write_text(PROFILES)
    assert authctl("init", "-q", "--profiles", str(tmp_path / "endless.yaml")).code == 0
    return authctl


def listing(name: str) -> Path:
    """The made-up listing for a mapping."""
    (found,) = (path for path in LISTINGS.glob(f"{name}.*") if not path.name.endswith(".expected.json"))
    return found


def expected(name: str) -> dict:
    """The counts and the sessions that an import of the listing has to give."""
    return json.loads((LISTINGS / f"{name}.expected.json").read_text())


def import_listing(authctl: Authctl, name: str, *options: str):
    """Import the made-up listing by the name of the mapping."""
    is_listing = shipped_mappings.read(name).rows == shipped_mappings.LISTING
    taken = ("--taken-at", TAKEN_AT) if is_listing else ()
    return authctl("sessions", "import", str(listing(name)), "--map", name, *taken, "-o", "json", *options)


def sessions(authctl: Authctl) -> list[dict]:
    """What is registered, without blank fields, in the order of the expectations."""
    found = authctl("sessions", "list", "--kind", "all", "-o", "json").json
    shown = [{name: one[name] for name in COMPARED if one[name] is not None} for one in found]
    return in_order(shown)


def in_order(found: list[dict]) -> list[dict]:
    """Sessions in an order that does not depend on the registry."""
    by = ("username", "application", "device", "ip", "created_at")
    return sorted(found, key=lambda one: [one.get(name, "") for name in by])


@pytest.mark.parametrize("name", NAMES)
def test_a_listing_of_its_shape(endless: Authctl, name: str):
    """The counts and every field of every session are the expected ones."""
    counts, wanted = expected(name)["counts"], in_order(expected(name)["sessions"])
    ran = import_listing(endless, name)
    assert ran.code == 0, ran.err
    assert {field: ran.json[field] for field in counts} == counts
    assert sessions(endless) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_again_nothing_changes(endless: Authctl, name: str):
    """The second import of the same listing changes no session."""
    first = import_listing(endless, name).json
    before = sessions(endless)
    again = import_listing(endless, name).json
    assert (again["registered"], again["updated"], again["unchanged"]) == (0, 0, first["registered"])
    assert sessions(endless) == before


def rows_of_the_table() -> list[list[str]]:
    """The cells of each row of the table of systems in docs/importing.md."""
    page = (ROOT / "docs" / "importing.md").read_text()
    part = page[page.index("## Systems with a shipped mapping") :].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_each_mapping_has_a_fixture_and_a_row_in_the_table():
    """No mapping without its listing, its expectations and its row; and none of these without a mapping."""
    assert len(NAMES) >= 26
    fixtures = {path.name.removesuffix(".expected.json") for path in LISTINGS.glob("*.expected.json")}
    listings = {path.stem for path in LISTINGS.iterdir() if not path.name.endswith(".expected.json")}
    assert fixtures == listings == set(NAMES)
    assert [row[2].strip("`") for row in rows_of_the_table()] == NAMES


@pytest.mark.parametrize("row", rows_of_the_table(), ids=lambda row: row[2])
def test_a_row_of_the_table_is_the_head_of_its_mapping(row: list[str]):
    """System, command, result and limits on the page are those that the mapping file has."""
    source, command, name, result, unknown = row
    mapping = shipped_mappings.read(name.strip("`"))
    head = {word: text.replace("\n", " ") for word, text in mapping.head.items()}
    assert source == f"{mapping.system}: {mapping.title[0].lower()}{mapping.title[1:]}"
    assert command.strip("`") == mapping.head["Export"].partition("\n")[0]
    assert (result, unknown) == (head["Result"], head["Cannot know"])


@pytest.mark.parametrize("name", NAMES)
def test_the_head_of_a_mapping(name: str):
    """Each file says what it is for, how the export is made and where its fields are documented, and then has no fault."""
    mapping = shipped_mappings.read(name)
    words = ["Title", "System", "Rows", "Complete", "Export", "Result", "Cannot know", "Reference"]
    assert list(mapping.head) == words
    assert mapping.rows in (shipped_mappings.LISTING, shipped_mappings.EVENT_LOG)
    assert not (mapping.complete_for and mapping.rows == shipped_mappings.EVENT_LOG)
    assert mapping.head["Complete"].split(",")[0] in ("yes", "no")
    assert "https://" in mapping.head["Reference"] or "real listing" in mapping.head["Reference"]
    assert mapping.text.endswith("\n")
    assert read_mapping(mapping.text.encode(), name).source


def test_list(authctl: Authctl):
    """Every mapping, in each format, without an installation."""
    listed = authctl("mappings", "list", "-o", "json")
    assert (listed.code, listed.err) == (0, "")
    assert [one["name"] for one in listed.json] == NAMES
    samba = next(one for one in listed.json if one["name"] == "samba")
    assert list(samba) == ["name", "system", "rows", "complete", "complete_for", "title"]
    assert samba["rows"] == "listing"
    assert samba["complete"] is True
    assert authctl("mappings", "list", "-o", "id").out.split() == NAMES
    assert authctl("mappings", "list").out.splitlines()[0] == "name\tsystem\trows\tcomplete_for\ttitle"
    assert len(authctl("mappings", "list", "-o", "ndjson").out.splitlines()) == len(NAMES)
    assert (
        authctl("mappings", "list", "-o", "csv").out.splitlines()[0] == "name,system,rows,complete,complete_for,title"
    )


@pytest.mark.parametrize("name", NAMES)
def test_show_prints_the_file(authctl: Authctl, name: str):
    """The text as it stands, to be kept in a file and changed; as JSON, an object that has it."""
    text = (ROOT / "authctl" / "mappings" / f"{name}.yaml").read_text()
    assert authctl("mappings", "show", name).out == text
    assert authctl("mappings", "show", name, "-o", "table").out == text
    shown = authctl("mappings", "show", name, "-o", "json").json
    assert (shown["name"], shown["text"]) == (name, text)
    assert authctl("mappings", "show", name, "-o", "id").out == f"{name}\n"


def test_an_edited_copy_is_used_like_the_shipped_one(endless: Authctl, tmp_path: Path):
    """What `show` prints is a mapping file."""
    copy = tmp_path / "mine.yaml"
    copy.write_text(
        endless("mappings", "show", "dovecot").out.replace("application: service", "application: {value: Mail}")
    )
    ran = endless("sessions", "import", str(listing("dovecot")), "--map", str(copy), "-o", "json")
    assert (ran.code, ran.json["registered"]) == (0, 3), ran.err
    assert {one["application"] for one in sessions(endless)} == {"Mail"}


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("jupyter", "'jupyterhub'"),
        ("Keycloak", "'keycloak'"),
        ("graph", "'graph-managed-apps'"),
        ("knox", "'django-knox'"),
        ("zzzz", ""),
        ("", ""),
    ],
)
def test_an_unknown_name(endless: Authctl, typed: str, near: str):
    """To show it is 3; as the mapping of an import it is a usage error, and never a file. Both name the nearest ones."""
    shown = endless("mappings", "show", typed)
    assert (shown.code, shown.out) == (3, "")
    assert "authctl: hint: to see all mappings: authctl mappings list\n" in shown.err
    imported = endless("sessions", "import", str(listing("dovecot")), "--map", typed)
    assert (imported.code, imported.out) == (2, "")
    assert f"authctl: hint: for a file of that name: --map ./{typed}\n" in imported.err
    for ran in (shown, imported):
        assert f"authctl: error: no shipped mapping '{typed}'" in ran.err
        assert near in ran.err
        assert ("nearest names" in ran.err) is bool(near)
    with pytest.raises(NotFound, match="no shipped mapping"):
        shipped_mappings.read(typed)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_unknown_name_is_made_visible(authctl: Authctl, text: str):
    """Nothing that a terminal would obey comes out."""
    ran = authctl("mappings", "show", text)
    assert (ran.code, unseen(ran.err)) == (3, [])


@pytest.mark.parametrize(
    ("typed", "code"),
    [("dovecot.yaml", 0), ("./dovecot", 0), ("dovecot.YML", 0), ("dovecot", 0), ("mine", 2), ("./mine", 2)],
)
def test_a_name_or_a_file(endless: Authctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int):
    """A text without `/` and without the ending of a YAML file is a shipped mapping, whatever files are there."""
    monkeypatch.chdir(tmp_path)
    good = "fields: {username: username, application: {value: file}, at: {taken: true}}\nkey: [username]\n"
    for name in ("dovecot.yaml", "dovecot", "dovecot.YML"):
        (tmp_path / name).write_text(good)
    (tmp_path / "mine").write_text("not a mapping")
    ran = endless("sessions", "import", str(listing("dovecot")), "--map", typed)
    assert ran.code == code, ran.err
    applications = {one["application"] for one in sessions(endless)}
    assert applications == (set() if code else {"imap", "pop3"} if typed == "dovecot" else {"file"})
    assert ("no shipped mapping" in ran.err) is (typed == "mine")


def test_the_wheel_has_them(tmp_path: Path):
    """Each mapping comes with the package, and nothing of the tests does."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.startswith("authctl/mappings/")}
        assert there == {f"authctl/mappings/{name}.yaml" for name in NAMES}
        assert archive.read("authctl/mappings/samba.yaml").decode() == shipped_mappings.read("samba").text
