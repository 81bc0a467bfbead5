#!/bin/sh
# aiosqlite: a statement whose timeout was reported is carried out all the same, and whoever commits next commits it.
#
# Expected: a call that `asyncio.timeout` gave up has changed nothing, or its change is rolled back.
# Seen: the statement stands in the queue of the connection's thread and runs when its turn comes, although its caller has long reported
# that it failed. Nobody commits it, so that it holds the write lock of the file. The commit of another task on the same connection
# commits it; a rollback there would take that task's change away as well. The same holds for a request whose client has gone, where the
# web framework cancels the task.
# With: aiosqlite 0.22.1, Python 3.11.
# Documented: no; neither the manual nor the docstrings speak of cancellation or of timeouts of a task.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check aiosqlite==0.22.1

cat > "$folder/expected" <<'END'
another program holds the lock: alice's sessions are ended, TimeoutError
that program is ready: in a transaction True, others see [('alice', 0), ('bob', 0)]
another program writes: database is locked
a second task records an event and commits: others see [('alice', 1), ('bob', 0)]
END
cd "$folder"
"$folder/python/bin/python" > "$folder/seen" <<'END'
import asyncio
import sqlite3
from contextlib import closing

import aiosqlite


def opened() -> sqlite3.Connection:
    return sqlite3.connect("registry.db", isolation_level=None, timeout=0)


def others_see() -> str:
    with closing(opened()) as other:
        return f"others see {other.execute('SELECT username, ended FROM sessions ORDER BY 1').fetchall()}"


async def ended() -> str:
    try:
        async with asyncio.timeout(0.3):
            await registry.execute("UPDATE sessions SET ended = 1 WHERE username = 'alice'")
            await registry.commit()
    except TimeoutError as error:
        return type(error).__name__
    return "done"


async def main() -> None:
    global registry
    holder = opened()
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("CREATE TABLE sessions (username TEXT, ended INTEGER)")
    holder.execute("CREATE TABLE events (what TEXT)")
    holder.execute("INSERT INTO sessions VALUES ('alice', 0), ('bob', 0)")
    async with aiosqlite.connect("registry.db", timeout=30) as registry:
        holder.execute("BEGIN IMMEDIATE")
        print(f"another program holds the lock: alice's sessions are ended, {await ended()}")
        holder.execute("COMMIT")
        await (await registry.execute("SELECT 1")).fetchone()  # behind the UPDATE in the queue
        print(f"that program is ready: in a transaction {registry.in_transaction}, {others_see()}")
        try:
            holder.execute("INSERT INTO events VALUES ('sign in')")
            print("another program writes: done")
        except sqlite3.OperationalError as error:
            print(f"another program writes: {error}")
        await registry.execute("INSERT INTO events VALUES ('sign out of bob')")
        await registry.commit()
        print(f"a second task records an event and commits: {others_see()}")
    holder.close()


asyncio.run(main())
END
diff "$folder/expected" "$folder/seen"
echo "as described"
