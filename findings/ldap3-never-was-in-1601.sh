#!/bin/sh
# ldap3 and Active Directory: an account that never expires expired in 1601, and a user who never signed in did so then.
#
# Expected: of the two values that mean "never" for accountExpires, both come out as never, or as the same far date; a time that was never
# set (lastLogon 0) comes out as nothing. A time without a zone comes out as a datetime without one.
# Seen: 0 is the year 1601, and 9223372036854775807 the year 9999, so that of two accounts that never expire one looks expired.
# A generalized time without a zone stays bytes, among datetimes: whoever sorts or compares them meets a TypeError in one row.
# With: ldap3 2.9.1, pyasn1 0.6.5.
# Documented: that both values mean never, at learn.microsoft.com, accountExpires; of ldap3, nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check ldap3==2.9.1 pyasn1==0.6.5

cat > "$folder/expected" <<'END'
accountExpires 0: 1601-01-01 00:00:00+00:00
accountExpires 9223372036854775807: 9999-12-31 23:59:59.999999+00:00
whenCreated 20260302100000.0Z: 2026-03-02 10:00:00+00:00
whenCreated 20260302100000: b'20260302100000'
END
"$folder/python/bin/python" -W ignore > "$folder/seen" <<'END'
from ldap3.protocol.formatters.formatters import format_ad_timestamp, format_time

for value in ("0", "9223372036854775807"):
    print(f"accountExpires {value}: {format_ad_timestamp(value.encode())}")
for value in ("20260302100000.0Z", "20260302100000"):
    print(f"whenCreated {value}: {format_time(value.encode())}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
