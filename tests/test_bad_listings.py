"""Listings and mappings that are wrong: nothing is registered, the error is one clear line, and no foreign text reaches a terminal raw."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authctl.errors import InvalidFile
from authctl.import_mappings import read_mapping
from tests.conftest import HOSTILE, Authctl, unseen

MAP = """
source: hub
fields:
  username: user
  application: app
  application_version: version
  platform: platform
  device: device
  ip: ip
  user_agent: agent
  referrer: referrer
  source_id: id
  at: time
key: [id]
"""
TEXTS = ("user", "app", "version", "platform", "device", "ip", "agent", "referrer", "id")
ROW = {"user": "alice", "id": "7", "time": "2026-01-01T00:00:00Z"}
LINE = json.dumps(ROW) + "\n"
WRAPPED = json.dumps({"all": [ROW, {**ROW, "id": "8"}]})
CSV = "user,id,time\n"
UTF_8, UTF_16 = "ü".encode(), "ü".encode("utf-16-le")


@pytest.fixture
def run(installed: Authctl, tmp_path: Path) -> Callable[..., str]:
    """Runs an import that must fail with a code, change nothing and write one line, besides a hint; that line."""

    def one(raw: bytes, code: int, *options: str, mapping: str = MAP) -> str:
        (tmp_path / "map.yaml").write_text(mapping)
        (tmp_path / "export").write_bytes(raw)
        command = ("sessions", "import", str(tmp_path / "export"), "--map", str(tmp_path / "map.yaml"), *options)
        ran = installed(*command)
        lines = [line for line in ran.err.splitlines() if not line.startswith(("hint: ", "authctl: hint: "))]
        assert (ran.code, len(lines), unseen(ran.out + ran.err)) == (code, 1, []), ran
        assert installed("sessions", "list", "--count").out == "0\n"
        assert installed("imports", "list", "-o", "json").json == []
        return lines[0]

    return one


@pytest.mark.parametrize("options", [(), ("--complete", "--taken-at", "2026-01-02", "--yes", "--allow-partial")])
@pytest.mark.parametrize(
    ("raw", "mapping", "error"),
    [
        (WRAPPED[:-20].encode(), f"rows: all.*\n{MAP}", "neither JSON lines nor JSON"),
        (WRAPPED[:-1].encode(), f"rows: all.*\n{MAP}", "neither JSON lines nor JSON"),
        ((LINE + LINE[:-20]).encode(), MAP, "is incomplete in line 2"),
        ((CSV + 'alice,7,"2026-01-01').encode(), MAP, "line 2"),
        (gzip.compress(LINE.encode() * 50)[:-12], MAP, "gzip"),
        (LINE.encode() + LINE.encode().replace(b"alice", b"al\xfcice"), MAP, "line 2 is not UTF-8"),
        (CSV.encode() + b"alice,7,2026-01-01\n\xfc,8,2026-01-01\n", MAP, "line 3 is not UTF-8"),
        (LINE.encode() + LINE.encode("utf-16-le"), MAP, "is incomplete in line 3"),
        (LINE.encode("utf-16") + LINE.encode(), MAP, "line 2 is not UTF-16"),
        (WRAPPED.encode(), f"rows: none.*\n{MAP}", "has no rows at 'none.*'; it has 'all'"),
        (WRAPPED.encode(), f"rows: all.in.*\n{MAP}", "has no rows at 'all.in.*'"),
        (WRAPPED.encode(), MAP, "the rows are one level down in the document"),
        (LINE.encode() + b"[]\n", f"rows: all.*\n{MAP}", "has no rows at 'all.*'"),
        (b"user,id\nalice,7\n", MAP, "no column 'time'"),
    ],
)
def test_a_listing_that_is_wrong_registers_nothing(
    run: Callable[..., str], raw: bytes, mapping: str, error: str, options: tuple[str, ...]
):
    """Cut in the middle, in two encodings, with rows elsewhere, or without a column that is needed."""
    assert error in run(raw, 2, *options, mapping=mapping)


def test_a_key_that_is_blank_in_every_row_registers_nothing(run: Callable[..., str]):
    """The rows are rejected; the reason is there with the first of them."""
    blank = json.dumps({**ROW, "id": " "}) + "\n"
    assert "every part of its key is blank" in run(blank.encode(), 2, "--strict")
    error = run(blank.encode(), 4, "--complete", "--taken-at", "2026-01-02", "--yes")
    assert "the complete listing has rejected rows" in error
    assert "every part of its key is blank" in error


@pytest.mark.parametrize("field", TEXTS)
def test_hostile_texts_of_a_row_are_never_raw(installed: Authctl, tmp_path: Path, field: str):
    """As a value and as a name beside it, imported or rejected, in each command that shows the session, and in the previews."""
    (tmp_path / "map.yaml").write_text(MAP)
    rows = [{**ROW, "id": f"{number}", field: text, text: "x"} for number, text in enumerate(HOSTILE)]
    (tmp_path / "export").write_text("".join(json.dumps(one) + "\n" for one in [*rows, {**ROW, "id": "good"}]))
    (tmp_path / "empty").write_text(json.dumps({**ROW, "user": "bob", "id": "other"}))
    command = ("sessions", "import", str(tmp_path / "export"), "--map", str(tmp_path / "map.yaml"))
    complete = ("--complete", "--taken-at", "2026-02-01", "--allow-partial", "--max-affected", "99", "--yes")
    shown = [
        installed(*command, *more) for more in (("--dry-run",), ("--strict",), (), ("--dry-run", *complete))
    ]  # fmt: skip
    shown.append(installed(*command[:2], str(tmp_path / "empty"), *command[3:], *complete))
    shown += [installed("sessions", "list", *more) for more in ((), ("-o", "csv"), ("--group-by", "user"))]
    shown += [installed("sessions", "show", one) for one in installed("sessions", "list", "-o", "id").out.split()]
    shown += [installed("imports", "show", "1"), installed("audit", "list")]
    latest = installed("imports", "list", "-o", "id").out.split()[0]
    preview = installed("imports", "undo", latest, "--note", "hostile")
    assert (preview.code, "this would" in preview.err, unseen(preview.err)) == (4, True, [])
    assert [(ran.code, unseen(ran.out + ran.err)) for ran in shown if unseen(ran.out + ran.err)] == []
    assert [(ran.code, ran.err) for ran in shown if ran.code not in (0, 2)] == []


def in_fields(fields: str) -> str:
    """A mapping with some fields beside the user."""
    return f"fields: {{username: u, {fields}}}\nkey: [username]\n"


FIELDS = in_fields("at: t")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (in_fields("at: {path: t, format: '%d.%m.%Y %I:%M'}"), "1:45: 'format': write %I and %p together"),
        (in_fields("at: {path: t, format: '%H:%M'}"), "1:45: 'format': write unix, unix_ms, age_s, or a strptime"),
        (in_fields("at: {path: t, format: '%Y-%m-%d %Z'}"), "1:45: 'format': write unix, unix_ms, age_s, or"),
        (in_fields("at: {path: t, format: 7}"), "1:45: 'format' must be text: put it in quotes"),
        (in_fields("at: t, ended_at: {where: {s: x}, format: unix}"), "1:40: 'ended_at': `format`, `before` and"),
        (in_fields("at: t, ended_at: {where: {}}"), "1:40: 'ended_at': write a path, or conditions as in `where`"),
        (in_fields("at: t, ended_at: {where: {'a.[': x}}"), "1:49: 'a.[': a pick is written [Name=Value]"),
        (in_fields("at: t, created_at: {taken: true}"), "1:43: unknown field 'taken'"),
        (in_fields("at: t, device: {path: d, after: 7}"), "1:55: 'after' must be text: put it in quotes"),
        ("fields: {at: t}\nkey: [at]\n", "1:9: 'username' is missing"),
        ("fields: []\nkey: [a]\n", "1:9: 'fields' must be a mapping"),
        ("fields: {username: u, at: t}\nkey: username\n", "2:6: 'key' must be a list"),
        ("fields: {username: u, at: t}\nkey: ['']\n", "2:7: 'key': write a path into the row"),
        ("fields: {username: u, at: t}\nkey: [{path: x}]\n", "2:7: 'key': write a path into the row"),
        (f"source: ''\n{FIELDS}", "1:9: 'source': source name is blank"),
        (f"source: [a]\n{FIELDS}", "1:9: 'source' must be text"),
        (f'source: "a\\tb"\n{FIELDS}', "1:9: 'source': source name 'a\\tb' has an invisible character, U+0009"),
        (f"encoding: latin9\n{FIELDS}", "1:11: 'encoding': no such encoding: 'latin9'; one of: UTF-8"),
        (f"encoding: 7\n{FIELDS}", "1:11: 'encoding' must be text"),
        (f"blank: x\n{FIELDS}", "1:8: 'blank' must be a list"),
        (f"blank: [1]\n{FIELDS}", "1:9: 'blank' must be text"),
        (f"event_id: ''\n{FIELDS}", "1:11: 'event_id': write a path into the row"),
        (f"event_id: 7\n{FIELDS}", "1:11: 'event_id': write a path into the row"),
        (f"where: [a]\n{FIELDS}", "1:8: 'where' must be a mapping"),
        (f"where: {{a: [x, [y]]}}\n{FIELDS}", "1:12: 'a': write a value, a list of values"),
        (f"where: {{'': x}}\n{FIELDS}", "1:9: '': write a path into the row"),
        (f"taken_at: {{taken: true}}\n{FIELDS}", "1:12: unknown field 'taken'"),
        (f"taken_at: []\n{FIELDS}", "1:11: 'taken_at': write a path into the row"),
        (f"timezone: 7\n{FIELDS}", "1:11: 'timezone' must be text"),
        (f"columns: 7\ndelimiter: tab\n{FIELDS}", "1:10: 'columns' must be a list"),
        (f"delimiter: 7\n{FIELDS}", "1:12: 'delimiter': write one character"),
        (f"rows: a.$key\n{FIELDS}", "1:7: 'rows': '$key' stands alone"),
        (f"rows: a.*\nrows: b.*\n{FIELDS}", "2:1: 'rows' is there twice"),
        ("fields: &a {username: u, at: t}\nkey: *a\n", "1:9: an anchor, &a"),
        ("fields: &a {username: u, at: t}\nkey: *a\n", "2:6: an alias, *a"),
        (f"{FIELDS}---\na: b\n", "3:1: a second document"),
        (f"rows: !!str x\n{FIELDS}", "1:7: a tag, 'tag:yaml.org,2002:str'"),
        (f"where: {{<<: {{a: b}}}}\n{FIELDS}", "1:9: a merge key"),
        (f"where: {{7: b}}\n{FIELDS}", "1:9: a key must be text: put '7' in quotes"),
        (f"where: {{[a]: b}}\n{FIELDS}", "1:9: a key must be plain text"),
        ("key: [username\n", "2:1: did not find expected ',' or ']'"),
        ("- a\n", "1:1: the file must be a mapping"),
        (f"{FIELDS}#\udcff", "3:2: not UTF-8: byte 0xff"),
        (f"{FIELDS}#\x1b[31m", "3:2: not YAML: unacceptable character #x001b"),
        (f"{FIELDS}#{'x' * 200_000}", "1:1: larger than 131,072 bytes"),
    ],
)
def test_each_fault_of_a_mapping_has_its_line_and_column(text: str, fault: str):
    """And no foreign text in it is raw."""
    with pytest.raises(InvalidFile) as caught:
        read_mapping(text.encode(errors="surrogateescape"), "map.yaml")
    assert any(one.startswith(f"map.yaml:{fault}") for one in caught.value.faults), caught.value.faults
    assert unseen("".join(caught.value.faults)) == []


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "text", [f"%s: a\n{FIELDS}", f"source: %s\n{FIELDS}", f"timezone: %s\n{FIELDS}", f"rows: %s\n{FIELDS}",
             f"where: {{%s: []}}\n{FIELDS}", in_fields("at: {path: t, format: %s}"), in_fields("at: t, device: [d, %s.^]")]
)  # fmt: skip
def test_hostile_texts_of_a_mapping_are_never_raw(installed: Authctl, tmp_path: Path, text: str, hostile: str):
    """The text may be an acceptable name; then the missing file is the error."""
    (tmp_path / "map.yaml").write_text(text % json.dumps(hostile))
    ran = installed("sessions", "import", str(tmp_path / "none"), "--map", str(tmp_path / "map.yaml"))
    assert (ran.code, unseen(ran.out + ran.err)) == (2, [])
