"""Names of users that are spelled nearly like a name that nobody has; from indexes, so that a million users cost a few looks.

Candidates come from what people type instead: one slip of the finger, the name without its domain or its beginning alone, and for
longer names whatever shares rare trigrams. Each source is cut where there are many; the spelling itself decides.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import chain

_TYPED = "abcdefghijklmnopqrstuvwxyz0123456789.-_@"
_LONGEST = 64
"""How many characters of a name are looked at."""
_SHORTEST = 3
_BEGINNINGS = 20
_RARE = 4_000
"""How many sessions may have a trigram that is asked for."""
_CLOSEST = 400
_NEWEST = 1_000
_LEAST = 0.7
"""How much two names have in common, of 1, before one is said to be near the other."""
_ONE_SLIP = 0.8
_OTHER_DOMAIN = 0.95

_LEAST_KEY = "SELECT min(username_key) FROM sessions INDEXED BY sessions_by_user WHERE username_key {sign} AND username_key < :end"
_BEGIN_WITH = (
    f"WITH RECURSIVE found (key) AS ({_LEAST_KEY.format(sign='>= :start')}"
    f" UNION ALL SELECT ({_LEAST_KEY.format(sign='> key')}) FROM found WHERE key IS NOT NULL LIMIT {_BEGINNINGS})"
    " SELECT key FROM found WHERE key IS NOT NULL"
)
_AMONG = (
    "SELECT value FROM json_each(?)"
    " WHERE EXISTS (SELECT 1 FROM sessions INDEXED BY sessions_by_user WHERE username_key = value)"
)
_WITH_TRIGRAM = f"SELECT rowid FROM sessions_found WHERE sessions_found MATCH ? LIMIT {_RARE + 1}"
_OF_NUMBERS = "SELECT DISTINCT s.username_key FROM json_each(?) CROSS JOIN sessions AS s ON s.number = json_each.value"
_NOT_INDEXED = (  # what the index of trigrams does not have yet
    "SELECT DISTINCT username_key FROM (SELECT username_key FROM sessions NOT INDEXED"
    f" WHERE number > (SELECT sessions FROM search_index) ORDER BY number DESC LIMIT {_NEWEST})"
)
_SPELLING = "SELECT username FROM sessions INDEXED BY sessions_by_user WHERE username_key = ? ORDER BY last_used_at DESC LIMIT 1"


def nearest(connection: sqlite3.Connection, key: str, limit: int) -> list[str]:
    """Up to so many names of users with sessions, as they were last spelled; the nearest comes first."""
    slips = _having_sessions(connection, _one_slip(key) if len(key) <= _LONGEST else ())
    others = chain(
        _having_sessions(connection, (key[:end] for end in range(_SHORTEST, min(len(key), _LONGEST)))),
        _beginning(connection, key),
        _beginning(connection, f"{_local_part(key)}@"),
        _sharing_trigrams(connection, _local_part(key)[:_LONGEST]),
        _column(connection, _NOT_INDEXED),
    )
    scores = {other: _likeness(key, other) for other in set(others) - {key}}
    scores |= {slip: max(_ONE_SLIP, _likeness(key, slip)) for slip in slips if slip != key}
    near = sorted((-score, other) for other, score in scores.items() if score >= _LEAST)
    return [_column(connection, _SPELLING, other)[0] for _, other in near[:limit]]


def _column(connection: sqlite3.Connection, sql: str, *given: object) -> list[str]:
    return [row[0] for row in connection.execute(sql, given)]


def _having_sessions(connection: sqlite3.Connection, keys: Iterable[str]) -> list[str]:
    """Those keys that a user with sessions has."""
    return _column(connection, _AMONG, json.dumps(list(dict.fromkeys(keys))))


def _one_slip(key: str) -> Iterator[str]:
    """Every key that one slip makes of another: a letter left out, added, replaced, or two of them exchanged."""
    letters = dict.fromkeys(_TYPED + key)
    for at in range(len(key) + 1):
        before, after = key[:at], key[at:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]
        for letter in letters:
            yield before + letter + after
            yield before + letter + after[1:]


def _beginning(connection: sqlite3.Connection, start: str) -> list[str]:
    """The first keys that begin like that, each found by one look into the index; none where it is too short to say much."""
    if len(start) < _SHORTEST:
        return []
    given = {"start": start, "end": start + chr(0x10FFFF)}
    return [row[0] for row in connection.execute(_BEGIN_WITH, given)]


def _sharing_trigrams(connection: sqlite3.Connection, text: str) -> list[str]:
    """The keys of the sessions that share most of the rare trigrams of a text; an index of trigrams knows them by number."""
    shared: Counter[int] = Counter()
    parts = {text[start : start + _SHORTEST] for start in range(len(text) - _SHORTEST + 1)}
    for part in sorted(part.replace('"', '""') for part in parts):
        numbers = [row[0] for row in connection.execute(_WITH_TRIGRAM, (f'"{part}"',))]
        if len(numbers) <= _RARE:
            shared.update(numbers)
    closest = [number for number, _ in shared.most_common(_CLOSEST)]
    return _column(connection, _OF_NUMBERS, json.dumps(closest))


def _local_part(key: str) -> str:
    """What stands before the `@` of an address; all of any other name."""
    return key.partition("@")[0]


def _likeness(key: str, other: str) -> float:
    """How much two keys have in common, from 0 to 1: by what stands before the `@`, since most share their domain with many."""
    (local, _, domain), (other_local, _, other_domain) = key.partition("@"), other.partition("@")
    ratio = _ratio(local, other_local) * (1.0 if domain == other_domain else _OTHER_DOMAIN)
    is_beginning = other.startswith(key) or (key.startswith(other) and len(other) >= _SHORTEST)
    return max(_ONE_SLIP, ratio) if is_beginning else ratio


def _ratio(key: str, other: str) -> float:
    matcher = SequenceMatcher(None, key[:_LONGEST], other[:_LONGEST], autojunk=False)
    if matcher.real_quick_ratio() < _LEAST or matcher.quick_ratio() < _LEAST:
        return 0.0
    return matcher.ratio()
