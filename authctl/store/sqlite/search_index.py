"""The search index: trigrams of the texts of sessions and of the notes of revocations, by SQLite's FTS5.

The index names candidates, and the text itself decides. It is written in batches and may be behind the tables (decision 93):
rows above its last number are read from the table, so that a search is complete at any moment. It stores no text (decision 92): before
a row is removed or changed, its old text is given to the index to remove it.
"""

import json
from collections.abc import Sequence

from authctl.store.nouns import reader
from authctl.store.sql.filters import SEARCHED, contains_search
from authctl.store.sqlite.dialect import SQLITE
from authctl.store.sqlite.library import sqlite3

_MOST_ADDED = 4_000
"""The most rows that are added at once, and the most that the index may be behind if it is to be used."""

_RETIRED = "sessions_found_retired"
"""The table with the entries of an index that was replaced."""

_RETIRED_SHARE = 4
"""One of its entries is deleted for so many rows that are added at once; each is a page."""

# decision 340: small parts are merged thirty-two at a time, which writes an entry once more at most; never all of a level in one transaction.
_LATER = {"automerge": 32, "crisismerge": 128}
_BY_DEFAULT = {"automerge": 4}
"""`crisismerge` stays: set back to 16, the next sign-in could find a level with so many parts, and merge all of it under the lock."""

_TRIGRAM = 3
_MOST_TRIGRAMS_COUNTED = 12
_COUNTING_LIMITS = (256, 2_048)
"""How many sessions with a trigram are counted, at first and at last."""

_MOST_TRIGRAMS_SEARCHED = 4
_ALMOST_AS_RARE = 8
"""How many times as frequent as the rarest trigram another one may be, to be searched together with it."""

INDEXED = ("username_key", "application_key", "device_key", "platform_key", "ip", "source_key", "source_id_key")
"""The columns of a session that the index is made of."""


# No folded text contains a full-width bar. It stands between the fields, so that nothing is found across two of them.
def _joined_texts(fields: Sequence[str]) -> str:
    return " || char(0xFF5C) || ".join(f"coalesce({field}, '')" for field in fields)


# A session without a source is indexed as schema 8 did it: its old text must be removed as it was added.
_OF_SOURCE = tuple(field for field in SEARCHED if "source" in field)
_SESSION_TEXT = (
    f"{_joined_texts([field for field in SEARCHED if field not in _OF_SOURCE])}"
    f" || iif(coalesce(s.source_key, s.source_id_key) IS NULL, '', char(0xFF5C) || {_joined_texts(_OF_SOURCE)})"
)
_CONTAINS_SEARCH = contains_search(SQLITE)

_INDEXED_SESSIONS = "(SELECT sessions FROM search_index)"
_INDEXED_NOTES = "(SELECT revocations FROM search_index)"
_NEW_SESSIONS = f"s.number > {_INDEXED_SESSIONS}"
_NEW_NOTES = f"r.id > {_INDEXED_NOTES} AND r.at IS NOT NULL"
_LAST_INDEXED = {"sessions_found": "sessions", "notes_found": "revocations"}
_REVOKED_BY_NOTE = "CROSS JOIN sessions AS s INDEXED BY sessions_by_revocation ON s.revocation_id = r.id"

_SEARCHES = {
    "sessions_found": (
        f"""
        SELECT number FROM (SELECT s.number FROM sessions_found AS f CROSS JOIN sessions AS s ON s.number = f.rowid
        WHERE f.sessions_found MATCH :trigrams AND ({_CONTAINS_SEARCH}) LIMIT :most)
        """,
        f"SELECT s.number FROM sessions AS s WHERE {_NEW_SESSIONS} AND ({_CONTAINS_SEARCH})",
    ),
    "notes_found": (
        f"""
        SELECT number FROM (SELECT s.number FROM notes_found AS f CROSS JOIN revocations AS r ON r.id = f.rowid
        {_REVOKED_BY_NOTE} WHERE f.notes_found MATCH :trigrams AND instr(r.note_key, :search) LIMIT :most)
        """,
        f"""
        SELECT number FROM (SELECT s.number FROM revocations AS r {_REVOKED_BY_NOTE}
        WHERE {_NEW_NOTES} AND instr(r.note_key, :search) LIMIT :most)
        """,
    ),
}


def find(connection: sqlite3.Connection, text: str) -> tuple[int, ...] | None:
    """The numbers of the sessions that contain a folded text, or whose note contains it; some of them if they are more than `MOST_SORTED`.

    None if the index is of no help: the text is shorter than a trigram, or the index is too far behind.
    """
    # A text of two letters is in no trigram, and reading very many rows beside the index is slower than one scan.
    if len(text) < _TRIGRAM or _rows_not_indexed(connection) > _MOST_ADDED:
        return None
    numbers: set[int] = set()
    parameters: dict[str, object] = {"search": text, "most": reader.MOST_SORTED + 1}
    for table, queries in _SEARCHES.items():
        parameters["trigrams"] = " AND ".join(map(_quoted, _rarest_trigrams(connection, table, text)))
        for sql in queries:
            numbers.update(row[0] for row in connection.execute(sql, parameters))
            # More than can be sorted: the caller walks along the list instead, and needs no complete answer.
            if len(numbers) > reader.MOST_SORTED:
                return tuple(numbers)
    return tuple(numbers)


def _rarest_trigrams(connection: sqlite3.Connection, table: str, text: str) -> list[str]:
    """The rarest trigram of a text, as far as a few look-ups show, and some that are almost as rare (decision 94).

    To read the long list of a frequent trigram costs more than to compare the text of the few rows that a rare one names. Rows
    with a trigram are counted up to a limit. If there are more, their number is estimated (decision 108): if 256 rows were
    found up to the number 10,000 of a million, there are about 25,600.
    """
    # Example: "outlook" has out, utl, tlo, loo, ook. If 40 sessions have "tlo" and 90,000 "out", only the 40 are read.
    every = list(dict.fromkeys(text[start : start + _TRIGRAM] for start in range(len(text) - _TRIGRAM + 1)))
    some = every[:: -(-len(every) // _MOST_TRIGRAMS_COUNTED)]  # evenly spread over a long text
    sql = f"SELECT count(*), max(rowid) FROM (SELECT rowid FROM {table} WHERE {table} MATCH ? LIMIT ?)"
    last = connection.execute(f"SELECT {_LAST_INDEXED[table]} FROM search_index").fetchone()[0]
    frequency: dict[str, float] = {}
    for limit in _COUNTING_LIMITS:
        for trigram in some:
            count, reached = connection.execute(sql, (_quoted(trigram), limit)).fetchone()
            frequency[trigram] = count if count < limit else count * last / reached
        # One trigram was counted to its end: it is rare enough, and larger limits would only cost more.
        if min(frequency.values()) < limit:
            break
    ranked = sorted(some, key=frequency.__getitem__)
    bound = _ALMOST_AS_RARE * frequency[ranked[0]]
    return [trigram for trigram in ranked[:_MOST_TRIGRAMS_SEARCHED] if frequency[trigram] <= bound]


def _quoted(trigram: str) -> str:
    """A trigram as a phrase of FTS5's query language."""
    return '"{}"'.format(trigram.replace('"', '""'))


def having_trigram(connection: sqlite3.Connection, trigram: str, limit: int) -> list[int]:
    """The numbers of up to `limit` sessions with a trigram, among those in the index."""
    sql = "SELECT rowid FROM sessions_found WHERE sessions_found MATCH ? LIMIT ?"
    return [row[0] for row in connection.execute(sql, (_quoted(trigram), limit))]


def users_not_indexed(connection: sqlite3.Connection, limit: int) -> list[str]:
    """The keys of the users of the newest sessions, up to `limit`, that the index does not have yet."""
    newest = (
        f"SELECT username_key FROM sessions NOT INDEXED WHERE number > {_INDEXED_SESSIONS} ORDER BY number DESC LIMIT ?"
    )
    return [row[0] for row in connection.execute(f"SELECT DISTINCT username_key FROM ({newest})", (limit,))]


def renew(connection: sqlite3.Connection) -> None:
    """Begin the index of sessions anew: it is empty, and `extend` fills it and deletes the old one in steps (decision 174)."""
    if _is_retired(connection):
        return  # the last one is not deleted yet
    # Its entries become an ordinary table, so that SQLite never checks them as an index of which a part is gone.
    connection.execute(f"ALTER TABLE sessions_found_data RENAME TO {_RETIRED}")
    connection.execute("CREATE TABLE sessions_found_data (id INTEGER PRIMARY KEY, block BLOB)")
    # FTS5 opens an index by these two entries: the averages, and the list of its parts.
    connection.execute(f"INSERT INTO sessions_found_data SELECT id, block FROM {_RETIRED} WHERE id IN (1, 10)")
    connection.execute("INSERT INTO sessions_found (sessions_found) VALUES ('delete-all')")
    _set_merging(connection, _LATER)
    connection.execute("UPDATE search_index SET sessions = 0")


def end_renewal(connection: sqlite3.Connection) -> None:
    """Let FTS5 merge the index by its own measure again."""
    _set_merging(connection, _BY_DEFAULT)


def _set_merging(connection: sqlite3.Connection, settings: dict[str, int]) -> None:
    sql = "INSERT INTO sessions_found (sessions_found, rank) VALUES (?, ?)"
    for name, value in settings.items():
        connection.execute(sql, (name, value))


def _is_retired(connection: sqlite3.Connection) -> bool:
    """Whether an old index is still to be deleted."""
    sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return connection.execute(sql, (_RETIRED,)).fetchone() is not None


def _delete_retired(connection: sqlite3.Connection, most: int) -> int:
    """Delete the next entries of an old index, and its table after the last one. Returns how many."""
    sql = f"DELETE FROM {_RETIRED} WHERE id IN (SELECT id FROM {_RETIRED} ORDER BY id LIMIT ?)"
    deleted = connection.execute(sql, (most,)).rowcount
    if not deleted:
        connection.execute(f"DROP TABLE {_RETIRED}")
    return deleted


def extend(connection: sqlite3.Connection, most: int = _MOST_ADDED) -> int:
    """Add the next `most` sessions and notes that the index does not have, and delete some of a replaced index. Returns how many."""
    added = _delete_retired(connection, max(1, most // _RETIRED_SHARE)) if _is_retired(connection) else 0
    # The last number is found first and then used twice: rows that are added meanwhile belong to the next batch.
    for table, sql in _ADDED.items():
        last = connection.execute(_LAST[table], {"most": most}).fetchone()[0]
        if last is not None:
            added += connection.execute(sql, {"last": last}).rowcount
            connection.execute(f"UPDATE search_index SET {table} = ?", (last,))
    return added


_LAST = {
    "sessions": f"SELECT max(number) FROM (SELECT number FROM sessions AS s WHERE {_NEW_SESSIONS} ORDER BY number LIMIT :most)",
    "revocations": f"SELECT max(id) FROM (SELECT id FROM revocations AS r WHERE {_NEW_NOTES} ORDER BY id LIMIT :most)",
}
_ADDED = {
    "sessions": (
        f"INSERT INTO sessions_found (rowid, text) SELECT s.number, {_SESSION_TEXT} FROM sessions AS s"
        f" WHERE {_NEW_SESSIONS} AND s.number <= :last ORDER BY s.number"
    ),
    "revocations": (
        "INSERT INTO notes_found (rowid, text) SELECT r.id, r.note_key FROM revocations AS r"
        f" WHERE {_NEW_NOTES} AND r.id <= :last ORDER BY r.id"
    ),
}


def _rows_not_indexed(connection: sqlite3.Connection) -> int:
    sql = f"SELECT max(number) - {_INDEXED_SESSIONS} FROM sessions"
    return connection.execute(sql).fetchone()[0] or 0


def remove_sessions(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove sessions from the index, before they are removed or changed."""
    _write(connection, "(sessions_found, rowid, text) SELECT 'delete',", numbers)


def add_sessions(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Add sessions to the index again, after they were changed."""
    _write(connection, "(rowid, text) SELECT", numbers)


def _write(connection: sqlite3.Connection, command: str, numbers: Sequence[int]) -> None:
    """Write sessions up to the last number in the index, in the order of their numbers.

    FTS5 writes out its collected entries whenever a number is smaller than the one before (decision 107).
    """
    sql = (
        f"INSERT INTO sessions_found {command} s.number, {_SESSION_TEXT}"
        f" FROM json_each(?) AS n CROSS JOIN sessions AS s ON s.number = n.value WHERE n.value <= {_INDEXED_SESSIONS}"
    )
    connection.execute(sql, (json.dumps(sorted(numbers)),))


def remove_notes(connection: sqlite3.Connection, condition: str) -> None:
    """Remove the notes of the revocations that meet a condition, before these are removed."""
    sql = (
        "INSERT INTO notes_found (notes_found, rowid, text) SELECT 'delete', id, note_key FROM revocations"
        f" WHERE {condition} AND id <= {_INDEXED_NOTES}"
    )
    connection.execute(sql)


def add_note(connection: sqlite3.Connection, revocation_id: int, note_key: str) -> None:
    """Add the note of a revocation that was open when the index passed its number."""
    sql = f"INSERT INTO notes_found (rowid, text) SELECT :id, :note WHERE :id <= {_INDEXED_NOTES}"
    connection.execute(sql, {"id": revocation_id, "note": note_key})
