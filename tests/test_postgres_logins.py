"""Sign-ins with a password on a real PostgreSQL server: how many messages they send."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.model import Status
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from tests.sent_messages import sent_messages

PROFILES = b"""\
version: 1
default_profile: kept
profiles:
  kept: {idle_timeout: 1d, authenticator: file, cache: {max_age: 1d}}
"""


@pytest.fixture
def registry(tmp_path: Path, postgres_url: str) -> Iterator[Registry]:
    """A registry whose profile asks a program that accepts every password, and remembers that."""
    place = find_home(tmp_path / "home", postgres_url)
    create(place, profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="founder")
    program = tmp_path / "accept"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(stat.S_IRWXU)
    file = place.folder / "authenticators.yaml"
    file.touch(0o600)
    file.write_text(f"version: 1\nauthenticators: {{file: {{command: [{program}]}}}}\n")
    with Registry.open(place.folder, registry=place.registry, warn=lambda _: None) as one:
        one.tokens.login(username="first", application="Outlook", password="secret")
        yield one


@pytest.fixture
def sent(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The first words of the statements of each message that any connection sends from now on."""
    return sent_messages(monkeypatch)


AT_TURN = ["BEGIN", "SELECT", "SELECT"]


def test_a_login_from_the_cache(registry: Registry, sent: list[list[str]]):
    """The facts of its change come with the turn, and the session goes with the commit."""
    session = registry.tokens.login(username="first", application="Outlook", password="secret").session
    writing = sent[sent.index(AT_TURN) :]
    assert writing == [AT_TURN, ["SELECT"], ["UPDATE"], ["INSERT", "SELECT", "WITH", "COMMIT", "SELECT"]]
    assert len(sent) == 9
    check(registry, session)


def test_a_login_that_asks_the_authenticator(registry: Registry, sent: list[list[str]]):
    """The success is remembered in the same transaction, before the chain is locked."""
    session = registry.tokens.login(username="bob", application="Outlook", password="secret").session
    writing = sent[sent.index(AT_TURN) :]
    assert writing[-1] == ["INSERT", "SELECT", "WITH", "COMMIT", "SELECT"]
    assert len(sent) == 12
    assert [one.login.username for one in registry.cache.list()] == ["bob", "first"]
    check(registry, session)


def check(registry: Registry, session: Any) -> None:
    """The session of a login is the one that is read afterwards, and its event is in the log."""
    found = registry._installation.store.by_number(session.number)
    assert found is not None
    assert found[0]._replace(read_at=0) == session._replace(read_at=0)
    assert session.status_at(registry.now()) is Status.ACTIVE
    assert registry.count(SessionFilter(ids=(session.id,))) == 1
    assert next(registry.audit.events()).subject == session.id
    assert registry.audit.verify().seq > 1
