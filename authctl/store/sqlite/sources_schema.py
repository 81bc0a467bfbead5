"""The tables and columns of schema 9: sources of imported sessions, complete listings, and imports that can be taken back.

See docs/glossary.md#complete-listing and docs/glossary.md#source.
"""

from authctl.store.sql.tables import ANY_CREATION

SOURCES = (
    # the system that an imported session lives in, and its id there
    "ALTER TABLE sessions ADD COLUMN source TEXT",
    "ALTER TABLE sessions ADD COLUMN source_key TEXT",
    "ALTER TABLE sessions ADD COLUMN source_id TEXT",
    "ALTER TABLE sessions ADD COLUMN source_id_key TEXT",
    "ALTER TABLE sessions ADD COLUMN used_after_end_at INTEGER",
    "CREATE INDEX sessions_by_source ON sessions (source_key, revocation_id) WHERE source_key IS NOT NULL",
    "CREATE INDEX sessions_used_after_end ON sessions (number) WHERE used_after_end_at IS NOT NULL",
    # a session is its key and, where its source gives it, the instant of its creation
    "ALTER TABLE imported ADD COLUMN created_by_source INTEGER NOT NULL DEFAULT 0 CHECK (created_by_source IN (0, 1))",
    "ALTER TABLE imported ADD COLUMN listed_at INTEGER",
    "ALTER TABLE imported ADD COLUMN source_ended_at INTEGER",
    "ALTER TABLE imported ADD COLUMN source_ended_reason TEXT",
    # the digest of the rows that a session was made of, if they came in one import: the same rows again change nothing
    "ALTER TABLE imported ADD COLUMN rows_digest BLOB",
    """
    CREATE TABLE finals (
        key BLOB NOT NULL,
        source_key TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        at INTEGER NOT NULL,
        without_user INTEGER NOT NULL CHECK (without_user IN (0, 1)),
        PRIMARY KEY (key, source_key, created_at)
    ) STRICT, WITHOUT ROWID
    """,
    f"INSERT INTO finals SELECT key, '', {ANY_CREATION}, at, without_user FROM imported_finals",
    "DROP TABLE imported_finals",
    "ALTER TABLE finals RENAME TO imported_finals",
    # rows of keys whose source gives ends and no creation: a later end parts them
    """
    CREATE TABLE imported_rows (
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        details TEXT NOT NULL,
        created_at INTEGER,
        ended_at INTEGER,
        ended_reason TEXT,
        listed_at INTEGER
    ) STRICT
    """,
    "CREATE INDEX imported_rows_by_number ON imported_rows (number)",
    # complete listings: a session of that source that was not listed later has ended
    """
    CREATE TABLE complete_listings (
        source_key TEXT NOT NULL,
        username_key TEXT NOT NULL,
        taken_at INTEGER NOT NULL,
        import_id INTEGER NOT NULL,
        PRIMARY KEY (source_key, username_key, taken_at)
    ) STRICT, WITHOUT ROWID
    """,
    # the import that registered a session, or changed it last
    "ALTER TABLE imported ADD COLUMN import_id INTEGER",
    """
    CREATE TABLE imports (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        source TEXT,
        source_key TEXT,
        detail TEXT NOT NULL,
        finished_at INTEGER,
        journal TEXT NOT NULL DEFAULT 'whole' CHECK (journal IN ('whole', 'dropped', 'none')),
        undo_begun_at INTEGER,
        undone_at INTEGER,
        undone_by TEXT,
        undone_note TEXT,
        undo_counts TEXT,
        CHECK ((undo_begun_at IS NULL) = (undone_note IS NULL)),
        CHECK ((undo_begun_at IS NULL) = (undone_by IS NULL))
    ) STRICT
    """,
    # the journal of an import, a row for each of its transactions: the range of numbers that it registered, and the counters by
    # which a later undo finds out whether a session was moved or revoked since
    """
    CREATE TABLE import_batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        import_id INTEGER NOT NULL,
        at INTEGER NOT NULL,
        move INTEGER NOT NULL,
        open_revocation INTEGER NOT NULL,
        last_revocation INTEGER NOT NULL,
        first INTEGER,
        last INTEGER,
        columns TEXT,
        listed TEXT
    ) STRICT
    """,
    "CREATE INDEX import_batches_by_range ON import_batches (import_id, last)",
    # the sessions that it changed, as they were before, with the transaction that changed them last; no transaction where something
    # else changed them in between
    """
    CREATE TABLE import_changes (
        import_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        batch INTEGER,
        before TEXT NOT NULL,
        PRIMARY KEY (import_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    # the finals without a source that it gave one, with the instant of the final of that source before
    """
    CREATE TABLE import_finals (
        import_id INTEGER NOT NULL,
        key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        at INTEGER NOT NULL,
        without_user INTEGER NOT NULL,
        at_of_source INTEGER,
        PRIMARY KEY (import_id, key, created_at)
    ) STRICT, WITHOUT ROWID
    """,
)
