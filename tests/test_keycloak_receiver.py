"""Keycloak end to end: its listing is imported, authctl decides, the shipped receiver tells it, and it refuses the tokens."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, shipped_mappings
from authctl.import_mappings import read_mapping
from tests import places
from tests.conftest import Install
from tests.keycloak import REALM, Keycloak
from tests.test_example_receivers import program_of
from tests.test_http_receivers import private
from tests.test_receivers import write_receivers

MAPPING = read_mapping(shipped_mappings.read("keycloak").text.encode(), "keycloak.yaml")


@pytest.fixture
def keycloak() -> Iterator[Keycloak]:
    """A realm in which alice has two sessions and bob has one, of some minutes ago."""
    made = Keycloak()
    yield made
    made.close()


@pytest.fixture
def tokens(keycloak: Keycloak) -> dict[str, dict[str, str]]:
    """The tokens of each session."""
    return {
        "phone": keycloak.sign_in("alice", "phone", 600),
        "desk": keycloak.sign_in("alice", "desk", 300),
        "bob": keycloak.sign_in("bob", "bob", 200),
    }


@pytest.fixture
def told(install: Install, home: Path, tmp_path: Path, keycloak: Keycloak, tokens: object) -> Iterator[Registry]:
    """A registry by the real clock, with the realm's sessions imported and the shipped receiver."""
    install().close()
    subscribe(home, tmp_path, keycloak)
    with Registry.open(home, registry=places.place_in(home)) as registry:
        list_all(registry, keycloak)
        yield registry


def subscribe(home: Path, tmp_path: Path, keycloak: Keycloak, *arguments: str) -> None:
    """Write a receivers file with the shipped receiver."""
    variables = {
        "KEYCLOAK_URL": keycloak.url,
        "KEYCLOAK_REALM": REALM,
        "KEYCLOAK_CLIENT_ID": "authctl",
        "KEYCLOAK_SECRET_FILE": private(tmp_path / "secret", "made up\n"),
    }
    command = [str(program_of("keycloak", tmp_path / "programs")), *arguments]
    environment = ", ".join(f"{name}: '{value}'" for name, value in variables.items())
    events = "[session-revoked, session-ended, user-disabled, user-enabled, password-changed]"
    entry = f"{{command: {command}, environment: {{{environment}}}, events: {events}, source: [keycloak]}}"
    write_receivers(home, f"version: 1\nreceivers:\n  keycloak: {entry}\n")


def list_all(registry: Registry, keycloak: Keycloak) -> None:
    """Import the listings of both users."""
    for user in ("alice", "bob"):
        registry.imports.run(io.BytesIO(keycloak.listing(user)), MAPPING)


def taken(keycloak: Keycloak, tokens: dict[str, dict[str, str]]) -> set[str]:
    """The sessions whose tokens the realm takes."""
    return {
        name for name, pair in tokens.items() if keycloak.accepts(pair["access"]) or keycloak.accepts(pair["refresh"])
    }


def test_one_revoked_session_is_refused_and_the_others_go_on(
    told: Registry, keycloak: Keycloak, tokens: dict[str, dict[str, str]]
):
    """And the next listing agrees."""
    (phone,) = [one for one in told.sessions(SessionFilter(username="alice")) if one.source_id == "phone"]
    told.revoke(SessionFilter(ids=(phone.id,)), note="lost phone")
    outcome = told.deliveries.deliver()
    assert (outcome.receivers[0].delivered, outcome.pending) == (1, 0)
    assert taken(keycloak, tokens) == {"desk", "bob"}
    assert (keycloak.not_before, keycloak.pushes) == (0, 0)
    list_all(told, keycloak)
    assert {one.source_id for one in told.sessions(SessionFilter(status="active"))} == {"desk", "bob"}


def test_after_a_revocation_of_everything_older_tokens_are_refused(
    told: Registry, keycloak: Keycloak, tokens: dict[str, dict[str, str]], home: Path
):
    """Also those of a session that authctl does not know; the not-before is set and pushed once, and who signs in later goes on."""
    tokens["unknown"] = keycloak.sign_in("carol", "unknown", 100)
    revoked = told.revoke(SessionFilter(everything=True), note="incident")
    outcome = told.deliveries.deliver()
    assert (outcome.receivers[0].delivered, outcome.pending) == (3, 0)
    assert taken(keycloak, tokens) == set()
    assert keycloak.pushes == 1
    assert 0 <= keycloak.not_before - revoked.at / 1_000_000 < 1
    again = keycloak.sign_in("alice", "again")
    assert keycloak.accepts(again["access"])
    keycloak.not_before += 50
    told.deliveries.retry(["1"])
    list_all(told, keycloak)
    told.revoke(SessionFilter(everything=True), note="incident")
    told.deliveries.deliver()
    assert keycloak.pushes == 1


@pytest.mark.parametrize("spare", [True, False])
def test_the_realm_is_left_alone_where_not_everything_is_meant(
    told: Registry, keycloak: Keycloak, tokens: dict[str, dict[str, str]], home: Path, tmp_path: Path, *, spare: bool
):
    """With a session that is spared, whose tokens the not-before would end, and where an argument forbids it."""
    (desk,) = [one for one in told.sessions(SessionFilter(username="alice")) if one.source_id == "desk"]
    if not spare:
        subscribe(home, tmp_path, keycloak, "--no-not-before")
    told.revoke(SessionFilter(everything=True, except_ids=(desk.id,) if spare else ()), note="incident")
    told.deliveries.deliver()
    assert taken(keycloak, tokens) == ({"desk"} if spare else set())
    assert (keycloak.not_before, keycloak.pushes) == (0, 0)


def test_without_the_role_for_the_realm_the_sessions_end_all_the_same(
    told: Registry, keycloak: Keycloak, tokens: dict[str, dict[str, str]]
):
    """And the deliveries wait, with the reason, until the role is given."""
    keycloak.is_manager_of_realm = False
    told.revoke(SessionFilter(everything=True), note="incident")
    assert told.deliveries.deliver().pending == 3
    assert not keycloak.sessions
    assert {one.reason for one in told.deliveries.list()} == {"HTTP 403"}
    keycloak.is_manager_of_realm = True
    told.deliveries.retry(["1"])
    told.deliveries.deliver()
    assert keycloak.pushes == 1
    assert {one.state for one in told.deliveries.list()} == {"gone"}


def test_a_disabled_user_is_signed_out_and_stays_out(
    told: Registry, keycloak: Keycloak, tokens: dict[str, dict[str, str]]
):
    """Until the user is enabled again; the sessions do not come back."""
    told.users.disable("alice", note="left the company")
    told.deliveries.deliver()
    assert taken(keycloak, tokens) == {"bob"}
    assert not keycloak.users["alice"]["enabled"]
    told.users.enable("alice", note="back again")
    told.deliveries.deliver()
    assert keycloak.users["alice"]["enabled"]
    assert taken(keycloak, tokens) == {"bob"}
