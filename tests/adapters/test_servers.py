"""The behaviour of the adapters where an event loop or several processes serve an application."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import places
from tests.adapters.conftest import bearer, starlette_test_client

ROOT = Path(__file__).parents[2]


async def _largest_gap(work):
    """The longest time for which the event loop did nothing else while some work was done, and the results of the work."""
    gaps, last = [0.0], time.monotonic()

    async def tick():
        nonlocal last
        while True:
            await asyncio.sleep(0.002)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    gaps[:], last = [0.0], time.monotonic()
    results = await asyncio.gather(*work)
    await asyncio.sleep(0.01)
    ticking.cancel()
    return max(gaps), results


@pytest.mark.parametrize("is_open", [True, False], ids=["open registry", "home"])
def test_starlette_records_deliveries_outside_of_the_event_loop(registry, home, is_open):
    """Each of thirty refusals would wait 20 ms for the lock: the loop goes on all the same."""
    pytest.importorskip("starlette", reason="starlette is not installed: it comes with .[dev]")
    httpx = pytest.importorskip("httpx", reason="httpx is not installed: it comes with .[dev]")
    from tests.adapters.starlette_site import application

    issued = [registry.issue(username=f"u{n}", application="Outlook", profile="wiping") for n in range(30)]
    for one in issued:
        registry.tokens.revoke(one.access_token, note="lost device")

    async def run():
        transport = httpx.ASGITransport(application(registry if is_open else home))
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            with places.held(places.place_in(home)):
                return await _largest_gap([client.get("/app/me", headers=bearer(one.access_token)) for one in issued])

    gap, answers = asyncio.run(run())
    assert {answer.json()["action"] for answer in answers} == {"wipe"}
    assert gap < 0.3


def test_a_web_socket_needs_a_token_too(registry):
    """One without a token is refused before it is accepted."""
    testclient = starlette_test_client()
    from tests.adapters.starlette_site import application

    client = testclient.TestClient(application(registry))
    token = registry.issue(username="alice", application="Outlook").access_token
    with client.websocket_connect("/app/talk", headers=bearer(token)) as socket:
        assert socket.receive_text() == "alice"
    with pytest.raises(testclient.WebSocketDenialResponse) as refused, client.websocket_connect("/app/talk"):
        pass
    assert refused.value.status_code == 401


def test_fastapi_has_the_session_as_a_dependency(registry):
    """Its refusals are JSON with the reason in `detail`, as all of FastAPI's."""
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed: it comes with .[dev]")
    testclient = starlette_test_client()
    from authctl.adapters.starlette import Bearer
    from authctl.model import Session

    site, guard = fastapi.FastAPI(), fastapi.Depends(Bearer(registry, application="Outlook"))

    @site.get("/me")
    def me(session: Session = guard):
        return {"user": session.username}

    client = testclient.TestClient(site)
    issued = registry.issue(username="alice", application="Outlook", profile="wiping")
    assert client.get("/me", headers=bearer(issued.access_token)).json() == {"user": "alice"}
    registry.tokens.revoke(issued.access_token, note="lost device")
    answer = client.get("/me", headers=bearer(issued.access_token))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert answer.json() == {"detail": {"error": "invalid_token", "action": "wipe"}}
    assert client.get("/me").status_code == 401


def test_two_authorizations_are_none(registry):
    """One of them may have been meant for another server."""
    testclient = starlette_test_client()
    from tests.adapters.starlette_site import application

    token = registry.issue(username="alice", application="Outlook").access_token
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert testclient.TestClient(application(registry)).get("/app/me", headers=twice).status_code == 401


def test_a_view_of_flask_can_be_guarded_alone(registry):
    """By the decorator; its own name is kept, so that Flask knows the view."""
    pytest.importorskip("flask", reason="flask is not installed: it comes with .[dev]")
    from tests.adapters.flask_site import application

    client = application(registry).test_client()
    token = registry.issue(username="alice", application="Outlook").access_token
    assert client.get("/one", headers=bearer(token)).json == {"user": "alice"}
    assert client.get("/one").status_code == 401


def test_django_in_an_event_loop(registry):
    """The check runs in a thread, and the view in the loop."""
    pytest.importorskip("django", reason="django is not installed: it comes with .[dev]")
    from tests.adapters.django_site import async_client

    token = registry.issue(username="alice", application="Outlook").access_token

    async def run():
        client = async_client(registry)
        return await client.get("/app/me-too", headers=bearer(token)), await client.get("/app/me-too")

    let_in, refused = asyncio.run(run())
    assert (let_in.status_code, json.loads(let_in.content)) == (200, {"user": "alice"})
    assert refused.status_code == 401


def test_django_without_an_application_does_not_start(registry):
    """A guard for every application would let in the tokens of all of them."""
    pytest.importorskip("django", reason="django is not installed: it comes with .[dev]")
    from django.core.exceptions import ImproperlyConfigured

    from tests.adapters.django_site import client

    with pytest.raises(ImproperlyConfigured, match="application"):
        client(registry, applicatoin="Outlook")


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_workers_of_gunicorn_open_the_registry_each(registry, home, tmp_path, framework):
    """The application is loaded before the fork. Both workers let in, and refuse at once after a revocation."""
    pytest.importorskip(framework, reason=f"{framework} is not installed: it comes with .[dev]")
    pytest.importorskip("gunicorn", reason="gunicorn is not installed: it comes with .[dev]")
    log = tmp_path / "gunicorn.log"
    place = f"tests.adapters.{framework}_site:application({'' if framework == 'django' else repr(str(home))})"
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", "127.0.0.1:0", place]
    command += ["--control-socket", tmp_path / "control"] if _has_control_socket() else []
    environment = os.environ | {"AUTHCTL_TEST_SITE": str(home)}
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=environment)
    try:
        port = _port(server, log)
        issued = registry.issue(username="alice", application="Outlook")
        assert _served_by_both(port, issued.access_token, log)
        registry.tokens.revoke(issued.access_token, note="lost device")
        assert {_get(port, issued.access_token)[0] for _ in range(40)} == {401}
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert "Traceback" not in log.read_text()


def _served_by_both(port, token, log):
    """Whether two processes let requests in; which of them takes a connection is up to the kernel."""
    seen, until = set(), time.monotonic() + 30
    with ThreadPoolExecutor(8) as threads:
        while len(seen) < 2 and time.monotonic() < until:
            answers = list(threads.map(lambda _: _get(port, token), range(40)))
            assert {status for status, _ in answers} == {200}, log.read_text()
            seen |= {json.loads(body)["process"] for _, body in answers}
    return len(seen) == 2


def _has_control_socket():
    """Whether this gunicorn opens a socket for its own administration, which has to be told a place."""
    help_text = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--help"], check=False, capture_output=True, text=True
    ).stdout
    return "--control-socket " in help_text


def _port(server, log):
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    pytest.fail(f"gunicorn did not start: {log.read_text()}")


def _get(port, token):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/app/me", headers=bearer(token))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
