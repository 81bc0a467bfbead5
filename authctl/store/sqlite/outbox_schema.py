"""The tables of the outbox, schema 13.

See docs/glossary.md#announcement.
"""

OUTBOX = (
    # the subscriptions of receivers.yaml as a decision read them last: a revocation does not parse the file
    """
    CREATE TABLE subscriptions (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        digest BLOB NOT NULL,
        content TEXT NOT NULL
    ) STRICT
    """,
    # one row a receiver for each decision, whatever it covers: the sessions of a revocation up to `last_number`, or a list
    """
    CREATE TABLE announcements (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        jti TEXT NOT NULL UNIQUE,
        receiver TEXT NOT NULL,
        receiver_key TEXT NOT NULL,
        event TEXT NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        note TEXT,
        txn INTEGER NOT NULL,
        username TEXT,
        username_key TEXT,
        revocation_id INTEGER,
        list INTEGER,
        narrowing TEXT NOT NULL,
        last_number INTEGER NOT NULL,
        expanded_to INTEGER NOT NULL DEFAULT 0,
        rest TEXT NOT NULL DEFAULT 'pending' CHECK (rest IN ('pending', 'none', 'dropped', 'dead')),
        give_up_after INTEGER NOT NULL,
        give_up_at INTEGER NOT NULL,
        CHECK ((username IS NOT NULL) + (revocation_id IS NOT NULL) + (list IS NOT NULL) = 1)
    ) STRICT
    """,
    "CREATE INDEX announcements_pending ON announcements (receiver_key, id) WHERE rest = 'pending'",
    "CREATE INDEX announcements_by_age ON announcements (give_up_at)",
    "CREATE INDEX announcements_by_revocation ON announcements (revocation_id) WHERE revocation_id IS NOT NULL",
    "CREATE INDEX announcements_by_list ON announcements (list) WHERE list IS NOT NULL",
    # the sessions of a list, which the announcements of one decision share
    """
    CREATE TABLE announced_sessions (
        list INTEGER NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (list, number)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX announced_sessions_by_number ON announced_sessions (number)",
    # number 0: an event of a user
    """
    CREATE TABLE deliveries (
        announcement INTEGER NOT NULL,
        number INTEGER NOT NULL,
        receiver_key TEXT NOT NULL,
        username_key TEXT,
        state TEXT NOT NULL DEFAULT 'pending'
            CHECK (state IN ('pending', 'delivered', 'gone', 'refused', 'dropped', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        next_attempt_at INTEGER NOT NULL,
        leased_until INTEGER NOT NULL DEFAULT 0,
        settled_at INTEGER,
        reason TEXT,
        PRIMARY KEY (announcement, number),
        CHECK ((number = 0) = (username_key IS NOT NULL)),
        CHECK ((state = 'pending') = (settled_at IS NULL))
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX deliveries_due ON deliveries (receiver_key, next_attempt_at, announcement, number) WHERE state = 'pending'",
    "CREATE INDEX deliveries_pending ON deliveries (announcement) WHERE state = 'pending'",
    "CREATE INDEX deliveries_by_session ON deliveries (number, announcement) WHERE number > 0",
    "CREATE INDEX deliveries_by_user ON deliveries (username_key, announcement) WHERE number = 0",
    "CREATE INDEX deliveries_unsuccessful ON deliveries (state, receiver_key) WHERE state IN ('refused', 'dead')",
    """
    CREATE TABLE receiver_pauses (
        receiver_key TEXT PRIMARY KEY,
        until INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)
