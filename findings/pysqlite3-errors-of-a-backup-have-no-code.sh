#!/bin/sh
# pysqlite3: an error of `Connection.backup` has no `sqlite_errorcode`, though errors of statements have one.
#
# Expected: the code of SQLite on every error, as sqlite3 of Python has it since 3.11: who copies a registry has to tell a full disk
# from a read-only file and from a lock, and the text of a message is no interface.
# Seen: the same failure, a target that is opened for reading only, has code 8 from a statement of both modules and from a backup of
# sqlite3. From a backup of pysqlite3 the attribute is missing; only the message tells what happened.
# With: pysqlite3 0.6.1 (SQLite 3.53.4), beside the sqlite3 of Python 3.11 or later.
# Documented: no; the package refers to the documentation of sqlite3.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check pysqlite3==0.6.1

cat > "$folder/expected" <<'END'
sqlite3: a statement has code 8, a backup has code 8
pysqlite3: a statement has code 8, a backup has code None
END
"$folder/python/bin/python" - "$folder" > "$folder/seen" <<'END'
import sqlite3
import sys

from pysqlite3 import dbapi2 as pysqlite3


def code_of(module, action) -> int | None:
    try:
        action()
    except module.OperationalError as error:
        return getattr(error, "sqlite_errorcode", None)
    raise SystemExit("no error")


for module in (sqlite3, pysqlite3):
    name = module.__name__.partition(".")[0]
    path = f"{sys.argv[1]}/{name}.db"
    module.connect(path).execute("CREATE TABLE copies (name TEXT)").connection.commit()
    source = module.connect(":memory:")
    source.execute("CREATE TABLE sessions (name TEXT)")
    target = module.connect(f"file:{path}?mode=ro", uri=True)
    statement = code_of(module, lambda: target.execute("INSERT INTO copies VALUES ('a')"))
    backup = code_of(module, lambda: source.backup(target))
    print(f"{name}: a statement has code {statement}, a backup has code {backup}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
