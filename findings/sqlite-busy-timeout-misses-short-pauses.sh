#!/bin/sh
# SQLite: a writer that waits by `busy_timeout` misses the pauses of a process that gives the lock free for a few milliseconds at a time.
#
# Expected: with a time limit of 60 seconds, a writer gets its turn at the first pause of bulk work that makes one after each transaction.
# Seen: the time between two tries grows to a tenth of a second (after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50 and 50 ms), and there is no queue.
# Beside transactions of 120 ms with pauses of 2 ms, a writer misses none or up to a hundred and more pauses, and waits for up to fifteen seconds. One that
# asks every millisecond by itself misses hardly any. So a clean-up in small batches lets nobody in unless its pauses are longer than the time between two tries.
# With: apsw 3.51.0.0 (SQLite 3.51.0).
# Documented: that the handler sleeps several times until the limit (sqlite.org/c3ref/busy_timeout.html). Not how often it asks.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check apsw==3.51.0.0
cd "$folder"
cat > expected <<'END'
SQLite waits: more than thirty pauses missed in nine waits: True
asked every ms: at most three pauses missed in nine waits: True
END
python/bin/python > seen <<'END'
import os
import sys
import time

import apsw

setup = apsw.Connection("registry.db")
setup.pragma("journal_mode", "wal")
setup.execute("CREATE TABLE pauses (number INTEGER); INSERT INTO pauses VALUES (0)")
setup.close()

bulk = os.fork()
if bulk == 0:
    connection = apsw.Connection("registry.db")
    connection.set_busy_timeout(60_000)
    while not os.path.exists("stop"):
        connection.execute("BEGIN IMMEDIATE; UPDATE pauses SET number = number + 1")
        time.sleep(0.12)
        connection.execute("COMMIT")
        time.sleep(0.002)
    os._exit(0)

reader = apsw.Connection("registry.db")


def number():
    """How many transactions of the bulk work are committed."""
    return reader.execute("SELECT number FROM pauses").fetchone()[0]


def by_sqlite():
    """Wait for the lock by the time limit of SQLite."""
    writer.set_busy_timeout(60_000)
    writer.execute("BEGIN IMMEDIATE")


def by_asking():
    """Ask for the lock again and again."""
    writer.set_busy_timeout(0)
    while True:
        try:
            writer.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            time.sleep(0.001)
        else:
            return


writer = apsw.Connection("registry.db")
missed = {by_sqlite: [], by_asking: []}
for wait, numbers in missed.items():
    for again in range(9):
        time.sleep(0.02 * again)
        before = number()
        wait()
        numbers.append(max(0, number() - before - 1))
        writer.execute("ROLLBACK")
open("stop", "w").close()
os.waitpid(bulk, 0)
print("SQLite waits: more than thirty pauses missed in nine waits:", sum(missed[by_sqlite]) > 30)
print("asked every ms: at most three pauses missed in nine waits:", sum(missed[by_asking]) <= 3)
print(*missed.values(), file=sys.stderr)
END
diff expected seen
echo "as described"
