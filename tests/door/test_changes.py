"""POST /revoke, /token and /wipe: what clients change, each with its audit event."""

import pytest

from authctl.errors import TokenRevoked
from authctl.model import EventFilter


def _last_event(registry, session_id):
    return next(registry.audit.events(EventFilter(session_id=session_id)))


def test_revoke_has_the_note_of_the_client_and_its_name(door, registry, add):
    """RFC 7009 has no note: the client's own stands in the audit log, and the client is the actor."""
    issued = registry.issue(username="alice", application="Shop")
    client = add("revoke", revoke_note="signed out in the shop")
    answer = door.post("/revoke", client, token=issued.access_token, token_type_hint="access_token")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", "application/json")
    with pytest.raises(TokenRevoked):
        registry.verify(issued.access_token)
    event = _last_event(registry, issued.session.id)
    name = registry.clients.get(client.id).name
    assert (event.action, event.actor, event.note) == ("session.revoke", f"client {name}", "signed out in the shop")


@pytest.mark.parametrize("token", ["nothing", "acat_" + "0" * 124])
def test_an_unknown_token_is_revoked_like_any_other(door, add, token):
    """200 with {}: a client must not learn more, and some fail on an empty body."""
    assert door.post("/revoke", add("revoke"), token=token).body == b"{}"


def test_a_bound_client_revokes_its_own_applications_alone(door, registry, add):
    """The answer is the same, and nothing happens."""
    issued = registry.issue(username="alice", application="Teams")
    assert door.post("/revoke", add("revoke", applications=["Shop"]), token=issued.access_token).body == b"{}"
    assert registry.verify(issued.access_token).revoked_at is None


def test_refresh_gives_the_next_pair_and_repeats_a_lost_answer(door, registry, add):
    """Nothing is null, `expires_in` is a whole number, and the refresh token is always there."""
    client = add("refresh")
    issued = registry.issue(username="alice", application="Shop", profile="pairs")
    form = {"grant_type": "refresh_token", "refresh_token": issued.refresh_token}
    first = door.post("/token", client, **form)
    assert first.status == 200
    assert set(first.json) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert 3590 <= first.json["expires_in"] <= 3600
    assert first.json["token_type"] == "Bearer"
    assert door.post("/token", client, **form).json["refresh_token"] == first.json["refresh_token"]
    assert registry.verify(first.json["access_token"]).username == "alice"
    name = registry.clients.get(client.id).name
    assert _last_event(registry, issued.session.id).actor == f"client {name}"


def test_a_reused_refresh_token_revokes_its_session(door, registry, add):
    """As `authctl tokens refresh` does."""
    client = add("refresh")
    issued = registry.issue(username="reuser", application="Shop", profile="pairs")
    second = door.post("/token", client, grant_type="refresh_token", refresh_token=issued.refresh_token).json
    door.post("/token", client, grant_type="refresh_token", refresh_token=second["refresh_token"])
    answer = door.post("/token", client, grant_type="refresh_token", refresh_token=issued.refresh_token)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    assert registry.session(issued.session.id).status == "revoked"


def test_a_bound_client_cannot_spend_the_token_of_another(door, registry, add):
    """Not even by a token that was used: that would revoke a session that is not its own."""
    other = add("refresh", applications=["Shop"])
    issued = registry.issue(username="alice", application="Teams", profile="pairs")
    registry.refresh(registry.refresh(issued.refresh_token).refresh_token)
    answer = door.post("/token", other, grant_type="refresh_token", refresh_token=issued.refresh_token)
    assert answer.json == {"error": "invalid_grant"}
    assert registry.session(issued.session.id).status == "active"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "nothing"}, "invalid_grant"),
    ],
)
def test_grants_that_are_refused(door, add, form, error):
    """400 with the error of RFC 6749, section 5.2."""
    answer = door.post("/token", add("refresh"), **form)
    assert (answer.status, answer.json["error"]) == (400, error)


def test_an_application_asks_for_its_order_and_acknowledges_it(door, registry, add):
    """Pending, delivered, acknowledged; a lost answer is repeated."""
    client = add("wipe", applications=["Mail"])
    issued = registry.issue(username="alice", application="Mail", profile="wiping")
    assert door.post("/wipe", client, token=issued.access_token).json == {"action": "none"}
    registry.tokens.revoke(issued.access_token, note="lost device")
    assert door.post("/wipe", client, token=issued.access_token).json == {"action": "wipe"}
    assert registry.session(issued.session.id).wipe == "delivered"
    for _ in range(2):
        done = door.post("/wipe", client, token=issued.access_token, done="true")
        assert done.json == {"action": "none", "wipe": "acknowledged"}
    assert registry.session(issued.session.id).wipe == "acknowledged"
    assert door.post("/wipe", client, token=issued.access_token).json == {"action": "none"}


def test_the_order_of_another_application_is_not_told(door, registry, add):
    """Neither told, nor acknowledged, nor counted as delivered."""
    client = add("wipe", applications=["Shop"])
    issued = registry.issue(username="alice", application="Mail", profile="wiping")
    registry.tokens.revoke(issued.access_token, note="lost device")
    assert door.post("/wipe", client, token=issued.access_token).json == {"action": "none"}
    assert door.post("/wipe", client, token=issued.access_token, done="true").status == 400
    assert registry.session(issued.session.id).wipe == "pending"
