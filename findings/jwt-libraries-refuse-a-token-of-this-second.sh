#!/bin/sh
# JSON Web Tokens whose `iat` has a fraction: three libraries refuse them until the second is over, on the machine that issued them.
#
# Expected: a token of 12:00:00.9 is accepted at 12:00:00.95, since RFC 7519 (section 2, NumericDate) allows the fraction and the rule is
# only that `iat` is when the token was issued.
# Seen: joserfc, Authlib and, with `maxTokenAge`, jose for JavaScript cut the fraction off their own clock and not off the token: the
# token is "issued in the future" for up to a second. A client that uses its token at once fails now and then, by the fraction. PyJWT,
# python-jose, jwcrypto and jsonwebtoken accept it. Issue whole seconds, rounded down.
# With: joserfc 1.8.0, Authlib 1.9.10, PyJWT 2.15.1, python-jose 3.5.0, jwcrypto 1.6.1; jose 6.2.18, jsonwebtoken 9.0.3.
# Documented: nowhere; all three have a tolerance for clocks (`leeway`, `clockTolerance`), which is 0 by default.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check joserfc==1.8.0 Authlib==1.9.10 PyJWT==2.15.1 \
    python-jose==3.5.0 jwcrypto==1.6.1
cd "$folder"
npm install --silent --no-audit --no-fund jose@6.2.18 jsonwebtoken@9.0.3

cat > expected <<'END'
issued at .0, used at .95: joserfc accepts, Authlib accepts, PyJWT accepts, python-jose accepts, jwcrypto accepts
issued at .9, used at .95: joserfc refuses, Authlib refuses, PyJWT accepts, python-jose accepts, jwcrypto accepts
issued at .9, used at the next .05: joserfc accepts, Authlib accepts, PyJWT accepts, python-jose accepts, jwcrypto accepts
issued at .0, used at .95: jose accepts, with maxTokenAge accepts, jsonwebtoken accepts, with maxAge accepts
issued at .9, used at .95: jose accepts, with maxTokenAge refuses, jsonwebtoken accepts, with maxAge accepts
issued at .9, used at the next .05: jose accepts, with maxTokenAge accepts, jsonwebtoken accepts, with maxAge accepts
END
{
    python/bin/python -W ignore - <<'END'
import base64
import datetime
import time
from unittest.mock import patch

import jwt
from authlib.jose import jwt as authlib_jwt
from jose import jwt as python_jose
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey
from jwcrypto import jwk
from jwcrypto import jwt as jwcrypto_jwt

KEY = "a made-up key that has 32 octets"
SECOND = 1_800_000_000


def by_joserfc(token):
    joserfc_jwt.JWTClaimsRegistry().validate(joserfc_jwt.decode(token, OctKey.import_key(KEY)).claims)


def by_jwcrypto(token):
    key = jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="))
    jwcrypto_jwt.JWT(jwt=token, key=key, expected_type="JWS")


CHECKS = {
    "joserfc": by_joserfc,
    "Authlib": lambda token: authlib_jwt.decode(token, KEY).validate(),
    "PyJWT": lambda token: jwt.decode(token, KEY, algorithms=["HS256"]),
    "python-jose": lambda token: python_jose.decode(token, KEY, algorithms=["HS256"]),
    "jwcrypto": by_jwcrypto,
}


def verdict(check, token, now):
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(now, tz)

    with (
        patch.object(time, "time", lambda: now),
        patch("jwt.api_jwt.datetime", Clock),
        patch("jose.jwt.datetime", Clock),
    ):
        try:
            check(token)
        except Exception as error:
            assert "future" in str(error) or "it was issued" in str(error) or "iat" in str(error), error
            return "refuses"
    return "accepts"


for name, issued, used in (("used at .95", 0, 0.95), ("used at .95", 0.9, 0.95), ("used at the next .05", 0.9, 1.05)):
    token = jwt.encode({"iat": SECOND + issued, "exp": SECOND + 60}, KEY)
    verdicts = (f"{library} {verdict(check, token, SECOND + used)}" for library, check in CHECKS.items())
    print(f"issued at .{int(issued * 10)}, {name}: {', '.join(verdicts)}")
END
    node --input-type=module - <<'END'
import { createHmac } from "node:crypto";
import { jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";

const KEY = Buffer.from("a made-up key that has 32 octets");
const SECOND = 1_800_000_000;
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signed(claims) {
    const content = `${part({ alg: "HS256" })}.${part(claims)}`;
    return `${content}.${createHmac("sha256", KEY).update(content).digest("base64url")}`;
}

async function verdict(check) {
    try {
        await check();
    } catch (error) {
        return "refuses";
    }
    return "accepts";
}

for (const [name, issued, used] of [["used at .95", 0, 0.95], ["used at .95", 0.9, 0.95], ["used at the next .05", 0.9, 1.05]]) {
    const token = signed({ iat: SECOND + issued, exp: SECOND + 60 });
    const now = Math.round((SECOND + used) * 1000);
    Date.now = () => now;
    const verdicts = [
        `jose ${await verdict(() => jwtVerify(token, KEY, { currentDate: new Date(now) }))}`,
        `with maxTokenAge ${await verdict(() => jwtVerify(token, KEY, { currentDate: new Date(now), maxTokenAge: "1h" }))}`,
        `jsonwebtoken ${await verdict(() => jsonwebtoken.verify(token, KEY))}`,
        `with maxAge ${await verdict(() => jsonwebtoken.verify(token, KEY, { maxAge: "1h" }))}`,
    ];
    console.log(`issued at .${issued * 10}, ${name}: ${verdicts.join(", ")}`);
}
END
} > seen
cat seen
diff expected seen
echo "as described"
