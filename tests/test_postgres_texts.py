"""Texts that a database cannot hold are equal to nothing in it: as in a file, they are unknown, and no defect."""

import pytest

from authctl import NotFound, Registry, SessionFilter
from authctl.settings import Home
from tests.conftest import HOSTILE
from tests.postgres_homes import opened
from tests.postgres_server import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

IMPOSSIBLE = ["al\udcffice", "\ud83d", "a\0bcdefg", "\0"]


@pytest.fixture
def registry(home_on_server: Home):
    """A registry on a server."""
    with opened(home_on_server) as registry:
        yield registry


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_what_cannot_be_stored_is_unknown(registry: Registry, text: str):
    """As an id, and as one of several."""
    known = registry.issue(username="alice", application="Outlook").session.id
    with pytest.raises(NotFound):
        registry.session(text)
    assert registry.end([text]).not_found == (text,)
    outcome = registry.revoke(SessionFilter(ids=(text, known)), note="lost device", actor="admin")
    assert (outcome.not_found, outcome.revoked) == ((text,), 1)


def test_what_can_be_stored_comes_back(registry: Registry):
    """Letter by letter, and is found."""
    for text in [*HOSTILE, "a'b\"c;--", "%(now)s %s :now ?", "100%", "_%", "жук", "日本語", "e\u0301", "\U0001f600"]:
        issued = registry.issue(username="alice", application="Outlook", device=text)
        found = registry.session(issued.session.id)
        assert found.device == issued.session.device
        assert registry.count(SessionFilter(ids=(issued.session.id,), search=found.device)) == 1, text
        assert registry.count(SessionFilter(ids=(issued.session.id,), device=found.device)) == 1, text
    assert registry.audit.verify().seq > len(HOSTILE)
