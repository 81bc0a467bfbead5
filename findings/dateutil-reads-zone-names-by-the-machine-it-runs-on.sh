#!/bin/sh
# dateutil: what "10:00 CET" means in a log depends on the machine that reads it, and GMT+3 is three hours behind.
#
# Expected: CET is one hour ahead of UTC, in July too, wherever the log is read; where the name is not known, it is refused. GMT+3, as
# Java and JavaScript write it, is three hours ahead.
# Seen: a name that the reading machine's zone uses means "local time", so that CET in July is read as CEST, an hour off; on a machine
# in another zone the time comes without a zone, and with no word but a warning. In the night when clocks change, of all times, the name is obeyed.
# GMT+3 and UTC+3 are read with the sign turned round, +3 alone is not. So one log makes other sessions on the server than at the desk.
# With: python-dateutil 4.0.0, tzdata of the system not used (zones are POSIX rules).
# Documented: that GMT+3 is meant so, in github.com/dateutil/dateutil, issues 70 and 968; of names, that tzinfos can be given.
# What helps: an offset in numbers. authctl takes no time with a zone's name.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check python-dateutil==4.0.0

cat > "$folder/expected" <<'END'
CET-1CEST,M3.5.0,M10.5.0/3
  2026-01-15 10:00 CET    2026-01-15T10:00:00+01:00
  2026-07-15 10:00 CET    2026-07-15T10:00:00+02:00
  2026-10-25 02:30 CET    2026-10-25T02:30:00+01:00
  2026-07-15 10:00 GMT+3  2026-07-15T10:00:00-03:00
  2026-07-15 10:00 +3     2026-07-15T10:00:00+03:00
EST5EDT,M3.2.0,M11.1.0
  2026-01-15 10:00 CET    2026-01-15T10:00:00
  2026-07-15 10:00 CET    2026-07-15T10:00:00
  2026-10-25 02:30 CET    2026-10-25T02:30:00
  2026-07-15 10:00 GMT+3  2026-07-15T10:00:00-03:00
  2026-07-15 10:00 +3     2026-07-15T10:00:00+03:00
END
cat > "$folder/read.py" <<'END'
import os

from dateutil.parser import parse

print(os.environ["TZ"])
for text in ("01-15 10:00 CET", "07-15 10:00 CET", "10-25 02:30 CET", "07-15 10:00 GMT+3", "07-15 10:00 +3"):
    print(f"  2026-{text:18} {parse(f'2026-{text}').isoformat()}")
END
for zone in CET-1CEST,M3.5.0,M10.5.0/3 EST5EDT,M3.2.0,M11.1.0; do
    TZ="$zone" "$folder/python/bin/python" -W ignore "$folder/read.py"
done > "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
