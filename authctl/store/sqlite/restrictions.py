"""Restrictions that a restore carries over from the registry that it replaces (decision 126).

The copy of the backup is `main`, and the registry that it replaces is attached as `replaced`. Carried over is what keeps
somebody out, and what imports need to know of that; never what lets somebody in. Both may have continued from the same state in
different ways, so that one number may have been given twice: sessions are matched by id, revocations by their content.
"""

from collections.abc import Sequence

from authctl.store.protocol.backups import Carried
from authctl.store.sqlite import search_index
from authctl.store.sqlite.dialect import OPEN
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.outbox_restores import carry_outbox

SCHEMA = "replaced"
"""The name of the attached registry."""

_CONTENT = ("at", "actor", "note", "selector", "everything")
_OF_OWN = ("number", "id", "revocation_id", "ended_at", "ended_reason", "expires_at", "moved_in")
"""The columns of a session that are not simply those of the session that is taken over."""
_SPAN = "created_at = min(s.created_at, t.created_at), last_used_at = max(s.last_used_at, t.last_used_at)"
"""The span of a session that both know: either may have rows that the other does not have, and none of them may lie outside."""

_THERE_OPEN = f"(SELECT id FROM {SCHEMA}.revocations WHERE at IS NULL)"
_IS_OVER = f"(t.revocation_id <> {_THERE_OPEN} OR t.ended_at IS NOT NULL)"
"""Whether a session `t` of the registry that is replaced is revoked or was ended."""
_IS_TAKEN = f"({_IS_OVER} OR t.last_used_at > :at AND t.number IN (SELECT number FROM {SCHEMA}.imported))"
"""Whether it is taken over: it is over, or it is imported and was used ahead of the clock. Were that one lost, then its rows would
make an active session once the clock gets there; so it is taken over, and ended by the restore."""
_END = f"iif({_IS_OVER}, t.ended_at, coalesce(:beforehand, :at))"
_END_REASON = f"iif({_IS_OVER}, t.ended_reason, 'restored')"

_RESTORED_AT = "(s.ended_at = :beforehand AND s.ended_reason = 'restored')"
_BEFOREHAND = f"({_RESTORED_AT} AND s.number NOT IN (SELECT number FROM other_restores))"
"""Whether a session `s` of the copy was ended beforehand by the very restore that is made, so that any other end goes before it."""

# a clock that is behind stands still, so that an earlier restore may have the same instant
_OTHER_RESTORES = f"""
    INSERT INTO other_restores SELECT s.number FROM sessions AS s INDEXED BY sessions_by_end WHERE {_RESTORED_AT}
"""

_NEXT = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) + row_number() OVER (ORDER BY {order})"

_REVOCATIONS = (
    "DROP TABLE IF EXISTS temp.known_revocations",
    "CREATE TEMP TABLE known_revocations (old INTEGER PRIMARY KEY, new INTEGER, is_new INTEGER NOT NULL)",
    # the same operation under the same number, else under the number that an earlier restore gave it
    f"""
    INSERT INTO known_revocations SELECT t.id, coalesce(
        (SELECT r.id FROM revocations AS r WHERE r.id = t.id AND {{same}}),
        (SELECT min(r.id) FROM revocations AS r INDEXED BY revocations_by_time WHERE r.at = t.at AND {{same}})
    ), FALSE FROM {SCHEMA}.revocations AS t WHERE t.at IS NOT NULL
    """,
    # its own number, where that is free or that of the open one
    """
    UPDATE known_revocations SET is_new = TRUE, new = iif(
        EXISTS (SELECT 1 FROM revocations AS r WHERE r.id = old AND r.at IS NOT NULL), NULL, old
    ) WHERE new IS NULL
    """,
    f"""
    UPDATE known_revocations AS k SET new = numbered.id
    FROM (SELECT old, {_NEXT.format(table="revocations", order="old")} AS id FROM known_revocations WHERE new IS NULL) AS numbered
    WHERE k.old = numbered.old
    """,
    f"""
    INSERT INTO revocations (id, {{columns}}) SELECT k.new, {{theirs}}
    FROM known_revocations AS k CROSS JOIN {SCHEMA}.revocations AS t ON t.id = k.old
    WHERE k.is_new AND k.new <> {OPEN} ORDER BY k.new
    """,
)

_CLOSE_OPEN = f"""
    UPDATE revocations SET {{assigned}} FROM known_revocations AS k CROSS JOIN {SCHEMA}.revocations AS t ON t.id = k.old
    WHERE revocations.id = {OPEN} AND k.new = revocations.id RETURNING id
"""
_UNASSIGN = f"""
    UPDATE sessions NOT INDEXED SET revocation_id = {OPEN} WHERE revocation_id = :closed
    AND NOT EXISTS (
        SELECT 1 FROM {SCHEMA}.sessions AS t WHERE t.number = sessions.number AND t.id = sessions.id AND t.revocation_id = :closed
    ) AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.sessions AS t WHERE t.id = sessions.id AND t.revocation_id = :closed)
"""
"""Sessions that named the open revocation and were not revoked when it was closed: they were excepted, or are unknown there."""

_SESSIONS = (
    "DROP TABLE IF EXISTS temp.taken_sessions",
    """
    CREATE TEMP TABLE taken_sessions (
        old INTEGER PRIMARY KEY, new INTEGER, is_new INTEGER NOT NULL, is_renamed INTEGER NOT NULL,
        revocation_id INTEGER NOT NULL, ended_at INTEGER, ended_reason TEXT
    )
    """,
    # sessions that both know: the first revocation wins, and the first end
    f"""
    INSERT INTO taken_sessions SELECT old, new, FALSE, is_renamed, revocation_id, ended_at, ended_reason FROM (
        SELECT t.number AS old, s.number AS new, {{differs}} AS differs, {{is_renamed}} AS is_renamed,
            s.revocation_id AS was_revoked, s.ended_at AS was_ended, s.ended_reason AS was_ended_reason,
            CASE WHEN n.id IS NULL OR (m.at, m.id) < (n.at, n.id) THEN m.id ELSE n.id END AS revocation_id,
            iif({{ends_first}}, {_END}, s.ended_at) AS ended_at,
            iif({{ends_first}}, {_END_REASON}, s.ended_reason) AS ended_reason
        FROM {SCHEMA}.sessions AS t CROSS JOIN sessions AS s ON s.number = coalesce(
            (SELECT same.number FROM sessions AS same WHERE same.number = t.number AND same.id = t.id),
            (SELECT same.number FROM sessions AS same WHERE same.id = t.id)
        ) CROSS JOIN revocations AS m ON m.id = s.revocation_id
        LEFT JOIN known_revocations AS k ON k.old = t.revocation_id LEFT JOIN revocations AS n ON n.id = k.new
        WHERE {_IS_TAKEN}
    ) WHERE differs OR revocation_id <> was_revoked OR (ended_at, ended_reason) IS NOT (was_ended, was_ended_reason)
    """,
    # sessions that the backup does not have, under their own number where that is free
    f"""
    INSERT INTO taken_sessions
    SELECT t.number, iif(EXISTS (SELECT 1 FROM sessions AS s WHERE s.number = t.number), NULL, t.number), TRUE, FALSE,
        coalesce(k.new, {OPEN}), {_END}, {_END_REASON}
    FROM {SCHEMA}.sessions AS t LEFT JOIN known_revocations AS k ON k.old = t.revocation_id
    WHERE {_IS_TAKEN} AND NOT EXISTS (SELECT 1 FROM sessions AS s WHERE s.number = t.number AND s.id = t.id)
    AND NOT EXISTS (SELECT 1 FROM sessions AS s WHERE s.id = t.id)
    """,
    f"""
    UPDATE taken_sessions AS g SET new = numbered.number
    FROM (SELECT old, {_NEXT.format(table="sessions", order="old")} AS number FROM taken_sessions WHERE new IS NULL) AS numbered
    WHERE g.old = numbered.old
    """,
)

_REPLACE = f"""
    UPDATE sessions AS s SET {{assigned}}, {_SPAN}, revocation_id = g.revocation_id, ended_at = g.ended_at, ended_reason = g.ended_reason,
        expires_at = coalesce(g.ended_at, t.expires_at), moved_in = (SELECT moves FROM registry)
    FROM taken_sessions AS g CROSS JOIN {SCHEMA}.sessions AS t ON t.number = g.old WHERE NOT g.is_new AND s.number = g.new
"""
_ADD = f"""
    INSERT INTO sessions ({{columns}}, number, id, revocation_id, ended_at, ended_reason, expires_at, moved_in)
    SELECT {{theirs}}, g.new, t.id, g.revocation_id, g.ended_at, g.ended_reason, coalesce(g.ended_at, t.expires_at),
        (SELECT moves FROM registry)
    FROM taken_sessions AS g CROSS JOIN {SCHEMA}.sessions AS t ON t.number = g.old WHERE g.is_new ORDER BY g.new
"""
_IMPORTED = f"""
    INSERT INTO imported (number, {{columns}}) SELECT s.number, {{theirs}}
    FROM {SCHEMA}.imported AS i CROSS JOIN {SCHEMA}.sessions AS t ON t.number = i.number CROSS JOIN sessions AS s ON s.id = t.id
    WHERE {_IS_TAKEN}
    ON CONFLICT (number) DO UPDATE SET {{excluded}}
"""

_FINALS = (
    f"""
    INSERT INTO imported_finals (key, source_key, created_at, at, without_user)
    SELECT key, source_key, created_at, at, without_user FROM {SCHEMA}.imported_finals WHERE TRUE
    ON CONFLICT (key, source_key, created_at) DO UPDATE SET at = excluded.at, without_user = min(without_user, excluded.without_user)
    WHERE excluded.at > imported_finals.at
    """,
    f"INSERT OR IGNORE INTO imported_ahead (key, at) SELECT key, at FROM {SCHEMA}.imported_ahead",
)
# decision 160: revocations that are carried over did not meet sessions that only the copy has
_FORGET_SAME_ROWS = f"""
    UPDATE imported SET rows_digest = NULL WHERE rows_digest IS NOT NULL
    AND number IN (SELECT number FROM sessions WHERE revocation_id = {OPEN} AND ended_at IS NULL)
"""
_LISTINGS = f"INSERT OR IGNORE INTO complete_listings SELECT * FROM {SCHEMA}.complete_listings"
_IMPORTS_BEGUN = f"""
    SELECT max(seq) FROM (
        SELECT seq FROM main.sqlite_sequence WHERE name = 'imports'
        UNION ALL SELECT seq FROM {SCHEMA}.sqlite_sequence WHERE name = 'imports'
    )
"""
_ROWS = (
    """
    DELETE FROM imported_rows WHERE number IN (SELECT new FROM taken_sessions)
    """,
    f"""
    INSERT INTO imported_rows (number, at, details, created_at, ended_at, ended_reason, listed_at)
    SELECT g.new, i.at, i.details, i.created_at, i.ended_at, i.ended_reason, i.listed_at
    FROM taken_sessions AS g CROSS JOIN {SCHEMA}.imported_rows AS i ON i.number = g.old
    """,
)

_NEWLY_DISABLED = f"""
    SELECT count(*) FROM {SCHEMA}.users AS t LEFT JOIN users AS u USING (username_key)
    WHERE t.disabled_at IS NOT NULL AND coalesce(t.disabled_until > :at, TRUE) AND u.disabled_at IS NULL
"""
_NEW_PASSWORDS = f"""
    SELECT count(*) FROM {SCHEMA}.users AS t LEFT JOIN users AS u USING (username_key)
    WHERE t.password_changed_at > coalesce(u.password_changed_at, t.password_changed_at - 1)
"""
_USER = (
    "username, disabled_at, disabled_by, disabled_note, ended_at, password_changed_at, password_except, disabled_until,"
    " enabled_at, enabled_by"
)
_STAYS_DISABLED = "excluded.disabled_at IS NOT NULL AND coalesce(excluded.disabled_until > :at, TRUE)"
_USERS = f"""
    INSERT INTO users (username_key, {_USER})
    SELECT username_key, {_USER}
    FROM {SCHEMA}.users WHERE TRUE ON CONFLICT (username_key) DO UPDATE SET
    disabled_by = iif({_STAYS_DISABLED}, excluded.disabled_by, disabled_by),
    disabled_note = iif({_STAYS_DISABLED}, excluded.disabled_note, disabled_note),
    disabled_until = iif({_STAYS_DISABLED}, excluded.disabled_until, disabled_until),
    enabled_at = iif({_STAYS_DISABLED}, excluded.enabled_at, enabled_at),
    enabled_by = iif({_STAYS_DISABLED}, excluded.enabled_by, enabled_by),
    disabled_at = iif({_STAYS_DISABLED}, excluded.disabled_at, disabled_at), ended_at = {{ended_at}}, password_changed_at = {{password_changed_at}}
"""

_SECRETS = "secret_hash, secret_at, old_secret_hash, certificate, removed_at"
# decision 253: a backup must not bring back a removed client or a replaced secret
_CLIENTS = (
    # a removed client stays removed, and a secret that was replaced stays refused
    f"""
    UPDATE clients AS c SET ({_SECRETS}) = (t.secret_hash, t.secret_at, t.old_secret_hash, t.certificate, t.removed_at)
    FROM {SCHEMA}.clients AS t WHERE t.client_id = c.client_id AND c.removed_at IS NULL
    AND (t.removed_at IS NOT NULL OR t.secret_at > c.secret_at OR t.old_secret_hash IS NULL)
    """,
    f"""
    INSERT INTO clients ({{columns}}) SELECT {{theirs}} FROM {SCHEMA}.clients AS t
    WHERE t.removed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM clients AS c WHERE c.client_id = t.client_id)
    """,
)

_SAME_EVENT = "(t.id, t.profile, t.started_at) = (c.id, c.profile, c.started_at)"
_CONTINUITY = (
    f"""
    UPDATE continuity AS c SET ends_at = t.ends_at, ended_by = t.ended_by, end_note = t.end_note
    FROM {SCHEMA}.continuity AS t WHERE {_SAME_EVENT} AND t.ends_at < c.ends_at
    """,
    # a cleanup has forgotten it long after it had ended
    f"""
    UPDATE continuity AS c SET ends_at = max(c.started_at, :at), ended_by = 'authctl',
        end_note = 'not known to the registry that was replaced'
    WHERE c.ends_at > :at AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.continuity AS t WHERE {_SAME_EVENT})
    """,
)


def carry_over(connection: sqlite3.Connection, at: int, ended_at: int | None) -> Carried:
    """Carry over all restrictions in the open transaction: see `BackupsChange.carry_over`."""
    execute = connection.execute
    execute("CREATE TEMP TABLE IF NOT EXISTS other_restores (number INTEGER PRIMARY KEY)")
    # Counted before and after: what was carried over is the difference, whoever had revoked or ended it first.
    revoked, ended = _over(connection, ended_at)
    execute(f"UPDATE registry SET moves = max(moves, (SELECT moves FROM {SCHEMA}.registry)) + 1")
    execute(
        f"UPDATE registry SET restored_at = {_later('restored_at', f'(SELECT restored_at FROM {SCHEMA}.registry)')}"
    )
    disabled = execute(_NEWLY_DISABLED, {"at": at}).fetchone()[0]
    passwords = execute(_NEW_PASSWORDS).fetchone()[0]
    latest = {name: _later(f"users.{name}", f"excluded.{name}") for name in ("ended_at", "password_changed_at")}
    execute(_USERS.format(**latest), {"at": at})
    # Revocations first: the sessions that are taken over then name them by the numbers that they have here.
    revocations = _carry_revocations(connection)
    _carry_sessions(connection, at, ended_at)
    keys = sum(execute(sql).rowcount for sql in _FINALS)
    execute(_LISTINGS)
    _go_on_numbering(connection)
    carry_outbox(connection, SCHEMA)
    events = execute(_CONTINUITY[0]).rowcount + execute(_CONTINUITY[1], {"at": at}).rowcount
    columns = _columns(connection, "clients", without=())
    for sql in _CLIENTS:
        execute(sql.format(columns=", ".join(columns), theirs=_listed("t", columns)))
    search_index.extend(connection)
    # The first of two runs: sessions of an earlier restore at the same instant are noted, so that the second run can tell
    # them from those that the first one ended.
    if ended_at is None:
        execute(_OTHER_RESTORES, {"beforehand": at})
        execute(_FORGET_SAME_ROWS)
    now_revoked, now_ended = _over(connection, ended_at)
    return Carried(disabled, passwords, revocations, now_revoked - revoked, now_ended - ended, events, keys)


def _over(connection: sqlite3.Connection, ended_at: int | None) -> tuple[int, int]:
    """How many sessions of the copy are revoked, and how many were ended otherwise than beforehand."""
    revoked = f"SELECT count(*) FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id <> {OPEN}"
    ended = (
        "SELECT count(*) FROM sessions AS s INDEXED BY sessions_by_end"
        f" WHERE s.ended_at IS NOT NULL AND {_BEFOREHAND} IS NOT TRUE"
    )
    count = connection.execute(ended, {"beforehand": ended_at}).fetchone()[0]
    return connection.execute(revoked).fetchone()[0], count


def _carry_revocations(connection: sqlite3.Connection) -> int:
    """Take over the revocations that are not in the copy; how many these were."""
    columns = _columns(connection, "revocations", without=("id",))
    same = f"{_row('r', _CONTENT)} IS {_row('t', _CONTENT)}"
    words = {"same": same, "columns": ", ".join(columns), "theirs": _listed("t", columns)}
    for sql in _REVOCATIONS:
        connection.execute(sql.format(**words))
    # The open revocation of the copy was closed there: all sessions of the copy name it, and would all be revoked. Those
    # that are not revoked there are moved to the new open one.
    for (closed,) in connection.execute(_CLOSE_OPEN.format(assigned=_assigned("t", columns))).fetchall():
        connection.execute("INSERT INTO revocations (at) VALUES (NULL)")
        connection.execute(_UNASSIGN, {"closed": closed})
    new = connection.execute(
        "SELECT k.new, r.note_key FROM known_revocations AS k JOIN revocations AS r ON r.id = k.new WHERE k.is_new ORDER BY k.new"
    ).fetchall()
    for revocation_id, note_key in new:
        search_index.add_note(connection, revocation_id, note_key)
    return len(new)


def _carry_sessions(connection: sqlite3.Connection, at: int, ended_at: int | None) -> None:
    """Take over the sessions that are revoked or ended, or ahead of the clock, with the data of imports about them."""
    columns = _columns(connection, "sessions", without=_OF_OWN)
    words = {
        "differs": f"{_row('s', columns)} IS NOT {_row('t', columns)}",
        "is_renamed": f"{_row('s', search_index.INDEXED)} IS NOT {_row('t', search_index.INDEXED)}",
        # With no end in the copy, any end is earlier: the comparison is with one microsecond more than itself.
        "ends_first": f"({_BEFOREHAND} OR {_END} < coalesce(s.ended_at, {_END} + 1))",
    }
    given = {"at": at, "beforehand": ended_at}
    for sql in _SESSIONS:
        connection.execute(sql.format(**words), given)
    renamed = _numbers(connection, "is_renamed")
    # decision 92: the index stores no text, so that it has to be given the old one before the row changes
    search_index.remove_sessions(connection, renamed)
    # These two are joined from both sides by _SPAN, and not simply replaced.
    replaced = [name for name in columns if name not in ("created_at", "last_used_at")]
    connection.execute(_REPLACE.format(assigned=_assigned("t", replaced)))
    connection.execute(_ADD.format(columns=", ".join(columns), theirs=_listed("t", columns)))
    search_index.add_sessions(connection, renamed + _numbers(connection, "is_new"))
    columns = _columns(connection, "imported", without=("number",))
    listed = {"columns": ", ".join(columns), "theirs": _listed("i", columns)}
    connection.execute(_IMPORTED.format(**listed, excluded=_assigned("excluded", columns)), given)
    for sql in _ROWS:
        connection.execute(sql)


def _go_on_numbering(connection: sqlite3.Connection) -> None:
    """Give no later import the number of one of the registry that is replaced: its complete listings carry that number."""
    # decision 152: complete listings are carried over with the number of their import
    (latest,) = connection.execute(_IMPORTS_BEGUN).fetchone()
    if latest is not None:
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'imports'")
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('imports', ?)", (latest,))


def _columns(connection: sqlite3.Connection, table: str, *, without: Sequence[str]) -> list[str]:
    """The columns of a table, some apart: a column that a later schema adds is carried over with its row."""
    names = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
    return [name for (name,) in names if name not in without]


def _numbers(connection: sqlite3.Connection, condition: str) -> list[int]:
    """The numbers in the copy of the sessions that are taken over and meet a condition."""
    return [number for (number,) in connection.execute(f"SELECT new FROM taken_sessions WHERE {condition}")]


def _listed(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in columns)


def _row(table: str, columns: Sequence[str]) -> str:
    return f"({_listed(table, columns)})"


def _assigned(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{name} = {table}.{name}" for name in columns)


def _later(first: str, second: str) -> str:
    """The SQL for the later of two instants, either of which may be missing: max() of NULL would be NULL."""
    return f"max(coalesce({first}, {second}), coalesce({second}, {first}))"
