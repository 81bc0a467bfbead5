#!/bin/sh
# The proxies and clients of the door: packages of the system, an environment of its own for those of Python, made with the Python that
# is given, and one for those of Node.js. 77 if none of them is here and none can be installed; the tests skip what is missing.
cd "$(dirname "$0")/../../.." || exit 1
pins=tests/door/peers
folder=.venv-door
installed=77

system() { for program in nginx caddy haproxy apache2; do PATH="$PATH:/usr/sbin" command -v $program || return 1; done; }
modules() { [ -e /usr/lib/apache2/modules/mod_oauth2.so ] && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ]; }
if ! { system && modules; } >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # RUNLEVEL=1: no service is started by its package.
    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        nginx-light caddy haproxy apache2 libapache2-mod-oauth2 libapache2-mod-auth-openidc
fi >/dev/null 2>&1
{ system && modules; } >/dev/null && installed=0 || echo "not installed: nginx, Caddy, HAProxy, or Apache with its modules" >&2

if ! cmp -s "$pins/requirements.txt" "$folder/requirements.txt"; then
    rm -rf "$folder/bin" "$folder/lib"
    "$1" -m venv "$folder" >&2 &&
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 30 -r "$pins/requirements.txt" >&2 &&
        cp "$pins/requirements.txt" "$folder/requirements.txt"
fi
[ -e "$folder/requirements.txt" ] && installed=0 || echo "not installed: the peers of Python" >&2

if command -v npm >/dev/null && ! cmp -s "$pins/package.json" "$folder/node/package.json"; then
    mkdir -p "$folder/node.new" && cp "$pins/package.json" "$folder/node.new" &&
        (cd "$folder/node.new" && npm install --silent --no-audit --no-fund --no-package-lock >&2) &&
        rm -rf "$folder/node" && mv "$folder/node.new" "$folder/node"
fi
[ -e "$folder/node/node_modules" ] && installed=0 || echo "not installed: the peers of Node.js" >&2

[ $installed = 0 ] || echo "skipped: the peers of the door, since none is here and none can be installed" >&2
exit $installed
