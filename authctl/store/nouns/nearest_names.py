"""Nearest names: users whose names are spelled almost like a name that nobody has; a few look-ups among a million users.

Candidates are the usual errors of typing: a name with one slip, the name without its domain, its beginning alone, and for longer
names the users who share rare trigrams. Each source has a limit; the spelling itself decides (decision 124).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader
    from authctl.store.sql.dialect import Dialect

_TYPED_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-_@"
_LONGEST = 64
"""How many characters of a name are compared."""
_SHORTEST = 3
_MOST_BEGINNINGS = 20
_MOST_SESSIONS_OF_RARE = 4_000
"""The most sessions with a trigram that still counts as rare."""
_MOST_SHARING = 400
_MOST_NOT_INDEXED = 1_000
_LEAST_LIKENESS = 0.7
"""The likeness, from 0 to 1, from which on one name is near the other."""
_LIKENESS_OF_SLIP = 0.8
_FACTOR_OF_OTHER_DOMAIN = 0.95


class _Texts:
    """The queries in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        by_user = dialect.table("sessions", index="sessions_by_user")
        first = f"SELECT min(username_key) FROM {by_user} WHERE username_key {{sign}} AND username_key < :end"
        self.beginning = (
            f"WITH RECURSIVE found (key) AS ({first.format(sign='>= :start')}"
            f" UNION ALL SELECT ({first.format(sign='> found.key')}) FROM found WHERE found.key IS NOT NULL)"
            f" SELECT key FROM found WHERE key IS NOT NULL LIMIT {_MOST_BEGINNINGS}"
        )
        self.with_sessions = (
            f"SELECT value FROM {dialect.list_rows('keys', 'listed', 'text')}"
            f" WHERE EXISTS (SELECT 1 FROM {by_user} WHERE username_key = value)"
        )
        self.of_numbers = f"SELECT DISTINCT s.username_key FROM {tables(dialect).by_numbers}"
        self.last_spelling = (
            f"SELECT username FROM {by_user} WHERE username_key = :key ORDER BY last_used_at DESC LIMIT 1"
        )


@cache
def _texts(dialect: "Dialect") -> _Texts:
    return _Texts(dialect)


def nearest(reader: "Reader", key: str, limit: int) -> list[str]:
    """Up to `limit` names of users with sessions, as they were spelled last; the nearest first."""
    slips = _having_sessions(reader, _one_slip(key) if len(key) <= _LONGEST else ())
    others = chain(
        _having_sessions(reader, (key[:end] for end in range(_SHORTEST, min(len(key), _LONGEST)))),
        _beginning(reader, key),
        _beginning(reader, f"{_local_part(key)}@"),
        _sharing_trigrams(reader, _local_part(key)[:_LONGEST]),
        reader.newest_users(_MOST_NOT_INDEXED),
    )
    scores = {other: _likeness(key, other) for other in set(others) - {key}}
    # One slip in a name of three letters is a third of it: by the ratio alone it would not be near.
    scores |= {slip: max(_LIKENESS_OF_SLIP, _likeness(key, slip)) for slip in slips if slip != key}
    nearest_first = sorted((-score, other) for other, score in scores.items() if score >= _LEAST_LIKENESS)
    return [_column(reader, _texts(reader.dialect).last_spelling, key=other)[0] for _, other in nearest_first[:limit]]


def _column(reader: "Reader", sql: str, **given: Any) -> list[str]:
    return [row[0] for row in reader.all_rows(sql, given)]


def _having_sessions(reader: "Reader", keys: Iterable[str]) -> list[str]:
    """Those of the keys that a user with sessions has."""
    return _column(reader, _texts(reader.dialect).with_sessions, keys=reader.dialect.list_of(dict.fromkeys(keys)))


def _one_slip(key: str) -> Iterator[str]:
    """Every key that is one slip away: a letter missing, added or replaced, or two neighbours exchanged."""
    letters = dict.fromkeys(_TYPED_CHARACTERS + key)
    for at in range(len(key) + 1):
        before, after = key[:at], key[at:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]
        for letter in letters:
            yield before + letter + after
            yield before + letter + after[1:]


def _beginning(reader: "Reader", start: str) -> list[str]:
    """The first keys with that beginning, each found by one look-up in the index; none if the beginning is very short."""
    if len(start) < _SHORTEST:
        return []
    return _column(reader, _texts(reader.dialect).beginning, start=start, end=start + chr(0x10FFFF))


def _sharing_trigrams(reader: "Reader", text: str) -> list[str]:
    """The keys of the sessions that share most rare trigrams with a text; the search index has them by number."""
    shared: Counter[int] = Counter()
    parts = {text[start : start + _SHORTEST] for start in range(len(text) - _SHORTEST + 1)}
    for part in sorted(parts):
        numbers = reader.numbers_with_trigram(part, _MOST_SESSIONS_OF_RARE + 1)
        # A trigram such as "mar" is in many names, and says nothing about which one was meant.
        if len(numbers) <= _MOST_SESSIONS_OF_RARE:
            shared.update(numbers)
    closest = [number for number, _ in shared.most_common(_MOST_SHARING)]
    return _column(reader, _texts(reader.dialect).of_numbers, numbers=reader.dialect.list_of(closest))


def _local_part(key: str) -> str:
    """The part before the `@` of an address; the whole of any other name."""
    return key.partition("@")[0]


def _likeness(key: str, other: str) -> float:
    """The likeness of two keys, from 0 to 1, by the part before the `@`: many users share a domain."""
    (local, _, domain), (other_local, _, other_domain) = key.partition("@"), other.partition("@")
    ratio = _ratio(local, other_local) * (1.0 if domain == other_domain else _FACTOR_OF_OTHER_DOMAIN)
    is_beginning = other.startswith(key) or (key.startswith(other) and len(other) >= _SHORTEST)
    return max(_LIKENESS_OF_SLIP, ratio) if is_beginning else ratio


def _ratio(key: str, other: str) -> float:
    matcher = SequenceMatcher(None, key[:_LONGEST], other[:_LONGEST], autojunk=False)
    # Two bounds from above, by length and by letters: most candidates need no full comparison.
    if matcher.real_quick_ratio() < _LEAST_LIKENESS or matcher.quick_ratio() < _LEAST_LIKENESS:
        return 0.0
    return matcher.ratio()
