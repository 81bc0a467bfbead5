#!/bin/sh
# sqlite-utils: transforming a table, even by nothing, takes its triggers away without a word, and search with them.
#
# Expected: what goes out of its way to keep indexes, CHECK and UNIQUE constraints, AUTOINCREMENT with its counter, and STRICT, and
# refuses where a partial index would be in the way, keeps triggers too, or refuses.
# Seen: triggers are gone. An append-only log can be changed from then on, and a full-text index that triggers keep up to date
# finds no row that comes later: no error, only an empty answer. Generated columns and WITHOUT ROWID go the same way.
# With: sqlite-utils 4.2.1.
# Documented: only that triggers are not upgraded; github.com/simonw/sqlite-utils, issue 849, asks to say that they are gone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check sqlite-utils==4.2.1

cat > "$folder/expected" <<'END'
before: triggers append_only, events_ad, events_ai, events_au
deleting: the log is append-only
a new event is found: True
after: triggers none
deleting: done
a new event is found: False
the CHECK is kept: True
AUTOINCREMENT is kept: True
generated column kept: False
WITHOUT ROWID kept: False
END
"$folder/python/bin/python" > "$folder/seen" <<'END'
import sqlite3

from sqlite_utils import Database

db = Database(memory=True)
db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT CHECK (note <> ''))")
db["events"].enable_fts(["note"], create_triggers=True)
db.execute(
    "CREATE TRIGGER append_only BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'the log is append-only'); END"
)
db["events"].insert({"note": "first"})


def look(when: str, note: str) -> None:
    print(f"{when}: triggers {', '.join(sorted(trigger.name for trigger in db.triggers)) or 'none'}")
    try:
        db.execute("DELETE FROM events WHERE seq = 1")
        print("deleting: done")
    except sqlite3.IntegrityError as error:
        print(f"deleting: {error}")
    db["events"].insert({"note": note})
    print(f"a new event is found: {bool(list(db['events'].search(note)))}")


look("before", "rotated")
db["events"].transform()
look("after", "retired")
print(f"the CHECK is kept: {'CHECK' in db['events'].schema}")
print(f"AUTOINCREMENT is kept: {'AUTOINCREMENT' in db['events'].schema}")
db.execute("CREATE TABLE uses (id TEXT PRIMARY KEY, at INTEGER, due INTEGER AS (at + 60)) WITHOUT ROWID")
db["uses"].transform()
print(f"generated column kept: {'due' in db['uses'].schema}")
print(f"WITHOUT ROWID kept: {'WITHOUT ROWID' in db['uses'].schema}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
