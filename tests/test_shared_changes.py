"""Changes that concern one session or login are shared: a store on a server may run them beside each other."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from time import time_ns

import pytest

from authctl import Registry, SessionFilter, TokenInvalid, TokenReused
from authctl.store import open_store
from tests.conftest import Clock, Install

PROFILES = """\
version: 1
default_profile: pair
profiles:
  pair: {idle_timeout: 3d, tokens: pair, refresh: {on_reuse: revoke}}
  single: {idle_timeout: 3d, on_revoke: wipe}
  login: {idle_timeout: 3d, authenticator: file, cache: {max_age: 1h}}
"""


@pytest.fixture
def registry(install: Install, home: Path) -> Registry:
    """A registry with a pair of tokens, a wipe and a login."""
    opened = install(PROFILES)
    program = home / "accept"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(stat.S_IRWXU)
    (home / "authenticators.yaml").write_text(
        f"version: 1\nauthenticators: {{file: {{command: [{json.dumps(str(program))}]}}}}\n"
    )
    (home / "authenticators.yaml").chmod(0o600)
    return opened


@pytest.fixture
def shared(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each change that was made was shared."""
    store = registry._installation.store
    change, made = store.change, []

    def noting(**how):
        made.append(how.get("shared", False))
        return change(**how)

    monkeypatch.setattr(store, "change", noting)
    return made


def issue(registry: Registry, profile: str = "single"):
    """Sign alice in."""
    return registry.issue(username="alice", application="Outlook", profile=profile)


def use(registry: Registry, clock: Clock) -> None:
    """Sign in, and use the token when its use is due."""
    token = issue(registry).access_token
    clock.forward(hours=1)
    registry.verify(token)


def refresh(registry: Registry, clock: Clock) -> None:
    """Sign in and refresh; then the spent token is presented, which revokes that one session."""
    spent = issue(registry, "pair").refresh_token
    registry.refresh(spent)
    clock.forward(hours=1)
    with pytest.raises(TokenReused):
        registry.refresh(spent)


def wipe(registry: Registry, shared: list[bool]) -> None:
    """A refusal delivers the order, and the application confirms it."""
    token = issue(registry).access_token
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    del shared[:]
    with pytest.raises(TokenInvalid):
        registry.verify(token)
    registry.tokens.wipe_done(token)


def log_in(registry: Registry) -> None:
    """By the authenticator, and again by the cache."""
    for _ in range(2):
        registry.tokens.login(username="alice", application="Outlook", profile="login", password="secret")


@pytest.mark.parametrize(
    ("operation", "changes"), [("issue", 1), ("use", 2), ("refresh", 3), ("wipe", 2), ("log_in", 2)]
)
def test_sign_ins_and_uses_are_shared(
    registry: Registry, clock: Clock, shared: list[bool], operation: str, changes: int
):
    """Sign-in, use, refresh with its reuse, wipe and login: every change of them."""
    operations: dict[str, Callable[[], object]] = {
        "issue": lambda: issue(registry),
        "use": lambda: use(registry, clock),
        "refresh": lambda: refresh(registry, clock),
        "wipe": lambda: wipe(registry, shared),
        "log_in": lambda: log_in(registry),
    }
    operations[operation]()
    assert shared == [True] * changes


def test_what_an_administrator_does_is_alone(registry: Registry, shared: list[bool]):
    """Revocations, disabled users, ends, keys, profiles, the cache and a cleanup meet no session in the middle of a change."""
    tokens = [issue(registry).access_token for _ in range(2)]
    del shared[:]
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.revoke(SessionFilter(everything=True), note="breach drill")
    registry.users.disable("alice", note="left the company")
    registry.users.enable("alice", note="came back")
    registry.end(tokens[:1])
    registry.keys.rotate(note="every year")
    registry.profiles.apply(registry.profiles.in_force(), note="as before")
    registry.cache.clear(note="suspicion")
    registry.cleanup.run()
    assert len(shared) >= 8
    assert not any(shared)


def test_the_look_up_has_the_present_instant_of_the_store(registry: Registry):
    """Without a clock that replaces it, a session is read at the time of the machine, and never before the recorded time."""
    number = issue(registry).session.number
    store = open_store(registry._installation.home.registry)
    before = time_ns() // 1000
    session, _ = store.by_number(number)
    assert before <= session.read_at <= time_ns() // 1000
    replaced, _ = store.by_number(number, before + 9_000_000)
    assert replaced.read_at == before + 9_000_000
    with store.change() as tx:
        tx.record_time(before + 3_600_000_000)
    assert store.by_number(number)[0].read_at == before + 3_600_000_000
    store.close()


def test_a_shared_change_is_whole_or_nothing(registry: Registry):
    """As every other one: a change that fails leaves nothing."""
    number = issue(registry).session.number
    store = registry._installation.store
    with pytest.raises(RuntimeError), store.change(shared=True) as tx:
        tx.deliver_wipe(number, 1)
        raise RuntimeError
    with store.view() as view:
        assert view.by_number(number, 0)[0].wipe_delivered_at is None
