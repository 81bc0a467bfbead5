#!/bin/sh
# Synapse and JupyterHub, each in an environment of its own, made with the Python that is given; 77 if neither can be installed.
cd "$(dirname "$0")/../.." || exit 1
installed=77
for system in synapse jupyterhub; do
    pins=tests/real_systems/$system.txt
    folder=.venv-systems/$system
    if ! cmp -s "$pins" "$folder/installed.txt"; then
        rm -rf "$folder"
        "$1" -m venv "$folder" >&2 &&
            "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 30 -r "$pins" >&2 &&
            cp "$pins" "$folder/installed.txt"
    fi
    if [ -e "$folder/installed.txt" ]; then
        installed=0
    else
        echo "skipped: $system, since it is not here and cannot be installed" >&2
    fi
done
exit $installed
