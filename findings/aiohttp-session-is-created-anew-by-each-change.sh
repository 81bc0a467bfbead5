#!/bin/sh
# aiohttp-session: `created` is the time of the last change, so that `max_age` is neither an absolute nor an idle timeout.
#
# Expected: `created` is when the user signed in and stays so, and `max_age` counts from then; or every use renews, as idle timeouts do.
# Seen: writing any value sets `created` to now. A session in which each request counts something never ends, and one that is used as
# often but only read ends `max_age` after the last write. How old a session is, as a list of sessions would show it, cannot be said.
# With: aiohttp-session 2.12.1, aiohttp 3.14.5.
# Documented: otherwise; the reference says that `created` is the time of the very first access to the session.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check aiohttp-session==2.12.1 aiohttp==3.14.5

cat > "$folder/expected" <<'END'
max_age 100, read at 80: at 160 the session is gone
max_age 100, changed at 80: at 160 the session of alice is there, created at 80
END
"$folder/python/bin/python" -W ignore > "$folder/seen" <<'END'
import asyncio
import time
from unittest.mock import patch

import aiohttp_session
from aiohttp.test_utils import make_mocked_request

START = 1_800_000_000
storage = aiohttp_session.SimpleCookieStorage(max_age=100)


async def opened(cookie: str | None) -> aiohttp_session.Session:
    headers = {} if cookie is None else {"Cookie": f"AIOHTTP_SESSION={cookie}"}
    return await storage.load_session(make_mocked_request("GET", "/", headers=headers))


async def saved(session: aiohttp_session.Session) -> str:
    from aiohttp.web import Response

    response = Response()
    await storage.save_session(make_mocked_request("GET", "/"), response, session)
    return response.cookies["AIOHTTP_SESSION"].coded_value


async def visit(*, changes: bool) -> str:
    with patch.object(time, "time", lambda: START):
        session = aiohttp_session.Session(None, data=None, new=True, max_age=100)
        session["user"] = "alice"
        cookie = await saved(session)
    with patch.object(time, "time", lambda: START + 80):
        session = await opened(cookie)
        assert session["user"] == "alice"
        if changes:
            session["pages"] = 1
            cookie = await saved(session)
    with patch.object(time, "time", lambda: START + 160):
        session = await opened(cookie)
    if "user" not in session:
        return "is gone"
    return f"of {session['user']} is there, created at {session.created - START}"


for what, changes in (("read", False), ("changed", True)):
    print(f"max_age 100, {what} at 80: at 160 the session {asyncio.run(visit(changes=changes))}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
