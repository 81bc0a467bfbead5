"""Nearest names: users whose names are spelled almost like a name that nobody has; a few look-ups among a million users.

Candidates are the usual errors of typing: a name with one slip, the name without its domain, its beginning alone, and for longer
names the users who share rare trigrams. Each source has a limit; the spelling itself decides (decision 124).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import chain

from authctl.store.sqlite.library import sqlite3

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

_FIRST_KEY = "SELECT min(username_key) FROM sessions INDEXED BY sessions_by_user WHERE username_key {sign} AND username_key < :end"
_BEGIN_WITH = (
    f"WITH RECURSIVE found (key) AS ({_FIRST_KEY.format(sign='>= :start')}"
    f" UNION ALL SELECT ({_FIRST_KEY.format(sign='> key')}) FROM found WHERE key IS NOT NULL LIMIT {_MOST_BEGINNINGS})"
    " SELECT key FROM found WHERE key IS NOT NULL"
)
_KEYS_WITH_SESSIONS = (
    "SELECT value FROM json_each(?)"
    " WHERE EXISTS (SELECT 1 FROM sessions INDEXED BY sessions_by_user WHERE username_key = value)"
)
_WITH_TRIGRAM = f"SELECT rowid FROM sessions_found WHERE sessions_found MATCH ? LIMIT {_MOST_SESSIONS_OF_RARE + 1}"
_OF_NUMBERS = "SELECT DISTINCT s.username_key FROM json_each(?) CROSS JOIN sessions AS s ON s.number = json_each.value"
_NOT_IN_INDEX = (  # the users that the search index does not have yet
    "SELECT DISTINCT username_key FROM (SELECT username_key FROM sessions NOT INDEXED"
    f" WHERE number > (SELECT sessions FROM search_index) ORDER BY number DESC LIMIT {_MOST_NOT_INDEXED})"
)
_LAST_SPELLING = "SELECT username FROM sessions INDEXED BY sessions_by_user WHERE username_key = ? ORDER BY last_used_at DESC LIMIT 1"


def nearest(connection: sqlite3.Connection, key: str, limit: int) -> list[str]:
    """Up to `limit` names of users with sessions, as they were spelled last; the nearest first."""
    slips = _having_sessions(connection, _one_slip(key) if len(key) <= _LONGEST else ())
    others = chain(
        _having_sessions(connection, (key[:end] for end in range(_SHORTEST, min(len(key), _LONGEST)))),
        _beginning(connection, key),
        _beginning(connection, f"{_local_part(key)}@"),
        _sharing_trigrams(connection, _local_part(key)[:_LONGEST]),
        _column(connection, _NOT_IN_INDEX),
    )
    scores = {other: _likeness(key, other) for other in set(others) - {key}}
    # One slip in a name of three letters is a third of it: by the ratio alone it would not be near.
    scores |= {slip: max(_LIKENESS_OF_SLIP, _likeness(key, slip)) for slip in slips if slip != key}
    nearest_first = sorted((-score, other) for other, score in scores.items() if score >= _LEAST_LIKENESS)
    return [_column(connection, _LAST_SPELLING, other)[0] for _, other in nearest_first[:limit]]


def _column(connection: sqlite3.Connection, sql: str, *given: object) -> list[str]:
    return [row[0] for row in connection.execute(sql, given)]


def _having_sessions(connection: sqlite3.Connection, keys: Iterable[str]) -> list[str]:
    """Those of the keys that a user with sessions has."""
    return _column(connection, _KEYS_WITH_SESSIONS, json.dumps(list(dict.fromkeys(keys))))


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


def _beginning(connection: sqlite3.Connection, start: str) -> list[str]:
    """The first keys with that beginning, each found by one look-up in the index; none if the beginning is very short."""
    if len(start) < _SHORTEST:
        return []
    given = {"start": start, "end": start + chr(0x10FFFF)}
    return [row[0] for row in connection.execute(_BEGIN_WITH, given)]


def _sharing_trigrams(connection: sqlite3.Connection, text: str) -> list[str]:
    """The keys of the sessions that share most rare trigrams with a text; the search index has them by number."""
    shared: Counter[int] = Counter()
    parts = {text[start : start + _SHORTEST] for start in range(len(text) - _SHORTEST + 1)}
    for part in sorted(part.replace('"', '""') for part in parts):
        numbers = [row[0] for row in connection.execute(_WITH_TRIGRAM, (f'"{part}"',))]
        # A trigram such as "mar" is in many names, and says nothing about which one was meant.
        if len(numbers) <= _MOST_SESSIONS_OF_RARE:
            shared.update(numbers)
    closest = [number for number, _ in shared.most_common(_MOST_SHARING)]
    return _column(connection, _OF_NUMBERS, json.dumps(closest))


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
