"""Mapping files and rows: what is read of another system's export, and what is refused."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import InvalidFile, InvalidInput, import_files
from authctl.import_files import Rejected
from authctl.import_mappings import Mapping, Row, Skipped, read_mapping
from authctl.instants import parse_instant

PLAIN = """\
fields: {username: user, at: time, application: [app, client.name], device: device}
key: [username, application]
"""


def mapping(text: str = PLAIN) -> Mapping:
    """A mapping file's text, read."""
    return read_mapping(text.encode(), "map.yaml")


def used(row: dict, text: str = PLAIN) -> Row:
    """A row that the mapping takes."""
    meant = mapping(text).interpret(row)
    assert isinstance(meant, Row), meant
    return meant


def field(row: dict, path: str) -> object:
    """What a mapping finds at a path of a row."""
    text = f"fields: {{username: user, at: time, device: {json.dumps(path)}}}\nkey: [username]\n"
    return used({"user": "alice", "time": "2026-01-01", **row}, text).details.get("device")


@pytest.mark.parametrize(
    ("row", "path", "found"),
    [
        ({"a": {"b": "x"}}, "a.b", "x"),
        ({"a.b": "flat"}, "a.b", "flat"),
        ({"a": {"b.c": "flat"}}, "a.b.c", "flat"),
        ({"@timestamp": "x"}, "@timestamp", "x"),
        ({"a": [{"b": "x"}, {"b": "y"}]}, "a.1.b", "y"),
        ({"a": [{"b": "x"}]}, "a.5.b", None),
        ({"a": '{"b": ["x", "y"]}'}, "a.b.1", "y"),
        ({"a": "not json"}, "a.b", None),
        ({"a": "[1"}, "a.0", None),
        (
            {"a": [{"Name": "Other", "Value": "x"}, {"Name": "SessionId", "Value": "y"}]},
            "a.[Name=SessionId].Value",
            "y",
        ),
        ({"a": [{"Name": "SessionId", "Value": "y"}]}, "a[Name=SessionId].Value", "y"),
        ({"a": [{"Name": "x.y", "Value": "z"}]}, "a.[Name=x.y].Value", "z"),
        ({"a": 7}, "a", "7"),
        ({"a": True}, "a", "true"),
        ({"a": None}, "a", None),
        ({"a": "  "}, "a", None),
        ({}, "a.b.c", None),
    ],
)
def test_paths(row: dict, path: str, found: object):
    """Names, positions, picks, flat keys and cells that hold JSON."""
    assert field(row, path) == found


def test_the_first_that_is_not_blank():
    """Of several paths the first with something to say; the mapping says which texts mean nothing."""
    text = PLAIN + 'blank: ["-", "null"]\n'
    row = {"user": "alice", "time": "2026-01-01", "app": "-", "client": {"name": "Outlook"}, "device": "null"}
    assert used(row, text).details == {"username": "alice", "application": "Outlook"}


@pytest.mark.parametrize(
    ("where", "row", "taken"),
    [
        ("{kind: start}", {"kind": "start"}, True),
        ("{kind: start}", {"kind": "stop"}, False),
        ("{kind: start}", {}, False),
        ("{kind: [start, sso]}", {"kind": "sso"}, True),
        ("{code: 4624}", {"code": 4624}, True),
        ("{code: 4624}", {"code": "4624"}, True),
        ("{ok: true}", {"ok": True}, True),
        ("{ok: true}", {"ok": "false"}, False),
        ("{a.b: {present: true}}", {"a": {"b": {}}}, True),
        ("{a.b: {present: true}}", {"a": {"b": None}}, False),
        ("{kind: start, ok: true}", {"kind": "start", "ok": False}, False),
    ],
)
def test_where(where: str, row: dict, taken: bool):
    """Rows that are not asked for are skipped; every condition must hold."""
    meant = mapping(f"where: {where}\n{PLAIN}").interpret({"user": "alice", "time": "2026-01-01", **row})
    assert isinstance(meant, Row if taken else Skipped)


@pytest.mark.parametrize(
    ("source", "value", "instant"),
    [
        ("time", "2022-03-22 14:21:53.225", "2022-03-22T14:21:53.225Z"),
        ("time", "2024-04-02 19:17:37.621000000", "2024-04-02T19:17:37.621Z"),
        ("time", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ('{path: time, format: "%b %d, %Y, %I:%M:%S %p"}', "Jul 10, 2023, 12:09:47 PM", "2023-07-10T12:09:47Z"),
        ('{path: time, format: "%d.%m.%Y %H:%M %z"}', "10.07.2023 12:09 +0200", "2023-07-10T10:09:00Z"),
        ("{path: time, format: unix}", 1_623_000_000, "2021-06-06T17:20:00Z"),
        ("{path: time, format: unix_ms}", "1623000000250", "2021-06-06T17:20:00.250Z"),
        ("[other, time]", "2026-01-01", "2026-01-01T00:00:00Z"),
    ],
)
def test_times(source: str, value: object, instant: str):
    """ISO 8601 unless a format is named; no zone means UTC."""
    text = f"fields: {{username: user, at: {source}}}\nkey: [username]\n"
    assert used({"user": "alice", "time": value}, text).at == parse_instant(instant)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (7, "not an object"),
        ([], "not an object"),
        ({"time": "2026-01-01"}, "the username is blank"),
        ({"user": "al\u202eice", "time": "2026-01-01"}, "U\\+202E"),
        ({"user": "alice"}, "the time is blank"),
        ({"user": "alice", "time": "yesterday"}, "not a time"),
        ({"user": "alice", "time": 1623000000}, "not a time"),
        ({"user": "alice", "time": "2026-02-30"}, "not a time"),
        ({"user": "alice", "time": "2026-01-01", "device": "a\0"}, "U\\+0000"),
        ({"user": "alice", "time": "2026-01-01", "device": "\ud800"}, "U\\+D800"),
        ({"user": "alice", "time": "2026-01-01", "device": "x" * 1001}, "longer than 1,000"),
        ({"user": "alice", "time": "2026-01-01", "device": {"a": 1}}, "not a plain value"),
    ],
)
def test_rejected_rows(row: object, reason: str):
    """Without a user or a time, or with what cannot be stored, a row is rejected and says why."""
    import re

    meant = mapping().interpret(row)
    assert isinstance(meant, Rejected)
    assert re.search(reason, meant.reason)


def test_the_key_goes_by_the_folded_field():
    """Rows of `Alice` and `alice` are one session's; blank parts are allowed and are not the text None."""
    base = {"user": "alice", "time": "2026-01-01"}
    assert used(base).key == used({**base, "user": "ＡLICE "}).key
    assert used(base).key != used({**base, "app": "None"}).key
    assert used({**base, "app": "OUTLOOK"}).key == used({**base, "app": "Outlook"}).key


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "map.yaml:1:1: "),
        ("fields: {username: user}\nkey: [username]", "map.yaml:1:9: 'at' is missing"),
        ("fields: {username: user, at: time}", "map.yaml:1:1: 'key' is missing"),
        ("fields: {username: user, at: time}\nkey: []", "map.yaml:2:6: 'key' must not be empty"),
        ("fields: {username: user, at: time, color: red}\nkey: [username]", "map.yaml:1:36: unknown field 'color'"),
        ("fields: {username: 7, at: time}\nkey: [username]", "map.yaml:1:20: 'username': write a path"),
        (
            "fields: {username: user, at: '['}\nkey: [username]",
            "map.yaml:1:30: 'path': a pick is written [Name=Value]: '['",
        ),
        ("fields: {username: user, at: {format: unix}}\nkey: [username]", "map.yaml:1:30: 'path' is missing"),
        (
            "where: {a: {present: 0}}\nfields: {username: u, at: t}\nkey: [username]",
            "map.yaml:1:12: 'a': write a value",
        ),
        (
            "where: {a: yes}\nfields: {username: u, at: t}\nkey: [username]",
            "map.yaml:1:12: 'yes' means different things",
        ),
        (
            "wher: {}\nfields: {username: u, at: t}\nkey: [username]",
            "map.yaml:1:1: unknown field 'wher'; did you mean 'where'?",
        ),
    ],
)
def test_broken_mapping_files(text: str, fault: str):
    """Every fault of a mapping file has its line and column."""
    with pytest.raises(InvalidFile) as caught:
        mapping(text)
    assert any(one.startswith(fault) for one in caught.value.faults), caught.value.faults


def read(raw: bytes) -> list:
    """The rows of a file, with their line numbers."""
    return list(import_files.read(io.BytesIO(raw), "export").rows)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", []),
        (b"\n \n", []),
        (b'{"a": 1}\n{"a": 2}\n', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}', [(1, {"a": 1}), (3, {"a": 2})]),
        (b'[{"a": 1}, {"a": 2}]', [(1, {"a": 1}), (1, {"a": 2})]),
        (b'\n[\n{"a": 1},\n7\n]\n', [(3, {"a": 1}), (4, 7)]),
        (b'{\n"a": 1\n}\n', [(1, {"a": 1})]),
        (b'{"a": 1}\nnonsense\n{"a": 2}\n', [(1, {"a": 1}), (2, Rejected("not JSON")), (3, {"a": 2})]),
        (
            b'{"a": 1}\n {"a": 2}\t\r\n{"a": 3}\r\n\t{"a": 4} ',
            [(1, {"a": 1}), (2, {"a": 2}), (3, {"a": 3}), (4, {"a": 4})],
        ),
        (
            b'{"a": 1}\n{"a": 2} {"a": 3}\n{"a": 4}\x0c\n{"a": 5}\xc2\xa0\n',
            [(1, {"a": 1}), (2, Rejected("not JSON")), (3, Rejected("not JSON")), (4, Rejected("not JSON"))],
        ),
    ],
)
def test_json_lines_and_json(raw: bytes, found: list):
    """Rows of either form, with their lines; blank lines are none, and a line that is no JSON is a rejected row."""
    assert read(raw) == found


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b'{"a": 1}\n{"a": 2', "is incomplete in line 2"),
        (b'[{"a": 1}, {"a"', "neither JSON lines nor JSON"),
        (b'{"a": 1\nnonsense\n', "neither JSON lines nor JSON: line 2"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2 is not UTF-8"),
        ('{"a": 1}\n'.encode("utf-16-le"), "line 1 has NUL characters"),
        ("a,b\r\n1,2\r\n".encode("utf-16-be"), "line 1 has NUL characters"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "' + b"x" * 17 * 1024 * 1024, "longer than"),
    ],
)
def test_files_that_cannot_be_read_to_their_end(raw: bytes, error: str):
    """Half a file, a wrong encoding, and what is no export are one clear error."""
    with pytest.raises(InvalidInput, match=error):
        read(raw)


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_rows_or_our_own_error(raw: bytes):
    """No file makes reading fail in any other way."""
    try:
        for _, row in read(raw):
            mapping().interpret(row)
    except InvalidInput:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["user", "time", "app", "client", "device", "name"]), inner, max_size=4)
    ),
)


@given(row=json_values)
def test_any_row_is_used_skipped_or_rejected(row: object):
    """No row makes the mapping fail."""
    assert isinstance(mapping().interpret(row), Row | Skipped | Rejected)
