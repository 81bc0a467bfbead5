"""The registry agrees with Synapse, a Matrix server that is started for the test (`make real-systems`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Authctl
from tests.real_systems.listings import Importer
from tests.real_systems.receivers import subscribe
from tests.real_systems.synapse import LISTER, Synapse, user_id

pytestmark = pytest.mark.slow

MAPPING = "synapse-devices"
PC, PHONE, BOBS, LISTERS = ("alice", "PC"), ("alice", "PHONE"), ("bob", "PC"), (LISTER, "LISTER")
"""The devices that sign in, by user; two users have devices of one name."""


@pytest.fixture
def synapse(tmp_path: Path) -> Iterator[Synapse]:
    """A server with alice and bob, who have no device yet."""
    folder = tmp_path / "synapse"
    folder.mkdir()
    started = Synapse(folder)
    try:
        started.prepare("alice", "bob")
        yield started
    finally:
        started.program.stop()


@pytest.fixture
def importer(installed: Authctl, tmp_path: Path) -> Importer:
    """The command line on an empty registry."""
    return Importer(installed, tmp_path, MAPPING, "synapse")


def devices(importer: Importer, *filters: str) -> list[tuple[str, str]]:
    """The user and device of the sessions that meet the filters, sorted."""
    return sorted((session["username"], session["device"]) for session in importer.sessions(*filters))


def named(*expected: tuple[str, str]) -> list[tuple[str, str]]:
    """The same as the registry has it: with the whole name of the user."""
    return sorted((user_id(name), device) for name, device in expected)


def test_the_registry_agrees_with_synapse(synapse: Synapse, importer: Importer):
    """Users sign in, out and in again; after each complete listing, the registry has the devices of the server."""
    tokens = {device: synapse.sign_in(*device) for device in (PC, PHONE, BOBS)}
    assert synapse.accepts(tokens[PC])
    assert synapse.accepts(tokens[BOBS])
    first = synapse.listing()
    assert importer.load_complete(first)["registered"] == 4
    assert devices(importer, "--status", "active") == named(PC, PHONE, BOBS, LISTERS)

    synapse.sign_out(tokens[PHONE])  # it was never used, so that the listing had no time of it
    synapse.delete_device(*BOBS)
    second = synapse.listing()
    importer.load_complete(second)
    assert [synapse.accepts(token) for token in tokens.values()] == [True, False, False]
    assert devices(importer, "--status", "active") == named(PC, LISTERS)
    assert devices(importer, "--status", "expired") == named(PHONE, BOBS)
    assert importer.ends() == {("not_listed", second.taken_at)}

    synapse.sign_in(*PHONE)
    synapse.sign_in(*BOBS)  # its last use, which was before the end, may stand in the listing again
    assert importer.load_complete(synapse.listing())["returned"] == 2
    assert devices(importer, "--status", "active") == named(PC, PHONE, BOBS, LISTERS)
    importer.load(first)
    assert devices(importer) == devices(importer, "--status", "active") == named(PC, PHONE, BOBS, LISTERS)


def test_a_listing_of_one_user_ends_sessions_of_that_user_only(synapse: Synapse, importer: Importer):
    """Both users signed out, and the devices of one are listed: the sessions of the other stay as they were."""
    tokens = [synapse.sign_in(*device) for device in (PC, PHONE, BOBS)]
    importer.load_complete(synapse.listing())
    synapse.sign_out(tokens[0])
    synapse.sign_out(tokens[2])
    importer.load_complete(synapse.listing("alice"), "--user", user_id("alice"))
    assert devices(importer, "--status", "active") == named(PHONE, BOBS, LISTERS)
    assert devices(importer, "--status", "expired") == named(PC)


def test_a_device_that_was_revoked_here_and_is_still_listed_stays_revoked(synapse: Synapse, importer: Importer):
    """The server was not told, so it lists the device again; the registry does not take the revocation back."""
    token = synapse.sign_in(*PC)
    assert synapse.accepts(token)
    importer.load_complete(synapse.listing())
    assert importer.authctl("revoke", "--user", user_id("alice"), "--note", "lost", "--yes").code == 0
    importer.load_complete(synapse.listing())
    assert synapse.accepts(token)
    assert devices(importer, "--status", "revoked") == named(PC)
    assert devices(importer, "--status", "active") == named(LISTERS)


def test_a_revoked_device_is_refused_by_synapse_itself(
    synapse: Synapse, importer: Importer, home: Path, tmp_path: Path
):
    """Revoked here with a note and told: the server refuses the token, the others go on, and the next listing agrees."""
    tokens = {device: synapse.sign_in(*device) for device in (PC, PHONE, BOBS)}
    assert all(map(synapse.accepts, tokens.values()))
    importer.load_complete(synapse.listing())
    subscribe(home, tmp_path, "synapse", synapse.token, {"SYNAPSE_URL": synapse.client.address})
    authctl = importer.authctl
    assert authctl("receivers", "test", "synapse").code == 0
    (phone,) = importer.sessions("--device", "PHONE")
    ran = authctl("revoke", phone["id"], "--note", "lost phone", "--deliver", "-o", "json")
    assert (ran.code, ran.json["deliveries"]) == (0, {"synapse": {"delivered": 1}}), ran.err
    assert "does not tell" not in ran.err
    assert [synapse.accepts(tokens[device]) for device in (PC, PHONE, BOBS)] == [True, False, True]
    importer.load_complete(synapse.listing())
    assert devices(importer, "--status", "active") == named(PC, BOBS, LISTERS)
    assert devices(importer, "--status", "revoked") == named(PHONE)

    assert authctl("users", "disable", user_id("bob"), "--note", "left the company").code == 0
    synapse.delete_device(*BOBS)
    ran = authctl("deliver", "-o", "json")
    assert ran.code == 0, ran.err
    assert (ran.json["receivers"][0]["delivered"], ran.json["receivers"][0]["gone"]) == (1, 1)
    assert authctl("users", "enable", user_id("bob"), "--note", "back again").code == 0
    assert authctl("deliver").code == 0
    assert synapse.accepts(synapse.sign_in(*BOBS))


def test_a_server_that_is_down_is_told_later(synapse: Synapse, importer: Importer, home: Path, tmp_path: Path):
    """The revocation stands, and waits; when the server is back, it is told."""
    token = synapse.sign_in(*PHONE)
    importer.load_complete(synapse.listing())
    subscribe(home, tmp_path, "synapse", synapse.token, {"SYNAPSE_URL": "http://127.0.0.1:1"})
    authctl = importer.authctl
    (phone,) = importer.sessions("--device", "PHONE")
    ran = authctl("revoke", phone["id"], "--note", "lost phone", "--deliver", "-o", "json")
    assert (ran.code, ran.json["revoked"], ran.json["deliveries"]) == (9, 1, {"synapse": {"pending": 1}})
    assert synapse.accepts(token)
    subscribe(home, tmp_path, "synapse", synapse.token, {"SYNAPSE_URL": synapse.client.address})
    assert authctl("deliveries", "retry", "1").code == 0
    assert authctl("deliver").code == 0
    assert not synapse.accepts(token)
