#!/bin/sh
# OpenLDAP's server, and python-ldap for the Python that is given; 77 where they are not there and cannot be installed.
there() { command -v slapd >/dev/null || [ -x /usr/sbin/slapd ]; }
headers() { [ -e /usr/include/ldap.h ] && [ -e /usr/include/sasl/sasl.h ]; }
if ! { there && headers; } && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slapd libldap2-dev libsasl2-dev gcc
fi >/dev/null 2>&1
# an environment that is ready stays as it is: other tests may run in it
there && "$1" -c 'import authctl, ldap' >/dev/null 2>&1 && exit 0
there && "$1" -m pip install --quiet --disable-pip-version-check -e '.[ldap]' >&2 && exit 0
echo "skipped: LDAP, since slapd or python-ldap is not here and cannot be installed" >&2
exit 77
