#!/bin/sh
# sqlite-utils: `with db.conn:` around two inserts is no transaction; the first insert commits what came before it.
#
# Expected: Python's `with connection:` commits at its end, or rolls back when something is raised; a table's `insert` inside it
# takes part, as it does inside `db.atomic()`.
# Seen: `insert` opens and commits a transaction of its own there, and what is raised afterwards undoes nothing: the session is
# registered, and the audit event that was to come with it is not. Inside `db.atomic()` both are undone.
# With: sqlite-utils 4.2.1.
# Documented: `atomic` is; what it means for `with connection:` cost Datasette its rollbacks (github.com/simonw/datasette, issue 2831).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check sqlite-utils==4.2.1

cat > "$folder/expected" <<'END'
plain sqlite3, with connection  nothing
sqlite-utils, with db.conn      a session without its event
sqlite-utils, db.atomic()       nothing
END
cd "$folder"
"$folder/python/bin/python" > "$folder/seen" <<'END'
import sqlite3
from contextlib import closing

from sqlite_utils import Database


def left(path: str) -> str:
    with closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT count(*) FROM sessions").fetchone()[0]
    return "a session without its event" if found else "nothing"


def plainly(path: str) -> None:
    connection = sqlite3.connect(path)
    with closing(connection), connection:
        connection.execute("INSERT INTO sessions VALUES (1)")
        raise OSError("the event cannot be written")


def with_connection(path: str) -> None:
    db = Database(path)
    with closing(db.conn), db.conn:
        db["sessions"].insert({"number": 1})
        raise OSError("the event cannot be written")


def atomically(path: str) -> None:
    db = Database(path)
    with closing(db.conn), db.atomic():
        db["sessions"].insert({"number": 1})
        raise OSError("the event cannot be written")


ways = {
    "plain sqlite3, with connection": plainly,
    "sqlite-utils, with db.conn": with_connection,
    "sqlite-utils, db.atomic()": atomically,
}
for number, (name, way) in enumerate(ways.items()):
    path = f"{number}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sessions (number INTEGER)")
    try:
        way(path)
    except OSError:
        print(f"{name:31} {left(path)}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
