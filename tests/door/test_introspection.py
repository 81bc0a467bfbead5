"""POST /introspect and the authentication of clients (RFC 7662), as real clients send it."""

import time
from base64 import b64encode

import pytest

from authctl import Registry
from authctl.errors import TokenInvalid
from authctl.instants import HOUR, SECOND
from authctl.profiles import read as read_profiles
from tests import places
from tests.door.conftest import PROFILES, Client, make_home, percent, start_door, stop_door


def test_a_valid_token_is_active_with_every_member_that_resource_servers_need(door, registry, add):
    """No member is null, times are integers, and `exp` is a cache order: no later than the client's cache time."""
    issued = registry.issue(username="Alice", application="Outlook")
    client, before = add("introspect", cache_for=120 * SECOND), registry.now()
    answer = door.post("/introspect", client, token=issued.access_token)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    content = answer.json
    expected = {"active": True, "sub": "alice", "username": "Alice", "client_id": "Outlook", "token_type": "Bearer"}
    assert {name: content[name] for name in expected} == expected
    assert content["jti"] == issued.session.id
    assert all(type(content[name]) is int for name in ("iat", "exp", "session_expires_at"))
    assert before // SECOND + 120 <= content["exp"] <= registry.now() // SECOND + 120
    assert content["session_expires_at"] > content["exp"]


def test_a_session_that_never_ends_has_an_exp_all_the_same(door, registry, add):
    """Some resource servers keep an answer without `exp` for ten hours, others not at all."""
    issued = registry.issue(username="alice", application="Outlook", profile="endless")
    content = door.ask(issued.access_token, add("introspect"))
    assert content["exp"] <= registry.now() // SECOND + 60
    assert "session_expires_at" not in content


def test_a_deadline_before_the_cache_time_is_the_exp(door, registry, add):
    """The cache time never lengthens a session."""
    issued = registry.issue(
        username="alice", application="Outlook", profile="bound", ip="10.0.0.1", lifetime=30 * SECOND
    )
    content = door.ask(issued.access_token, add("introspect", facts=True, cache_for=HOUR), ip="10.0.0.1")
    assert content["exp"] == content["session_expires_at"] == issued.expires_at // SECOND


def test_introspection_counts_as_use(door, registry, add):
    """The last use is written, as by `verify`."""
    issued = registry.issue(username="used", application="Outlook")
    door.ask(issued.access_token, add("introspect"))
    assert registry.session(issued.session.id).last_used_at >= issued.session.last_used_at


@pytest.mark.parametrize("end", ["revoked", "disabled", "garbage", "refresh token", "nothing like it"])
def test_what_is_not_active_has_no_reason(door, registry, add, end):
    """Exactly {"active": false}, whatever the reason."""
    client = add("introspect")
    issued = registry.issue(username=f"user {end}", application="Outlook", profile="pairs")
    token = issued.access_token
    if end == "revoked":
        registry.tokens.revoke(token, note="lost device")
    elif end == "disabled":
        registry.users.disable(f"user {end}", note="left")
    elif end == "garbage":
        token = token[:-1] + ("0" if token[-1] != "0" else "1")
    elif end == "refresh token":
        token = issued.refresh_token
    else:
        token = "x" * 5000
    assert door.post("/introspect", client, token=token).body == b'{"active": false}'


def test_an_order_to_wipe_does_not_travel_by_introspection(door, registry, add):
    """A resource server throws it away: it must not count as delivered."""
    issued = registry.issue(username="wiped", application="Mail", profile="wiping")
    registry.tokens.revoke(issued.access_token, note="lost device")
    assert door.ask(issued.access_token, add("introspect")) == {"active": False}
    assert registry.session(issued.session.id).wipe == "pending"


def test_a_bound_client_learns_nothing_of_other_applications(door, registry, add):
    """Nor does its question count as a use."""
    issued = registry.issue(username="alice", application="Teams")
    for applications in (["Outlook"], ["Outlook", "Excel"]):
        assert door.ask(issued.access_token, add("introspect", applications=applications)) == {"active": False}
    assert registry.session(issued.session.id).last_used_at == issued.session.last_used_at
    for applications in (["TEAMS"], ["Outlook", "teams"]):
        assert door.ask(issued.access_token, add("introspect", applications=applications))["active"]


def test_facts_are_believed_from_clients_with_that_right_alone(door, registry, add):
    """A bound token needs the address; another client's claim of it is ignored."""
    issued = registry.issue(username="alice", application="Map", profile="bound", ip="10.0.0.1")
    assert door.ask(issued.access_token, add("introspect", facts=True), ip="10.0.0.1")["active"]
    assert not door.ask(issued.access_token, add("introspect", facts=True), ip="10.0.0.2")["active"]
    assert not door.ask(issued.access_token, add("introspect"), ip="10.0.0.1")["active"]


def test_all_spellings_of_a_secret_are_accepted(door, registry, add):
    """As it is, percent-encoded, and in the form; with a slash at the end of the path, and with any hint."""
    token = registry.issue(username="alice", application="Outlook").access_token
    client = add("introspect")
    encoded = "Basic " + b64encode(f"{percent(client.id)}:{percent(client.secret)}".encode()).decode()
    for headers in (
        {"Authorization": client.basic},
        {"Authorization": encoded},
        {"Authorization": client.basic.replace("Basic", "basic")},
    ):
        assert door.post("/introspect/", None, headers, token=token, token_type_hint="nonsense").json["active"]
    assert door.post("/introspect", None, token=token, client_id=client.id, client_secret=client.secret).json["active"]


@pytest.mark.parametrize("wrong", ["no client", "secret", "id", "blank", "not base64", "bearer", "twice", "both"])
def test_who_is_no_client_is_refused_without_the_word_active(door, registry, add, wrong):
    """401 with the challenge, or 400 for two ways at once."""
    token = registry.issue(username="alice", application="Outlook").access_token
    client = add("introspect")
    headers = {
        "no client": {},
        "secret": {"Authorization": Client(client.id, client.secret[:-1] + "-").basic},
        "id": {"Authorization": Client("nobody", client.secret).basic},
        "blank": {"Authorization": Client(client.id, "").basic},
        "not base64": {"Authorization": "Basic @@@"},
        "bearer": {"Authorization": f"Bearer {token}"},
        "twice": {"Authorization": f"{client.basic}, {client.basic}"},
        "both": {"Authorization": client.basic},
    }[wrong]
    form = {"client_id": client.id, "client_secret": client.secret} if wrong == "both" else {}
    answer = door.post("/introspect", None, headers, token=token, **form)
    if wrong == "both":
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    else:
        assert (answer.status, answer.json) == (401, {"error": "invalid_client"})
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert b"active" not in answer.body


def test_a_client_without_the_right_is_refused(door, registry, add):
    """403, and no verdict."""
    token = registry.issue(username="alice", application="Outlook").access_token
    answer = door.post("/introspect", add("wipe"), token=token)
    assert (answer.status, answer.json["error"]) == (403, "unauthorized_client")


def test_clients_act_at_once(door, registry, add):
    """Rotated and removed, with no restart, and with the same header as a moment ago."""
    token = registry.issue(username="alice", application="Outlook").access_token
    client = add("introspect")
    assert door.ask(token, client)["active"]
    second = Client(client.id, registry.clients.rotate(client.id, note="yearly").secret)
    assert door.ask(token, client)["active"]
    assert door.ask(token, second)["active"]
    third = Client(client.id, registry.clients.rotate(client.id, note="yearly again").secret)
    assert door.post("/introspect", client, token=token).status == 401
    assert door.ask(token, second)["active"]
    fourth = Client(client.id, registry.clients.rotate(client.id, note="secret leaked", at_once=True).secret)
    assert door.post("/introspect", third, token=token).status == 401
    assert door.ask(token, fourth)["active"]
    registry.clients.remove(client.id, note="shop closed")
    assert door.post("/introspect", fourth, token=token).status == 401


def test_a_right_secret_is_never_held_up_by_wrong_ones(door, registry, add):
    """Of many wrong ones some get 429; a right one in between is answered."""
    token = registry.issue(username="alice", application="Outlook").access_token
    client = add("introspect")
    wrong = Client(client.id, "wrong")
    statuses = [door.post("/introspect", wrong, token=token).status for _ in range(40)]
    assert statuses[0] == 401
    assert 429 in statuses
    assert door.ask(token, client)["active"]


@pytest.mark.parametrize(
    ("method", "kind", "body", "status"),
    [
        ("GET", "application/x-www-form-urlencoded", None, 405),
        ("POST", "application/json", '{"token": "x"}', 400),
        ("POST", "application/x-www-form-urlencoded", "", 400),
        ("POST", "application/x-www-form-urlencoded", "token=", 400),
        ("POST", "application/x-www-form-urlencoded", "token=a&token=b", 400),
        ("POST", "application/x-www-form-urlencoded", "&".join(f"f{n}=1" for n in range(40)), 400),
        ("POST", "application/x-www-form-urlencoded", "token=" + "a" * 9000, 413),
        ("POST", "application/x-www-form-urlencoded; charset=UTF-8", "token=a", 200),
    ],
)
def test_requests_that_are_not_one(door, add, method, kind, body, status):
    """Each has its status, JSON, and never the word active."""
    answer = door.send(method, "/introspect", body, {"Content-Type": kind, "Authorization": add("introspect").basic})
    assert answer.status == status
    assert status == 200 or b"active" not in answer.body


def test_a_token_in_the_query_is_ignored_and_never_logged(door, registry, add):
    """Only the body counts."""
    token = registry.issue(username="alice", application="Outlook").access_token
    client = add("introspect")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": client.basic}
    assert door.send("POST", f"/introspect?token={token}", "a=b", headers).status == 400
    assert token not in door.log()
    assert client.secret not in door.log()
    with pytest.raises(TokenInvalid):
        registry.verify(token + "0")


def test_the_scope_of_the_profile_is_told_as_one_text(door, registry, add):
    """By introspection and by a refresh; where the profile names none, neither has a `scope`."""
    client = add("introspect", "refresh")
    for profile, scope in (("scoped", "orders.read orders:write"), ("pairs", None)):
        issued = registry.issue(username="alice", application="Shop", profile=profile)
        assert door.ask(issued.access_token, client).get("scope") == scope
        form = {"grant_type": "refresh_token", "refresh_token": issued.refresh_token}
        pair = door.post("/token", client, **form).json
        assert pair.get("scope") == scope
        assert door.ask(pair["access_token"], client).get("scope") == scope


def test_another_scope_is_told_within_a_second(tmp_path):
    """A running door takes over new profiles, a profile that it does not know at once."""
    home = make_home(tmp_path)
    running = start_door(home, tmp_path)
    try:
        with Registry.open(home, registry=places.place_in(home)) as registry:
            made = registry.clients.add("shop", may=["introspect"])
            client = Client(made.client.client_id, made.secret)
            old = registry.issue(username="alice", application="Shop", profile="scoped").access_token
            assert running.ask(old, client)["scope"] == "orders.read orders:write"
            text = PROFILES.replace("orders:write", "orders.cancel") + "  new: {scope: new}\n"
            registry.profiles.apply(read_profiles(text.encode(), "-"), note="another scope")
            new = registry.issue(username="alice", application="Shop", profile="new").access_token
            assert running.ask(new, client)["scope"] == "new"
            time.sleep(1.1)
            assert running.ask(old, client)["scope"] == "orders.read orders.cancel"
    finally:
        stop_door(running)
