#!/bin/sh
# Patroni, etcd and a PostgreSQL server for tests/cluster, and psycopg for the Python that is given; 77 where they cannot be had.
# Debian's packages alone: Patroni runs on Debian's own Python, and starts the server of Debian's package.
here() { [ -x /usr/bin/patroni ] && [ -x /usr/bin/etcd ] && ls /usr/lib/postgresql/*/bin/initdb; }
if ! here >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # the packages would make a cluster of their own and start it
    mkdir -p /etc/postgresql-common && [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends postgresql patroni etcd-server python3-etcd
fi >/dev/null 2>&1
if here >/dev/null 2>&1; then
    "$1" -m pip install --quiet --disable-pip-version-check -e '.[postgres]' >&2 && exit 0
fi
echo "skipped: a cluster of PostgreSQL, since Patroni or etcd is not here and cannot be installed" >&2
exit 77
