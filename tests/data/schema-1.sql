PRAGMA application_id = 1633907761;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'authctl','founding','2026-11-25 10:51:47.350605+00:00');
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
    ;
INSERT INTO "audit_events" VALUES(1,1795603907353696,'founder','registry.init','fde9a02c721f472b',NULL,'{"in_force":{"assignments":[],"default_profile":"default","profiles":{"day":{"absolute_timeout":"365000d","description":null,"idle_timeout":"never"},"default":{"absolute_timeout":"never","description":"As schema 1 had it","idle_timeout":"never"}},"retention":"6 months","withdrawn":{}}}','0000000000000000000000000000000000000000000000000000000000000000','a9aa3ef25d87e10b6e69fec889c460744327836ea35e3ff531444f543d69921a');
INSERT INTO "audit_events" VALUES(2,1795603907491920,'founder','session.issue','xf7mmdvejb9crtye',NULL,'{"application":"Outlook","profile":"default","username_key":"alice"}','a9aa3ef25d87e10b6e69fec889c460744327836ea35e3ff531444f543d69921a','548de82d212d4ecec39dd92e1c539bb90f1ba50687c8f8ffebffe55ab9e5c658');
INSERT INTO "audit_events" VALUES(3,1795603907604646,'founder','session.issue','qp3kmq8j2z3z9pxq',NULL,'{"application":"Portal","profile":"day","username_key":"bob"}','548de82d212d4ecec39dd92e1c539bb90f1ba50687c8f8ffebffe55ab9e5c658','b3a82ddcdeb5c59950a4e8478dd04665dc2827612d951f305fb9fc0ec9119157');
INSERT INTO "audit_events" VALUES(4,1795603907729585,'founder','session.issue','kt3eh2542qhkq2qk',NULL,'{"application":"Outlook","profile":"default","username_key":"carol"}','b3a82ddcdeb5c59950a4e8478dd04665dc2827612d951f305fb9fc0ec9119157','f39d1bccec472fd09f29a9cf969b87a4c2493d13114e38d6daad09a2272f7fc8');
INSERT INTO "audit_events" VALUES(5,1795603907847150,'founder','session.issue','aeay3jkb2bsk6xes',NULL,'{"application":"Outlook","profile":"default","username_key":"dora"}','f39d1bccec472fd09f29a9cf969b87a4c2493d13114e38d6daad09a2272f7fc8','919757caf6e7b44184543b578c711b0aaebd1b858e117775d09a4627ae83e87e');
INSERT INTO "audit_events" VALUES(6,1795603907962257,'founder','session.revoke','2','lost device','{"revoked":1,"selector":{"username":"carol"},"sessions":["kt3eh2542qhkq2qk"],"username_keys":["carol"]}','919757caf6e7b44184543b578c711b0aaebd1b858e117775d09a4627ae83e87e','db59e1bbb85ba743304c103ecd456064d75f72277ac4b13132f23027465e2269');
INSERT INTO "audit_events" VALUES(7,1795603908074612,'founder','session.end','aeay3jkb2bsk6xes',NULL,'{"reason":"signed_out","username_key":"dora"}','db59e1bbb85ba743304c103ecd456064d75f72277ac4b13132f23027465e2269','e052a39805e11a0ba8afc574161aab8e5ad7836c38e9fc0518a8602287534c93');
INSERT INTO "audit_events" VALUES(8,1795603908263613,'founder','session.import',NULL,NULL,'{"file":"/tmp/imp.jsonl","keys":1,"rows":1,"stage":"begun"}','e052a39805e11a0ba8afc574161aab8e5ad7836c38e9fc0518a8602287534c93','800398984e6f700cd77b76ea8a7d873c752979601bdcebed09bbf27dc054c29a');
INSERT INTO "audit_events" VALUES(9,1795603908290531,'founder','session.import',NULL,NULL,'{"file":"/tmp/imp.jsonl","registered":1,"rows":1,"stage":"done","unchanged":0,"updated":0}','800398984e6f700cd77b76ea8a7d873c752979601bdcebed09bbf27dc054c29a','4c66e42e727e1ddd65418ecbecd22a61e564a6049422a5ef34bbce879248c47b');
CREATE TABLE imported (
        number INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        said_at TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "imported" VALUES(5,X'C7E5782C52A55CF65734F7DC52E325095FCE28646225CB86E567C54E3D6A9099','{"username": 1795168800000000}');
CREATE TABLE imported_finals (
        key BLOB PRIMARY KEY,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    ;
CREATE TABLE registry (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id TEXT NOT NULL,
        profiles TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "registry" VALUES(1,'fde9a02c721f472b','{"retention": "6 months", "default_profile": "default", "assignments": [], "profiles": {"default": {"description": "As schema 1 had it", "idle_timeout": "never", "absolute_timeout": "never"}, "day": {"description": null, "idle_timeout": "never", "absolute_timeout": "365000d"}}, "withdrawn": {}}');
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
    ;
INSERT INTO "revocations" VALUES(1,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "revocations" VALUES(2,1795603907962257,'founder','lost device','lost device','{"username": "carol"}',0);
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
    ;
INSERT INTO "sessions" VALUES(1,'xf7mmdvejb9crtye','Alice','alice','Outlook','outlook',NULL,NULL,NULL,'AL-PC','al-pc',NULL,NULL,'application','default','default',NULL,NULL,1795603907491920,1795603907491920,1795603907491920,1795603967491920,253402300800000000,253402300800000000,NULL,253402300800000000,NULL,NULL,X'2C5C9BC6F6DC9AA240D1FFFCEDC3526EF5EC2341D3DFE5E82EDD84FCE04211B3',0,'6ac86380',1);
INSERT INTO "sessions" VALUES(2,'qp3kmq8j2z3z9pxq','bob','bob','Portal','portal',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'web','day','day',NULL,NULL,1795603907604646,1795603907604646,1795603907604646,1795603967604646,253402300800000000,33331603907604646,NULL,33331603907604646,NULL,NULL,X'094CF769DE6386E409CC4D246B8F084216EF15A57CEDC722B13A599642BA55EC',0,'6ac86380',1);
INSERT INTO "sessions" VALUES(3,'kt3eh2542qhkq2qk','carol','carol','Outlook','outlook',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application','default','default',NULL,NULL,1795603907729585,1795603907729585,1795603907729585,1795603967729585,253402300800000000,253402300800000000,NULL,253402300800000000,NULL,NULL,X'F30C701559D4A8D8D294E2AAD8F55D61632BAB498F28B6D9FBBBF494BAAF05AC',0,'6ac86380',2);
INSERT INTO "sessions" VALUES(4,'aeay3jkb2bsk6xes','dora','dora','Outlook','outlook',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application','default','default',NULL,NULL,1795603907847150,1795603907847150,1795603907847150,1795603967847150,253402300800000000,253402300800000000,NULL,1795603908074612,1795603908074612,'signed_out',X'0859E2E0E2F731E28666C55A8F4EB10751949E00CCF11321048E18FD23A078E5',0,'6ac86380',1);
INSERT INTO "sessions" VALUES(5,'st3wmcvd6m63aexk','erin','erin',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application','default','default',NULL,NULL,1795168800000000,1795168800000000,1795168800000000,1795168860000000,253402300800000000,253402300800000000,NULL,253402300800000000,NULL,NULL,NULL,0,NULL,1);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX revocations_open ON revocations ((at IS NULL)) WHERE at IS NULL;
CREATE UNIQUE INDEX revocations_by_time ON revocations (at, id);
CREATE INDEX sessions_by_user ON sessions (username_key, last_used_at);
CREATE INDEX sessions_by_use ON sessions (kind, last_used_at);
CREATE INDEX sessions_by_revocation ON sessions (revocation_id, kind, last_used_at);
CREATE INDEX sessions_by_expiry ON sessions (revocation_id, kind, expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX imported_by_key ON imported (key);
CREATE INDEX audit_events_by_subject ON audit_events (subject) WHERE subject IS NOT NULL;
CREATE TRIGGER audit_events_next BEFORE INSERT ON audit_events
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_events)
    BEGIN SELECT RAISE(ABORT, 'the audit log takes only its next event'); END;
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('revocations',2);
INSERT INTO "sqlite_sequence" VALUES('sessions',5);
COMMIT;
