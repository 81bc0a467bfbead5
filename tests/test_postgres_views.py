"""The messages of a view of a real PostgreSQL server: its facts come with its beginning, and what it prepares stays prepared."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from tests.sent_messages import sent_messages

PROFILES = b"version: 1\ndefault_profile: mail\nprofiles: {mail: {idle_timeout: 30d, continuity: true}}\n"
BEGINNING = ["BEGIN", "SET", "SELECT", "SET"]
SESSIONS = 5


@pytest.fixture
def registry(tmp_path: Path, postgres_url: str) -> Iterator[Registry]:
    """A registry on the server with some sessions, of which the first is revoked."""
    create(find_home(tmp_path / "home", postgres_url), profiles.read(PROFILES, "profiles.yaml"), PROFILES)
    with Registry.open(tmp_path / "home", registry=postgres_url) as opened:
        first, *_ = [opened.issue(username=f"user{n}", application="Outlook").session.id for n in range(SESSIONS)]
        opened.revoke(SessionFilter(ids=(first,)), note="lost device")
        yield opened


@pytest.fixture
def sent(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The first words of the statements of each message that views send from now on."""
    return sent_messages(monkeypatch, registry._installation.store._connections._reader.connection())


@pytest.mark.parametrize(
    ("wanted", "queries"),
    [
        (SessionFilter(kind="application"), 1),
        (SessionFilter(kind="application", status="revoked"), 1),
        (SessionFilter(username="user1"), 1),
        (SessionFilter(kind="application", status="expired"), 2),  # the profiles, and their sessions
    ],
    ids=lambda wanted: repr(wanted.criteria()) if isinstance(wanted, SessionFilter) else "",
)
def test_a_first_page_is_three_messages(registry: Registry, sent: list[list[str]], wanted: SessionFilter, queries: int):
    """One begins with all facts, one reads the page, and one ends; an index that begins with the profile is asked for those."""
    list(islice(registry.sessions(wanted), 50))
    assert sent[0] == BEGINNING
    assert sent[-1] == ["ROLLBACK"]
    assert len(sent) == 2 + queries


def test_the_first_page_of_the_active_asks_for_its_profiles(registry: Registry, sent: list[list[str]]):
    """Besides the walk along the index, and the sessions themselves where that meets few."""
    list(islice(registry.sessions(SessionFilter(kind="application", status="active"), limit=1), 1))
    assert sent == [BEGINNING, ["SELECT"], ["SELECT"], ["ROLLBACK"]]
