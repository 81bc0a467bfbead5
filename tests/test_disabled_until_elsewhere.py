"""`users disable --until` with refresh tokens, logins with a password, complete listings and the console: at its end and around it."""

import json
import sys
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter, TokenInvalid, render
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, format_instant
from authctl.registry.imports.complete import Complete
from tests.conftest import Clock, Install

PAIRS = """\
version: 1
default_profile: entra
profiles:
  entra: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d, absolute_timeout: 90d, refresh: {grace: 30s, on_reuse: revoke}}
"""
BASIC = """\
version: 1
default_profile: basic
profiles:
  basic: {absolute_timeout: 24h, authenticator: staff, cache: {max_age: 24h, capacity: 3}}
"""
PROGRAM = """\
#!%s -P
import pathlib, sys
sys.stdin.read()
with pathlib.Path(%r).open("a") as asked:
    asked.write("asked\\n")
"""
MAP = read_mapping(
    b"source: hub\nfields: {username: user, created_at: created, last_used_at: used, source_id: id}\nkey: [id]\n",
    "map.yaml",
)


def disable(registry: Registry, days: int = 2, user: str = "alice") -> int:
    """Disable a user for some days; the end."""
    end = registry.now() + days * DAY
    registry.users.disable(user, note="on leave", until=end, actor="bob")
    return end


def statuses(registry: Registry, **criteria: object) -> list[str]:
    """The statuses of sessions, with the reason of an end."""
    return [f"{one.status} {one.ended_by or ''}".strip() for one in registry.sessions(SessionFilter(**criteria))]


def test_a_refresh_token_from_before_stays_refused_after_the_end(install: Install, clock: Clock):
    """Also one that was spent a moment before, within its grace; a sign-in after the end is refreshed as any other."""
    registry = install(PAIRS)
    first = registry.issue(username="alice", application="Teams")
    second = registry.refresh(first.refresh_token)
    disable(registry)
    for forward in (timedelta(seconds=1), timedelta(days=2, seconds=-1), timedelta(days=1)):
        for token in (first.refresh_token, second.refresh_token):
            with pytest.raises(TokenInvalid):
                registry.refresh(token)
        clock.forward(seconds=forward.total_seconds())
    assert statuses(registry) == ["expired user_disabled"]
    again = registry.issue(username="alice", application="Teams")
    renewed = registry.refresh(again.refresh_token)
    assert registry.verify(renewed.access_token).username == "alice"
    assert [event.action for event in registry.audit.events()].count("token.reuse") == 0


def test_a_refresh_at_the_end_itself_brings_nothing_back(install: Install, clock: Clock):
    """To the microsecond: before it a sign-in is refused, from it on it is not, and the ended session stays ended."""
    registry = install(PAIRS)
    old = registry.issue(username="alice", application="Teams")
    disable(registry)
    clock.forward(days=2, microseconds=-1)
    with pytest.raises(Refused):
        registry.issue(username="alice", application="Teams")
    clock.forward(microseconds=1)
    with pytest.raises(TokenInvalid):
        registry.refresh(old.refresh_token)
    new = registry.issue(username="alice", application="Teams")
    assert registry.refresh(new.refresh_token).session.id == new.session.id


@pytest.fixture
def with_passwords(install: Install, tmp_path: Path) -> Registry:
    """A registry whose authenticator is a real program that accepts everybody, and writes that it was asked."""
    registry = install(BASIC)
    program = tmp_path / "check"
    program.write_text(PROGRAM % (sys.executable, str(tmp_path / "asked")))
    program.chmod(0o700)
    authenticators = tmp_path / "home" / "authenticators.yaml"
    authenticators.write_text(json.dumps({"version": 1, "authenticators": {"staff": {"command": [str(program)]}}}))
    authenticators.chmod(0o600)
    return registry


def asked(folder: Path) -> int:
    """How often the program was asked."""
    file = folder / "asked"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_login_during_a_disabling_and_after_its_end(with_passwords: Registry, tmp_path: Path, clock: Clock):
    """Refused while it lasts, with the end; afterwards the authenticator is asked again: what it said before counts no more."""
    registry = with_passwords
    assert registry.tokens.login(username="alice", application="Mail", password="secret").session.username == "alice"
    assert registry.tokens.login(username="alice", application="Mail", password="secret").session.username == "alice"
    assert asked(tmp_path) == 1
    end = registry.now() + DAY // 2
    registry.users.disable("alice", note="on leave", until=end)
    with pytest.raises(Refused, match=f"disabled until {format_instant(end)}"):
        registry.tokens.login(username="alice", application="Mail", password="secret")
    before = asked(tmp_path)
    clock.forward(hours=12)
    assert registry.tokens.login(username="alice", application="Mail", password="secret").session.username == "alice"
    assert asked(tmp_path) == before + 1
    assert registry.tokens.login(username="alice", application="Mail", password="secret").session.username == "alice"
    assert asked(tmp_path) == before + 1
    assert sorted(statuses(registry)) == ["active"] * 2 + ["expired user_disabled"] * 2


def listing(registry: Registry, *rows: tuple[str, str, int, int]):
    """Import a complete listing, taken now: user, id, and when the session was created and last used."""
    lines = [
        json.dumps({"user": user, "id": name, "created": format_instant(created), "used": format_instant(used)})
        for user, name, created, used in rows
    ]
    now = registry.now()
    return registry.imports.run(
        BytesIO("\n".join(lines).encode()), MAP, taken_at=now, complete=Complete(max_affected=9)
    )


def test_complete_listings_during_a_disabling_and_after_its_end(registry: Registry, clock: Clock):
    """A session that its system still has stays ended here, is shown as used after its end, and a new one is active after the end."""
    start = registry.now()
    listing(registry, ("alice", "a1", start, start), ("bob", "b1", start, start))
    clock.forward(hours=1)
    end = disable(registry)
    for hours in (1, 24):
        clock.forward(hours=hours)
        now = registry.now()
        listing(registry, ("alice", "a1", start, now), ("alice", f"d{hours}", now, now), ("bob", "b1", start, now))
        assert set(statuses(registry, username="alice")) == {"expired user_disabled"}
        assert statuses(registry, username="bob") == ["active"]
    clock.forward(days=2)
    now = registry.now()
    assert now > end
    listing(registry, ("alice", "a1", start, now), ("alice", "n1", now, now), ("bob", "b1", start, now))
    by_id = {one.source_id: f"{one.status} {one.ended_by or ''}".strip() for one in registry.sessions()}
    assert by_id == {
        "a1": "expired user_disabled",
        "d1": "expired user_disabled",
        "d24": "expired user_disabled",
        "n1": "active",
        "b1": "active",
    }
    clock.forward(hours=1)
    listing(registry, ("bob", "b1", start, registry.now()))
    assert statuses(registry, username="alice", status="active") == []
    assert {one.source_id: one.ended_by for one in registry.sessions(SessionFilter(username="alice"))}[
        "n1"
    ] == "not_listed"


def test_a_complete_listing_never_names_the_disabled_sessions_as_missing(registry: Registry, clock: Clock):
    """They ended by the disabling: a listing without them changes neither their end nor its reason."""
    start = registry.now()
    listing(registry, ("alice", "a1", start, start), ("bob", "b1", start, start))
    disable(registry)
    for _ in range(2):
        clock.forward(days=2)
        outcome = listing(registry, ("bob", "b1", start, registry.now()))
        assert outcome.not_listed == 0
        assert statuses(registry, username="alice") == ["expired user_disabled"]


def test_the_console_shows_the_end_of_a_disabling(registry: Registry, tmp_path: Path, clock: Clock):
    """Without a change by anybody: the list goes by the clock; enabling is no longer offered then."""
    pytest.importorskip("textual", reason="Textual is not installed: it comes with .[console] or .[dev]")
    from tests.console_screen import console, run

    registry.issue(username="alice", application="Teams")
    disable(registry)

    async def visit():
        async with console(tmp_path / "home", clock) as driver:
            await driver.press("2", "s")
            assert "1 of 1" in driver.screen
            assert "until 2026-03-04" in driver.screen
            await driver.press("d")
            assert "until 2026-03-04 09:00 UTC (in 2 d) by bob note on leave" in driver.words
            clock.forward(days=2)
            await driver.press("escape", "f5")
            assert render.USERS.nothing in driver.screen
            await driver.press("s", "n")
            assert "'alice': not disabled" in driver.words
            await driver.press("escape", "d")
            assert "enabled" in driver.words

    run(visit)
