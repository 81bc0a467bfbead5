"""What user names, notes, ids and other texts may be, which spellings are one name, and how text is shown."""

import re
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authctl import InvalidInput, Refused
from authctl.cli.exit_codes import exit_code_of
from authctl.names import (
    field,
    fold,
    id_prefix,
    is_whole_id,
    new_id,
    new_ids,
    note,
    profile_name,
    quoted,
    username,
    username_key,
    visible,
)

ID = re.compile(r"[abcdefghjkmnpqrstvwxyz][abcdefghjkmnpqrstvwxyz2-9]{15}")
UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
DEFAULT_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode 14 to 16."""

INVISIBLE = [chr(code) for first, last in DEFAULT_IGNORABLE for code in {first, last}] + ["\u2800"]
CONTROLS = ["\0", "\a", "\b", "\t", "\n", "\v", "\r", "\x1b", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9b", "\x9f"]
BIDI = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SEPARATORS = ["\u2028", "\u2029"]
SURROGATES = ["\ud800", "\udc80", "\udfff"]
UNSEEN = sorted({*INVISIBLE, *CONTROLS, *BIDI, *SEPARATORS, *SURROGATES})

any_character = st.one_of(
    st.integers(0, 0x10FFFF).map(chr), st.sampled_from(UNSEEN), st.characters(max_codepoint=0x24F), st.characters()
)
any_text = st.text(any_character, max_size=60)
cased_text = st.text(
    st.characters(
        min_codepoint=0x20, max_codepoint=0x58F, categories=("Ll", "Lu", "Nd", "Zs"), exclude_characters="\u0131"
    ),
    max_size=60,
)


def code_point(character: str) -> str:
    """As Unicode writes it: U+200B, U+E0041."""
    return f"U+{ord(character):04X}"


def hides(text: str) -> list[str]:
    """The characters of a text that no terminal may get."""
    return [
        code_point(c)
        for c in text
        if category(c) in UNSEEN_CATEGORIES or any(first <= ord(c) <= last for first, last in DEFAULT_IGNORABLE)
    ]


@pytest.mark.parametrize(
    "spellings",
    [
        ("alice", "Alice", "ALICE", "aLiCe", "ALICE ", " alice", "\xa0alice\u3000", "\uff41\uff4c\uff49\uff43\uff45"),
        ("stra\xdfe", "STRASSE", "Strasse", "STRA\u1e9eE", "\uff33\uff34\uff32\uff21\uff33\uff33\uff25"),
        ("jos\xe9", "JOS\xc9", "jose\u0301", "JOSE\u0301"),
        ("\u1ed3ng", "o\u0302\u0300ng", "\xf4\u0300ng", "\u1ed2NG"),
        ("bj\xf6rn \xe5s", "BJO\u0308RN A\u030aS", "bj\xf6rn\xa0\u212bs"),
        ("anna maria", "Anna  Maria", "anna\xa0maria", "ANNA\u2003MARIA", "anna\u3000maria", "anna \u2009 maria"),
        ("o\ufb03ce", "office", "OFFICE", "of\ufb01ce"),
        ("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3"),
        ("\u0438\u0433\u043e\u0440\u044c", "\u0418\u0413\u041e\u0420\u042c"),
        ("\uac00", "\u1100\u1161"),
        ("\u30ac\u30c9", "\uff76\uff9e\uff84\uff9e", "\u30ab\u3099\u30c8\u3099"),
        ("user12", "USER12", "user\uff11\uff12", "user\u2460\u2461"),
        ("corp\\alice", "CORP\\Alice", "corp\uff3calice"),
        ("alice@example.com", "Alice@Example.COM", "alice\uff20example\uff0ecom"),
    ],
    ids=lambda spellings: ascii(spellings[0]),
)
def test_spellings_of_one_user(spellings: tuple[str, ...]):
    """Case, width, composition, ligatures and kinds of blank make no other user."""
    assert len({username_key(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "\u0430lice"),
        ("alice", "alic\u0435"),
        ("alice", "alice1"),
        ("alice", "al ice"),
        ("jose", "jos\xe9"),
        ("a%", "ab"),
        ("a_", "ab"),
        ("a*", "ab"),
        ("a.", "ab"),
        ("1", "l"),
        ("0", "o"),
        ("\u0131", "i"),
    ],
)
def test_different_users_stay_apart(one: str, other: str):
    """Look-alikes, accents, and what are wildcards elsewhere are not merged."""
    assert username_key(one) != username_key(other)


@pytest.mark.parametrize("accept", [username, profile_name])
@pytest.mark.parametrize(
    "name", ["Alice", "  Alice ", "\xa0Alice\u3000", "O'Brien", "李雷", "عمر", "a b\xa0c", "\U0001f600"]
)
def test_a_name_is_kept_as_typed_without_the_blanks_around_it(accept, name: str):
    """What is stored is the name as given, spelled as given; only outer blanks go."""
    assert accept(name) == name.strip()


@pytest.mark.parametrize("accept", [username, username_key, profile_name])
@pytest.mark.parametrize("character", UNSEEN, ids=code_point)
def test_unseen_characters_are_refused_in_names_and_called_by_code_point(accept, character: str):
    """At the beginning, inside and at the end: refused, with a message that itself hides nothing."""
    for name in (f"al{character}ice", f"{character}alice", f"alice{character}", character, f" {character} "):
        with pytest.raises(InvalidInput) as refused:
            accept(name)
        assert re.search(re.escape(code_point(character)) + r"(?![0-9A-F])", refused.value.message)
        assert hides(refused.value.message) == []


@pytest.mark.parametrize("accept", [username, username_key, profile_name])
@pytest.mark.parametrize("name", ["", " ", "   ", "\xa0", "\u3000\u2003"])
def test_blank_names_are_refused(accept, name: str):
    """A name that is nothing but blanks is no name."""
    with pytest.raises(InvalidInput, match="blank"):
        accept(name)


@pytest.mark.parametrize("accept", [username, profile_name])
def test_names_end_at_a_thousand_characters(accept):
    """A thousand characters are a name, one more is not."""
    assert accept("a" * 1000) == "a" * 1000
    with pytest.raises(InvalidInput, match="1,000"):
        accept("a" * 1001)


@pytest.mark.parametrize(
    "text", ["", " ", "\t\r\n\x1b[31m\x7f\x9b", "".join([*INVISIBLE, *BIDI, *SEPARATORS]), "a" * 1000]
)
def test_other_texts_are_kept_exactly(text: str):
    """Application, device, user agent and the like take anything, unchanged."""
    assert field(text, "device") == text


@pytest.mark.parametrize("character", ["\0", *SURROGATES], ids=ascii)
def test_no_text_holds_nul_or_a_lone_surrogate(character: str):
    """What the database could not give back is refused everywhere, by its code point."""
    for text in (character, f"a{character}", f"\xe9{character}b"):
        for accept in (lambda t: field(t, "device"), note):
            with pytest.raises(InvalidInput, match=re.escape(code_point(character))):
                accept(text)


@pytest.mark.parametrize("letter", ["a", "\xe9", "\U0001f600"])
def test_other_texts_end_at_a_thousand_characters(letter: str):
    """Characters are counted, not bytes."""
    assert field(letter * 1000, "device") == letter * 1000
    with pytest.raises(InvalidInput, match="device is longer than 1,000 characters: it has 1,001"):
        field(letter * 1001, "device")


@given(any_text)
def test_other_texts_take_everything_but_nul_and_surrogates(text: str):
    """The one rule, for all texts."""
    if any(c == "\0" or category(c) == "Cs" for c in text):
        with pytest.raises(InvalidInput):
            field(text, "device")
    else:
        assert field(text, "device") == text


@given(any_text)
@example("\u0345\u0301")
@example("\u1e9e\u0130\u0149\u01f0\u1fb7")
def test_folding_twice_is_folding_once(text: str):
    """A key is its own key, so it can be searched for."""
    assert fold(fold(text)) == fold(text)


def test_folding_twice_is_folding_once_for_every_character():
    """The same, for each code point there is."""
    assert [code for code in range(0x110000) if fold(fold(chr(code))) != fold(chr(code))] == []


@given(cased_text)
def test_folding_does_not_see_case(text: str):
    """In the scripts of Europe upper, lower and mixed case are one key."""
    assert fold(text.upper()) == fold(text.lower()) == fold(text.swapcase()) == fold(text)


@given(any_text.filter(lambda text: not any(category(c) == "Cs" for c in text)))
def test_folding_does_not_see_composition_or_outer_blanks(text: str):
    """All four normal forms, and blanks around them, are one key."""
    assert {fold(normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {fold(text)}
    assert fold(f" {text}\u3000") == fold(text)


@pytest.mark.parametrize(
    "blank",
    [
        None,
        "",
        " ",
        " " * 4000,
        "\t",
        "\n\r\n",
        "\v\f\x1c\x1d\x1e\x1f\x85",
        "\xa0\xa0\xa0",
        "\u1680" * 3,
        "\u2000\u2003\u2009\u200a",
        "\u2028\u2029",
        "\u3000" * 9,
        "\xad" * 5,
        "\u200b" * 5,
        "\u200c\u200d\u2060\ufeff",
        "\u200e\u200f\u202a\u202e\u2069",
        "\u034f" * 3,
        "\u115f\u1160\u1160",
        "\u17b4\u17b5\u17b4",
        "\u180b\u180c\u180d\u180e\u180f",
        "\u2800" * 8,
        "\u3164" * 3,
        "\uffa0" * 3,
        "\ufe0f" * 4,
        "\U000e0041\U000e0042\U000e0043",
        "\U000e0100" * 4,
        "\x01\x02\x03",
        "\x1b[;m",
        "...",
        "---",
        "?!?!?!",
        "_____",
        '""',
        "\u2026",
        "\u0301\u0302\u0303",
        "\U0001f600\U0001f600\U0001f600",
        "a",
        "ok",
        "42",
        "o.k.",
        "a\u3164\u3164\u3164b",
        "\uff4f\uff4b\u3000",
        "\u4e22\u5931",
    ],
    ids=lambda blank: ascii(blank)[:24],
)
def test_notes_that_say_nothing_are_refused(blank: str | None):
    """Nothing, blanks, the invisible, symbols, or fewer than three letters and digits: exit 4."""
    with pytest.raises(Refused) as refused:
        note(blank)
    assert exit_code_of(refused.type) == 4
    assert hides(refused.value.message) == []


@pytest.mark.parametrize(
    "said",
    [
        "abc",
        "123",
        " a b c ",
        "a-b-c",
        "\u200ba\u200bb\u200bc",
        "été",
        "где",
        "\u03c4\u03ad\u03bb\u03bf\u03c2",
        "丢失了",
        "\u7d1b\u5931\u3057\u305f",
        "\uff76\uff9e\uff84\uff9e\uff97",
        "\uac00\ub098\ub2e4",
        "\u1100\u1161\u11a8\u1102\u1161\u1103",
        "مفقود",
        "אבד",
        "\u0917\u0941\u092e \u0939\u094b",
        "\u0e2b\u0e32\u0e22",
        "\u0661\u0662\u0663",
        "\u0967\u0968\u0969",
        "\uff41\uff42\uff43",
        "\ufb03",
        "\u216b\u2160",
        "\xbd\xbd",
        "\u2460\u2461\u2462",
        "lost\nstolen",
        "\x1b[31mlost",
    ],
    ids=ascii,
)
def test_notes_that_say_something_are_kept_as_given(said: str):
    """Three letters or digits of any script are enough, and nothing is changed."""
    assert note(said) == said


def test_notes_end_at_four_thousand_characters():
    """4,000 characters are a note; 4,001 are wrong usage, whatever they are."""
    assert note("n" * 4000) == "n" * 4000
    assert note("\u4e22" * 4000) == "\u4e22" * 4000
    for long in ("n" * 4001, " " * 4001, "\u4e22" * 4001):
        with pytest.raises(InvalidInput, match="4,000") as refused:
            note(long)
        assert exit_code_of(refused.type) == 2


@given(st.text(st.one_of(any_character, st.sampled_from(" .-abc123\u3164\uffa0\u2800\ufdfa\xbd")), max_size=8))
def test_a_note_says_something_by_the_categories_of_its_characters(text: str):
    """Accepted exactly when three characters of the normalised text are letters or numbers that are seen."""
    said = [c for c in normalize("NFKC", text) if category(c)[0] in "LN" and c not in "\u115f\u1160\u3164\uffa0"]
    if any(c == "\0" or category(c) == "Cs" for c in text):
        with pytest.raises(InvalidInput):
            note(text)
    elif len(said) < 3:
        with pytest.raises(Refused):
            note(text)
    else:
        assert note(text) == text


def test_ids_are_easy_to_copy_and_unique():
    """Sixteen lower-case letters and digits, a letter first, none that look alike, never the same twice."""
    ids = [new_id() for _ in range(5000)]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not ID.fullmatch(one)] == []
    assert not set("".join(ids)) & set("01ilou")
    assert len({one[0] for one in ids}) == 22
    assert len(set("".join(ids))) == 30
    assert all(is_whole_id(one) and id_prefix(one) == one and username(one) == one for one in ids)


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("abcdef", "abcdef"),
        ("ABCDEF", "abcdef"),
        (" abc234\n", "abc234"),
        ("a", "a"),
        ("a" * 16, "a" * 16),
        ("a" * 17, None),
        ("", None),
        (" ", None),
        ("2abcde", None),
        ("abc def", None),
        ("abcdef0", None),
        ("abcdef1", None),
        ("abcdei", None),
        ("abcdel", None),
        ("abcdeo", None),
        ("abcdeu", None),
        ("abc%", None),
        ("abc_", None),
        ("abc*", None),
        ("abc\0", None),
        ("abc\xe9", None),
        ("\uff41\uff42\uff43", None),
        ("abc\nabc", None),
        ("acat_0123", None),
    ],
)
def test_what_could_be_an_id(typed: str, prefix: str | None):
    """Any case, blanks around it; never longer than an id, and only characters that ids have."""
    assert id_prefix(typed) == prefix


@given(st.integers(0, 10_000))
def test_every_beginning_of_an_id_is_a_prefix(seed: int):
    """Abbreviated anywhere, in capitals too, and only the full length is whole."""
    one, length = new_id(), seed % 16 + 1
    assert id_prefix(one[:length].upper()) == one[:length]
    assert is_whole_id(one[:length]) == (length == 16)


@given(any_text)
@example("".join(UNSEEN))
def test_shown_text_hides_nothing(text: str):
    """One line, no control, bidi, zero-width or otherwise invisible character, and able to be written out."""
    shown = visible(text)
    assert hides(shown) == []
    assert len(shown.splitlines()) <= 1
    shown.encode()


def test_every_character_is_shown_or_escaped():
    """Each code point below U+3000, and each invisible one above: as itself, or as an escape that names it."""
    codes = {*range(0x3000), *(c for a, b in DEFAULT_IGNORABLE for c in range(a, b + 1)), *range(0xD800, 0xE000)}
    for code in sorted(codes):
        shown = visible(f"a{chr(code)}b")
        assert hides(shown) == []
        if chr(code) not in shown:
            assert shown.isascii()
            assert re.fullmatch(r"a\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})b", shown)
        else:
            assert shown == f"a{chr(code)}b"


@pytest.mark.parametrize(
    "text",
    ["", "Alice O'Brien", "a  b", "100 % [bold]", "été", "Müller-Lüdenscheidt", "李雷", "عمر", "e\u0301", "\U0001f600"],
)
def test_ordinary_text_is_shown_as_it_is(text: str):
    """Letters of any script, marks, symbols and blanks are left alone."""
    assert visible(text) == text


@given(any_text)
def test_quoted_text_is_short_and_hides_nothing(text: str):
    """An error message quotes at most sixty characters of what was typed, each of them visible."""
    shown = quoted(text * 3)
    assert hides(shown) == []
    assert shown[0] == shown[-1] == "'"
    assert len(shown) <= 60 * len(r"\U0010ffff") + 2


def test_ids_of_a_batch() -> None:
    """They are valid and unique, begin alike, and use every character at every other place."""
    ids = new_ids(3_000)
    assert len({*ids}) == 3_000
    assert {one[:2] for one in ids} == {ids[0][:2]}
    assert all(len(one) == 16 and id_prefix(one) == one for one in ids)
    assert all(len({one[place] for one in ids}) == 30 for place in range(2, 16))
    assert new_ids(0) == []
