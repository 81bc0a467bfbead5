"""The search index: trigrams of what sessions say and of the notes of revocations, by SQLite's FTS5.

The index names candidates, the text itself decides. It is written in batches and may lag behind the tables: what is newer than
its mark is read as it stands, so that a search is honest at any moment. It keeps no text of its own, so that whoever removes or
changes a row takes it out of the index by what it said.
"""

import json
import sqlite3
from collections.abc import Sequence

_BATCH = 256
_MOST_INDEXED = 4_000
FEW = 10_000
"""How many sessions are sorted rather than walked to."""

_TRIGRAM = 3
_PROBED = 12
_PROBES = (256, 2_048)
"""How far those who have a trigram are counted, at first and at last; how far their numbers reach by then says how many there are."""
_TOGETHER = 4
_AS_RARE = 8
"""How many times as often as the rarest a trigram may be that is asked for beside it."""

INDEXED = ("username_key", "application_key", "device_key", "platform_key", "ip")
"""The columns of a session that the index is made of."""

# No folded text has a full-width bar, which parts the fields: nothing is found across two of them.
_FIELDS = ("s.username_key", "s.application_key", "s.device_key", "s.platform_key", "lower(s.ip)")
_SESSION_TEXT = " || char(0xFF5C) || ".join(f"coalesce({field}, '')" for field in _FIELDS)
SAYS = " OR ".join(f"instr({field}, :search)" for field in _FIELDS)
"""Whether a session `s` itself has the searched text."""

_INDEXED_SESSIONS = "(SELECT sessions FROM search_index)"
_INDEXED_NOTES = "(SELECT revocations FROM search_index)"
_NEW_SESSIONS = f"s.number > {_INDEXED_SESSIONS}"
_NEW_NOTES = f"r.id > {_INDEXED_NOTES} AND r.at IS NOT NULL"
_MARKS = {"sessions_found": "sessions", "notes_found": "revocations"}
_COVERED = "CROSS JOIN sessions AS s INDEXED BY sessions_by_revocation ON s.revocation_id = r.id"

_FOUND = {
    "sessions_found": (
        f"""
        SELECT number FROM (SELECT s.number FROM sessions_found AS f CROSS JOIN sessions AS s ON s.number = f.rowid
        WHERE f.sessions_found MATCH :trigrams AND ({SAYS}) LIMIT :most)
        """,
        f"SELECT s.number FROM sessions AS s WHERE {_NEW_SESSIONS} AND ({SAYS})",
    ),
    "notes_found": (
        f"""
        SELECT number FROM (SELECT s.number FROM notes_found AS f CROSS JOIN revocations AS r ON r.id = f.rowid
        {_COVERED} WHERE f.notes_found MATCH :trigrams AND instr(r.note_key, :search) LIMIT :most)
        """,
        f"""
        SELECT number FROM (SELECT s.number FROM revocations AS r {_COVERED}
        WHERE {_NEW_NOTES} AND instr(r.note_key, :search) LIMIT :most)
        """,
    ),
}


def found(connection: sqlite3.Connection, text: str) -> tuple[int, ...] | None:
    """The numbers of the sessions that have a folded text, or whose note has it; of more than `FEW`, some.

    None where the index is of no help: the text is shorter than a trigram, or the index lags too far behind.
    """
    if len(text) < _TRIGRAM or _lag(connection) > _MOST_INDEXED:
        return None
    numbers: set[int] = set()
    parameters: dict[str, object] = {"search": text, "most": FEW + 1}
    for table, queries in _FOUND.items():
        parameters["trigrams"] = " AND ".join(map(_quoted, _rarest(connection, table, text)))
        for sql in queries:
            numbers.update(row[0] for row in connection.execute(sql, parameters))
            if len(numbers) > FEW:
                return tuple(numbers)
    return tuple(numbers)


def _rarest(connection: sqlite3.Connection, table: str, text: str) -> list[str]:
    """The rarest trigram of a text, as far as a few looks can tell, with some that are nearly as rare: to go through the lists of
    what many have costs more than looking closer at what few have."""
    every = list(dict.fromkeys(text[start : start + _TRIGRAM] for start in range(len(text) - _TRIGRAM + 1)))
    some = every[:: -(-len(every) // _PROBED)]
    sql = f"SELECT count(*), max(rowid) FROM (SELECT rowid FROM {table} WHERE {table} MATCH ? LIMIT ?)"
    last = connection.execute(f"SELECT {_MARKS[table]} FROM search_index").fetchone()[0]
    often: dict[str, float] = {}
    for limit in _PROBES:
        for part in some:
            count, reached = connection.execute(sql, (_quoted(part), limit)).fetchone()
            often[part] = count if count < limit else count * last / reached
        if min(often.values()) < limit:
            break
    ranked = sorted(some, key=often.__getitem__)
    return [part for part in ranked[:_TOGETHER] if often[part] <= _AS_RARE * often[ranked[0]]]


def _quoted(part: str) -> str:
    return '"{}"'.format(part.replace('"', '""'))


def catch_up(connection: sqlite3.Connection) -> int:
    """Put the next sessions and notes into the index that it does not have; how many these were."""
    done = 0
    for table, sql in _ADDED.items():
        last = connection.execute(_LAST[table], {"most": _MOST_INDEXED}).fetchone()[0]
        if last is not None:
            done += connection.execute(sql, {"last": last}).rowcount
            connection.execute(f"UPDATE search_index SET {table} = ?", (last,))
    return done


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


def _lag(connection: sqlite3.Connection) -> int:
    sql = f"SELECT max(number) - {_INDEXED_SESSIONS} FROM sessions"
    return connection.execute(sql).fetchone()[0] or 0


def take_out(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Take sessions out of the index, before they are removed or changed."""
    _write(connection, "(sessions_found, rowid, text) SELECT 'delete',", numbers)


def put_back(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Put sessions into the index again, after they were changed."""
    _write(connection, "(rowid, text) SELECT", numbers)


def _write(connection: sqlite3.Connection, command: str, numbers: Sequence[int]) -> None:
    """Write sessions that the index has passed, in the order of their numbers: whenever one is smaller than the one before,
    FTS5 writes out what it has gathered."""
    sql = (
        f"INSERT INTO sessions_found {command} s.number, {_SESSION_TEXT}"
        f" FROM json_each(?) AS n CROSS JOIN sessions AS s ON s.number = n.value WHERE s.number <= {_INDEXED_SESSIONS}"
    )
    connection.execute(sql, (json.dumps(sorted(numbers)),))


def take_out_notes(connection: sqlite3.Connection, condition: str) -> None:
    """Take the notes of the revocations that meet a condition out of the index, before they are removed."""
    sql = (
        "INSERT INTO notes_found (notes_found, rowid, text) SELECT 'delete', id, note_key FROM revocations"
        f" WHERE {condition} AND id <= {_INDEXED_NOTES}"
    )
    connection.execute(sql)


def put_note(connection: sqlite3.Connection, revocation_id: int, note_key: str) -> None:
    """Put the note of a revocation into the index that was open when the index passed it."""
    sql = f"INSERT INTO notes_found (rowid, text) SELECT :id, :note WHERE :id <= {_INDEXED_NOTES}"
    connection.execute(sql, {"id": revocation_id, "note": note_key})


def settle(connection: sqlite3.Connection, number: int) -> None:
    """Bring the index up to a session or a revocation of that number, if it is one to do so at."""
    if number % _BATCH == 0:
        catch_up(connection)
