"""The tables and columns of schemas 10, 11, 12 and 14: changeovers, users who are disabled until an instant, clients of the door, and moves.

See docs/glossary.md#client.
"""

CHANGEOVER = (
    # one row while new profiles have not reached all sessions: which ones they have reached, and the counts of these
    """
    CREATE TABLE changeover (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        before TEXT NOT NULL,
        stages TEXT NOT NULL,
        stage INTEGER NOT NULL,
        done INTEGER NOT NULL,
        last INTEGER NOT NULL,
        event INTEGER NOT NULL,
        shortened INTEGER NOT NULL,
        lengthened INTEGER NOT NULL,
        ended INTEGER NOT NULL
    ) STRICT
    """,
)

DISABLED_UNTIL = (
    "ALTER TABLE users ADD COLUMN password_except TEXT",
    "ALTER TABLE users ADD COLUMN disabled_until INTEGER",
    "ALTER TABLE users ADD COLUMN enabled_at INTEGER",
    "ALTER TABLE users ADD COLUMN enabled_by TEXT",
    # the ends of disablings that no audit event has yet
    "CREATE INDEX users_by_disabled_until ON users (disabled_until) WHERE disabled_until IS NOT NULL AND enabled_at IS NULL",
)

CLIENTS = (
    # clients of the door; a removed one stays without its secrets, so that a restore does not bring it back
    """
    CREATE TABLE clients (
        client_id TEXT PRIMARY KEY,
        name_key TEXT NOT NULL,
        name TEXT NOT NULL,
        may TEXT NOT NULL,
        applications TEXT NOT NULL,
        cache_for INTEGER NOT NULL,
        lag INTEGER NOT NULL,
        facts INTEGER NOT NULL CHECK (facts IN (0, 1)),
        revoke_note TEXT,
        certificate TEXT,
        created_at INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        secret_hash BLOB NOT NULL,
        secret_at INTEGER NOT NULL,
        old_secret_hash BLOB,
        removed_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX clients_by_name ON clients (name_key) WHERE removed_at IS NULL",
)

MOVES = (
    # the place where the registry is now, the one to which it is being moved, and the one from which it is arriving
    "ALTER TABLE registry ADD COLUMN moved_to TEXT",
    "ALTER TABLE registry ADD COLUMN moving_to TEXT",
    "ALTER TABLE registry ADD COLUMN arriving_from TEXT",
)
