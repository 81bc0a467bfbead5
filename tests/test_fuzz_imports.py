"""Mappings and exports, damaged in every way: read, or our own error, and nothing by halves.

How many: a part of AUTHCTL_TEST_MUTATIONS, which `make fuzz` sets to a million.
"""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import InvalidFile, InvalidInput, Registry, names
from authctl.import_files import Rejected, read
from authctl.import_mappings import Mapping, Row, Skipped, read_mapping
from tests.conftest import Authctl, Install, unseen
from tests.work import calls_of

pytestmark = pytest.mark.slow

MUTATIONS = int(os.environ.get("AUTHCTL_TEST_MUTATIONS", "20000"))
SEED = 20_260_302
MOST_CALLS = 60_000
"""Calls that reading a damaged mapping may cost; the mappings themselves take up to 6,000."""

BYTES = [bytes([byte]) for byte in range(256)]
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "utf-7"]

FULL_MAP = b"""\
encoding: Windows-1252
where: {kind: [start, 7, true], outcome.result: {present: true}}
blank: ["-", "null"]
fields:
  username: [user, "who[Name=User].Value"]
  application: target.0.name
  application_version: version
  platform: os
  device: device
  ip: ip
  user_agent: agent
  referrer: from
  at: {path: time, format: "%Y-%m-%d %H:%M:%S.%f%z"}
  expires_at: {path: [expires], format: unix_ms}
key: [username, application, session.id]
event_id: id
"""
MAPS = [
    FULL_MAP,
    *(path.read_bytes() for path in sorted((Path(__file__).parents[1] / "authctl/mappings").glob("*.yaml"))),
]
YAML = [
    *BYTES,
    *b"&a |*a|!t |!!python/object/apply:os.system |- |: |\n  |[|{|}|]|<<: |null|~|yes|1:30|010|.nan|0x1F|2026-01-01".split(b"|"),
    *b"---\n|...\n|%YAML 1.2\n|%TAG ! x\n|? | |\n| >\n|\"|'|#|\"\\ud800\"|\"\\0\"|\"\\e[31m\"|\r|\r\n|\t|%Z|%z|%j|%|unix|.0.|[a=b]".split(b"|"),
    *(text.encode() for text in ("\ufeff", "\u202e", "\u200b", "\x85", "\u2028", "\uff21", "\U0001f600", "\ufffe")),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"9" * 30, b"9" * 5_000, b"[" * 40, b"{a: " * 20, b"- " * 40, b"x" * 2_000),
]  # fmt: skip


def mutated(chance: Random, good: Sequence[bytes], surprises: Sequence[bytes]) -> bytes:
    """A good file with one to four parts cut, doubled, exchanged, moved or spliced in, or in another encoding."""
    raw = chance.choice(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw) + 1)
        until = at + chance.choice([0, 0, 1, 1, 2, 12, 80])
        other = chance.choice(good)
        begins = chance.randrange(len(other) + 1)
        lines = raw.splitlines(keepends=True)
        chance.shuffle(lines)
        raw = chance.choice(
            [
                raw[:at] + raw[until:],
                raw[:at] + chance.choice(surprises) + raw[at:],
                raw[:at] + chance.choice(surprises) + raw[until:],
                raw[:until] + raw[at:],
                raw[:at] + other[begins : begins + chance.choice([1, 12, 200])] + raw[until:],
                raw[:at] if chance.random() < 0.3 else raw,
                b"".join(lines) if chance.random() < 0.3 else raw,
            ]
        )
    if chance.random() < 0.03:
        return raw.decode("utf-8", "replace").encode(chance.choice(ENCODINGS), "replace")
    return raw


ROWS = [
    {},
    {"user": "alice", "time": "2026-02-01 09:00:00.5+0100", "kind": "start", "outcome": {"result": "x"}, "expires": 1},
    {"user": 7, "time": 1e308, "kind": True, "outcome": '{"result": 1}', "target": [{"name": "Mail"}], "id": [1]},
    {"who": [{"Name": "User", "Value": "bob"}], "time": "9999-12-31 23:59:59.999999-2359", "session": {"id": None}},
]


def is_taken(raw: bytes) -> bool:
    """Whether a mapping is read, and works, or refused with places; anything else is raised."""
    try:
        mapping = read_mapping(raw, "map.yaml")
    except InvalidFile as error:
        refused = error
    else:
        check_rows(mapping)
        return True
    assert refused.faults
    assert all(fault.startswith("map.yaml:") for fault in refused.faults), refused.faults
    assert unseen(refused.message) == []
    return False


def check_rows(mapping: Mapping) -> None:
    """What was read as a mapping means something for every row."""
    for row in ROWS:
        assert isinstance(mapping.interpret(row), Row | Skipped | Rejected)


def test_mutations_of_mappings_are_read_or_refused():
    """Every shipped mapping, damaged: a mapping that works, or faults with their places, and never much work."""
    assert len(MAPS) > 5
    chance = Random(SEED)
    outcomes: list[bool] = []
    for _ in range(MUTATIONS // 4):
        raw = mutated(chance, MAPS, YAML)
        try:
            calls = calls_of(lambda raw=raw: outcomes.append(is_taken(raw)))
        except Exception as error:
            raise AssertionError(raw) from error
        assert calls < MOST_CALLS, raw
    assert 0 < sum(outcomes) < MUTATIONS // 4


words = st.sampled_from(
    ["user", "a.0.b", "who[Name=User].Value", "", " ", "[", "%Y-%m-%d", "unix", "\0", "\ud800", "é\u202e"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
paths = words | st.lists(words, max_size=3) | anything
FIELDS = ["username", "application", "platform", "device", "ip", "at", "expires_at", "user_agent", "color"]
instants = paths | st.fixed_dictionaries({}, optional={"path": paths, "format": words | anything, "zone": anything})
mapping_documents = st.fixed_dictionaries(
    {},
    optional={
        "encoding": words | anything,
        "where": st.dictionaries(words, scalars | st.just({"present": True}) | anything, max_size=3) | anything,
        "blank": st.lists(scalars, max_size=3) | anything,
        "fields": st.dictionaries(st.sampled_from(FIELDS), instants, max_size=9)
        | st.fixed_dictionaries({"username": paths, "at": instants}, optional=dict.fromkeys(FIELDS[1:5], paths))
        | anything,
        "key": st.lists(st.sampled_from(FIELDS) | words, min_size=1, max_size=3) | anything,
        "event_id": words | anything,
        "colour": anything,
    },
)


@given(mapping_documents)
def test_documents_in_the_shape_of_a_mapping_are_read_or_refused(document: dict):
    """Whatever stands where something else belongs."""
    is_taken(json.dumps(document).encode())


HOSTILE_VALUES = [
    "null", "true", "false", '""', '" "', "0", "-1", "1e999", "-1e999", "NaN", "-Infinity", "1.5", "1e308", "9" * 30, "9" * 4_299,
    "9" * 5_000, "[]", "{}", "[1, [2, [3]]]", '{"name": {"name": 1}}', '[{"Name": "User", "Value": "eve"}]', "[" * 3_000, "[" * 800 + "]" * 800,
    '"\\ud800"', '"\\udc00x"', '"a\\u0000b"', '"a\\u202eb"', '"a\\u001b[31m"', '"a\\nb"', '"a,b"', '"' + "x" * 1_000 + '"',
    '"' + "x" * 1_001 + '"', '"' + "\\u00e9" * 900 + '"', '"{\\"a\\": [1"', '"{\\"name\\": \\"x\\"}"', '"' + "[" * 2_000 + '"', '"=cmd()"',
    '"0001-01-01T00:00:00+23:59"', '"0001-01-01"', '"9999-12-31T23:59:59.999999Z"', '"9999-12-31T23:59:59-23:59"', '"10000-01-01"',
    '"2026-02-30"', '"2026-02-01T24:00:00Z"', '"2026-02-01T09:00:60Z"', '"1969-12-31"', '"2026-03-03T08:00:00Z"', '"2026-03-04"', '"2030-01-01"',
    '"1772442000"', "1772442000", "1772442000.123456789", "253402300799", "253402300800", '"1_000"', '" 5 "', '"0x10"', '"\\u0661"', '"inf"',
    '"2026-02-01 09:00:00.5+0100"', '"2026-02-01T09:00:00.123456789123Z"', '"alice"', '"ALICE"', '"Alice "', '"stra\\u00dfe"', '"\\uff21lice"',
]  # fmt: skip
COLUMNS = ["user", "time", "app", "device", "ip", "expires", "id", "agent"]
IMPORT_MAPS = [
    read_mapping(
        f"fields: {{username: user, at: {at}, application: [app.name, app], device: device, ip: ip, user_agent: agent, "
        f"expires_at: {expires}}}\nkey: {key}\nevent_id: id\n{more}".encode(),
        "map.yaml",
    )
    for at, expires, key, more in (
        ("time", "expires", "[username, application]", ""),
        ("time", "expires", "[device, app.name, username]", "where: {user: {present: true}}\nblank: ['-']\n"),
        ("{path: time, format: unix}", "{path: expires, format: unix_ms}", "[username]", ""),
        ("{path: time, format: '%Y-%m-%d %H:%M:%S.%f%z'}", "expires", "[username, device]", "encoding: Windows-1252\n"),
    )
]


def written(chance: Random) -> tuple[bytes, str | None]:
    """An export of a few sign-ins with hostile values in any field, and its encoding where that has to be named."""
    rows = []
    for _ in range(chance.randint(1, 6)):
        row = {
            "user": chance.choice(['"alice"', '"bob"', '"zo\\u00eb"']),
            "time": chance.choice(
                ['"2026-02-01T09:00:00Z"', '"2026-02-03"', "1770000000", '"2026-02-01 09:00:00.5+0100"']
            ),
            "app": chance.choice(['"Outlook"', '{"name": "Outlook"}', "null"]),
            "device": chance.choice(['"AL-PC"', '"-"']),
            "ip": '"10.0.0.1"',
            "expires": chance.choice(["null", '"2026-03-09"', "1772442000000"]),
            "id": chance.choice(['"e1"', '"e2"', "null", "7"]),
        }
        for name in chance.sample(COLUMNS, chance.choice([0, 0, 1, 2, 8])):
            row[name] = chance.choice(HOSTILE_VALUES)
        rows.append(row)
    form = chance.choice(["lines", "lines", "list", "one", "csv", "csv", "semicolons"])
    if form in ("csv", "semicolons"):
        text = _csv(rows, "," if form == "csv" else ";")
    else:
        texts = ["{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}" for row in rows]
        if chance.random() < 0.1:
            texts[0] = texts[0][:-1] + ', "user": "mallory", "user": 7}'
        text = {"lines": "\n".join(texts) + "\n", "list": "[" + ",\n".join(texts) + "]", "one": texts[0]}[form]
    encoding = chance.choice([None] * 6 + ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
    return text.encode(encoding or "utf-8", "replace"), encoding


def _csv(rows: Sequence[dict[str, str]], delimiter: str) -> str:
    cells = [
        [row.get(name, "").strip('"') if '"' in row.get(name, "")[:1] else row.get(name, "") for name in COLUMNS]
        for row in rows
    ]
    quoted = [
        [f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & set(',;"\n') else cell for cell in row]
        for row in cells
    ]
    return "".join(delimiter.join(row) + "\r\n" for row in [COLUMNS, *quoted])


CUTS = [
    *BYTES,
    *b'NaN|1e999|null|{}|[]|,,,|;;|\t|\n|\r|\r\n|\n\n|"|""|\\|\\u0000|\\ud800|\0|{"user": |}\n{|[[[[|]]|: |\xff\xfe|\xfe\xff|\xef\xbb\xbf'.split(b"|"),
    b"x" * 20_000, b"," * 2_000, b"[" * 5_000, b"9" * 5_000, b'"' + b"y" * 140_000 + b'"', b"\0" * 50, b"\xed\xa0\x80", b"\xc3",
]  # fmt: skip


def damaged(chance: Random) -> tuple[bytes, str | None]:
    """The same; half of them cut, spliced with another and so on, some of them in another encoding than is said."""
    raw, encoding = written(chance)
    if chance.random() < 0.5:
        raw = mutated(chance, [raw, raw, written(chance)[0]], CUTS)
    if chance.random() < 0.05:
        encoding = chance.choice(ENCODINGS)
    return raw, encoding


def test_damaged_exports_are_rows_or_our_own_error():
    """Every row is used, skipped or rejected with a reason that can be shown; a file that cannot be read to its end says so."""
    chance = Random(SEED)
    whole = 0
    for _ in range(MUTATIONS // 4):
        raw, encoding = damaged(chance)
        mapping = chance.choice(IMPORT_MAPS)
        try:
            whole += interpreted(raw, encoding, mapping)
        except Exception as error:
            raise AssertionError(raw, encoding) from error
    assert 0 < whole < MUTATIONS // 4


def interpreted(raw: bytes, encoding: str | None, mapping: Mapping) -> bool:
    """Whether a file is read to its end."""
    try:
        export = read(io.BytesIO(raw), "export", encoding or mapping.encoding)
        if export.columns is not None:
            mapping.check_columns(export.columns)
        for _, row in export.rows:
            meant = row if isinstance(row, Rejected) else mapping.interpret(row)
            assert unseen(meant.reason if isinstance(meant, Rejected) else "") == []
    except InvalidInput as error:
        refused = error
    else:
        return True
    assert unseen(refused.message) == []
    return False


def state(registry: Registry) -> tuple[int, int]:
    """How many sessions there are, and which event is the last."""
    return registry.count(), next(registry.audit.events()).seq


def test_damaged_exports_change_everything_or_nothing(install: Install):
    """The rows add up, and again, dry or not, changes nothing; an error leaves no session and no event."""
    chance = Random(SEED)
    refused = 0
    for number in range(rounds := max(MUTATIONS // 40, 1)):
        if number % 1_000 == 0:
            registry = install(folder=f"home{number}")
        raw, encoding = damaged(chance)
        try:
            refused += not imported(registry, raw, encoding, chance.choice(IMPORT_MAPS))
        except Exception as error:
            raise AssertionError(raw, encoding) from error
        if number % 1_000 == 999 or number == rounds - 1:
            check_registry(registry)
            registry.close()
    assert 0 < refused < rounds


def imported(registry: Registry, raw: bytes, encoding: str | None, mapping: Mapping) -> bool:
    """Whether a file is imported, checked all around."""

    def once(dry_run: bool = False):
        return registry.imports.run(io.BytesIO(raw), mapping, encoding=encoding, dry_run=dry_run)

    before = state(registry)
    try:
        outcome = once()
    except InvalidInput:
        assert state(registry) == before
        return False
    rows = outcome.rows
    assert rows.read == rows.used + rows.duplicates + rows.skipped + rows.rejected
    assert len(outcome.rejections) == rows.rejected
    assert registry.count() == before[0] + outcome.registered
    for again in (once(dry_run=True), once()):
        assert (again.rows, again.registered, again.updated) == (rows, 0, 0)
        assert again.unchanged <= outcome.registered + outcome.updated + outcome.unchanged
    return True


def check_registry(registry: Registry) -> None:
    """Every session makes sense, and the audit chain is whole."""
    for one in registry.sessions():
        assert names.username(one.username) == one.username
        assert one.created_at <= one.last_used_at
        assert min(one.idle_expires_at, one.absolute_expires_at) >= one.created_at
        assert one.expires_at == one.fixed_expires_at or one.expires_at >= one.created_at
    registry.audit.verify()


def test_damaged_exports_through_the_command(installed: Authctl, tmp_path: Path):
    """Done or refused, never anything else, with nothing that a terminal should not get."""
    chance = Random(SEED + 1)
    export, fields = tmp_path / "export", tmp_path / "map.yaml"
    for number in range(max(MUTATIONS // 200, 1)):
        raw, encoding = damaged(chance)
        export.write_bytes(raw)
        fields.write_bytes(FULL_MAP if number % 2 else b"fields: {username: user, at: time}\nkey: [username]\n")
        named = ("--encoding", encoding) if encoding else ()
        form = chance.choice(["table", "json", "ndjson", "csv", "id"])
        ran = installed("sessions", "import", str(export), "--map", str(fields), *named, "-o", form)
        assert ran.code in (0, 2, 3), (raw, ran.err)
        assert unseen(ran.out + ran.err) == [], raw
    assert installed("audit", "verify").code == 0
