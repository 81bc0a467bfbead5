"""Search in PostgreSQL: one text a session, and an index of its trigrams, which is written with the row.

The index names candidates, and the text itself decides. `%` and `_` in a searched text have no meaning.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.store.nouns import reader as nouns
from authctl.store.postgres.dialect import POSTGRES
from authctl.store.sql.filters import contains_search

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader

_TRIGRAM = 3
_MOST_OF_NAME = 1_000
"""How many sessions that contain the name of an address are looked at for the whole address."""

_SESSIONS = f"SELECT s.number FROM sessions AS s WHERE s.search_text LIKE :pattern AND ({contains_search(POSTGRES)}) LIMIT :most"
_OF_NAME = (
    f"SELECT s.number, ({contains_search(POSTGRES)}) FROM"
    " (SELECT * FROM sessions WHERE search_text LIKE :pattern LIMIT :most) AS s"
)
_NOTES = (
    "SELECT s.number FROM revocations AS r JOIN sessions AS s ON s.revocation_id = r.id"
    f" WHERE r.note_key LIKE :pattern AND {POSTGRES.contains('r.note_key', 'search')} LIMIT :most"
)


def find(reader: "Reader", text: str) -> Sequence[int] | None:
    """The numbers of the sessions that contain a folded text, or whose note contains it; see `Reader.numbers_containing`."""
    # A text of two letters is in no trigram.
    if len(text) < _TRIGRAM:
        return None
    given = {"pattern": _pattern(text), "search": text, "most": nouns.MOST_SORTED + 1}
    numbers = _of_name(reader, text)
    if numbers is None:
        numbers = {row[0] for row in reader.all_rows(_SESSIONS, given)}
    # More than can be sorted: the caller walks along the list instead, and needs no complete answer.
    if len(numbers) <= nouns.MOST_SORTED:
        numbers.update(row[0] for row in reader.all_rows(_NOTES, given))
    return tuple(numbers)


def _of_name(reader: "Reader", text: str) -> set[int] | None:
    """The numbers of the sessions that contain a mail address, found by the name before its `@`; None for another text, or where many have it."""
    # decision 367: the trigrams of the domain, which nearly all sessions have, cost the most, and find nothing
    name, at, _domain = text.partition("@")
    if not at or len(name) < _TRIGRAM:
        return None
    rows = reader.all_rows(_OF_NAME, {"pattern": _pattern(name + at), "search": text, "most": _MOST_OF_NAME + 1})
    return None if len(rows) > _MOST_OF_NAME else {number for number, contains in rows if contains}


def having_trigram(reader: "Reader", trigram: str, limit: int) -> list[int]:
    """The numbers of up to `limit` sessions with three letters."""
    sql = "SELECT number FROM sessions WHERE search_text LIKE :pattern LIMIT :limit"
    return [row[0] for row in reader.all_rows(sql, {"pattern": _pattern(trigram), "limit": limit})]


def _pattern(text: str) -> str:
    """The pattern of LIKE for every text that contains that one."""
    for sign in "\\%_":
        text = text.replace(sign, f"\\{sign}")
    return f"%{text}%"
