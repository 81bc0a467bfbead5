"""`profiles.yaml`: what is read, what is refused and where, and which profile a new session gets."""

import json
import random
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authctl import NEVER, InvalidFile, NotFound, Profile, ProfileSet
from authctl.cli.exit_codes import exit_code_of
from authctl.instants import DAY, HOUR, SECOND, Duration
from authctl.lifetimes import PasswordRule, default_idle_timeout
from authctl.model import (
    Assignment,
    Binding,
    CacheRules,
    Conditions,
    OnReuse,
    OnRevoke,
    PairRules,
    RequestRules,
    Tokens,
)
from authctl.names import fold
from authctl.profiles import DEFAULT_FILE, check, read
from tests.work import calls_of, guard_against_endless_work

EXAMPLE = """\
version: 1
retention: 6 months                  # how long ended sessions stay listed
default_profile: mimecast
assignments:                         # user beats application beats default
  - {user: "admin-*", profile: administrators}
  - {application: "Outlook Web App", profile: owa}
profiles:
  mimecast:
    description: Registered applications, used within three days
    idle_timeout: 3d                 # longest inactivity
    absolute_timeout: never          # longest age
  entra:
    idle_timeout: 14d
    absolute_timeout: 90d
  yammer:
    absolute_timeout: 24h            # the required cap
  owa: {idle_timeout: 6h}
  administrators: {idle_timeout: 1h, absolute_timeout: 8h}
"""
HEAD = "version: 1\ndefault_profile: a\nprofiles:\n"
TAIL = "profiles: {a: {}}\n"
GOOD = "version: 1\nprofiles: {a: {}}\n"
LARGEST = 131_072
"""Bytes of the largest file that is read at all."""

MOST_CALLS = 500_000
"""Calls that the refusal of a hostile file may cost; `profiles.example.yaml`, of 6 KB, takes 16,000."""

durations = st.one_of(st.just(NEVER), st.integers(1, 360_000 * 86_400).map(lambda seconds: seconds * SECOND))
words = st.text("abcXYZ 0123456789.-_*%äß\u4e22", min_size=1, max_size=12).filter(lambda text: text.strip() == text)
SCOPE_WORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\'), min_size=1, max_size=12
)
unique_words = st.lists(words, min_size=1, max_size=5, unique_by=fold)


def faults(text: str | bytes) -> tuple[str, ...]:
    """What is wrong with a file of that text."""
    with pytest.raises(InvalidFile) as refused:
        read(text.encode() if isinstance(text, str) else text, "profiles.yaml")
    assert exit_code_of(refused.type) == 2
    assert refused.value.message == "\n".join(refused.value.faults) != ""
    return refused.value.faults


def profile_of(patterns: dict[tuple[str | None, str | None], str], user: str, application: str) -> str:
    """The name of the profile that a session gets under those assignments."""
    names = {"default", *patterns.values()}
    assignments = tuple(Assignment(name, *pattern) for pattern, name in patterns.items())
    made = ProfileSet(Duration(6), "default", {name: Profile(name) for name in names}, assignments)
    return made.assigned(user, application).name


def test_the_default_file():
    """One profile, three days without use, listed for six months."""
    assert read(DEFAULT_FILE.encode(), "profiles.yaml") == ProfileSet(
        retention=Duration(months=6),
        default_profile="default",
        profiles={"default": Profile("default", 3 * DAY, NEVER, "Registered applications, used within three days")},
    )


def test_the_documented_example():
    """Every field of the first release, and the defaults of those left out."""
    assert read(EXAMPLE.encode(), "profiles.yaml") == ProfileSet(
        retention=Duration(months=6),
        default_profile="mimecast",
        profiles={
            "mimecast": Profile("mimecast", 3 * DAY, NEVER, "Registered applications, used within three days"),
            "entra": Profile("entra", 14 * DAY, 90 * DAY),
            "yammer": Profile("yammer", NEVER, 24 * HOUR),
            "owa": Profile("owa", 6 * HOUR, NEVER),
            "administrators": Profile("administrators", HOUR, 8 * HOUR),
        },
        assignments=(Assignment("administrators", user="admin-*"), Assignment("owa", application="Outlook Web App")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, ProfileSet(Duration(6), "a", {"a": Profile("a")})),
        ("\ufeff" + GOOD, ProfileSet(Duration(6), "a", {"a": Profile("a")})),
        (GOOD.replace("\n", "\r\n"), ProfileSet(Duration(6), "a", {"a": Profile("a")})),
        ("---\n" + GOOD + "...\n", ProfileSet(Duration(6), "a", {"a": Profile("a")})),
        ('{"version":1,"profiles":{"a":{}}}', ProfileSet(Duration(6), "a", {"a": Profile("a")})),
        ('version: 1\nprofiles: {"010": {}}\n', ProfileSet(Duration(6), "010", {"010": Profile("010")})),
        ("version: 1\nretention: 1 year 1d\n" + TAIL, ProfileSet(Duration(12, DAY), "a", {"a": Profile("a")})),
        (HEAD + "  a: {absolute_timeout: 3d}\n", ProfileSet(Duration(6), "a", {"a": Profile("a", NEVER, 3 * DAY)})),
        (
            HEAD + "  a: {absolute_timeout: 73h}\n",
            ProfileSet(Duration(6), "a", {"a": Profile("a", 3 * DAY, 73 * HOUR)}),
        ),
        (HEAD + "  a: {idle_timeout: never}\n", ProfileSet(Duration(6), "a", {"a": Profile("a", NEVER, NEVER)})),
        (
            HEAD + "  a: {idle_timeout: never, absolute_timeout: 1d}\n",
            ProfileSet(Duration(6), "a", {"a": Profile("a", NEVER, DAY)}),
        ),
        (
            HEAD + "  a: {description: 'yes'}\n  ж: {description: 'a #b'}\n",
            ProfileSet(Duration(6), "a", {"a": Profile("a", description="yes"), "ж": Profile("ж", description="a #b")}),
        ),
    ],
)
def test_other_files_that_are_read(text: str, expected: ProfileSet):
    """Line ends, a byte order mark, quotes and JSON make no difference; defaults are as documented."""
    assert read(text.encode(), "profiles.yaml") == expected


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "1:1", "must be a mapping"),
        ("# nothing\n\n", "1:1", "must be a mapping"),
        ("- version: 1\n", "1:1", "must be a mapping"),
        ("text\n", "1:1", "must be a mapping"),
        ("\n\n  42\n", "3:3", "must be a mapping"),
        (TAIL, "1:1", "'version' is missing"),
        ("version: 2\n" + TAIL, "1:10", "'version' must be 1"),
        ("version: 0\n" + TAIL, "1:10", "'version' must be 1"),
        ("version: '1'\n" + TAIL, "1:10", "'version' must be 1"),
        ("version: true\n" + TAIL, "1:10", "'version' must be 1"),
        ("version: 1.0\n" + TAIL, "1:10", "'1.0' means different things"),
        ("version: 1\n", "1:1", "'profiles' is missing"),
        ("version: 1\nprofiles: {}\n", "2:11", "must not be empty"),
        ("version: 1\nprofiles:\n", "2:10", "must be a mapping"),
        ("version: 1\nprofiles: [a]\n", "2:11", "must be a mapping"),
        ("version: 1\nprofiles: {a: 3d}\n", "2:15", "must be a mapping"),
        (GOOD + "retension: 6 months\n", "3:1", "unknown field 'retension'; did you mean 'retention'?"),
        (HEAD + "  a: {idle_timout: 3d}\n", "4:7", "unknown field 'idle_timout'; did you mean 'idle_timeout'?"),
        (HEAD + "  a:\n    colour: red\n", "5:5", "unknown field 'colour'"),
        (GOOD + "assignments: [{usr: x, profile: a}]\n", "3:16", "unknown field 'usr'; did you mean 'user'?"),
        (HEAD + "  a: {idle_timeout: 3}\n", "4:21", "with a unit, such as 3d"),
        (HEAD + "  a: {idle_timeout: '3'}\n", "4:21", "not a length of time: '3'"),
        (HEAD + "  a: {idle_timeout: true}\n", "4:21", "with a unit"),
        (HEAD + "  a: {absolute_timeout: }\n", "4:25", "with a unit"),
        (HEAD + "  a: {idle_timeout: [3d]}\n", "4:21", "with a unit"),
        (HEAD + "  a: {idle_timeout: 1:30}\n", "4:21", "'1:30' means different things"),
        (HEAD + "  a: {idle_timeout: '1:30'}\n", "4:21", "not a length of time: '1:30'"),
        (HEAD + "  a: {idle_timeout: 010}\n", "4:21", "'010' means different things"),
        (HEAD + "  a: {idle_timeout: 0x10}\n", "4:21", "'0x10' means different things"),
        (HEAD + "  a: {idle_timeout: 1_000}\n", "4:21", "'1_000' means different things"),
        (HEAD + "  a: {idle_timeout: 3.5}\n", "4:21", "'3.5' means different things"),
        (HEAD + "  a: {idle_timeout: .nan}\n", "4:21", "'.nan' means different things"),
        (HEAD + "  a: {idle_timeout: .inf}\n", "4:21", "'.inf' means different things"),
        (HEAD + "  a: {idle_timeout: 1e3}\n", "4:21", "not a length of time: '1e3'"),
        (HEAD + "  a: {idle_timeout: 0s}\n", "4:21", "above zero"),
        (HEAD + "  a: {idle_timeout: -3d}\n", "4:21", "not a length of time: '-3d'"),
        (HEAD + "  a: {idle_timeout: 1 month}\n", "4:21", "not calendar months"),
        (HEAD + "  a: {idle_timeout: 9223372036854775808s}\n", "4:21", "longer than 1,000 years"),
        (HEAD + "  a: {idle_timeout: 99999999999999999999}\n", "4:21", "means different things"),
        (HEAD + "  a:\n    description: yes\n", "5:18", "'yes' means different things"),
        (HEAD + "  a: {description: NO}\n", "4:20", "'NO' means different things"),
        (HEAD + "  a: {description: off}\n", "4:20", "'off' means different things"),
        (HEAD + "  a: {description: 2026-11-01}\n", "4:20", "'2026-11-01' means different things"),
        (HEAD + "  a: {description: 2026-11-01T09:30:00Z}\n", "4:20", "means different things"),
        (HEAD + "  a: {description: =}\n", "4:20", "'=' means different things"),
        (HEAD + "  a: {description: 5}\n", "4:20", "must be text: put it in quotes"),
        (HEAD + f"  a: {{description: {'x' * 1001}}}\n", "4:20", "longer than 1,000 characters"),
        (HEAD + '  a: {description: "\\0"}\n', "4:20", "U+0000"),
        ("version: 1\ndefault_profile: 5\n" + TAIL, "2:18", "a name must be text: put it in quotes"),
        ("version: 1\nretention: never\n" + TAIL, "2:12", "not a length of time: 'never'"),
        ("version: 1\nretention: 180\n" + TAIL, "2:12", "with a unit"),
        ("version: 1\nassignments: {a: b}\n" + TAIL, "2:14", "must be a list"),
        ("version: 1\nassignments: [a]\n" + TAIL, "2:15", "must be a mapping"),
        (GOOD + "version: 1\n", "3:1", "'version' is there twice"),
        (HEAD + "  a: {}\n  b: {}\n  a: {}\n", "6:3", "'a' is there twice"),
        (HEAD + "  a: {idle_timeout: 3d, 'idle_timeout': 4d}\n", "4:25", "'idle_timeout' is there twice"),
        (HEAD + "  a: *other\n", "4:6", "an alias, *other"),
        (HEAD + "  a: &me {}\n", "4:6", "an anchor, &me"),
        (HEAD + "  a: {description: &me x}\n", "4:20", "an anchor, &me"),
        (HEAD + "  &me a: {}\n", "4:3", "an anchor, &me"),
        (HEAD + "  a: {description: !!str x}\n", "4:20", "a tag"),
        (HEAD + "  a: !!python/object:os.system {}\n", "4:6", "a tag"),
        (HEAD + "  a: {description: !secret x}\n", "4:20", "a tag, '!secret'"),
        (HEAD + "  !!str a: {}\n", "4:3", "a tag"),
        (HEAD + "  !!python/name:os.system a: {}\n", "4:3", "a tag"),
        (HEAD + "  a: {<<: {idle_timeout: 3d}}\n", "4:7", "a merge key"),
        (GOOD + "---\n" + GOOD, "3:1", "a second document"),
        (GOOD + "? [a, b]\n: c\n", "3:3", "a key must be plain text"),
        (GOOD + "extra: " + "[" * 13 + "]" * 13 + "\n", "3:19", "nested deeper than 12 levels"),
        (HEAD + "  a: {idle_timeout: 3d, absolute_timeout: 3d}\n", "4:43", "must be longer than idle_timeout"),
        (HEAD + "  a:\n    idle_timeout: 3d\n    absolute_timeout: 1d\n", "6:23", "must be longer than idle_timeout"),
        (
            HEAD + '  "a ":\n    idle_timeout: 3d\n    absolute_timeout: 1d\n',
            "6:23",
            "must be longer than idle_timeout",
        ),
        ("version: 1\ndefault_profile: b\n" + TAIL, "2:18", "no profile is called 'b'"),
        ("version: 1\nprofiles: {a: {}, b: {}}\n", "1:1", "default_profile is missing"),
        (GOOD + "assignments:\n  - {user: x, profile: b}\n", "4:24", "no profile is called 'b'"),
        (GOOD + "assignments:\n  - {profile: a}\n", "4:5", "a user, an application or both"),
        (GOOD + "assignments:\n  - {user: x}\n", "4:5", "'profile' is missing"),
        (GOOD + "assignments:\n  - {user: ' ', profile: a}\n", "4:12", "blank"),
        (GOOD + 'assignments:\n  - {user: "x\\u200b", profile: a}\n', "4:12", "U+200B"),
        (
            GOOD + "assignments:\n  - {user: x, profile: a}\n  - {user: ' X', profile: a}\n",
            "5:5",
            "the same user and application are assigned above",
        ),
        (HEAD + "  a: {}\n  A: {}\n", "5:3", "profiles 'a' and 'A' have the same name"),
        (HEAD + '  a: {}\n  "a ": {}\n', "5:3", "have the same name"),
        (HEAD + '  a: {}\n  "\\uFF41": {}\n', "5:3", "have the same name"),
        (HEAD + '  a: {}\n  "b\\u200B": {}\n', "5:3", "U+200B"),
        (HEAD + "  a: {}\n  b\u202ec:\n    idle_timeout: 3d\n", "5:3", "U+202E"),
        (HEAD + '  a: {}\n  " ": {}\n', "5:3", "blank"),
        (HEAD + "  a: {}\n  yes: {}\n", "5:3", "'yes' means different things"),
        (HEAD + "  a: {}\n  010: {}\n", "5:3", "'010' means different things"),
        (HEAD + "  a: {}\n  1:30: {}\n", "5:3", "'1:30' means different things"),
        (HEAD + "\ta: {}\n", "4:1", "cannot start any token"),
        ("version: 1\nprofiles: {a: {}\n", "3:1", "expected"),
        ("version: 1\nprofiles: {a: 'x}\n", "3:1", "end of stream"),
        ("version: 1\n  profiles: {}\n", "2:11", "not allowed"),
        (GOOD.encode() + b"# caf\xe9\n", "3:6", "not UTF-8: byte 0xe9"),
        (b"\xef\xbb\xbf" + GOOD.encode() + b"# caf\xe9\n", "3:6", "not UTF-8: byte 0xe9"),
        (GOOD.encode("utf-16"), "1:1", "not UTF-8: byte 0xff"),
        (GOOD.encode() + b"# \xed\xa0\x80\n", "3:3", "not UTF-8: byte 0xed"),
        (GOOD.encode() + b"# \xc0\x80\n", "3:3", "not UTF-8: byte 0xc0"),
        (GOOD + "# nul \0\n", "3:7", "not YAML"),
        (GOOD + "# escape \x1b[31m\n", "3:10", "not YAML"),
        (GOOD + "# delete \x7f\n", "3:10", "not YAML"),
        (b" " * (LARGEST + 1), "1:1", f"larger than {LARGEST:,} bytes"),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(text: str | bytes, place: str, words: str):
    """The one thing that is wrong, where it stands, in words to act on."""
    (fault,) = faults(text)
    assert fault.startswith(f"profiles.yaml:{place}: ")
    assert words in fault
    assert fault.isprintable()


def test_every_fault_is_named_in_the_order_of_the_file():
    """One reading finds them all."""
    text = "version: 2\nretention: 6\nprofiles:\n  a: {idle_timeout: 1h30, absolut: 1d}\n  b: 5\n"
    assert [fault.split(": ")[0] for fault in faults(text)] == [
        "profiles.yaml:1:10",
        "profiles.yaml:2:12",
        "profiles.yaml:4:21",
        "profiles.yaml:4:27",
        "profiles.yaml:5:6",
    ]


def test_a_long_list_of_faults_is_cut():
    """Fifty faults are enough to read; that there are more is said."""
    found = faults(HEAD + "".join(f"  a{i}: {{idle_timeout: {i}}}\n" for i in range(60)) + "  a: {}\n")
    assert len(found) == 51
    assert found[-1] == "profiles.yaml: and more faults"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}  a: {{description: !%ed%a0%80 x}}\n",
        f"{HEAD}  a: {{description: !%c0%80 x}}\n",
        "%TAG !e! tag:%c0%80\n---\na: x",
        '"\\ud800": 1\n',
        '"\\U00110000": 1\n',
        "%YAML 9.9\n---\na: x\n",
        "%YAML 1.1\n%YAML 1.1\n---\na: x\n",
        "!<tag:yaml.org,2002:python/object/apply:os.system> [id]",
        "a: !!binary AAAA\n",
        "a: !!set {b}\n",
        "*a : *b\n",
        "? ? ? a\n",
        "a: |9\n x",
        "a: >-+\n x",
        "@a",
        "`a`",
        "%a",
        "...\n...\n...",
        "---\n---\n---",
        "]",
        "}",
        "a: [}",
        ": : :",
        "- - - : -",
        "\x85\u2028\u2029a",
        "a: b: c",
    ],
    ids=ascii,
)
def test_strange_files_are_refused(text: str):
    """Odd corners of YAML are a fault of the file, with a place, and never another exception."""
    assert all(fault.startswith("profiles.yaml:") for fault in faults(text))


def filled(part: str) -> str:
    """A mebibyte of a part, again and again."""
    return part * (1_048_576 // len(part.encode()))


HOSTILE = {
    "flow lists": "[" * 100_000,
    "flow mappings": "{a: " * 100_000,
    "flow mapping keys": "{" * 100_000,
    "block lists": "- " * 100_000,
    "complex keys": "? " * 100_000,
    "complex keys of lists": "? [" * 100_000,
    "indentation": "\n".join(" " * depth + "a:" for depth in range(1400)),
    "deep in a profile": HEAD + "  a: {description: " + "[" * 100_000,
    "billion laughs": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 10)),
    "quadratic aliases": f"a: &a [{'x,' * 1000}]\nb: [{'*a,' * 1000}]\n",
    "aliases": filled("- *a\n"),
    "anchors": filled("- &a x\n"),
    "tags": filled("- !a x\n"),
    "the same key": filled("a: 1\n"),
    "unknown fields": GOOD + "".join(f"field{i}: 1\n" for i in range(300)),
    "unknown field of half a megabyte": GOOD + f"? {'retention' * 60_000}\n: 1\n",
    "profile name of half a megabyte": f"version: 1\nprofiles:\n  ? {'n' * 500_000}\n  : {{}}\n",
    "one huge key": "k" * 1_000_000 + ": 1\n",
    "one huge text": filled("x"),
    "one huge number": "version: " + "9" * 1_000_000,
    "one huge length of time": HEAD + "  a: {idle_timeout: " + "9" * 900_000 + "d}\n",
    "one huge clock time": HEAD + "  a: {idle_timeout: 1" + ":30" * 300_000 + "}\n",
    "one huge tag": "a: !" + "t" * 1_000_000 + " x\n",
    "open quotes": filled("'") + "'",
    "open comment": "#" * 1_048_576,
    "blank lines": filled("\n"),
    "too large": "x" * 50_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("most", [LARGEST, None], ids=["as much as is read", "all of it"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_at_once(text: str, most: int | None):
    """Bombs and floods, cut to the largest size that is read or not, are refused with a place and with little work."""
    raw, refused = text.encode()[:most], []

    def refuse() -> None:
        try:
            read(raw, "profiles.yaml")
        except InvalidFile as error:
            refused.append(error)

    with guard_against_endless_work():
        assert calls_of(refuse) < MOST_CALLS
    assert refused
    assert refused[0].faults
    assert all(fault.startswith("profiles.yaml:") for fault in refused[0].faults)
    assert len(refused[0].message) < 20_000


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw: bytes):
    """Bytes that mean nothing are a faulty file, and no other exception."""
    assert faults(raw)


@given(st.text("abp:,[]{}&*!|>'\"%@`#?-<~ \n\t\\0123_=\u200b", max_size=80))
def test_random_yaml_is_refused(text: str):
    """So are the characters that YAML gives a meaning to, in any order."""
    assert faults(text)


def test_mutations_of_a_good_file_are_read_or_refused():
    """Two thousand damaged copies: each is read or a faulty file, and what is read can be written and read again."""
    chance = random.Random(20_260_302)
    signs = [bytes([byte]) for byte in range(256)] + [b"&a ", b"*a", b"!t ", b"- ", b": ", b"\n  ", b"[", b"{", b"<<: "]
    accepted, misplaced = 0, []
    for _ in range(2000):
        raw = bytearray(EXAMPLE.encode())
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw))
            until = at + chance.choice([0, 1, 1, 2, 12])
            raw[at:until] = chance.choice([b"", chance.choice(signs), raw[at:until] * 2])
        try:
            made = read(bytes(raw), "profiles.yaml")
        except InvalidFile as refused:
            misplaced += [fault for fault in refused.faults if not fault.startswith("profiles.yaml:")]
        else:
            accepted += 1
            assert ProfileSet.from_document(made.to_document()) == made
    assert misplaced == []
    assert 0 < accepted < 2000


networks = st.builds(ip_network, st.ip_addresses()).map(str) | st.sampled_from(["10.0.0.0/8", "2001:db8::/32"])
versions = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
patterns = st.lists(words, min_size=1, max_size=3).map(tuple)
conditions = st.builds(
    Conditions,
    st.lists(networks, max_size=2).map(tuple),
    st.just(()) | patterns,
    st.dictionaries(words, versions, max_size=2).filter(lambda minimum: len(set(map(fold, minimum))) == len(minimum)),
    patterns,
)


@st.composite
def written_profiles(draw: st.DrawFn, name: str) -> Profile:
    """A profile as a file could state it, of every kind of tokens."""
    lengths = st.integers(1, 360_000 * 86_400).map(lambda seconds: seconds * SECOND)
    common = {
        "description": draw(st.none() | words),
        "bind": draw(st.none() | st.sampled_from(Binding)),
        "ends_on_password_change": draw(st.sampled_from(PasswordRule)),
        "two_step": draw(st.booleans()),
        "saml": draw(st.booleans()),
        "continuity": draw(st.booleans()),
        "on_revoke": draw(st.sampled_from(OnRevoke)),
        "conditions": draw(st.none() | conditions),
    }
    if draw(st.booleans()):
        common["authenticator"] = draw(words)
        common["cache"] = draw(st.none() | st.builds(CacheRules, lengths, st.integers(1, 10**6)))
    if draw(st.booleans()):
        common["scope"] = " ".join(draw(st.lists(SCOPE_WORDS, min_size=1, max_size=3, unique=True)))
    tokens = draw(st.sampled_from(Tokens))
    if tokens is Tokens.REQUESTED:
        longest = draw(lengths)
        default = draw(lengths.filter(lambda length: length <= longest)) if draw(st.booleans()) else longest
        return Profile(name, NEVER, longest, requested=RequestRules(default, longest, draw(st.booleans())), **common)
    browser = draw(st.booleans())
    absolute = draw(lengths if browser else durations)
    idle = draw(durations)
    if browser or absolute <= idle:
        idle = NEVER
    elif common["two_step"] or common["saml"]:
        idle = default_idle_timeout(absolute)
    if idle == NEVER and (common["two_step"] or common["saml"]):
        common |= {"two_step": False, "saml": False}
    slide_after = 0 if idle == NEVER else draw(st.integers(0, idle // SECOND - 1)) * SECOND
    pair = None
    if tokens is Tokens.PAIR:
        access = min(draw(lengths), idle, absolute)
        pair = PairRules(access, draw(st.integers(0, 10**6)) * SECOND, draw(st.sampled_from(OnReuse)))
    return Profile(name, idle, absolute, slide_after=slide_after, browser=browser, pair=pair, **common)


def as_written(document: dict) -> dict:
    """A profile's document without the fields that a file may not state, since they follow from others."""
    optional = ("description", "bind", "conditions", "authenticator", "cache", "scope")
    written = {name: value for name, value in document.items() if name not in optional or value is not None}
    enforced = any(document["authentication"].values())
    if document["browser"] or document["tokens"] == "requested" or enforced:
        del written["idle_timeout"]
    if document["tokens"] == "requested":
        del written["absolute_timeout"], written["slide_after"]
    return written


@st.composite
def profile_sets(draw: st.DrawFn) -> ProfileSet:
    """Profile sets as a file could state them, with or without withdrawn profiles."""

    def named(names: list[str]) -> dict[str, Profile]:
        return {name: draw(written_profiles(name)) for name in names}

    names = draw(unique_words)
    assignments = draw(
        st.lists(
            st.builds(Assignment, st.sampled_from(names), user=st.none() | words, application=words),
            max_size=4,
            unique_by=lambda a: (a.user and fold(a.user), fold(a.application)),
        )
    )
    retention = draw(st.builds(Duration, st.integers(0, 120), st.integers(1, 10**8).map(lambda s: s * SECOND)))
    default = draw(st.sampled_from(names))
    withdrawn = named(draw(st.lists(words, max_size=2)))
    return ProfileSet(retention, default, named(names), tuple(assignments), withdrawn)


@given(profile_sets())
def test_a_profile_set_survives_the_registry(made: ProfileSet):
    """Written as JSON and read back it is the same."""
    assert ProfileSet.from_document(json.loads(json.dumps(made.to_document()))) == made


@given(profile_sets())
def test_a_profile_set_is_a_file(made: ProfileSet):
    """What the registry holds, written as `profiles.yaml`, says the same."""
    document = {"version": 1, **made.to_document()}
    del document["withdrawn"]
    document["profiles"] = {name: as_written(one) for name, one in document["profiles"].items()}
    for text in (
        yaml.safe_dump(document, allow_unicode=True, sort_keys=False),
        json.dumps(document, ensure_ascii=False),
    ):
        again = read(text.encode(), "profiles.yaml")
        assert (again.retention, again.default_profile) == (made.retention, made.default_profile)
        assert (again.profiles, again.assignments) == (made.profiles, made.assignments)


@pytest.mark.parametrize("spelling", ["Usual", "USUAL", " usual ", "\uff35sual"])
def test_a_profile_is_found_however_it_is_spelled(spelling: str):
    """By its folded name; `get` finds withdrawn ones, too."""
    usual, old = Profile("Usual"), Profile("Old")
    made = ProfileSet(Duration(6), "Usual", {"Usual": usual}, withdrawn={"Old": old})
    assert made.named(spelling) is usual
    assert (made.get(spelling), made.get("OLD"), made.get("other")) == (usual, old, None)
    for other in ("Old", "Usua", "Usual*"):
        with pytest.raises(NotFound):
            made.named(other)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("alice", ["alice", "ALICE", " Alice ", "\uff21lice"], ["alic", "alicee", "xalice", ""]),
        ("Stra\xdfe*", ["strasse", "STRASSE 1", "straße x"], ["stras"]),
        ("admin-*", ["admin-", "Admin-Root", "admin-a*b"], ["admin", "xadmin-a", "admin"]),
        ("*-admin", ["-admin", "a-ADMIN"], ["a-admins", "admin"]),
        ("a*z", ["az", "a-z", "AzZ", "a\nz"], ["a", "z", "az1", "xaz"]),
        ("*", ["", "anything", "a\nb"], []),
        ("**", ["", "anything"], []),
        ("a%", ["a%", "A%"], ["a", "ab", "abc"]),
        ("a_", ["a_"], ["ab", "a"]),
        ("a?", ["a?"], ["ab", "a"]),
        ("a.c", ["a.c", "A.C"], ["abc"]),
        ("[ab]", ["[ab]"], ["a", "b"]),
        ("(a|b)", ["(a|b)"], ["a", "b"]),
        ("a+", ["a+"], ["a", "aa"]),
        ("^a$", ["^a$"], ["a"]),
        ("a\\d", ["a\\d"], ["a1"]),
        ("a\\*", ["a\\", "a\\b"], ["a*", "a"]),
        ("{a,b}", ["{a,b}"], ["a", "b"]),
        ("a  b", ["a b", "A\xa0B"], ["ab"]),
        ("Outlook *", ["Outlook Web App", "outlook 2019"], ["OutlookExpress", "Outlook"]),
        ("* mail", ["web mail", "WEB MAIL"], ["webmail", "mail"]),
        ("a * b", ["a x b", "A  X  B"], ["ab", "axb"]),
    ],
)
def test_only_the_asterisk_stands_for_other_text(pattern: str, fitting: list[str], others: list[str]):
    """In users and in applications alike; case and width do not count, every other character is itself."""
    for text in fitting:
        assert profile_of({(pattern, None): "p"}, text, "x") == "p"
        assert profile_of({(None, pattern): "p"}, "x", text) == "p"
    for text in others:
        assert profile_of({(pattern, None): "p"}, text, "x") == "default"
        assert profile_of({(None, pattern): "p"}, "x", text) == "default"


@pytest.mark.parametrize(
    ("patterns", "user", "application", "expected"),
    [
        ({("x", None): "p"}, "alice", "Outlook", "default"),
        ({("a*", None): "p", ("al*", None): "q"}, "alice", "Outlook", "q"),
        ({("al*", None): "p", ("a*", None): "q"}, "alice", "Outlook", "p"),
        ({("alice*", None): "p", ("alice", None): "q"}, "alice", "Outlook", "q"),
        ({("*", None): "p", (None, "Outlook"): "q"}, "alice", "Outlook", "p"),
        ({(None, "Outlook"): "p", (None, "Out*"): "q"}, "alice", "Outlook", "p"),
        ({("alice", None): "p", ("alice", "Outlook"): "q"}, "alice", "Outlook", "q"),
        ({("alice", "Outlook"): "p", ("alice", None): "q"}, "alice", "Mail", "q"),
        ({("al*", "Outlook"): "p", ("alice", None): "q"}, "alice", "Outlook", "q"),
        ({("a*", None): "p", ("*e", None): "q"}, "alice", "Outlook", "p"),
        ({("*e", None): "p", ("a*", None): "q"}, "alice", "Outlook", "p"),
        ({("--*", None): "p", ("*bcd", None): "q"}, "--abcd", "Outlook", "q"),
        ({(None, "*.exe"): "p", (None, "setup*"): "q"}, "alice", "setup.exe", "q"),
        ({("*@example", None): "p", ("j.r.r.*", None): "q"}, "j.r.r.t@example", "Outlook", "p"),
        ({("a b*", None): "p", ("*xyz", None): "q"}, "a bxyz", "Outlook", "p"),
    ],
)
def test_the_most_specific_assignment_wins(
    patterns: dict[tuple[str | None, str | None], str], user: str, application: str, expected: str
):
    """User before application; without an asterisk first, then by the length of the literal text; of equals the first."""
    assert profile_of(patterns, user, application) == expected


@given(words, words)
def test_a_name_without_an_asterisk_fits_itself_alone(one: str, other: str):
    """Whatever characters it is made of."""
    one, other = one.replace("*", "x"), other.replace("*", "x")
    assert (Assignment("p", user=one).specificity(other, "x") is not None) == (fold(one) == fold(other))


def test_a_pattern_costs_little_whatever_the_name():
    """A user name that almost fits a pattern of several asterisks is judged as quickly as any other."""
    with guard_against_endless_work():
        assert profile_of({("*a*a*a*b", None): "p"}, "a" * 20_000, "x") == "default"


def test_faults_of_fields_and_contradictions_are_found_together():
    """A field that is wrong by itself does not hide what is wrong between the others."""
    text = """\
version: 1
default_profile: nope
assignments: [{user: alice, profile: gone}]
profiles:
  a:
    idle_timeout: 3d
    absolute_timeout: 1d
    foo: 1
  b: {idle_timeout: 90}
"""
    assert [fault.split(": ", 1)[0] for fault in faults(text)] == [
        "profiles.yaml:2:18",
        "profiles.yaml:3:38",
        "profiles.yaml:7:23",
        "profiles.yaml:8:5",
        "profiles.yaml:9:21",
    ]


def test_a_typing_error_in_tokens_is_one_fault():
    """The fields beside it are not judged by what it was not meant to be."""
    text = HEAD + "  a: {tokens: pairs, access_lifetime: 1h, refresh: {grace: 30s}}\n"
    assert faults(text) == ("profiles.yaml:4:15: 'tokens' must be one of: single, pair, requested",)


EXAMPLE_FILE = (Path(__file__).parents[1] / "profiles.example.yaml").read_text()
BROKEN = [
    # what stands in the example, what takes its place, where in that the fault is, and what is said of it
    ("idle_timeout: 3d\n", "idle_timeout: 90\n", "90", "with a unit"),
    ("idle_timeout: 3d\n", "idle_timeout: 3 months\n", "3 months", "calendar months"),
    ("idle_timeout: 3d\n", "idle_timout: 3d\n", "idle_timout", "did you mean 'idle_timeout'"),
    ("retention: 6 months ", "retention: 1:30 ", "1:30", "different things to different readers"),
    ("default_profile: mimecast\n", "default_profile: minecast\n", "minecast", "no profile is called 'minecast'"),
    ("profile: owa}\n", "profile: outlook}\n", "outlook", "no profile is called 'outlook'"),
    ("{two_step: true}", "{two_step: yes}", "yes", "put it in quotes"),
    ("{two_step: true}", '{two_step: "yes"}', '"yes"', "must be true or false"),
    ("authentication: {two_step: true}\n", "authentication: {two_step: true}\n    idle_timeout: 8h\n", "8h", "two-step"),
    ("    tokens: pair\n    access_lifetime: 1h\n    idle_timeout: 14d", "    access_lifetime: 1h\n    idle_timeout: 14d",
     "1h", "access_lifetime needs tokens: pair"),
    ("    access_lifetime: 1h\n    idle_timeout: 14d", "    access_lifetime: 15d\n    idle_timeout: 14d", "15d",
     "must not be longer than idle_timeout, 14d"),
    ("    tokens: pair\n    absolute_timeout: 12h", "    tokens: pair\n    access_lifetime: 13h\n    absolute_timeout: 12h",
     "13h", "must not be longer than absolute_timeout, 12h"),
    ("absolute_timeout: 90d", "absolute_timeout: 14d", "14d", "must be longer than idle_timeout"),
    ("grace: 30s  ", "grace: never  ", "never", "not a length of time"),
    ("on_reuse: revoke\n", "on_reuse: ignore\n", "ignore", "must be one of: revoke, refuse"),
    ("ends_on_password_change: password\n", "ends_on_password_change: sometimes\n", "sometimes", "must be one of: all"),
    ("slide_after: 24h", "slide_after: 5d", "5d", "shorter than idle_timeout"),
    ("    idle_timeout: 5d\n    slide_after: 24h", "    idle_timeout: never\n    slide_after: 24h", "24h", "no deadline to move"),
    ("    browser: true\n    absolute_timeout: 24h\n", "    browser: true\n", "true", "needs an absolute_timeout"),
    ("    browser: true\n", "    browser: true\n    idle_timeout: 1h\n", "1h", "cannot be combined with browser"),
    ("    browser: true\n", "    browser: true\n    tokens: requested\n", "true", "cannot be combined with tokens: requested"),
    ("default_lifetime: 60m", "default_lifetime: 2d", "2d", "must not be longer than max_lifetime, 1d"),
    ("default_lifetime: 60m", "default_lifetime: 0s", "0s", "above zero"),
    ("max_lifetime: 1d", "max_lifetime: never", "never", "not a length of time"),
    ("    max_lifetime: 1d\n", "    max_lifetime: 1d\n    absolute_timeout: 2d\n", "2d", "cannot be combined with tokens: requested"),
    ("    tokens: requested\n    default_lifetime: 60m\n", "    default_lifetime: 60m\n", "60m", "needs tokens: requested"),
    ("bind: address", "bind: elsewhere", "elsewhere", "must be one of: address, referrer"),
    ("bind: address", "bind: ~", "~", "must be one of"),
    ("sealed: true", "sealed: 1", "1", "must be true or false"),
    ("    tokens: requested\n    bind: referrer", "    tokens: [requested]\n    bind: referrer", "[requested]", "must be one of"),
    ("scope: Mail.Read Files.Read ", "scope: Mail.Read  Files.Read ", "Mail.Read  Files", "one blank between them"),
    ("scope: Mail.Read Files.Read ", 'scope: "Mail.Read " ', '"Mail.Read ', "one blank between them"),
    ("scope: Mail.Read Files.Read ", "scope: Mail.Read Mail.Read ", "Mail.Read Mail", "is given twice"),
    ("scope: Mail.Read Files.Read ", "scope: a\\b ", "a\\", "which no scope may contain"),
    ("scope: Mail.Read Files.Read ", "scope: 'a\"b' ", "'a", "which no scope may contain"),
    ("scope: Mail.Read Files.Read ", "scope: lesen ändern ", "lesen", "which no scope may contain"),
    ("scope: Mail.Read Files.Read ", 'scope: "" ', '""', "blank"),
    ("scope: Mail.Read Files.Read ", "scope: ~ ", "~", "is blank"),
    ("scope: Mail.Read Files.Read ", "scope: [Mail.Read] ", "[", "must be text"),
    ("  yammer:\n", "  owa:\n", "owa", "is there twice"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "said"), BROKEN, ids=lambda value: value.strip().split("\n")[-1][:30])
def test_a_broken_example_names_line_and_column(old: str, new: str, where: str, said: str):
    """The project's own example, broken in thirty ways; the first fault is at the very character."""
    begins = EXAMPLE_FILE.index(old)
    text = EXAMPLE_FILE[:begins] + new + EXAMPLE_FILE[begins + len(old) :]
    at = begins + new.rindex(where)
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    fault = next(one for one in faults(text) if said in one)
    assert fault.startswith(f"profiles.yaml:{line}:{column}: "), fault


def test_the_example_has_no_faults_and_no_warnings():
    """What the project recommends follows its own advice."""
    assert check(EXAMPLE_FILE.encode(), "profiles.example.yaml")[1] == ()


@pytest.mark.parametrize(
    ("fields", "where", "said"),
    [
        ("idle_timeout: never", "never", "OWASP ASVS 5.0, 7.3.1 and 7.3.2"),
        ("ends_on_password_change: none", "none", "OWASP ASVS 5.0, 7.4.3"),
        ("tokens: pair, access_lifetime: 9m", "9m", "10 minutes to a day (Microsoft Entra"),
        ("tokens: pair, access_lifetime: 25h", "25h", "10 minutes to a day (Microsoft Entra"),
        ("tokens: pair, idle_timeout: 91d", "91d", "10 minutes to 90 days (Microsoft Entra"),
        ("tokens: pair, idle_timeout: never, absolute_timeout: 91d", "never", "10 minutes to 90 days (Microsoft Entra"),
        ("tokens: pair, absolute_timeout: 366d", "366d", "365 days at the most (Microsoft Entra"),
        ("tokens: pair, refresh: {grace: 61s}", "61s", "Okta grants 60 seconds"),
        ("tokens: pair, refresh: {on_reuse: refuse}", "refuse", "RFC 9700, section 4.14.2"),
    ],
)
def test_what_is_advised_against_is_named_with_its_source(fields: str, where: str, said: str):
    """A warning at the field, and the file is read all the same."""
    text = f"version: 1\nprofiles:\n  a: {{{fields}}}\n"
    made, warnings = check(text.encode(), "profiles.yaml")
    assert list(made.profiles) == ["a"]
    (warning,) = warnings
    assert warning.startswith(f"profiles.yaml:3:{text.splitlines()[2].rindex(where) + 1}: ")
    assert said in warning


def test_a_pair_that_never_ends_is_advised_against_twice():
    """As every session that never ends, and as a refresh token that lives on unused."""
    raw = b"version: 1\nprofiles:\n  a: {tokens: pair, idle_timeout: never}\n"
    assert [said.rsplit("(", 1)[1] for said in check(raw, "profiles.yaml")[1]] == [
        "RFC 9700, section 4.14.2)",
        "OWASP ASVS 5.0, 7.3.1 and 7.3.2)",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "absolute_timeout: never",
        "idle_timeout: never, absolute_timeout: 1d",
        "tokens: pair, access_lifetime: 10m, idle_timeout: 90d, absolute_timeout: 365d, refresh: {grace: 60s}",
        "tokens: pair, access_lifetime: 1d, ends_on_password_change: password",
        "tokens: requested, max_lifetime: 500d",
        "browser: true, absolute_timeout: 24h",
    ],
)
def test_what_is_not_advised_against(fields: str):
    """The limits themselves, and the defaults, are fine."""
    assert check(f"version: 1\nprofiles:\n  a: {{{fields}}}\n".encode(), "profiles.yaml")[1] == ()
