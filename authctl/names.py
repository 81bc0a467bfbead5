"""The rules for user names, notes, session ids and other texts, and how names are matched.

Pure text: independent of sessions and of the store. Names are compared by their *key*, so that a
revocation of `alice` also meets `ALICE`: a revocation that misses is worse than two names that meet.

See docs/glossary.md#folded-key.
"""

import os
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import islice
from unicodedata import normalize

from authctl.errors import InvalidInput, Refused
from authctl.visible_text import first_invisible, is_invisible, visible

NOTE_LENGTH = 4_000
SHORTEST_NOTE = 3
FIELD_LENGTH = 1_000
SHORTEST_PREFIX = 6
SHORTEST_SHOWN = 8
"""The shortest beginning of an id that a terminal shows."""

_ID_LETTERS = "abcdefghjkmnpqrstvwxyz"
_ID_CHARACTERS = _ID_LETTERS + "23456789"
_ID_LENGTH = 16
_WORDS_SIZE = _ID_LENGTH // 4 * 8
_ID_PREFIX = f"[{_ID_LETTERS}][{_ID_CHARACTERS}]{{0,{_ID_LENGTH - 1}}}"
_TOKEN = r"(?ai)(ac[ars]t_)[0-9a-f]*(?:\.{3})?|[0-9a-f]{32,}"  # noqa: S105  # a pattern
_MOST_DIGITS = 10
"""`int` refuses texts of several thousand digits."""
LARGEST_PORT = 65_535
_NOT_STORED = "[\0\ud800-\udfff]"
"""NUL, and lone surrogates. Patterns stand here as texts: `re` compiles each at its first use, which costs more than a module."""

_LONGEST_COMPARED = 100
"""The length of a typed name that is compared with known names: the time for it grows with the square."""

_ANY = "\0"  # stands for `*` while a pattern is folded, so that a full-width asterisk stays a literal


@lru_cache(maxsize=4_096)
def fold(text: str) -> str:
    """The common form of two spellings of one text: case, width, composition and blanks apart.

    NFKC, case folding, NFKC again (Unicode 3.13, D146), and runs of white space as one blank.
    """
    if text.isascii():
        # NFKC changes nothing in ASCII, and casefold() is lower() there: most names take this short way.
        return " ".join(text.lower().split())
    return " ".join(normalize("NFKC", normalize("NFKC", text).casefold()).split())


def pattern_fit(pattern: str | None, text: str) -> tuple[int, int] | None:
    """How closely a pattern fits: without `*` closest, then by its literal length; (-1, 0) for no pattern."""
    if pattern is None:
        return (-1, 0)
    # NFKC turns a full-width asterisk into `*`: the wildcard is replaced before, so that only a typed `*` is one.
    first, *rest = fold(pattern.replace("*", _ANY)).split(_ANY)
    if not _matches(first, rest, fold(text)):
        return None
    return (not rest, len(first) + sum(map(len, rest)))


def _matches(first: str, rest: list[str], text: str) -> bool:
    """Whether a text is `first`, anything, and so on through `rest`; in one pass for any pattern."""
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first):
        return False
    position = len(first)
    # Each part is taken at its first place: a later place could only leave less room for the parts after it.
    for part in middle:
        position = text.find(part, position) + len(part)
        if position < len(part):
            return False
    # `a*a` must not fit `a`: the end may not overlap with the part that was already matched.
    return text.endswith(last) and len(text) - len(last) >= position


def username_key(name: str) -> str:
    """The key that a user name is stored and found by. Raises InvalidInput as `username`."""
    return fold(username(name))


def username(name: str) -> str:
    """A user name as it will be stored. Raises InvalidInput: blank, too long, or unseen characters."""
    return _name(name, "user name")


def profile_name(name: str) -> str:
    """A profile's name. Raises InvalidInput: blank, too long, or unseen characters."""
    return _name(name, "profile name")


def source_name(name: str) -> str:
    """The name of the system that sessions are imported from. Raises InvalidInput as `username`."""
    return _name(name, "source name")


def client_name(name: str) -> str:
    """The name of a client of the door. Raises InvalidInput as `username`."""
    return _name(name, "client name")


def receiver_name(name: str) -> str:
    """The name of a receiver. Raises InvalidInput as `username`."""
    return _name(name, "receiver name")


def _name(name: str, kind: str) -> str:
    stripped = field(name, kind).strip()
    # Two names that look the same must not differ: a zero-width blank would make a second `alice`.
    if (character := first_invisible(name)) is not None:
        raise InvalidInput(f"{kind} {quoted(name)} has an invisible character, U+{ord(character):04X}")
    if not stripped:
        raise InvalidInput(f"{kind} is blank: {quoted(name)}")
    return stripped


def field(text: str, name: str, length: int = FIELD_LENGTH) -> str:
    """Any other text, as given. Raises InvalidInput for NUL, lone surrogates and too great a length."""
    # The length first: the checks below read the whole text.
    if len(text) > length:
        raise InvalidInput(f"{name} is longer than {length:,} characters: it has {len(text):,}")
    if text.isascii() and "\0" not in text:
        return text
    if (unstorable := re.search(_NOT_STORED, text)) is not None:
        raise InvalidInput(f"{name} has a character that cannot be stored, U+{ord(unstorable[0]):04X}")
    return text


def is_number(text: str, most: int) -> bool:
    """Whether a text is a number up to a limit. `isdigit` alone accepts signs that `int` cannot read, such as a raised 2."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= most


def is_storable(text: str) -> bool:
    """Whether a database can store a text: it has neither NUL nor a lone surrogate."""
    return "\0" not in text if text.isascii() else re.search(_NOT_STORED, text) is None


def note(text: str | None) -> str:
    """An audit note, as given.

    Raises Refused if it has no content: fewer than three letters or digits once normalised to NFKC;
    InvalidInput when it is longer than 4,000 characters or cannot be stored.
    """
    if text is None:
        raise Refused("a note is required", 'give a reason: --note "lost device"')
    checked = field(text, "note", NOTE_LENGTH)
    # Normalised first: a full-width letter counts, and a text of combining marks or blanks does not.
    letters = (c for c in normalize("NFKC", checked) if c.isalnum() and not is_invisible(c))
    if len(list(islice(letters, SHORTEST_NOTE))) < SHORTEST_NOTE:
        raise Refused(f"the note is too short: {quoted(text)}", "a note needs at least three letters or digits")
    return checked


@cache
def _id_pairs() -> tuple[list[str], list[str]]:
    """All pairs that an id begins with, and all others."""
    return (
        [a + b for a in _ID_LETTERS for b in _ID_CHARACTERS],
        [a + b for a in _ID_CHARACTERS for b in _ID_CHARACTERS],
    )


def new_id() -> str:
    """A fresh session id: a public handle of 78 random bits, no part of any secret."""
    first_pairs, pairs = _id_pairs()
    chosen: list[str] = []
    for word, first in zip(
        memoryview(os.urandom(_WORDS_SIZE)).cast("Q"), (first_pairs, pairs, pairs, pairs), strict=True
    ):
        rest, index = divmod(
            word, len(first)
        )  # 64 bits for two pairs: so many more than are used that none is likelier
        chosen += (first[index], pairs[rest % len(pairs)])
    return "".join(chosen)


def new_ids(count: int) -> list[str]:
    """Fresh session ids with the same first two characters, which are drawn for all of them; the others are drawn for each."""
    # decision 198: side by side in the index of ids, a thousand of them change a few pages of it instead of a thousand
    first, triples = new_id()[:2], _id_triples()
    size = len(triples)
    ids: list[str] = []
    words = memoryview(os.urandom(count * 16)).cast("Q")
    pairs = _id_pairs()[1]
    for word, last in zip(words[::2], words[1::2], strict=True):
        rest, pair = divmod(last, len(pairs))
        ids.append(
            f"{first}{triples[word % size]}{triples[word // size % size]}"
            f"{triples[rest % size]}{triples[rest // size % size]}{pairs[pair]}"
        )
    return ids


@cache
def _id_triples() -> list[str]:
    return [pair + c for pair in _id_pairs()[1] for c in _ID_CHARACTERS]


def id_prefix(text: str) -> str | None:
    """The id, or beginning of one, that a text could be, in lower case; None when it can be none."""
    lowered = text.strip().lower()
    return lowered if re.fullmatch(_ID_PREFIX, lowered) else None


def is_whole_id(prefix: str) -> bool:
    """Whether a prefix has the full length of an id."""
    return len(prefix) == _ID_LENGTH


def without_tokens(text: str) -> str:
    """The text with every token in it, whole or broken, cut down to its readable beginning."""
    # decision 21: a token that was typed in the place of an id must not be shown
    return re.sub(_TOKEN, lambda match: f"{match[1] or ''}...", text)


def quoted(text: str, length: int = 60) -> str:
    """The typed text, for an error message: visible, in quotes, cut to `length`, and without tokens."""
    text = without_tokens(text)
    shown = visible(text if len(text) <= length else text[: length - 3] + "...")
    return f"'{shown}'"


def near_names_in_words(typed: str, known: Sequence[str]) -> str:
    """The known names that are nearest to the typed one, for the end of a message; nothing where there are none."""
    from difflib import get_close_matches

    typed = typed[:_LONGEST_COMPARED].lower()
    near = get_close_matches(typed, known) or [name for name in known if name.startswith(typed[:4])][:3]
    near = near or [name for name in known if typed in name][:3]  # `knox` for `django-knox`
    return f"; nearest names: {', '.join(map(quoted, near))}" if near and typed.strip() else ""


def counted(count: int, noun: str) -> str:
    """The number of something, for a message: `1 session`, `1,200 sessions`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
