"""CSV and other encodings: what is read, what is rejected, and what is no file to import."""

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import InvalidFile, InvalidInput, Registry, shipped_mappings
from authctl.import_files import Rejected, known_encoding, read
from authctl.import_mappings import read_mapping
from tests.conftest import Authctl

MAP = "fields: {username: User, at: Time, application: App, device: Device}\nkey: [username, application]\n"
CSV = "User,Time,App,Device\nalice,2026-02-01T09:00:00Z,Outlook,AL-PC\nbjörn,2026-02-02,Größe,BJ-PC\n"


def rows(raw: bytes | str, encoding: str | None = None) -> list:
    """The rows of a file, with their line numbers."""
    return list(read(io.BytesIO(raw.encode() if isinstance(raw, str) else raw), "export.csv", encoding).rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
        ("a,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
        ("a;b\n1,5;2\n", [(2, {"a": "1,5", "b": "2"})]),
        ("a\tb\n1\t2", [(2, {"a": "1", "b": "2"})]),
        ("a|b\n1|2\n", [(2, {"a": "1", "b": "2"})]),
        ('"a,x";b\n1;2\n', [(2, {"a,x": "1", "b": "2"})]),
        ('\n\na,b\n\n"1\n1","say ""x"""\n\n3,4\n', [(5, {"a": "1\n1", "b": 'say "x"'}), (8, {"a": "3", "b": "4"})]),
        (" a , b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
        ("a,b\n1\n2,3\n1,2,3\n", [(2, Rejected("it has 1 cells, and the header 2")), (3, {"a": "2", "b": "3"}),
                                  (4, Rejected("it has 3 cells, and the header 2"))]),
        ("a,b\n1,2\n  ", [(2, {"a": "1", "b": "2"})]),
        ("only\n1\n\n2\n", [(2, {"only": "1"}), (4, {"only": "2"})]),
        ("a,b\n", []),
        ("a,b", []),
    ],
)  # fmt: skip
def test_csv(text: str, found: list):
    """Any usual delimiter, quotes as RFC 4180 has them, and the line that each row begins on."""
    assert rows(text) == found


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("a,b\n1,2\n3", "is incomplete in line 3"),
        ('a,b\n1,2\n3,"x\n4,5\n', "line 3: not CSV"),
        ('a,b\n1,"x"y\n', "line 2: not CSV"),
        ("a,b\n1," + "x" * 200_000 + "\n", "line 2: not CSV"),
        (",".join("abc" for _ in range(1_001)) + "\n", "1,001 columns are more than 1,000"),
        ("," * 2_000_000, "the header is longer than"),
        ("a,b\n" + "1," * 9_000_000, "line 2 is longer than"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_csv_that_cannot_be_read_to_its_end(raw: str, error: str):
    """Half a file, broken quotes and a thousand columns are one clear error."""
    with pytest.raises(InvalidInput, match=error):
        rows(raw)


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (CSV.encode(), None),
        (CSV.encode(), "UTF-8"),
        (CSV.encode("utf-8-sig"), None),
        (CSV.encode("utf-8-sig"), "windows-1252"),
        (CSV.encode("utf-16"), None),
        (b"\xfe\xff" + CSV.encode("utf-16-be"), None),
        (CSV.encode("utf-16"), "utf-16"),
        (CSV.encode("utf-16-le"), "UTF-16LE"),
        (CSV.encode("utf-16-be"), "utf_16_be"),
        (b"\xff\xfe" + CSV.encode("utf-16-le"), "utf-16-le"),
        (CSV.encode("windows-1252"), "Windows-1252"),
        (CSV.encode("windows-1252"), "cp1252"),
    ],
)
def test_encodings(raw: bytes, encoding: str | None):
    """A byte order mark says it, or else the name does; the rows are the same."""
    assert rows(raw, encoding) == rows(CSV)


@pytest.mark.parametrize(
    ("raw", "encoding", "error"),
    [
        (CSV.encode("windows-1252"), None, "line 3 is not UTF-8, at byte 3 of the line"),
        (CSV.encode("utf-16") + b"\0", None, "line 4 is not UTF-16"),
        (CSV.encode("utf-16-le")[:-1], "utf-16-le", "is not UTF-16LE"),
        (CSV.encode("utf-16-le"), "utf-16", "line 1 is not UTF-16"),
        (b"a,b\n\x81,2\n", "windows-1252", "line 2 is not Windows-1252, at byte 1 of the line"),
        (b"a,b\n" + b"\xff" * 10, None, "line 2 is not UTF-8"),
        ("x" * 17_000_000 + "\n", "utf-16-le", "line 1 is longer than"),
        (CSV.encode(), "latin-9", "no such encoding: 'latin-9'"),
        (CSV.encode(), "zip", "no such encoding"),
        (CSV.encode(), "a\0b", "no such encoding"),
        (CSV.encode("utf-8-sig"), "nonsense", "no such encoding"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_wrong_encodings(raw: bytes | str, encoding: str | None, error: str):
    """Refused with the line, and never read as something else."""
    with pytest.raises(InvalidInput, match=error):
        rows(raw.encode("utf-16-le") if isinstance(raw, str) else raw, encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"])
def test_json_in_every_encoding(encoding: str):
    """JSON lines are read in all of them, too."""
    text = '{"user": "björn"}\n\n{"user": "alice"}\n'
    assert rows(text.encode(encoding), encoding) == [(1, {"user": "björn"}), (3, {"user": "alice"})]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(cells, cells), max_size=6), st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-16"]))
def test_what_was_written_is_read(table: list[tuple[str, str]], delimiter: str, encoding: str):
    """Whatever the cells hold, delimiters, quotes and line ends included."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["one", "two"])
    writer.writerows(table)
    found = [row for _, row in rows(out.getvalue().encode(encoding), encoding)]
    assert found == [{"one": one, "two": two} for one, two in table]


@given(st.binary(max_size=200), st.sampled_from([None, "utf-16", "utf-16-be", "windows-1252"]))
def test_any_bytes_are_rows_or_our_own_error(raw: bytes, encoding: str | None):
    """No file makes reading fail in any other way."""
    mapping = read_mapping(MAP.encode(), "map.yaml")
    try:
        export = read(io.BytesIO(raw), "export", encoding)
        if export.columns is not None:
            mapping.check_columns(export.columns)
        for _, row in export.rows:
            mapping.interpret(row)
    except InvalidInput:
        pass


@given(st.text(max_size=20))
def test_an_encoding_is_known_or_refused(name: str):
    """No name makes it fail in any other way."""
    with contextlib.suppress(InvalidInput):
        assert known_encoding(name) in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("%PDF-1.7 nonsense\nmore of it\n", "no column 'User' for username; the header has '%PDF-1.7 nonsense'"),
        ("User;When\nalice;2026-02-01\n", "no column 'Time' for at; the header has 'User', 'When'"),
        ("User,Time,App,User\na,b,c,d\n", "the header has column 'User' twice"),
        ("User,Time,App,App\na,b,c,d\n", "the header has column 'App' twice"),
        (",".join(f"c{n}" for n in range(20)) + "\n", "'c7', …"),
        ("\x1b[2Jevil,b\n1,2\n", r"'\\x1b\[2Jevil'"),
    ],
)
def test_a_file_that_is_not_the_export_changes_nothing(registry: Registry, text: str, error: str):
    """A header without the columns that every row needs, or with one twice, is refused before anything is written."""
    with pytest.raises(InvalidInput, match=error):
        registry.imports.run(io.BytesIO(text.encode()), read_mapping(MAP.encode(), "map.yaml"))
    assert registry.count() == 0
    assert len(list(registry.audit.events())) == 1


def test_a_pick_begins_in_a_column_and_a_key_field_is_no_column(registry: Registry):
    """A list in a cell is entered by a pick; a column that nothing reads may stand twice."""
    mapping = read_mapping(b"fields: {username: 'who[Name=User].Value', at: t}\nkey: [username]\n", "map.yaml")
    cell = json.dumps([{"Name": "User", "Value": "alice"}]).replace('"', '""')
    text = f'who,t,username,username\n"{cell}",2026-02-01,x,y\n'
    assert registry.imports.run(io.BytesIO(text.encode()), mapping).registered == 1
    assert [session.username for session in registry.sessions()] == ["alice"]


@pytest.mark.parametrize("form", ["%Y-%m-%d %Y", "%Y-%m-%d%z%z"])
def test_a_format_that_python_cannot_read_is_a_fault(form: str):
    """With its place, like any other."""
    with pytest.raises(InvalidFile, match=r"map\.yaml:1:45: 'format': write unix"):
        read_mapping(
            f'fields: {{username: u, at: {{path: t, format: "{form}"}}}}\nkey: [username]\n'.encode(), "map.yaml"
        )


def test_a_position_that_no_list_has(registry: Registry):
    """However long it is written, it is blank."""
    mapping = read_mapping(f"fields: {{username: u.{'1' * 5_000}, at: t}}\nkey: [username]\n".encode(), "map.yaml")
    outcome = registry.imports.run(io.BytesIO(b'{"u": ["alice"], "t": "2026-02-01"}'), mapping)
    assert outcome.rejections == ((1, "the username is blank"),)


def test_a_cell_that_holds_json_is_entered(registry: Registry):
    """A path begins in a column, and goes on in its cell; a column with dots in its name is found as it stands."""
    mapping = read_mapping(b"fields: {username: who.name, at: event.time}\nkey: [username]\n", "map.yaml")
    cell = json.dumps({"name": "alice"}).replace('"', '""')
    text = f'who,event.time\n"{cell}",2026-02-01\n'
    assert registry.imports.run(io.BytesIO(text.encode()), mapping).registered == 1
    assert [session.username for session in registry.sessions()] == ["alice"]


ENTRA = """\
Date (UTC),Request ID,User agent,User ID,User,Username,Application,Application ID ,IP address,Status,Device ID,Operating System
2026-02-01T09:00:00Z,r1,Mozilla/5.0,u1,Alice,alice@example.org,Microsoft Teams,a1,203.0.113.7,Success,d1,Windows 11
2026-02-01T09:30:00Z,r2,"Mozilla/5.0 (X11; ""Linux"")",u1,Alice,Alice@example.org,Microsoft Teams,a1,203.0.113.8,Success,d1,Windows 11
2026-02-01T09:30:00Z,r2,Mozilla/5.0,u1,Alice,alice@example.org,Microsoft Teams,a1,203.0.113.8,Success,d1,Windows 11
2026-02-01T10:00:00Z,r3,Mozilla/5.0,u2,Bob,bob@example.org,Office 365,a2,203.0.113.9,Failure,,iOS
2026-02-01T10:01:00Z,r4,Mozilla/5.0,u2,Bob,bob@example.org,Office 365,a2,203.0.113.9,Success,,
"""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_shipped_mapping_of_a_csv_export(registry: Registry, encoding: str):
    """Microsoft Entra's sign-in log in the columns of its download: failures skipped, duplicates counted, blank stays blank."""
    mapping = read_mapping(shipped_mappings.read("entra-portal").text.encode(), "entra-portal")
    outcome = registry.imports.run(io.BytesIO(ENTRA.encode(encoding)), mapping)
    counts = outcome.rows
    assert (counts.read, counts.used, counts.skipped, counts.duplicates, counts.rejected) == (5, 3, 1, 1, 0)
    bob, alice = sorted(registry.sessions(), key=lambda session: session.username, reverse=True)
    assert (alice.application, alice.ip, alice.user_agent) == (
        "Microsoft Teams",
        "203.0.113.8",
        'Mozilla/5.0 (X11; "Linux")',
    )
    assert (bob.device, bob.platform, bob.ip) == (None, None, "203.0.113.9")


def test_through_the_command(installed: Authctl, tmp_path: Path):
    """By option or by the mapping; the option is for one file, and beats it."""
    export, fields = tmp_path / "export.csv", tmp_path / "map.yaml"
    export.write_bytes(CSV.encode("windows-1252"))
    fields.write_text(MAP)
    arguments = ("sessions", "import", str(export), "--map", str(fields), "-o", "json")
    failed = installed(*arguments)
    assert failed.code == 2
    assert "authctl: hint: if it is in another encoding, name it: --encoding Windows-1252\n" in failed.err
    assert installed("sessions", "list", "--count").out == "0\n"
    assert installed(*arguments, "--encoding", "nonsense").code == 2
    assert installed(*arguments, "--encoding", "windows-1252").json["registered"] == 2
    fields.write_text(f"encoding: Windows-1252\n{MAP}")
    assert installed(*arguments).json["unchanged"] == 2
    export.write_bytes(CSV.encode("utf-16"))
    assert installed(*arguments).json["unchanged"] == 2
    export.write_bytes(CSV.encode("utf-16-le"))
    assert installed(*arguments, "--encoding", "utf-16-le").json["unchanged"] == 2
    assert {one["application"] for one in installed("sessions", "list", "-o", "json").json} == {"Outlook", "Größe"}
    fields.write_text(f"encoding: latin-9\n{MAP}")
    refused = installed(*arguments)
    assert (refused.code, refused.err.split(": ", 2)[2].split(": ", 1)[0]) == (2, f"{fields}:1:11")
