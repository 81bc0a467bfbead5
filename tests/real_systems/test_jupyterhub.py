"""The registry agrees with JupyterHub, which is started for the test (`make real-systems`)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Authctl
from tests.real_systems.jupyterhub import LISTER_TOKEN, JupyterHub
from tests.real_systems.listings import Importer
from tests.real_systems.receivers import subscribe

pytestmark = pytest.mark.slow

MAPPING = "jupyterhub"
SCRIPT, JOB, BOBS = ("alice", "script"), ("alice", "job"), ("bob", "script")
"""The tokens that are made, by user and note."""

WIKI = ("alice", None)
"""The token of an OAuth sign-in has no note."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[JupyterHub]:
    """A hub with alice and bob."""
    folder = tmp_path / "hub"
    folder.mkdir()
    started = JupyterHub(folder, "alice", "bob")
    yield started
    started.program.stop()


@pytest.fixture
def importer(installed: Authctl, tmp_path: Path) -> Importer:
    """The command line on an empty registry."""
    return Importer(installed, tmp_path, MAPPING, "jupyterhub")


def tokens(importer: Importer, *filters: str) -> list[tuple[str, str | None]]:
    """The user and note of the sessions that meet the filters, sorted."""
    found = [(session["username"], session["device"]) for session in importer.sessions(*filters)]
    return sorted(found, key=lambda token: (token[0], token[1] or ""))


def test_the_registry_agrees_with_the_hub(hub: JupyterHub, importer: Importer):
    """Tokens are made and deleted, a browser signs in and out; after each complete listing, the registry agrees."""
    script_id, script = hub.make_token(*SCRIPT)
    _, bobs = hub.make_token(*BOBS)
    browser = hub.sign_in("alice")
    wiki = browser.open_wiki()
    assert all(hub.accepts(token) for token in (script, wiki))
    assert importer.load_complete(hub.listing())["registered"] == 3
    assert tokens(importer, "--status", "active") == [WIKI, SCRIPT, BOBS]

    browser.sign_out()
    hub.delete_token("alice", script_id)
    second = hub.listing()
    importer.load_complete(second, "--max-affected", "2")
    assert [hub.accepts(token) for token in (script, wiki, bobs)] == [False, False, True]
    assert tokens(importer, "--status", "active") == [BOBS]
    assert tokens(importer, "--status", "expired") == [WIKI, SCRIPT]
    assert importer.ends() == {("not_listed", second.taken_at)}


def test_the_deletion_of_one_token_of_an_application_ends_all(hub: JupyterHub, importer: Importer):
    """The hub deletes the tokens of both browsers with the token of one, and the registry agrees."""
    hub.make_token(*SCRIPT)
    first, second = (hub.sign_in("alice").open_wiki() for _ in range(2))
    importer.load_complete(hub.listing())
    assert tokens(importer, "--status", "active") == [WIKI, WIKI, SCRIPT]
    hub.delete_token("alice", hub.id_of(first))
    importer.load_complete(hub.listing(), "--max-affected", "2")
    assert not hub.accepts(second)
    assert tokens(importer, "--status", "active") == [SCRIPT]
    assert tokens(importer, "--status", "expired") == [WIKI, WIKI]


def test_a_token_that_has_an_old_id_is_a_new_session(hub: JupyterHub, importer: Importer):
    """The hub gives the id of a deleted token again, to the same user or to another; the old session stays ended."""
    kept, _ = hub.make_token(*SCRIPT)
    first, _ = hub.make_token(*JOB)
    importer.load_complete(hub.listing())
    hub.delete_token("alice", first)
    second, _ = hub.make_token(*JOB)
    importer.load_complete(hub.listing())
    hub.delete_token("alice", second)
    third, _ = hub.make_token(*BOBS)
    importer.load_complete(hub.listing())
    assert first == second == third != kept
    assert tokens(importer, "--status", "active") == [SCRIPT, BOBS]
    assert tokens(importer, "--status", "expired") == [JOB, JOB]


def test_a_token_is_created_when_the_hub_created_it(hub: JupyterHub, importer: Importer):
    """A session has the times of the hub: the creation of its token, and the latest use, if there was one."""
    hub.make_token(*SCRIPT)
    _, job = hub.make_token(*JOB)
    assert hub.accepts(job)
    listing = hub.listing()
    importer.load_complete(listing)
    rows = json.loads(listing.documents["alice"])["api_tokens"]
    listed = {row["note"]: (row["created"], row["last_activity"] or row["created"]) for row in rows}
    assert listed.keys() == {"script", "job"}
    assert {one["device"]: (one["created_at"], one["last_used_at"]) for one in importer.sessions()} == listed


def test_a_revoked_token_is_refused_by_the_hub_itself(hub: JupyterHub, importer: Importer, home: Path, tmp_path: Path):
    """Revoked here with a note and told: the hub refuses it, the others go on; a new token of the same id is left alone."""
    job_id, job = hub.make_token(*JOB)
    _, bobs = hub.make_token(*BOBS)
    last_id, last = hub.make_token(*SCRIPT)
    assert all(map(hub.accepts, (job, bobs, last)))
    importer.load_complete(hub.listing())
    subscribe(home, tmp_path, "jupyterhub", LISTER_TOKEN, {"JUPYTERHUB_API_URL": hub.client.address + "/hub/api"})
    authctl = importer.authctl
    (session,) = importer.sessions("--search", "job")
    ran = authctl("revoke", session["id"], "--note", "found in a log", "--deliver", "-o", "json")
    assert (ran.code, ran.json["deliveries"]) == (0, {"jupyterhub": {"delivered": 1}}), ran.err
    assert [hub.accepts(token) for token in (job, bobs, last)] == [False, True, True]
    importer.load_complete(hub.listing())
    assert tokens(importer, "--status", "active") == [SCRIPT, BOBS]

    (session,) = importer.sessions("--user", "alice", "--status", "active")
    assert authctl("revoke", session["id"], "--note", "found in a log").code == 0
    hub.delete_token("alice", last_id)
    again_id, again = hub.make_token(*SCRIPT)
    ran = authctl("deliver", "-o", "json")
    assert (ran.code, ran.json["receivers"][0]["gone"]) == (0, 1), ran.err
    assert hub.accepts(again)
    assert again_id == last_id
    assert job_id != last_id
