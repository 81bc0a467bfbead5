"""The SQLite schema, as migrations: plain CREATE and ALTER, each applied once and recorded.

The design behind the tables: status is never stored; every session names the revocation that
ends it, and exactly one revocation is open (no instant, no note), which all others name. So revoking
everything closes one row, and "not revoked" is an equality that leads an index.

sqlite-utils keeps the list of migrations and the table of those that were applied, finds the pending ones and applies them
in order; each runs in a savepoint of the transaction below, together with its record. No other module uses it. Imports
insert by `executemany`, because `insert_all` took three times as long (decision 98); and a command imports this module only
when it creates or upgrades a registry, because the import of sqlite-utils takes 82 ms of processor time, where Python with
sqlite3 takes 24 ms.

See docs/glossary.md#open-revocation.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from authctl.store.sqlite.later_schema import CHANGEOVER, CLIENTS, DISABLED_UNTIL, MOVES
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.outbox_schema import OUTBOX
from authctl.store.sqlite.registry_file import SCHEMA_VERSION
from authctl.store.sqlite.sources_schema import SOURCES

migrations = Migrations("authctl")

_TABLES = (
    """
    CREATE TABLE registry (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id TEXT NOT NULL,
        profiles TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE revocations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER,
        actor TEXT,
        note TEXT,
        note_key TEXT,
        selector TEXT,
        everything INTEGER NOT NULL DEFAULT 0 CHECK (everything IN (0, 1)),
        CHECK ((at IS NULL) = (note IS NULL)),
        CHECK ((at IS NULL) = (actor IS NULL))
    ) STRICT
    """,
    "CREATE UNIQUE INDEX revocations_open ON revocations ((at IS NULL)) WHERE at IS NULL",
    "CREATE UNIQUE INDEX revocations_by_time ON revocations (at, id)",
    """
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE CHECK (length(id) = 16),
        username TEXT NOT NULL,
        username_key TEXT NOT NULL,
        application TEXT,
        application_key TEXT,
        application_version TEXT,
        platform TEXT,
        platform_key TEXT,
        device TEXT,
        device_key TEXT,
        ip TEXT,
        user_agent TEXT,
        kind TEXT NOT NULL CHECK (kind IN ('application', 'web')),
        profile TEXT NOT NULL,
        profile_key TEXT NOT NULL,
        signed_in_with TEXT,
        referrer TEXT,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        slid_at INTEGER NOT NULL,
        use_due_at INTEGER NOT NULL,
        idle_expires_at INTEGER NOT NULL,
        absolute_expires_at INTEGER NOT NULL,
        fixed_expires_at INTEGER,
        expires_at INTEGER NOT NULL,
        ended_at INTEGER,
        ended_reason TEXT,
        secret_hash BLOB CHECK (length(secret_hash) = 32),
        generation INTEGER NOT NULL DEFAULT 0,
        key_id TEXT,
        revocation_id INTEGER NOT NULL,
        CHECK ((ended_at IS NULL) = (ended_reason IS NULL)),
        CHECK (created_at <= last_used_at)
    ) STRICT
    """,
    "CREATE INDEX sessions_by_user ON sessions (username_key, last_used_at)",
    "CREATE INDEX sessions_by_use ON sessions (kind, last_used_at)",
    "CREATE INDEX sessions_by_revocation ON sessions (revocation_id, kind, last_used_at)",
    "CREATE INDEX sessions_by_expiry ON sessions (revocation_id, kind, expires_at)",
    "CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE imported (
        number INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        said_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX imported_by_key ON imported (key)",
    """
    CREATE TABLE imported_finals (
        key BLOB PRIMARY KEY,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE audit_events (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT,
        note TEXT,
        detail TEXT NOT NULL,
        prev_hash TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX audit_events_by_subject ON audit_events (subject) WHERE subject IS NOT NULL",
    """
    CREATE TRIGGER audit_events_next BEFORE INSERT ON audit_events
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_events)
    BEGIN SELECT RAISE(ABORT, 'the audit log takes only its next event'); END
    """,
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    "INSERT INTO revocations (at) VALUES (NULL)",
)


_LIFETIMES = (
    """
    ALTER TABLE sessions ADD COLUMN tokens TEXT NOT NULL DEFAULT 'single'
        CHECK (tokens IN ('single', 'pair', 'requested'))
    """,
    "ALTER TABLE sessions ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1))",
    "ALTER TABLE sessions ADD COLUMN bound_to TEXT CHECK (bound_to IN ('address', 'referrer'))",
    "ALTER TABLE sessions ADD COLUMN refreshed_at INTEGER",
    "ALTER TABLE sessions ADD COLUMN access_expires_at INTEGER",
    """
    CREATE TABLE users (
        username_key TEXT PRIMARY KEY,
        username TEXT NOT NULL,
        disabled_at INTEGER,
        disabled_by TEXT,
        disabled_note TEXT,
        ended_at INTEGER,
        password_changed_at INTEGER,
        CHECK ((disabled_at IS NULL) = (disabled_note IS NULL)),
        CHECK ((disabled_at IS NULL) = (disabled_by IS NULL))
    ) STRICT, WITHOUT ROWID
    """,
)


_OUTAGES = (
    """
    CREATE TABLE continuity (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        profile TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        note TEXT NOT NULL,
        ended_by TEXT,
        end_note TEXT,
        CHECK (started_at <= ends_at),
        CHECK ((ended_by IS NULL) = (end_note IS NULL))
    ) STRICT
    """,
)


_CONTACT = (
    "ALTER TABLE sessions ADD COLUMN conditioned INTEGER NOT NULL DEFAULT 0 CHECK (conditioned IN (0, 1))",
    "ALTER TABLE sessions ADD COLUMN wipes INTEGER NOT NULL DEFAULT 0 CHECK (wipes IN (0, 1))",
    "ALTER TABLE sessions ADD COLUMN wipe_delivered_at INTEGER",
    "ALTER TABLE sessions ADD COLUMN wipe_acknowledged_at INTEGER",
    """
    CREATE TABLE cached_logins (
        profile_key TEXT NOT NULL,
        username_key TEXT NOT NULL,
        username TEXT NOT NULL,
        profile TEXT NOT NULL,
        authenticator TEXT NOT NULL,
        authenticated_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        key_id TEXT NOT NULL,
        salt BLOB NOT NULL CHECK (length(salt) = 16),
        verifier BLOB NOT NULL CHECK (length(verifier) = 32),
        PRIMARY KEY (profile_key, username_key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX cached_logins_by_use ON cached_logins (profile_key, last_used_at)",
    "DROP INDEX sessions_by_expiry",
    "CREATE INDEX sessions_by_expiry ON sessions (revocation_id, kind, profile_key, expires_at)",
)


_TRUST = (
    """
    CREATE TABLE clock (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        seen_at INTEGER NOT NULL,
        leapt_at INTEGER
    ) STRICT
    """,
    # the latest event is the best that an older registry knows about the time
    "INSERT INTO clock SELECT 1, coalesce(max(at), 0), NULL FROM audit_events",
)


_SEARCH = (
    """
    CREATE TABLE search_index (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        sessions INTEGER NOT NULL,
        revocations INTEGER NOT NULL
    ) STRICT
    """,
    "INSERT INTO search_index VALUES (1, 0, 0)",
    *(
        f"CREATE VIRTUAL TABLE {name} USING fts5"
        "(text, content='', tokenize='trigram case_sensitive 1', detail=none, columnsize=0)"
        for name in ("sessions_found", "notes_found")
    ),
)


_EXACTLY_WHO = (
    # revocations by criteria bind rows that imports bring later; none of them is ever removed
    "ALTER TABLE revocations ADD COLUMN by_criteria INTEGER NOT NULL DEFAULT 0 CHECK (by_criteria IN (0, 1))",
    "ALTER TABLE revocations ADD COLUMN last_number INTEGER",
    "ALTER TABLE revocations ADD COLUMN profiles TEXT",
    """
    UPDATE revocations SET by_criteria = 1 WHERE at IS NOT NULL AND (everything OR json_valid(selector) AND selector <> '{}'
        AND (SELECT count(*) FROM json_each(selector) WHERE key IN ('ids', 'wipe', 'key_id')) = 0)
    """,
    """
    UPDATE revocations AS r SET profiles = (
        SELECT json_extract(e.detail, '$.in_force') FROM audit_events AS e
        WHERE e.action IN ('registry.init', 'profile.apply') AND e.at <= r.at ORDER BY e.seq DESC LIMIT 1
    ) WHERE by_criteria AND json_extract(selector, '$.profile') IS NOT NULL
    """,
    "CREATE INDEX revocations_by_criteria ON revocations (id) WHERE by_criteria",
    # the key of an import's rows without the user, by which a session is known whose user was renamed
    "ALTER TABLE imported ADD COLUMN key_without_user BLOB",
    "ALTER TABLE imported ADD COLUMN profile_named INTEGER NOT NULL DEFAULT 0 CHECK (profile_named IN (0, 1))",
    "ALTER TABLE imported_finals ADD COLUMN without_user INTEGER NOT NULL DEFAULT 0 CHECK (without_user IN (0, 1))",
    "CREATE INDEX imported_by_key_without_user ON imported (key_without_user) WHERE key_without_user IS NOT NULL",
    # every session from before the last restore, or the last acceptance of a chain, has ended
    "ALTER TABLE registry ADD COLUMN restored_at INTEGER",
    "UPDATE registry SET restored_at = (SELECT max(at) FROM audit_events WHERE action IN ('registry.restore', 'audit.accept'))",
    # the number of the change that last moved a session within a list, uses apart: pages find again what was moved
    "ALTER TABLE registry ADD COLUMN moves INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE sessions ADD COLUMN moved_in INTEGER",
    "CREATE INDEX sessions_by_move ON sessions (moved_in) WHERE moved_in IS NOT NULL",
)

_ROWS_AHEAD = (
    # rows ahead of the clock that changed nothing: they change nothing when the clock gets there, either
    "CREATE TABLE imported_ahead (key BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, at)) STRICT, WITHOUT ROWID",
    # names that say what they are
    "ALTER TABLE sessions RENAME COLUMN conditioned TO has_conditions",
    "ALTER TABLE sessions RENAME COLUMN wipes TO wipe_on_revoke",
)


@migrations()
def founding(db: Database) -> None:
    """Sessions, revocations, the audit log, and the data that imports keep."""
    for statement in _TABLES:
        db.conn.execute(statement)


@migrations()
def lifetimes(db: Database) -> None:
    """Token pairs, requested lifetimes, bound and sealed tokens, and users."""
    for statement in _LIFETIMES:
        db.conn.execute(statement)


@migrations()
def outages(db: Database) -> None:
    """Continuity events."""
    for statement in _OUTAGES:
        db.conn.execute(statement)


@migrations()
def contact(db: Database) -> None:
    """Orders to wipe, conditions, the authentication cache, and expiry by profile, as profiles and continuity judge it."""
    for statement in _CONTACT:
        db.conn.execute(statement)


@migrations()
def trust(db: Database) -> None:
    """The latest instant that was recorded; of an older registry, the latest one of its audit log."""
    for statement in _TRUST:
        db.conn.execute(statement)


@migrations()
def search(db: Database) -> None:
    """Trigrams of sessions and of notes; the texts of an older registry are added like new ones, and by the next cleanup."""
    for statement in _SEARCH:
        db.conn.execute(statement)


@migrations()
def exactly_who(db: Database) -> None:
    """The columns for revocations by criteria that bind later imports, keys with the user, restores, and sessions that moved in a list."""
    for statement in _EXACTLY_WHO:
        db.conn.execute(statement)


@migrations()
def rows_ahead(db: Database) -> None:
    """Rows of imports that were ahead of the clock, each by itself; plainer names for two columns of sessions."""
    for statement in _ROWS_AHEAD:
        db.conn.execute(statement)


@migrations()
def sources(db: Database) -> None:
    """Sources of imported sessions, their ends there, complete listings, and imports that can be undone."""
    for statement in SOURCES:
        db.conn.execute(statement)


@migrations()
def changeover(db: Database) -> None:
    """The state of new profiles that have not reached all sessions yet."""
    for statement in CHANGEOVER:
        db.conn.execute(statement)


@migrations()
def disabled_until(db: Database) -> None:
    """Users who are disabled until an instant, and the sessions that a changed password spared."""
    for statement in DISABLED_UNTIL:
        db.conn.execute(statement)


@migrations()
def clients(db: Database) -> None:
    """Clients of the door."""
    for statement in CLIENTS:
        db.conn.execute(statement)


@migrations()
def outbox(db: Database) -> None:
    """Announcements to other systems, and the deliveries that they are expanded to."""
    for statement in OUTBOX:
        db.conn.execute(statement)


@migrations()
def moves(db: Database) -> None:
    """Where a registry was moved to, is being moved to, or comes from."""
    for statement in MOVES:
        db.conn.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the pending migrations, in one transaction that excludes every other writer."""
    connection.execute("PRAGMA synchronous = FULL")
    # Plugins of sqlite-utils that happen to be installed must not change the registry.
    database = Database(connection, execute_plugins=False)
    # All steps in one transaction: a process that is killed leaves the older schema whole, and the next one begins again.
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(database)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself, for example on a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
