"""The table of schema 12: clients of the door.

See docs/glossary.md#client.
"""

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
