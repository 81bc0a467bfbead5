#!/bin/sh
# ijson: a member whose name contains a dot has the same prefix as a member of an object.
#
# Expected: `items(file, "item.user.name")` yields the name within the object `user`, or there is a way to quote a step.
# Seen: it yields both `{"user.name": …}` and `{"user": {"name": …}}`, in the order of the file; a prefix is joined with dots
# without a mark, so the events cannot be told apart afterwards, either. Exports of sign-in logs have both kinds of names: a
# reader that selects the user by such a prefix takes the first one, which may be another field.
# With: ijson 3.6.0, backends yajl2_c and python.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check ijson==3.6.0

cat > "$folder/expected" <<'END'
yajl2_c ['device of alice', 'alice']
python ['device of alice', 'alice']
[('item.user.name', 'device of alice'), ('item.user.name', 'alice')]
END
"$folder/python/bin/python" > "$folder/seen" <<'END'
import io

import ijson

rows = b'[{"user.name": "device of alice", "user": {"name": "alice"}}]'
for backend in ("yajl2_c", "python"):
    print(backend, list(ijson.get_backend(backend).items(io.BytesIO(rows), "item.user.name")))
print([(prefix, value) for prefix, event, value in ijson.parse(io.BytesIO(rows)) if event == "string"])
END
cat "$folder/seen"
diff "$folder/expected" "$folder/seen"
