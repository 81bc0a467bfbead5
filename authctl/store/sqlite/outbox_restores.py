"""The outbox that a restore carries over: that of the registry that it replaces, with its ids, in the place of the copy's own.

A delivery that is settled there stays settled, and one that is pending there stays pending under its id. Sessions are matched by
id, revocations as `restrictions.py` matched them.

See docs/glossary.md#announcement.
"""

from authctl.store.sqlite.library import sqlite3

_COLUMNS = (
    "id, jti, receiver, receiver_key, event, at, actor, note, txn, username, username_key, list, narrowing, rest,"
    " give_up_after, give_up_at"
)
_STATEMENTS = (
    "DELETE FROM deliveries",
    "DELETE FROM announced_sessions",
    "DELETE FROM announcements",
    "DELETE FROM receiver_pauses",
    # From the beginning again: numbers may be others here. A delivery that is there is not made a second time.
    f"""
    INSERT INTO announcements ({_COLUMNS}, revocation_id, last_number, expanded_to)
    SELECT {_COLUMNS}, iif(t.revocation_id IS NULL, NULL,
        coalesce((SELECT k.new FROM known_revocations AS k WHERE k.old = t.revocation_id), 0)),
        (SELECT coalesce(max(number), 0) FROM sessions), 0
    FROM {{schema}}.announcements AS t
    """,
    """
    INSERT OR IGNORE INTO announced_sessions (list, number)
    SELECT l.list, s.number FROM {schema}.announced_sessions AS l
    CROSS JOIN {schema}.sessions AS t ON t.number = l.number CROSS JOIN sessions AS s ON s.id = t.id
    """,
    """
    INSERT INTO deliveries
        (announcement, number, receiver_key, username_key, state, attempts, next_attempt_at, leased_until, settled_at, reason)
    SELECT d.announcement, iif(d.number = 0, 0, s.number), d.receiver_key, d.username_key, d.state, d.attempts,
        d.next_attempt_at, 0, d.settled_at, d.reason
    FROM {schema}.deliveries AS d LEFT JOIN {schema}.sessions AS t ON t.number = d.number LEFT JOIN sessions AS s ON s.id = t.id
    WHERE d.number = 0 OR s.number IS NOT NULL
    """,
    "INSERT OR REPLACE INTO subscriptions SELECT * FROM {schema}.subscriptions",
)


def carry_outbox(connection: sqlite3.Connection, schema: str) -> None:
    """Carry over the outbox of an attached registry, after its revocations and sessions."""
    # decision 234: deliveries that were settled since the backup are not sent again
    for statement in _STATEMENTS:
        connection.execute(statement.format(schema=schema))
