"""The adapters with the real frameworks: who is let in, and what the others are told. Each test runs in each framework."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from authctl import Registry
from authctl.instants import HOUR, SECOND
from tests import places
from tests.adapters.conftest import Answer, bearer


def who(answer: Answer) -> str:
    """The user of a request that was let in."""
    assert answer.status == 200, answer
    return answer.json["user"]


def test_a_valid_token_is_let_in_and_a_page_without_one_stays_open(site, registry):
    """The session is on the request, by the exact name of its user."""
    ask = site(registry)
    token = registry.issue(username="Alice", application="Outlook").access_token
    assert who(ask("/app/me", bearer(token))) == "Alice"
    assert ask("/sign-in").json == {"page": "sign in"}


def test_no_token_and_a_wrong_one_are_401_with_a_challenge(site, registry):
    """Without a token there is no error to name (RFC 6750, section 3.1). No cache may keep the answer."""
    ask = site(registry)
    for headers, challenge in (
        ({}, "Bearer"),
        ({"Authorization": "Basic YTpi"}, "Bearer"),
        (bearer("x" * 300), 'Bearer error="invalid_token"'),
        (bearer(""), 'Bearer error="invalid_token"'),
    ):
        answer = ask("/app/me", headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
        assert answer.headers["cache-control"] == "no-store"


def test_a_revoked_session_is_refused_at_the_next_request(site, registry, home):
    """Another process revokes, as an administrator does."""
    ask = site(home)
    issued = registry.issue(username="alice", application="Outlook")
    assert who(ask("/app/me", bearer(issued.access_token))) == "alice"
    command = [
        sys.executable,
        "-m",
        "authctl",
        "--home",
        home,
        *places.named(home),
        "revoke",
        "--user",
        "alice",
        "--note",
        "lost",
        "--yes",
    ]
    subprocess.run(command, check=True, capture_output=True)
    answer = ask("/app/me", bearer(issued.access_token))
    assert (answer.status, answer.json) == (401, {"error": "invalid_token"})


def test_an_order_to_wipe_is_in_the_refusal_and_counts_as_delivered(site, registry):
    """The application is the session's own, so that its refusal is the delivery."""
    ask = site(registry)
    issued = registry.issue(username="alice", application="Outlook", profile="wiping")
    registry.tokens.revoke(issued.access_token, note="lost device")
    answer = ask("/app/me", bearer(issued.access_token))
    assert (answer.status, answer.json) == (401, {"error": "invalid_token", "action": "wipe"})
    assert registry.session(issued.session.id).wipe == "delivered"
    registry.tokens.wipe_done(issued.access_token)
    assert ask("/app/me", bearer(issued.access_token)).json == {"error": "invalid_token"}


def test_a_token_of_another_application_is_403_and_gets_no_order(site, registry):
    """It is a good token, so that its bearer must not throw it away."""
    ask = site(registry)
    issued = registry.issue(username="alice", application="Teams", profile="wiping")
    assert ask("/app/me", bearer(issued.access_token)).status == 403
    registry.tokens.revoke(issued.access_token, note="lost device")
    assert "action" not in ask("/app/me", bearer(issued.access_token)).json
    assert registry.session(issued.session.id).wipe == "pending"


def test_conditions_and_bindings_are_judged_by_the_address_of_the_request(site, registry):
    """A request from another address is 403, and the session lives on."""
    ask = site(registry)
    for options, expected in (
        ({"profile": "inside", "ip": "127.0.0.1"}, 200),
        ({"profile": "outside"}, 403),
        ({"profile": "bound", "ip": "127.0.0.1"}, 200),
        ({"profile": "bound", "ip": "10.0.0.1"}, 403),
    ):
        sign_in = {"username": "alice", "application": "Outlook", "ip": "10.0.0.1"} | options
        token = registry.issue(**sign_in).access_token
        assert ask("/app/me", bearer(token)).status == expected, options


def test_other_facts_come_from_the_application(site, registry):
    """What the adapter cannot know, such as the platform. The application itself cannot be replaced by it."""
    token = registry.issue(username="a", application="Outlook", profile="phones", platform="iOS").access_token
    assert site(registry)("/app/me", bearer(token)).status == 403

    def facts(*_request: object) -> dict[str, str]:
        return {"platform": "iOS", "application": "Teams"}

    assert site(registry, facts=facts)("/app/me", bearer(token)).status == 200


def test_the_version_of_the_application_comes_from_the_request(site, registry):
    """A function of the application reads it, here from headers of its own; a version that is older, missing or unreadable is 403."""

    def facts(*request: Any) -> dict[str, str | None]:
        if not request:
            import flask

            request = (flask.request,)
        headers = request[0].headers
        return {"application_version": headers.get("X-App-Version"), "platform": headers.get("X-App-Platform")}

    sign_in = {"platform": "iOS 18", "application_version": "16.0.5000"}
    token = registry.issue(username="a", application="Outlook", profile="current", **sign_in).access_token
    ask = site(registry, facts=facts)
    for version, platform, expected in (
        ("16.0.5000", "iOS 18", 200),
        ("16.0.10000", "ios 18", 200),
        ("16.0.4999", "iOS 18", 403),
        ("16.0.5000", "Android 14", 403),
        ("latest", "iOS 18", 403),
    ):
        headers = bearer(token) | {"X-App-Version": version, "X-App-Platform": platform}
        assert ask("/app/me", headers).status == expected, (version[:20], platform)
    assert ask("/app/me", bearer(token)).status == 403
    assert registry.session(registry.tokens.session(token).id).status == "active"


def test_a_cookie_counts_only_where_it_is_named(site, registry):
    """Not beside an `Authorization`, and not if it is there twice."""
    token = registry.issue(username="alice", application="Outlook").access_token
    cookie = {"Cookie": f"theme=dark; session={token}"}
    assert site(registry)("/app/me", cookie).status == 401
    ask = site(registry, cookie="session")
    assert ask("/app/me", cookie).status == 200
    assert ask("/app/me", cookie | bearer("x")).status == 401
    assert ask("/app/me", {"Cookie": f"session={token}; session={token}"}).status == 401


def test_a_registry_that_cannot_be_read_is_503_and_never_401(site, registry, home, caplog):
    """A 401 would cost each user the login. The reason is in the log, without the token."""
    token = registry.issue(username="alice", application="Outlook").access_token
    with places.away(home):
        answer = site(home)("/app/me", bearer(token))
    assert (answer.status, answer.json) == (503, {"error": "temporarily_unavailable"})
    assert "registry" in caplog.text
    assert token not in caplog.text
    assert who(site(home)("/app/me", bearer(token))) == "alice"


def test_a_held_write_lock_does_not_hold_requests_up(site, registry, home):
    """Each request is a use that is due; none of them waits for the lock."""
    tokens = [registry.issue(username=f"user {n}", application="Outlook").access_token for n in range(20)]
    ahead = registry.now() / SECOND + HOUR / SECOND
    with Registry.open(home, registry=places.place_in(home), clock=lambda: ahead) as later:
        ask = site(later)
        ask("/app/me", bearer(tokens[0]))
        with places.held(places.place_in(home)):
            assert [who(ask("/app/me", bearer(token))) for token in tokens] == [f"user {n}" for n in range(20)]


def test_threads_share_an_adapter(site, registry, home):
    """The registry of a home is opened once."""
    ask = site(home)
    tokens = {f"user {n}": registry.issue(username=f"user {n}", application="Outlook") for n in range(8)}

    def many(name: str) -> set[str]:
        return {who(ask("/app/me", bearer(tokens[name].access_token))) for _ in range(25)}

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(many, tokens)) == [{name} for name in tokens]


def _in_a_fork(ask, token):
    """The status that a forked child gets."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(ask("/app/me", bearer(token)).status))
    child.start()
    status = results.get()
    child.join(20)
    return status


def test_a_forked_process_opens_the_home_anew(site, registry, home):
    """Also after the parent used it; a registry that was open before the fork is 503, since nobody may use it there."""
    token = registry.issue(username="alice", application="Outlook").access_token
    ask = site(home)
    assert ask("/app/me", bearer(token)).status == 200
    assert _in_a_fork(ask, token) == 200
    assert ask("/app/me", bearer(token)).status == 200
    assert _in_a_fork(site(registry), token) == 503


def test_no_adapter_imports_another_framework():
    """A program that uses one of them needs no other one."""
    for name in ("starlette", "django", "flask"):
        pytest.importorskip(name, reason=f"{name} is not installed: it comes with .[dev]")
        others = {"starlette", "django", "flask"} - {name}
        program = f"import sys, authctl.adapters.{name}; print(*sorted({others!r} & sys.modules.keys()))"
        run = subprocess.run(
            [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=os.environ
        )
        assert (run.returncode, run.stdout.strip()) == (0, "")
