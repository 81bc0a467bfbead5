#!/bin/sh
# Lengths of time as text: 6M is six minutes to five parsers, and none of them refuses it.
#
# Expected: M means months, as in ISO 8601's P6M and in systemd's times (systemd.time(7)), or it is refused beside m.
# Seen: it is m, in three Python libraries and two for JavaScript, one of them what sets a token's end. A retention or a
# "not used for" of 6M reaches half a year less than was meant. parse-duration knows months, as `mo`, and takes M for minutes
# all the same.
# With: pytimeparse 1.1.10, humanfriendly 10.0, tempora 5.13.0; jose 6.2.18, parse-duration 2.1.9.
# Documented: nowhere with M; the examples have small letters.
# authctl reads `m` as minutes and `mo` as months, and has no difference between small and capital letters either.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check pytimeparse==1.1.10 humanfriendly==10.0 tempora==5.13.0
cd "$folder"
npm install --silent --no-audit --no-fund jose@6.2.18 parse-duration@2.1.9

cat > expected <<'END'
seconds of 6M, pytimeparse: 360
seconds of 6M, humanfriendly: 360
seconds of 6M, tempora: 360
seconds of 6M, jose: 360
seconds of 6M, parse-duration: 360
seconds of 6mo, parse-duration: 15778800
END
{
    "$folder/python/bin/python" - <<'END'
import humanfriendly
import pytimeparse
import tempora

print("seconds of 6M, pytimeparse:", pytimeparse.parse("6M"))
print("seconds of 6M, humanfriendly:", int(humanfriendly.parse_timespan("6M")))
print("seconds of 6M, tempora:", int(tempora.parse_timedelta("6M").total_seconds()))
END
    node --input-type=module - <<'END'
import { UnsecuredJWT, decodeJwt } from "jose";
import parse from "parse-duration";

const token = new UnsecuredJWT({}).setIssuedAt(1_800_000_000).setExpirationTime("6M").encode();
const ahead = decodeJwt(token).exp - Math.floor(Date.now() / 1000);
console.log("seconds of 6M, jose:", Math.round(ahead / 60) * 60);
console.log("seconds of 6M, parse-duration:", parse("6M") / 1000);
console.log("seconds of 6mo, parse-duration:", parse("6mo") / 1000);
END
} > seen
diff expected seen
echo "as described"
