#!/bin/sh
# SQLite: a copy by VACUUM INTO keeps what the header says, but not the journal mode; a copy by the backup interface keeps both.
#
# Expected: write-ahead logging is a property of the file, so that a copy made by SQLite itself has it, as it has
# application_id, user_version and auto_vacuum.
# Seen: the copy that VACUUM INTO makes is in rollback mode ("delete"). A program that opens it without setting the mode goes on with
# readers and writers that lock each other out, or, as authctl does, refuses it: "its journal mode is not WAL".
# With: apsw 3.51.0.0 (SQLite 3.51.0).
# Documented: sqlite.org/pragma.html#pragma_journal_mode says that WAL is persistent, sqlite.org/lang_vacuum.html nothing of it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check apsw==3.51.0.0

cat > "$folder/expected" <<'END'
registry     journal_mode wal     application_id 7 user_version 3 auto_vacuum 2
backup       journal_mode wal     application_id 7 user_version 3 auto_vacuum 2
VACUUM INTO  journal_mode delete  application_id 7 user_version 3 auto_vacuum 2
END
cd "$folder"
"$folder/python/bin/python" > "$folder/seen" <<'END'
import apsw


def properties(path: str) -> str:
    connection = apsw.Connection(path)
    mode, *others = (
        next(connection.execute(f"PRAGMA {name}"))[0]
        for name in ("journal_mode", "application_id", "user_version", "auto_vacuum")
    )
    connection.close()
    return f"journal_mode {mode:7} application_id {others[0]} user_version {others[1]} auto_vacuum {others[2]}"


registry = apsw.Connection("registry.db")
for setting in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "application_id = 7", "user_version = 3"):
    registry.execute(f"PRAGMA {setting}")
registry.execute("CREATE TABLE sessions (number INTEGER PRIMARY KEY)")
registry.execute("VACUUM INTO 'vacuum.db'")
copy = apsw.Connection("backup.db")
with copy.backup("main", registry, "main") as backup:
    while not backup.done:
        backup.step(100)
copy.close()
registry.close()
print("registry    ", properties("registry.db"))
print("backup      ", properties("backup.db"))
print("VACUUM INTO ", properties("vacuum.db"))
END
diff "$folder/expected" "$folder/seen"
echo "as described"
