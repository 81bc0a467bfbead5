#!/bin/sh
# sqlite-utils: a user who is called 0012 becomes 12, in a table that is printed and in one that is made of CSV.
#
# Expected: a TEXT column is printed as it is, and a value with a leading zero is no number when CSV is read.
# Seen: `--table` prints the text 0012 as 12 and 1e5 as 100000 where every value of the column looks like a number and one has an
# exponent; of 0012 and 0345 alone both keep their zeros. JSON and CSV of the same rows are right. `insert --csv` finds the types of
# columns unless told not to, and stores the integer 12. So the id that was read off the screen belongs to nobody, or to somebody else.
# With: sqlite-utils 4.2.1, tabulate 0.10.0.
# Documented: of CSV, in the notes of version 4.1 (`--type username text` keeps zeros); of printed tables, nothing.
# What helps: `authctl sessions list`, and `-o json` for other programs; `insert --csv --no-detect-types`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check sqlite-utils==4.2.1 tabulate==0.10.0
utils="$folder/python/bin/sqlite-utils"

cat > "$folder/expected" <<'END'
as JSON:
[{"username": "0012"},
 {"username": "1e5"}]
as a table:
  username
----------
        12
    100000
as a table, without the exponent:
  username
----------
      0012
      0345
stored from CSV:
[{"username": 12, "type": "integer"},
 {"username": 345, "type": "integer"}]
END
cd "$folder"
{
    printf '[{"username": "0012"}, {"username": "1e5"}]' | "$utils" insert registry.db sessions -
    printf '[{"username": "0012"}, {"username": "0345"}]' | "$utils" insert registry.db others -
    echo "as JSON:"
    "$utils" rows registry.db sessions
    echo "as a table:"
    "$utils" rows registry.db sessions --table
    echo "as a table, without the exponent:"
    "$utils" rows registry.db others --table
    printf 'username\n0012\n0345\n' | "$utils" insert registry.db imported - --csv
    echo "stored from CSV:"
    "$utils" registry.db "SELECT username, typeof(username) AS type FROM imported"
} > seen
diff expected seen
echo "as described"
