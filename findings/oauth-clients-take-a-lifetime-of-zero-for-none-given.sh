#!/bin/sh
# Two OAuth clients: a token that says "expires_in": 0 never expires, by what they tell the application.
#
# Expected: a token that is good for 0 seconds is over at once, as one that is good for 1 second is over a second later.
# Seen: both take 0 for "the server did not say". oauthlib drops the field from the token that the application gets, and neither computes an
# end, so that an application that refreshes what has expired never refreshes this one, and works on until the server refuses.
# An end beside it (`expires_at`) counts for both.
# With: Authlib 1.9.10, oauthlib 4.0.1.
# Documented: RFC 6749, section 5.1, gives the field in seconds and has no exception; neither manual speaks of 0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check Authlib==1.9.10 oauthlib==4.0.1

cat > "$folder/expected" <<'END'
Authlib, expires_in 1: ends in 1 s, expired: True
Authlib, expires_in 0: ends never, expired: None
Authlib, not given: ends never, expired: None
oauthlib, expires_in 1: ends in 1 s
oauthlib, expires_in 0: ends never, and the token says None
oauthlib, not given: ends never, and the token says None
END
"$folder/python/bin/python" -W ignore > "$folder/seen" <<'END'
import json
import time
from unittest.mock import patch

from authlib.oauth2.rfc6749 import OAuth2Token
from oauthlib.oauth2 import WebApplicationClient

NOW = 1_800_000_000.0
CASES = {"expires_in 1": {"expires_in": 1}, "expires_in 0": {"expires_in": 0}, "not given": {}}


def end(at: float | None) -> str:
    return "never" if at is None else f"in {at - NOW:.0f} s"


with patch.object(time, "time", lambda: NOW):
    for name, said in CASES.items():
        token = OAuth2Token({"access_token": "a", "token_type": "Bearer", **said})
        print(f"Authlib, {name}: ends {end(token.get('expires_at'))}, expired: {token.is_expired()}")
    for name, said in CASES.items():
        client = WebApplicationClient("application")
        answer = json.dumps({"access_token": "a", "token_type": "Bearer", **said})
        token = client.parse_request_body_response(answer)
        says = "" if "expires_in" in token else f", and the token says {token.get('expires_in')}"
        print(f"oauthlib, {name}: ends {end(token.get('expires_at'))}{says}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
