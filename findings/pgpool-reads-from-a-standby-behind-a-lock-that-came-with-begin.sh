#!/bin/sh
# Pgpool-II: a transaction whose lock was taken in the message of its BEGIN reads from a standby.
#
# Expected: a function that may write, such as pg_advisory_xact_lock, counts as a write, and `disable_load_balance_on_write = transaction`,
# the default, sends no later read of that transaction to a standby. So what is read behind a lock is what the lock protects.
# Seen: that holds if BEGIN and the lock are two messages. Sent in one, to save a round trip, the lock is taken on the server that takes
# changes, and the statements that follow are answered by a standby, which may be behind: the row that the former holder of the lock
# wrote is missing. "SELECT pg_is_in_recovery()" does not show it: the function counts as one that may write, and is answered by the
# server that takes changes; current_setting('in_hot_standby') shows it.
# With: Pgpool-II 4.3.5 and PostgreSQL 15, Debian 12's packages pgpool2 and postgresql-15; psycopg 3.3.4.
# Documented: that a message with several statements is sent to no standby; not what that means for the statements after it.
# Needs the Debian packages, and an unprivileged user "nobody" or "postgres" if run as root.
set -eu
folder=$(mktemp -d)
trap 'for id in $(cat "$folder"/ids 2>/dev/null); do kill -INT "$id" 2>/dev/null || true; done; sleep 1; rm -rf "$folder"' EXIT
server=$(ls -d /usr/lib/postgresql/15/bin)
pgpool=$(PATH=$PATH:/usr/sbin command -v pgpool)
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.4'
user=""
if [ "$(id -u)" = 0 ]; then
    name=$(id -un postgres 2>/dev/null || echo nobody)
    user="setpriv --reuid=$name --regid=$(id -g "$name") --clear-groups"
    chown "$name" "$folder"
fi
cd "$folder"
run() { $user "$@" >> "$folder/log" 2>&1; }
start() { $user "$@" >> "$folder/log" 2>&1 & echo $! >> "$folder/ids"; }
mkdir -p one two pool && { [ -z "$user" ] || chown "$name" one two pool; }
run "$server/initdb" -D one/data -U postgres --auth=trust --no-sync
start "$server/postgres" -D "$folder/one/data" -c listen_addresses= -c unix_socket_directories="$folder/one"
for _ in $(seq 100); do "$server/pg_isready" -q -h "$folder/one" && break; sleep 0.1; done
run "$server/pg_basebackup" -D two/data -h "$folder/one" -U postgres -R -c fast --no-sync
start "$server/postgres" -D "$folder/two/data" -c listen_addresses= -c unix_socket_directories="$folder/two"
for _ in $(seq 100); do "$server/pg_isready" -q -h "$folder/two" && break; sleep 0.1; done
cat > pool/conf <<END
backend_clustering_mode = 'streaming_replication'
listen_addresses = ''
port = 9999
socket_dir = '$folder/pool'
pcp_listen_addresses = ''
pcp_socket_dir = '$folder/pool'
wd_ipc_socket_dir = '$folder/pool'
pid_file_name = '$folder/pool/pid'
logdir = '$folder/pool'
backend_hostname0 = '$folder/one'
backend_port0 = 5432
backend_weight0 = 0
backend_hostname1 = '$folder/two'
backend_port1 = 5432
backend_weight1 = 1
sr_check_period = 1
sr_check_user = 'postgres'
sr_check_database = 'postgres'
num_init_children = 8
END
touch pool/pcp pool/hba
start "$pgpool" -n -f "$folder/pool/conf" -F "$folder/pool/pcp" -a "$folder/pool/hba"

cat > expected <<'END'
two messages: read behind the lock from the server that takes changes
one message: read behind the lock from a standby
pg_is_in_recovery() says standby: False
END
"$folder/python/bin/python" - "$folder" > seen <<'END'
import sys
import time

import psycopg

folder = sys.argv[1]
address = f"host={folder}/pool port=9999 user=postgres dbname=postgres"
STANDBY = "current_setting('in_hot_standby') = 'on'"


def connected() -> psycopg.Connection:
    return psycopg.connect(address, autocommit=True)


for _ in range(300):  # until it knows which of the two takes changes, it balances nothing
    try:
        with connected() as connection:
            if connection.execute(f"SELECT {STANDBY}").fetchone()[0]:
                break
    except psycopg.OperationalError:
        pass
    time.sleep(0.1)


def show(how: str, connection: psycopg.Connection) -> None:
    (standby,) = connection.execute(f"SELECT {STANDBY}").fetchone()
    print(f"{how}: read behind the lock from {'a standby' if standby else 'the server that takes changes'}")


with connected() as connection:
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(1)")
    show("two messages", connection)
with connected() as connection:
    connection.execute("BEGIN; SELECT pg_advisory_xact_lock(1)")
    show("one message", connection)
    print("pg_is_in_recovery() says standby:", connection.execute("SELECT pg_is_in_recovery()").fetchone()[0])
END
diff expected seen
echo "as described"
