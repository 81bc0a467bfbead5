"""The mapping language: where rows are, names as they stand, joins, conditions, parts, times, texts and files."""

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authctl import InvalidFile, InvalidInput, NotFound, Registry, import_files
from authctl.import_files import Rejected
from authctl.import_files.documents import documents
from authctl.import_files.json_text import JsonText
from authctl.import_mappings import Listing, Mapping, Remark, Row, Skipped, read_mapping
from authctl.import_paths import Path as ImportPath
from authctl.instants import HOUR, NEVER, SECOND, instant_of, parse_instant
from authctl.registry.imports.file import ExportFile
from tests.conftest import EXPORTS, HOSTILE, Authctl, unseen

TIME = "2026-02-01T09:00:00Z"
AT = parse_instant(TIME)
NOTHING_SAID = Listing()
PLAIN = "fields: {username: user, at: time, device: device}\nkey: [device]\n"


def mapping(text: str) -> Mapping:
    """A mapping file's text, read."""
    return read_mapping(text.encode(), "map.yaml")


def rows(raw: bytes | str, text: str, listing: Listing = NOTHING_SAID) -> list[Row | Skipped | Rejected]:
    """What a mapping makes of a file."""
    found = mapping(text)
    raw = raw.encode() if isinstance(raw, str) else raw
    export = import_files.read(io.BytesIO(raw), "export", found.encoding, found.layout)
    if export.columns is not None:
        found.check_columns(export.columns)
    return [row if isinstance(row, Rejected) else found.interpret(row, listing) for _, row in export.rows]


def details(raw: bytes | str, text: str, listing: Listing = NOTHING_SAID) -> list[dict[str, Any]]:
    """The details of the rows, all of which are used."""
    found = rows(raw, text, listing)
    assert all(isinstance(row, Row) for row in found), found
    return [row.details for row in found]


def faults(text: str) -> str:
    """The faults of a mapping file."""
    with pytest.raises(InvalidFile) as caught:
        mapping(text)
    return str(caught.value)


def load(registry: Registry, raw: bytes | str, text: str, **options: Any):
    """Import a file into a registry."""
    raw = raw.encode() if isinstance(raw, str) else raw
    return registry.imports.run(io.BytesIO(raw), mapping(text), **options)


# where the rows are


WRAPPED = json.dumps(
    {
        "total": 2,
        "devices": [
            {"user": "alice", "time": TIME, "device": "AL-PC"},
            {"user": "bob", "time": TIME, "device": "BOB-PC"},
        ],
        "next": None,
    }
)


@pytest.mark.parametrize("path", ["devices.*", "devices", '"devices".*'])
def test_rows_of_a_wrapper(path: str):
    """The elements of a list are rows, with `*` or without."""
    found = details(WRAPPED, f"rows: {json.dumps(path)}\n{PLAIN}")
    assert [one["device"] for one in found] == ["AL-PC", "BOB-PC"]


NESTED = {
    "owner": "alice",
    "devices": {"": {"sessions": [{"connections": [{"ip": "10.0.0.1", "seen": 1770000000000}]}]},
                "AL-PC": {"sessions": [{"connections": [{"ip": "10.0.0.2", "seen": 1770000000000},
                                                        {"ip": "10.0.0.3", "seen": 1770000000000}]}]}},
}  # fmt: skip
DEEP = """\
rows: devices.*.sessions.*.connections.*
fields:
  username: ^.^.^.owner
  device: ^.^.$key
  ip: ip
  at: {path: seen, format: unix_ms}
key: [ip]
"""


@pytest.mark.parametrize("indent", [None, 2])
def test_lists_within_lists_and_objects_keyed_by_id(indent: int | None):
    """`*` is every element or value, `$key` the name of one, `^` the object around the list or object of the row."""
    found = details(json.dumps(NESTED, indent=indent), DEEP)
    assert [(one["username"], one.get("device"), one["ip"]) for one in found] == [
        ("alice", None, "10.0.0.1"),
        ("alice", "AL-PC", "10.0.0.2"),
        ("alice", "AL-PC", "10.0.0.3"),
    ]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$key", "s1"),
        ("^.$key", "a"),
        ("^.^.name", "root"),
        ("^.name", "inner"),
        ("^.b.s2.name", "two"),
        ("^.^.a.name", "inner"),
        ("^.^.$key", None),
        ("^.list.1", "y"),
        ("^.nothing", None),
    ],
)
def test_steps_out(path: str, found: str | None):
    """Out of an object of rows to the object that has it; under a name of its own, to the object that has that name."""
    document = {
        "name": "root",
        "a": {"name": "inner", "list": ["x", "y"], "b": {"s1": {"user": "u"}, "s2": {"name": "two"}}},
    }
    text = f"rows: a.b.*\nwhere: {{user: u}}\nfields: {{username: user, at: {{taken: true}}, device: {json.dumps(path)}}}\nkey: [username]\n"
    first = rows(json.dumps(document), text, Listing(now=AT))[0]
    assert isinstance(first, Row)
    assert first.details.get("device") == found


@pytest.mark.parametrize("path", ["list.1", "list.[id=two]"])
def test_rows_below_a_position_or_a_pick(path: str):
    """A list of lists of rows, of which one has them."""
    document = {"list": [{"id": "one", "rows": []}, {"id": "two", "rows": [{"user": "alice", "time": TIME}]}]}
    text = (
        f"rows: {json.dumps(path + '.rows.*')}\nfields: {{username: user, at: time, device: ^.id}}\nkey: [username]\n"
    )
    assert details(json.dumps(document), text) == [{"username": "alice", "device": "two"}]


@pytest.mark.parametrize(
    ("raw", "path", "error"),
    [
        ('{"value": []}', "devices.*", "line 1 has no rows at 'devices.*'; it has 'value'"),
        ('{"value": []}\n{"error": 1}', "value.*", "line 2 has no rows at 'value.*'; it has 'error'"),
        ('{"value": "x"}', "value.*", "has no rows at 'value.*'"),
        ("[1]", "value.*", "it is no object"),
        ("a,b\n1,2\n", "value.*", "no JSON, and the mapping asks for rows at 'value.*'"),
        ('{"value": [{"user": "alice"', "value.*", "line 1: the file is incomplete"),
        ('{"value": [{"user": "alice"},\n', "value.*", "line 2: the file is incomplete"),
        ('{"value": [{"user": "alice"}], ', "value.*", "line 1: the file is incomplete"),
        ('{"value": [{}], "value": [{}]}', "value.*", "more than one value for 'value.*'"),
        ('{"value" [{}]}', "value.*", "Expecting ':' delimiter"),
        ("{value: [{}]}", "value.*", "Expecting property name"),
        ('{"value": [{} {}]}', "value.*", "Expecting ',' or ']'"),
        ('{"value": ' + "[" * 100_000, "value.*", "nested too deeply"),
        ('{"other": ' + "[" * 100_000, "value.*", "nested too deeply"),
    ],
    ids=lambda value: ascii(value)[:24],
)  # fmt: skip
def test_documents_without_those_rows(registry: Registry, raw: str, path: str, error: str):
    """A wrong path, or half a document, is one clear error, and nothing is registered."""
    with pytest.raises(InvalidInput) as caught:
        load(registry, raw, f"rows: {path}\n{PLAIN}")
    assert error in str(caught.value)
    assert registry.count() == 0


def test_a_listing_without_rows_is_no_error_of_the_document():
    """An empty list, an empty object and null have no rows; what one element lacks, another may have."""
    for empty in ("[]", "{}", "null"):
        assert rows(f'{{"value": {empty}}}', f"rows: value.*\n{PLAIN}") == []
    nested = json.dumps({"a": [{"b": [{"user": "alice", "time": TIME}]}, {}, {"b": None}]})
    assert len(rows(nested, f"rows: a.*.b.*\n{PLAIN}")) == 1


@pytest.mark.parametrize("name", ["devices", "by id", "a.b", 'qu"ote', "*"])
@pytest.mark.parametrize("where", ["", "where: {kind: session}\n"])
def test_rows_one_level_down_are_recognised(installed: Authctl, tmp_path: Path, name: str, where: str):
    """A wrapper without `rows` is exit 2 and names the line to add, also with `where` or `--allow-empty`; with the line it works."""
    inner = [{"user": "alice", "time": TIME, "device": "AL-PC", "kind": "session"}]
    (tmp_path / "export.json").write_text(json.dumps({"total": 1, name: inner}))
    fields = tmp_path / "map.yaml"
    fields.write_text(where + PLAIN)
    command = ("sessions", "import", str(tmp_path / "export.json"), "--map", str(fields))
    ran = installed(*command, "--allow-empty")
    assert (ran.code, "the rows are one level down in the document" in ran.err) == (2, True)
    line = ran.err.split("add this line to the mapping: ")[1].strip()
    assert line.startswith("rows: ")
    fields.write_text(f"rows: {json.dumps(line.removeprefix('rows: '))}\n{where}{PLAIN}")
    assert installed(*command, "-o", "json").json["registered"] == 1


def test_rows_that_name_a_user_are_where_they_should_be(installed: Authctl, tmp_path: Path):
    """A row that is rejected for another reason than its user is no wrapper, whatever it contains."""
    inner = [{"user": "bob", "time": TIME, "device": "BOBPC"}]
    (tmp_path / "export.json").write_text(
        json.dumps({"user": "alice", "device": "AL-PC", "time": "?", "former": inner})
    )
    (tmp_path / "map.yaml").write_text(PLAIN)
    ran = installed("sessions", "import", str(tmp_path / "export.json"), "--map", str(tmp_path / "map.yaml"))
    assert (ran.code, "one level down" in ran.err, "at is not a time" in ran.err) == (3, False, True)


one_row = st.fixed_dictionaries(
    {"user": st.sampled_from(["alice", "bob"]), "time": st.just(TIME), "device": st.text(max_size=3) | st.none()}
)


@given(
    parts=st.lists(st.lists(one_row, max_size=4), min_size=1, max_size=5),
    line_end=st.sampled_from(["", "\n", " \n\n "]),
)
def test_any_split_into_pages_gives_the_same_rows(parts: list[list[dict]], line_end: str):
    """Pages one after the other in a file, or in files of their own, are one listing."""
    text = f"rows: value.*\n{PLAIN}"
    whole = rows(json.dumps({"value": [row for part in parts for row in part]}), text)
    pages = [json.dumps({"next": "x", "value": part, "count": len(part)}) for part in parts]
    assert rows(line_end.join(pages), text) == whole
    assert [row for page in pages for row in rows(page, text)] == whole


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_any_split_into_files_gives_the_same_registry(installed: Authctl, tmp_path: Path, parts: int):
    """Files one after the other are one import: with their names in rejections, and duplicates across them."""
    (tmp_path / "map.yaml").write_text(f"rows: value.*\nevent_id: id\n{PLAIN}")
    listed = [{"user": f"u{n % 4}", "time": TIME, "device": f"d{n}", "id": n % 5} for n in range(6)] + [{"user": ""}]
    size = -(-len(listed) // parts)
    files = []
    for number in range(parts):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({"value": listed[number * size : (number + 1) * size]}))
    outcome = installed("sessions", "import", *map(str, files), "--map", str(tmp_path / "map.yaml"), "-o", "json").json
    assert [outcome[name] for name in ("read", "used", "duplicates", "rejected", "registered")] == [7, 5, 1, 1, 5]
    (rejected,) = outcome["rejections"]
    assert (rejected["file"], rejected["row"]) == (str(files[-1]), len(listed) - (parts - 1) * size)


def test_a_file_that_cannot_be_read_changes_nothing(installed: Authctl, tmp_path: Path):
    """Not even where those before it were whole."""
    (tmp_path / "map.yaml").write_text(PLAIN)
    (tmp_path / "1.json").write_text(json.dumps([{"user": "alice", "time": TIME, "device": "d"}]))
    (tmp_path / "2.json").write_text('[{"user": "bob"')
    command = (
        "sessions",
        "import",
        str(tmp_path / "1.json"),
        str(tmp_path / "2.json"),
        "--map",
        str(tmp_path / "map.yaml"),
    )
    assert installed(*command).code == 2
    (tmp_path / "2.json").unlink()
    assert installed(*command).code == 2
    assert installed("sessions", "list", "--count").out == "0\n"


@pytest.mark.parametrize("raw", [b"[{}", b"[{}]", b"[7]", b"\xff"])
@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_further_file_is_made_visible(registry: Registry, name: str, raw: bytes):
    """In an error, and in the reason why nothing was used."""
    more = [ExportFile(name, io.BytesIO(raw))]
    try:
        because = load(registry, "[]", PLAIN, more=more).unused_because
        said = str(NotFound(f"no row was used: {because}"))  # as the command says it
    except InvalidInput as error:
        said = str(error)
    assert said
    assert unseen(said) == []


# names as they stand, quoted steps, joins


@pytest.mark.parametrize(
    ("row", "path", "found"),
    [
        ({"CreatedDateTime [UTC]": "x"}, "CreatedDateTime [UTC]", "x"),
        ({"a [x=y]": "flat", "a ": [{"x": "y"}]}, "a [x=y]", "flat"),
        ({"$key": "x"}, '"$key"', "x"),
        ({"^": "x"}, '"^"', "x"),
        ({"*": "x"}, '"*"', "x"),
        ({"{a}": "x", "a": "b", "b": "y"}, "{a}", "x"),
        ({"{a}": "x", "a": "b", "b": "y"}, '"{a}"', "x"),
        ({"a": "b", "b": "y"}, "{a}", "y"),
        ({"a.b": {"c": "x"}}, '"a.b".c', "x"),
        ({"": {"": "x"}}, '""."".', None),
        ({"": {"": "x"}}, '"".""', "x"),
        ({"a": {"b [1]": "x"}}, 'a."b [1]"', "x"),
        ({"a": {"b [1]": "x"}}, "a.b [1]", "x"),
        ({'q"q': "x"}, '"q""q"', "x"),
        ({"a": [{"n.m": "v", "w": "x"}]}, '"a"[n.m=v].w', "x"),
        ({"a": ["x", "y"], "at": 1}, "a.{at}", "y"),
        ({"ids": {"7": "x"}, "id": 7}, "ids.{id}", "x"),
        ({"ids": {"7.5": "x"}, "id": 7.5}, "ids.{id}", "x"),
        ({"ids": {"": "x", " ": "x", "-": "x"}, "id": ""}, "ids.{id}", None),
        ({"ids": {"": "x", " ": "x"}, "id": " "}, "ids.{id}", None),
        ({"ids": {"-": "x"}, "id": "-"}, "ids.{id}", None),
        ({"ids": {"None": "x", "a": "x"}}, "ids.{id}", None),
        ({"ids": {"{}": "x"}, "id": {}}, "ids.{id}", None),
        ({"ids": {"a": {"name": "x"}}, "in": {"id": "a"}}, "ids.{in.id}.name", "x"),
        ({"ids": {"a": {"name": "x"}}, "a.b": "a"}, 'ids.{"a.b"}.name', "x"),
        ({"ids": {"{x}": "y"}, "}": "{x}"}, 'ids.{"}"}', "y"),
        ({"ids": '{"a": "x"}', "id": "a"}, "ids.{id}", "x"),
    ],
)
def test_paths(row: dict, path: str, found: str | None):
    """A name as it stands comes first; a quoted step is a name; a step in braces is the value of a path."""
    text = f'blank: ["-"]\nfields: {{username: user, at: time, device: {json.dumps(path)}}}\nkey: [username]\n'
    one = mapping(text).interpret({"user": "alice", "time": TIME, **row})
    assert isinstance(one, Row)
    assert one.details.get("device") == found


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["a.b", "[x=y]", "^", "$key", "*", "{a}", '"', '""', "0", "a", "a.b.c"]
)


@given(row=st.dictionaries(words, words.filter(str.strip), max_size=5), name=words)
def test_a_quoted_name_finds_exactly_that_key(row: dict[str, str], name: str):
    """Whatever signs are in it; where the row has no such key, nothing."""
    path = '"' + name.replace('"', '""') + '"'
    assume(path not in row)
    assert ImportPath(path).at(row) == row.get(name)


JOINED = 'fields: {username: "users.{id}.name", at: time}\nkey: [username]\n'


@given(value=words, others=st.dictionaries(words, st.just({"name": "somebody else"}), max_size=4))
def test_the_value_of_a_join_is_never_a_path(value: str, others: dict):
    """Whatever the row has there is one literal step: it finds that key, or nothing."""
    others = {"a": {"b": {"name": "somebody else"}}, **others}
    row = {"id": value, "time": TIME, "users": {**others, value: {"name": "alice"}}}
    found = mapping(JOINED).interpret(row)
    if value.strip():
        assert isinstance(found, Row)
        assert found.details["username"] == "alice"
        del row["users"][value]
        found = mapping(JOINED).interpret(row)
    assert found == Rejected("the username is blank")


SMB = """\
rows: tcons.*
taken_at: ^.timestamp
fields:
  username: ^.sessions.{session_id}.username
  application: {value: Samba}
  ip: {path: "^.sessions.{session_id}.hostname", after: ":", before: ":"}
  at: connected_at
key: [session_id]
"""


@pytest.mark.parametrize("session", ["7", "a.b", "^.x", "[x=y]"])
def test_a_join_within_a_document(session: str):
    """Users in one object and times in another, tied by an id, whichever comes first."""
    users = {session: {"username": "games", "hostname": "ipv4:10.0.0.1:54852"}, "8": {"username": "news"}}
    times = {"1": {"session_id": session, "connected_at": TIME}, "2": {"session_id": "8", "connected_at": TIME}}
    expected = [
        {"username": "games", "application": "Samba", "ip": "10.0.0.1"},
        {"username": "news", "application": "Samba"},
    ]
    assert details(json.dumps({"timestamp": TIME, "sessions": users, "tcons": times}), SMB) == expected
    assert details(json.dumps({"tcons": times, "sessions": users}), SMB) == expected


# conditions


@pytest.mark.parametrize(
    ("where", "row", "is_used"),
    [
        ("{a: {present: false}}", {}, True),
        ("{a: {present: false}}", {"a": None}, True),
        ("{a: {present: false}}", {"a": ""}, True),
        ("{a: {present: false}}", {"a": "-"}, True),
        ("{a: {present: false}}", {"a": False}, False),
        ("{a: {present: false}}", {"a": {}}, False),
        ("{a: {present: true}}", {"a": " "}, False),
        ("{a: {present: true}}", {"a": 0}, True),
        ("{a: {not: x}}", {"a": "x"}, False),
        ("{a: {not: x}}", {"a": "y"}, True),
        ("{a: {not: x}}", {}, True),
        ("{a: {not: [x, 7]}}", {"a": 7}, False),
        ("{a: {not: [x, 7]}}", {"a": "7"}, False),
        ("{a: {not: [x, 7]}}", {"a": 7.0}, False),
        ("{a: {not: [x, 7]}}", {"a": 8}, True),
        ("{a: 4624}", {"a": 4624.0}, True),
        ("{a: 4624}", {"a": "4624.0"}, False),
        ("{a: '4624'}", {"a": 4624}, True),
        ("{a: '4624'}", {"a": 4624.0}, False),
        ("{a: 1}", {"a": True}, False),
        ("{a: true}", {"a": 1}, False),
        ("{a: true}", {"a": "true"}, True),
        ("{a: 1}", {"a": float("nan")}, False),
        ("{'\"x.y\"': z}", {"x.y": "z"}, True),
        ("{'m.{k}': z}", {"m": {"q": "z"}, "k": "q"}, True),
    ],
)
def test_where(where: str, row: dict, is_used: bool):
    """By equality only; a number equals one of the same value, and a blank text is not there."""
    text = f'where: {where}\nblank: ["-"]\n{PLAIN}'
    found = mapping(text).interpret({"user": "alice", "time": TIME, "device": "d", **row})
    assert isinstance(found, Row if is_used else Skipped)


# constants and parts


@pytest.mark.parametrize(
    ("source", "value", "found"),
    [
        ("{value: Samba}", "x", "Samba"),
        ('{path: a, before: "/"}', "alice@x/PC", "alice@x"),
        ('{path: a, before: "/"}', "alice@x", "alice@x"),
        ('{path: a, before: "/"}', "/PC", None),
        ('{path: a, after: "/"}', "alice@x/AL PC/2", "AL PC/2"),
        ('{path: a, after: "/"}', "alice@x", None),
        ('{path: a, after: ":", before: ":"}', "ipv4:10.0.0.1:80", "10.0.0.1"),
        ('{path: a, after: "/"}', "x/-", None),
        ('[{path: a, after: "/"}, {value: unknown}]', "alice", "unknown"),
        ('[{path: a, after: "/"}, b]', "alice", "other"),
        ("{path: [c, a]}", "x", "x"),
        ('{path: a, before: "."}', 7.5, "7"),
    ],
)
def test_constants_and_parts_of_a_value(source: str, value: object, found: str | None):
    """The text before or after another; a source that has nothing leaves it to the next."""
    text = f'blank: ["-"]\nfields: {{username: user, at: time, device: {source}}}\nkey: [username]\n'
    one = mapping(text).interpret({"user": "alice", "time": TIME, "a": value, "b": "other"})
    assert isinstance(one, Row)
    assert one.details.get("device") == found


# times


def instant(source: str, value: object, head: str = "", listing: Listing = NOTHING_SAID) -> Row | Rejected:
    """What a row with that time means."""
    text = f"{head}fields: {{username: user, at: {source}}}\nkey: [username]\n"
    found = mapping(text).interpret({"user": "alice", "time": value}, listing)
    assert isinstance(found, Row | Rejected)
    return found


BERLIN = "timezone: Europe/Berlin\n"


@pytest.mark.parametrize(
    ("value", "at", "remarks"),
    [
        ("2026-02-01 10:00", TIME, ()),
        ("2026-07-01 10:00", "2026-07-01T08:00:00Z", ()),
        ("2026-02-01 10:00Z", "2026-02-01T10:00:00Z", ()),
        ("2026-02-01T10:00:00+05:00", "2026-02-01T05:00:00Z", ()),
        ("2026-02-01", "2026-01-31T23:00:00Z", ()),
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z", (Remark.TWICE,)),
        ("2026-10-25 03:00", "2026-10-25T02:00:00Z", ()),
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z", (Remark.MISSING,)),
        ("2026-03-29 03:00", "2026-03-29T01:00:00Z", ()),
    ],
)
def test_a_time_zone(value: str, at: str, remarks: tuple[Remark, ...]):
    """For times that carry none; an hour that exists twice, or never, is said."""
    found = instant("time", value, BERLIN)
    assert isinstance(found, Row)
    assert (found.at, found.remarks) == (parse_instant(at), remarks)


@given(
    moment=st.datetimes(*(datetime(year, 1, 1) for year in (1980, 2030))),  # noqa: DTZ001  # local times
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_a_local_time_is_read_back(moment: datetime, zone: str):
    """The instant shows the same local time in that zone, but for an hour that clocks skipped; of two instants it is the first."""
    found = instant(
        '{path: time, format: "%Y-%m-%dT%H:%M:%S.%f"}', moment.strftime("%Y-%m-%dT%H:%M:%S.%f"), f"timezone: {zone}\n"
    )
    assert isinstance(found, Row)
    local = (datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC")) + timedelta(microseconds=found.at)).astimezone(ZoneInfo(zone))
    assert (local.replace(tzinfo=None) == moment) is (Remark.MISSING not in found.remarks)
    assert local.fold == 0 or Remark.MISSING in found.remarks
    later = instant_of(moment.replace(tzinfo=ZoneInfo(zone), fold=1))
    assert (Remark.TWICE in found.remarks) is (later > found.at)


def test_the_hours_that_exist_twice_or_never_are_said_with_their_rows(installed: Authctl, tmp_path: Path):
    """On standard error and in JSON, with line and row."""
    (tmp_path / "map.yaml").write_text(BERLIN + PLAIN)
    times = ["2025-10-26 02:30", "2025-10-26 12:00", "2025-03-30 02:30"]
    (tmp_path / "export.json").write_text(json.dumps([{"user": "a", "device": time, "time": time} for time in times]))
    ran = installed(
        "sessions", "import", str(tmp_path / "export.json"), "--map", str(tmp_path / "map.yaml"), "-o", "json"
    )
    assert f"1 row: {Remark.TWICE.value}: {tmp_path / 'export.json'}: line 1\n" in ran.err
    assert f"1 row: {Remark.MISSING.value}: {tmp_path / 'export.json'}: line 1, row 3\n" in ran.err
    assert [(one["count"], one["rows"][0]["row"]) for one in ran.json["remarks"]] == [(1, 1), (1, 3)]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (None, "0"),
        (None, 0),
        (None, "0001-01-01T00:00:00"),
        (None, "0001-01-01T00:00:00Z"),
        (None, "1601-01-01T00:00:00Z"),
        (None, "1970-01-01T00:00:00Z"),
        (None, "1969-12-31T19:00:00-05:00"),
        ("unix", 0),
        ("unix", "0.0"),
        ("unix", -11644473600),
        ("unix", -62135596800),
        ("unix_ms", 0),
        ("%d.%m.%Y", "01.01.1970"),
        ("%d.%m.%Y", "0"),
    ],
)
def test_a_time_that_stands_for_none(form: str | None, value: object):
    """0 and the years in which calendars of systems begin are blank: a row without a time, or without an expiry of its own."""
    source = "time" if form is None else f"{{path: time, format: {json.dumps(form)}}}"
    assert instant(source, value) == Rejected("the time is blank")
    text = f"fields: {{username: user, at: now, expires_at: {source}}}\nkey: [username]\n"
    found = mapping(text).interpret({"user": "alice", "now": TIME, "time": value})
    assert isinstance(found, Row)
    assert (found.details, found.remarks) == ({"username": "alice"}, (Remark.BLANK,))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (None, "9999-12-31T23:59:59Z"),
        (None, "9999-01-01"),
        (None, "10000-01-01T00:00:00Z"),
        ("unix", 253402300800),
        ("unix_ms", 253402300799999),
        ("%d.%m.%Y", "31.12.9999"),
    ],
)
def test_an_expiry_that_never_comes(registry: Registry, form: str | None, value: object):
    """The year 9999 and later is never, in the registry too, and is said."""
    source = "x" if form is None else f"{{path: x, format: {json.dumps(form)}}}"
    text = f"fields: {{username: user, at: time, expires_at: {source}}}\nkey: [username]\n"
    outcome = load(registry, json.dumps({"user": "alice", "time": TIME, "x": value}), text)
    assert [(one.remark, one.total) for one in outcome.remarks] == [(Remark.NEVER.value, 1)]
    assert [session.expires_at for session in registry.sessions()] == [NEVER]


def test_an_age_counts_back_from_the_listing():
    """An uptime of no second is none that is blank; one that reaches before all times is refused."""
    listing = Listing(now=AT)
    for value, at in ((0, AT), ("14", AT - 14 * SECOND), (3600.5, AT - HOUR - SECOND // 2)):
        found = instant("{path: time, format: age_s}", value, listing=listing)
        assert isinstance(found, Row)
        assert found.at == at
    for value in (-1, "x", "inf", "nan", 1e30):
        assert isinstance(instant("{path: time, format: age_s}", value, listing=listing), Rejected)


@pytest.mark.parametrize(
    ("head", "listing", "at"),
    [
        ("", Listing(now=AT), TIME),
        ("", Listing(AT + HOUR, AT), "2026-02-01T10:00:00Z"),
        ("taken_at: made\n", Listing(now=AT), "2026-01-01T00:00:00Z"),
        ("taken_at: made\n", Listing(AT, AT + HOUR), TIME),
        ("taken_at: [nothing, made]\n", Listing(now=AT), "2026-01-01T00:00:00Z"),
        ("taken_at: nothing\n", Listing(now=AT), None),
    ],
)
def test_the_time_of_a_listing(head: str, listing: Listing, at: str | None):
    """As the person says, else as the file does, else now; a file that should say it and does not is a rejected row."""
    text = f"{head}fields: {{username: user, at: [seen, {{taken: true}}]}}\nkey: [username]\n"
    found = mapping(text).interpret({"user": "alice", "made": "2026-01-01"}, listing)
    if at is None:
        assert found == Rejected("the time of the listing is blank")
    else:
        assert isinstance(found, Row)
        assert found.at == parse_instant(at)
    seen = mapping(text).interpret({"user": "alice", "made": TIME, "seen": "2026-01-05"}, listing)
    assert isinstance(seen, Row)
    assert seen.at == parse_instant("2026-01-05")


def test_taken_at_through_the_command(installed: Authctl, tmp_path: Path):
    """The option says it; without `{taken: true}` a row without a time stays rejected; the future is refused."""
    (tmp_path / "map.yaml").write_text("fields: {username: user, at: [seen, {taken: true}]}\nkey: [username]\n")
    (tmp_path / "plain.yaml").write_text("fields: {username: user, at: seen}\nkey: [username]\n")
    command = ("sessions", "import", "-", "-o", "json", "--map")
    raw = json.dumps([{"user": "alice", "seen": None}])
    assert installed(*command, str(tmp_path / "plain.yaml"), "--taken-at", TIME, stdin=raw).code == 3
    assert installed(*command, str(tmp_path / "map.yaml"), "--taken-at", "9000-01-01", stdin=raw).code == 2
    assert installed(*command, str(tmp_path / "map.yaml"), "--taken-at", "soon", stdin=raw).code == 2
    assert installed(*command, str(tmp_path / "map.yaml"), "--taken-at", TIME, stdin=raw).json["registered"] == 1
    assert installed("sessions", "list", "-o", "json").json[0]["last_used_at"] == TIME


# texts


@pytest.mark.parametrize(
    ("head", "raw", "found"),
    [
        ("columns: [user, time, device]\ndelimiter: tab\n", f'alice\t{TIME}\t"AL" PC\nbob\t{TIME}\t"x\n', ['"AL" PC', '"x']),
        ('columns: [user, time, device]\ndelimiter: "|"\n', f"alice|{TIME}|\r\n", [None]),
        ("columns: [user, time, device]\ndelimiter: comma\n", f'alice,{TIME},"a,b"\n', ["a,b"]),
        ("columns: [user, time, device]\ndelimiter: whitespace\n", f"  alice \t {TIME}   PC  \n", ["PC"]),
        ("delimiter: space\n", f"user time device\nalice {TIME} PC\nbob {TIME} \n", ["PC", None]),
        ("delimiter: whitespace\n", f"user  time   device\n\nalice {TIME}\tPC", ["PC"]),
        ('columns: [user, time, "{"]\ndelimiter: tab\n', f"[x\t{TIME}\ty\n", [None]),
    ],
)  # fmt: skip
def test_texts(head: str, raw: str, found: list[str | None]):
    """Columns that the mapping names, delimiters that it names; quotes count with comma and semicolon alone."""
    text = f"{head}fields: {{username: user, at: time, device: [device, nothing]}}\nkey: [username]\n"
    assert [one.get("device") for one in details(raw, text)] == found


def test_rows_of_a_text_that_have_other_cells():
    """More or fewer cells than columns is a rejected row, so that nothing moves into another column."""
    found = rows(f"alice\t{TIME}\nbob\t{TIME}\tx\tx\n", f"columns: [user, time, device]\ndelimiter: tab\n{PLAIN}")
    assert found == [
        Rejected("it has 2 cells, and the mapping 3"),
        Rejected("it has 4 cells, and the mapping 3"),
    ]


# files


def test_gzip_is_told_by_its_first_bytes(installed: Authctl, tmp_path: Path):
    """From a file of any name and from standard input, in several members; CSV, JSON lines and documents."""
    (tmp_path / "map.yaml").write_text(PLAIN)
    command = ("sessions", "import", "-", "-o", "json", "--map", str(tmp_path / "map.yaml"))
    line = json.dumps({"user": "alice", "time": TIME, "device": "d"}) + "\n"
    member = gzip.compress(line.encode())
    packed = [
        member,
        member + gzip.compress(line.replace("alice", "bob").encode()),
        gzip.compress(b"[" + line.encode() + b"]"),
    ]
    packed.append(gzip.compress(f"user,time,device\nalice,{TIME},d\n".encode("utf-16")))
    registered = [installed(*command, stdin=raw).json["registered"] for raw in packed]
    assert registered == [1, 1, 0, 0]
    (tmp_path / "export.txt").write_bytes(member)
    file = ("sessions", "import", str(tmp_path / "export.txt"), "-o", "json", "--map", str(tmp_path / "map.yaml"))
    assert installed(*file).json["unchanged"] == 1


@given(rest=st.binary(max_size=30), cut=st.integers(0, 60))
def test_damaged_gzip_is_our_own_error(rest: bytes, cut: int):
    """Cut anywhere or followed by anything, it is rows or one clear error."""
    whole = gzip.compress(b'{"user": "alice", "time": "2026-02-01", "device": "d"}\n')
    for raw in (whole[:cut], whole + rest, whole[:cut] + rest, whole[:10] + rest):
        with contextlib.suppress(InvalidInput):
            assert all(isinstance(row, Row | Rejected | Skipped) for row in rows(raw, PLAIN))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (gzip.compress(b'{"a": 1}\n' * 50)[:-9], "the gzip file is incomplete"),
        (gzip.compress(b'{"a": 1}\n' * 50)[:-8] + b"\0" * 8, "the gzip file is damaged: CRC check failed"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 40, "the gzip file is damaged"),
        (gzip.compress(zlib.compress(b"x")), "export: "),
    ],
)
def test_gzip_that_cannot_be_read_to_its_end(raw: bytes, error: str):
    """Damage is one clear error."""
    with pytest.raises(InvalidInput, match=error):
        rows(raw, PLAIN)


def test_standard_input_is_read_once(installed: Authctl, tmp_path: Path):
    """Named twice it is refused; beside files it comes in its turn."""
    (tmp_path / "map.yaml").write_text(PLAIN)
    (tmp_path / "one.json").write_text(json.dumps([{"user": "bob", "time": TIME, "device": "d"}]))
    raw = json.dumps([{"user": "alice", "time": TIME, "device": "d"}, {}])
    command = ("sessions", "import", "--map", str(tmp_path / "map.yaml"), "-o", "json")
    assert installed(*command, "-", "-", stdin=raw).code == 2
    ran = installed(*command, str(tmp_path / "one.json"), "-", stdin=raw)
    assert ran.json["registered"] == 2
    assert "authctl: warning: standard input: line 1, row 2: the username is blank\n" in ran.err


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    value=st.lists(json_values, max_size=6),
    size=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    more=json_values,
)
def test_a_list_in_pieces_is_the_same_list(value: list, size: int, indent: int | None, more: object):
    """However a text is cut, the rows and their lines are those of the whole; also within a wrapper."""
    raw = json.dumps(value, indent=indent, ensure_ascii=False)

    def pieces(text: str) -> Iterator[str]:
        return (text[at : at + size] for at in range(0, len(text), size))

    found = list(documents(JsonText(pieces(raw), "export"), import_files.PLAIN))
    assert [row for _, row in found] == json.loads(raw)
    lines = raw.split("\n")
    assert all(lines[line - 1].strip() for line, _ in found)
    assert found == list(documents(JsonText(iter([raw]), "export"), import_files.PLAIN))
    wrapped = json.dumps({"before": more, "value": value, "after": more}, indent=indent)
    layout = mapping(f"rows: value.*\n{PLAIN}").layout
    placed = [row.value for _, row in documents(JsonText(pieces(wrapped), "export"), layout)]
    assert placed == json.loads(wrapped)["value"]


def test_a_list_of_any_size_on_one_line_takes_little_memory():
    """Twelve megabytes in one line, a list or a wrapper, take less than four: nothing is kept but what is read."""
    import tracemalloc

    one = json.dumps({"user": "alice", "time": TIME, "device": "d" * 400}).encode()

    class Made(io.RawIOBase):
        """A file that is made while it is read."""

        def __init__(self, begins: bytes, ends: bytes) -> None:
            self.parts = iter([begins, *([one + b","] * 25_000), one, ends])
            self.rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            while len(self.rest) < len(buffer) and (part := next(self.parts, None)) is not None:
                self.rest += part
            piece, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(piece)] = piece
            return len(piece)

    for begins, ends, head in ((b"[", b"]", ""), (b'{"n": 1, "value": [', b'], "m": {}}', "rows: value.*\n")):
        found = mapping(head + PLAIN)
        tracemalloc.start()
        export = import_files.read(io.BufferedReader(Made(begins, ends), 65536), "export", None, found.layout)
        assert sum(isinstance(found.interpret(row), Row) for _, row in export.rows) == 25_001
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
        tracemalloc.stop()


def test_the_document_is_held_up_to_a_limit():
    """A mapping that reads around its rows needs the whole document: one beyond 64 MiB is refused, and without that it is read."""
    filler = json.dumps({"x": "y" * 1_000_000})
    raw = '{"owner": "alice", "value": [' + ",".join([filler] * 68) + "]}"
    text = "rows: value.*\nfields: {username: %s, at: {taken: true}, ip: x.y}\nkey: [username]\n"
    with pytest.raises(InvalidInput, match="line 1: a value is longer than 67,108,864 characters"):
        rows(raw, text % "^.owner", Listing(now=AT))
    assert len(rows(raw, text % "user", Listing(now=AT))) == 68


def test_one_row_is_no_longer_than_a_line_may_be():
    """16 MiB, as on a line of its own."""
    with pytest.raises(InvalidInput, match="a value is longer than 16,777,216 characters"):
        rows('[{"a": "' + "x" * 17 * 1024 * 1024 + '"}]', PLAIN)


# faults of mappings


FIELDS = "fields: {username: u, at: t}\nkey: [username]\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"rows: ''\n{FIELDS}", "map.yaml:1:7: 'rows': write the path of the rows"),
        (f"rows: [a]\n{FIELDS}", "map.yaml:1:7: 'rows': write the path of the rows"),
        (f"rows: ^.a\n{FIELDS}", "map.yaml:1:7: 'rows': the path of the rows has names"),
        (f"rows: 'a.{{b}}'\n{FIELDS}", "map.yaml:1:7: 'rows': the path of the rows has names"),
        (f"rows: 'a.\"b'\n{FIELDS}", "map.yaml:1:7: 'rows': a quoted step is written \"NAME\""),
        (f"rows: a.*\ncolumns: [u, t]\ndelimiter: tab\n{FIELDS}", "map.yaml:2:1: 'columns' is for texts"),
        (f"rows: a.*\ndelimiter: tab\n{FIELDS}", "map.yaml:2:1: 'delimiter' is for texts"),
        (f"columns: [u, t]\n{FIELDS}", "map.yaml:1:1: 'columns' needs a 'delimiter'"),
        (f"columns: [u, u, t]\ndelimiter: tab\n{FIELDS}", "map.yaml:1:10: 'columns': write a list of texts, each once"),
        (f"columns: []\ndelimiter: tab\n{FIELDS}", "map.yaml:1:10: 'columns' must not be empty"),
        (f"columns: [t]\ndelimiter: tab\n{FIELDS}", "map.yaml:1:10: no column 'u' for username; 'columns' has 't'"),
        (f"delimiter: ab\n{FIELDS}", "map.yaml:1:12: 'delimiter': write one character"),
        (f"delimiter: 'a'\n{FIELDS}", "map.yaml:1:12: 'delimiter': write one character"),
        (f"delimiter: '\"'\n{FIELDS}", "map.yaml:1:12: 'delimiter': write one character"),
        (f"timezone: Mars\n{FIELDS}", "map.yaml:1:11: 'timezone': no such time zone: 'Mars'"),
        (f"timezone: ../etc/passwd\n{FIELDS}", "map.yaml:1:11: 'timezone': no such time zone: '../etc/passwd'"),
        (f"timezone: Europe\n{FIELDS}", "map.yaml:1:11: 'timezone': no such time zone: 'Europe'"),
        (f"timezone: ''\n{FIELDS}", "map.yaml:1:11: 'timezone': no such time zone: ''"),
        (f"where: {{a: {{not: {{}}}}}}\n{FIELDS}", "map.yaml:1:12: 'a': write a value"),
        (f"where: {{a: {{not: []}}}}\n{FIELDS}", "map.yaml:1:12: 'a': write a value"),
        (f"where: {{a: {{present: 1}}}}\n{FIELDS}", "map.yaml:1:12: 'a': write a value"),
        (f"where: {{'a.[': x}}\n{FIELDS}", "map.yaml:1:9: "),
        (f"where: {{^.a: x}}\n{FIELDS}", "map.yaml:1:9: '^' and '$key' name the place of a row, which needs 'rows'"),
        (
            f"rows: a.*\nwhere: {{^.^.a: x}}\n{FIELDS}",
            "map.yaml:2:9: '^.^.a' steps out 2 times, and 'rows' has 1 level",
        ),
        (f"taken_at: ^.a\n{FIELDS}", "map.yaml:1:11: '^' and '$key' name"),
        (f"event_id: $key\n{FIELDS}", "map.yaml:1:11: '^' and '$key' name"),
        ("fields: {username: [u, $key], at: t}\nkey: [username]", "map.yaml:1:24: '^' and '$key' name"),
        ("fields: {username: {path: [u, $key]}, at: t}\nkey: [username]", "map.yaml:1:31: '^' and '$key' name"),
        ("fields: {username: 'u.{^.x}', at: t}\nkey: [username]", "map.yaml:1:20: '^' and '$key' name"),
        ("fields: {username: u, at: t}\nkey: [username, $key]", "map.yaml:2:17: '^' and '$key' name"),
        ("fields: {username: u, at: t}\nkey: [username, 'a.[']", "map.yaml:2:17: 'key': a pick is written"),
        ("fields: {username: u.^, at: t}\nkey: [username]", "map.yaml:1:20: 'path': '^' stands only at the beginning"),
        ("fields: {username: $key.a, at: t}\nkey: [username]", "map.yaml:1:20: 'path': '$key' stands alone"),
        ("fields: {username: 'a.*', at: t}\nkey: [username]", "map.yaml:1:20: 'path': '*' is for `rows`"),
        ("fields: {username: '{a', at: t}\nkey: [username]", "map.yaml:1:20: 'path': a step in braces"),
        ("fields: {username: '{a.{b}}', at: t}\nkey: [username]", "map.yaml:1:20: 'path': a step in braces"),
        ("fields: {username: '\"a\"b', at: t}\nkey: [username]", "map.yaml:1:20: 'path': after '\"a\"' comes a dot"),
        (
            "fields: {username: [u, {value: x, path: y}], at: t}\nkey: [username]",
            "map.yaml:1:24: 'username': write either",
        ),
        ("fields: {username: {}, at: t}\nkey: [username]", "map.yaml:1:20: 'username': write either a path or a value"),
        (
            "fields: {username: {value: x, before: y}, at: t}\nkey: [username]",
            "map.yaml:1:20: 'username': `before` and",
        ),
        ("fields: {username: {path: x, before: ''}, at: t}\nkey: [username]", "map.yaml:1:38: 'before': "),
        (
            "fields: {username: {path: x, befor: y}, at: t}\nkey: [username]",
            "map.yaml:1:30: unknown field 'befor'; did you",
        ),
        (
            "fields: {username: {value: 7}, at: t}\nkey: [username]",
            "map.yaml:1:28: 'value' must be text: put it in quotes",
        ),
        (
            "fields: {username: u, at: [{taken: true}, t]}\nkey: [username]",
            "map.yaml:1:27: 'at': {taken: true} stands alone",
        ),
        ("fields: {username: u, at: {taken: false}}\nkey: [username]", "map.yaml:1:27: 'at': write {taken: true}"),
        ("fields: {username: u, at: {taken: 1}}\nkey: [username]", "map.yaml:1:27: 'at': write {taken: true}"),
        ("fields: {username: {path: []}, at: t}\nkey: [username]", "map.yaml:1:27: 'path': write a path into the row"),
        (
            "fields: {username: {path: ['']}, at: t}\nkey: [username]",
            "map.yaml:1:27: 'path': write a path into the row",
        ),
        ("fields: {username: u, at: []}\nkey: [username]", "map.yaml:1:27: "),
        (
            "fields: {username: u, at: [t, {path: s, format: nope}]}\nkey: [username]",
            "map.yaml:1:49: 'format': write unix",
        ),
        ("fields: {username: u, at: {value: x}}\nkey: [username]", "map.yaml:1:28: unknown field 'value'"),
        (
            "fields: {username: u, at: t, expires_at: {taken: true}}\nkey: [username]",
            "map.yaml:1:43: unknown field 'taken'",
        ),
    ],
)
def test_faults_of_mappings(text: str, fault: str):
    """Every one has its line and column, and quotes what was written."""
    assert any(line.startswith(fault) for line in faults(text).splitlines()), faults(text)


# the listings of real systems, which do not come with the project


def listing(name: str) -> Path:
    """A real listing; the test is skipped, visibly, where it is absent."""
    file = EXPORTS / "registries" / name
    if not file.exists():
        pytest.skip(f"the real listing {name} is not here")
    return file


JUPYTERHUB = """\
rows: api_tokens.*
fields: {username: user, application: oauth_client, device: note, at: [last_activity, created], expires_at: expires_at}
key: [id, created]
"""
SYNAPSE = """\
rows: devices.*
fields:
  username: user_id
  application: {value: Matrix}
  device: [display_name, device_id]
  ip: last_seen_ip
  user_agent: last_seen_user_agent
  at: [{path: last_seen_ts, format: unix_ms}, {taken: true}]
key: [device_id]
"""
WHOIS = """\
rows: devices.*.sessions.*.connections.*
fields:
  username: ^.^.^.user_id
  device: ^.^.$key
  ip: ip
  user_agent: user_agent
  at: {path: last_seen, format: unix_ms}
key: [device, ip, user_agent]
"""
REFRESH = """\
where: {model: oauth2_provider.refreshtoken, fields.revoked: {present: false}}
fields: {username: fields.user.0, application: fields.application.0, at: [fields.updated, fields.created]}
key: [fields.token_family]
"""
EJABBERD = """\
fields:
  username: {path: jid, before: "/"}
  application: {value: XMPP}
  device: {path: jid, after: "/"}
  ip: ip
  at: {path: uptime, format: age_s}
key: [jid]
"""
EJABBERD_TEXT = (
    "columns: [jid, type, ip, port, priority, node, uptime, status, resource, text]\ndelimiter: tab\n" + EJABBERD
)
DOVECOT = "fields: {username: username, application: service, ip: ip, at: {taken: true}}\nkey: [application, ip]\n"
DOVECOT_TAB = (
    "delimiter: tab\nfields: {username: username, application: proto, at: {taken: true}}\nkey: [application]\n"
)
LSLOGINS = "delimiter: space\nfields: {username: USER, platform: LAST-TTY, ip: LAST-HOSTNAME, at: LAST-LOGIN}\nkey: [username]\n"
REAL = [
    (["jupyterhub5-tokens-alice.json", "jupyterhub5-tokens-bob.json"], JUPYTERHUB, (4, 4, 0, 0, 4)),
    (["synapse-devices-alice.json", "synapse-devices-bob.json"], SYNAPSE, (5, 5, 0, 0, 5)),
    (["synapse-whois-alice.json"], WHOIS, (2, 2, 0, 0, 1)),
    (["django-oauth2provider-natural.json"], REFRESH, (5, 1, 4, 0, 1)),
    (["samba-smbstatus.json"], SMB, (3, 3, 0, 0, 3)),
    (["samba-smbstatus.json", "samba-smbstatus-after.json"], SMB, (5, 5, 0, 0, 3)),
    (["ejabberd-connected_users_info.json"], EJABBERD, (3, 3, 0, 0, 3)),
    (["ejabberd-connected_users_info.txt"], EJABBERD_TEXT, (3, 3, 0, 0, 3)),
    (["dovecot-who-1.json"], DOVECOT, (4, 4, 0, 0, 2)),
    (["dovecot-who.tab"], DOVECOT_TAB, (2, 2, 0, 0, 2)),
    (["lslogins-raw.txt"], LSLOGINS, (3, 2, 0, 1, 2)),
]


@pytest.mark.parametrize(
    ("files", "text", "counts"), REAL, ids=lambda value: value[0] if isinstance(value, list) else None
)
def test_real_listings(installed: Authctl, tmp_path: Path, files: list[str], text: str, counts: tuple[int, ...]):
    """Each with a mapping alone; a second time nothing is new."""
    (tmp_path / "map.yaml").write_text(text)
    command = ("sessions", "import", *(str(listing(name)) for name in files), "--map", str(tmp_path / "map.yaml"))
    command += ("--taken-at", "2026-11-28T15:00:00Z", "-o", "json")
    outcome = installed(*command).json
    assert tuple(outcome[name] for name in ("read", "used", "skipped", "rejected", "registered")) == counts
    assert installed(*command).json["unchanged"] == counts[-1]


def test_what_a_real_listing_says(installed: Authctl, tmp_path: Path):
    """Samba: the user and the address are joined to the connection by the id of the session."""
    (tmp_path / "map.yaml").write_text(SMB)
    installed("sessions", "import", str(listing("samba-smbstatus.json")), "--map", str(tmp_path / "map.yaml"))
    found = installed("sessions", "list", "-o", "json").json
    shown = sorted((one["username"], one["application"], one["ip"], one["last_used_at"]) for one in found)
    assert shown == [
        ("games", "Samba", "127.0.0.1", "2026-11-28T14:39:35.274102Z"),
        ("games", "Samba", "127.0.0.1", "2026-11-28T14:39:35.381710Z"),
        ("news", "Samba", "127.0.0.1", "2026-11-28T14:39:35.362327Z"),
    ]
