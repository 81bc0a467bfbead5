#!/bin/sh
# SQLite, by Python's DB-API: an UPDATE with RETURNING is not over when `execute` returns.
#
# Expected: in autocommit mode a statement that changed its rows and returned the first of them is committed, and another
# connection can write.
# Seen: it is committed when its last row was fetched or its cursor was closed. Until then nobody else can write or sees the
# change, while `in_transaction` says False. Whoever fetches one row of a statement that ended several sessions, and keeps the
# cursor, has ended none of them yet and holds the lock of the registry.
# With: pysqlite3-binary 0.5.4.post2 (Python's own sqlite3 module, packaged with SQLite 3.51.1); Python 3.11 does the same.
# Documented: sqlite.org/lang_returning.html says that all changes are made before the first row comes; of the commit, nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check pysqlite3-binary==0.5.4.post2

cat > "$folder/expected" <<'END'
first row (1,), in a transaction: False
others see [(0,), (0,), (0,)], and to write: database is locked
the rest [(2,), (3,)]
others see [(1,), (1,), (1,)], and to write: done
END
cd "$folder"
"$folder/python/bin/python" > "$folder/seen" <<'END'
import pysqlite3 as sqlite3

here = sqlite3.connect("registry.db", isolation_level=None)
here.execute("PRAGMA journal_mode = WAL")
here.execute("CREATE TABLE sessions (number INTEGER PRIMARY KEY, ended INTEGER DEFAULT 0)")
here.execute("CREATE TABLE events (what TEXT)")
here.execute("INSERT INTO sessions (number) VALUES (1), (2), (3)")
other = sqlite3.connect("registry.db", isolation_level=None, timeout=0)


def others() -> str:
    ended = other.execute("SELECT ended FROM sessions").fetchall()
    try:
        other.execute("INSERT INTO events VALUES ('revoke')")
    except sqlite3.OperationalError as error:
        return f"others see {ended}, and to write: {error}"
    return f"others see {ended}, and to write: done"


ending = here.execute("UPDATE sessions SET ended = 1 RETURNING number")
print(f"first row {ending.fetchone()}, in a transaction: {here.in_transaction}")
print(others())
print(f"the rest {ending.fetchall()}")
print(others())
END
diff "$folder/expected" "$folder/seen"
echo "as described"
