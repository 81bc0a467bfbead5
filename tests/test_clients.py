"""Clients of the door: rights and secrets, the commands, restores, and the lag that a revocation names."""

import json

import pytest

from authctl import InvalidInput, NotFound, Refused, Registry
from authctl.instants import DAY, HOUR, MINUTE, SECOND
from authctl.model import EventFilter
from authctl.registry.backups import restore
from authctl.registry.clients import is_secret_of
from authctl.settings import find_home
from tests import places


def add(registry, name="shop", **options):
    """Add a client that may introspect."""
    return registry.clients.add(name, **{"may": ["introspect"], **options})


def test_a_secret_is_shown_once_and_kept_as_a_hash(registry, home):
    """The file, the audit log and the texts of the values have no trace of it."""
    made = add(registry)
    assert is_secret_of(made.client, made.secret)
    assert not is_secret_of(made.client, made.secret[:-1])
    assert len(made.secret) == 43
    assert made.secret.isalnum()
    assert made.client.client_id.isalnum()
    assert made.secret not in repr(made)
    for file in home.iterdir():
        assert made.secret.encode() not in file.read_bytes(), file


def test_names_are_one_in_any_case_and_width(registry):
    """A second client of that name is refused; the name is free again after the removal, under another id."""
    first = add(registry, "Web Shop")
    for name in ("WEB SHOP", "web  shop", first.client.client_id):
        assert registry.clients.get(name).client_id == first.client.client_id
    with pytest.raises(Refused):
        add(registry, "web shop")
    registry.clients.remove("WEB SHOP", note="shop closed")
    with pytest.raises(NotFound):
        registry.clients.get("web shop")
    assert add(registry, "web shop").client.client_id != first.client.client_id


def test_an_id_goes_before_a_name_that_is_written_like_it(registry):
    """Whatever is shown for a text is what is rotated and removed by it."""
    first = add(registry, "shop").client
    second = add(registry, first.client_id).client
    assert registry.clients.get(first.client_id).name == "shop"
    assert registry.clients.rotate(first.client_id, note="yearly rotation").client.name == "shop"
    assert registry.clients.remove(first.client_id, note="shop closed").name == "shop"
    assert registry.clients.list() == [second]


def test_two_secrets_live_while_one_is_rotated(registry):
    """The present one and the one before; `at_once` leaves one."""
    first = add(registry)
    second = registry.clients.rotate("shop", note="yearly rotation")
    assert is_secret_of(second.client, first.secret)
    third = registry.clients.rotate("shop", note="yearly rotation")
    assert not is_secret_of(third.client, first.secret)
    assert is_secret_of(third.client, second.secret)
    fourth = registry.clients.rotate("shop", note="secret in a log", at_once=True)
    assert [is_secret_of(fourth.client, made.secret) for made in (first, second, third, fourth)] == [False] * 3 + [True]
    assert not is_secret_of(fourth.client, "")


def test_each_change_has_its_event(registry):
    """With the client's id as subject, its name, and the note."""
    made = add(registry, note="the new shop", actor="bob")
    registry.clients.rotate("shop", note="yearly rotation", actor="bob")
    registry.clients.remove("shop", note="shop closed", actor="bob")
    events = list(registry.audit.events(EventFilter(actor="bob")))
    assert [(event.action, event.subject, event.note) for event in events] == [
        ("client.remove", made.client.client_id, "shop closed"),
        ("client.rotate", made.client.client_id, "yearly rotation"),
        ("client.add", made.client.client_id, "the new shop"),
    ]
    assert all(json.loads(event.detail)["name"] == "shop" for event in events)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"may": []}, InvalidInput),
        ({"may": ["everything"]}, InvalidInput),
        ({"name": " "}, InvalidInput),
        ({"name": "zero\u200bwidth"}, InvalidInput),
        ({"applications": [" "]}, InvalidInput),
        ({"cache_for": 0}, InvalidInput),
        ({"cache_for": DAY + SECOND}, InvalidInput),
        ({"lag": -1}, InvalidInput),
        ({"certificate": "abc"}, InvalidInput),
        ({"may": ["revoke"]}, Refused),
        ({"may": ["revoke"], "revoke_note": "..."}, Refused),
        ({"note": "..."}, Refused),
    ],
)
def test_clients_that_cannot_be(registry, options, error):
    """Nothing is added."""
    with pytest.raises(error):
        add(registry, **options)
    assert registry.clients.list() == []


def test_the_store_finds_a_client_as_it_is_at_each_moment(registry, home):
    """By id, on the connection of `verify`: another process's rotation and removal count at once."""
    made = add(registry)
    store = registry._installation.store
    client_id = made.client.client_id
    assert store.client(client_id) == made.client
    assert store.client(client_id) is store.client(client_id)
    assert store.client("nobody") is None
    with Registry.open(home, registry=places.place_in(home)) as other:
        other.clients.rotate("shop", note="yearly rotation")
        assert store.client(client_id).old_secret_hash == made.client.secret_hash
        other.clients.remove("shop", note="shop closed")
    assert store.client(client_id) is None


def test_commands(authctl, home):
    """Added, listed, shown, rotated, removed: each answer in the forms that scripts read, and every exit code."""
    authctl("init", "-q")
    added = authctl("clients", "add", "shop", "--may", "introspect", "--application", "Shop", "--cache-for", "2m")
    client_id, secret = added.out.strip().split("\t")
    assert "shown only once" in added.err
    record = authctl("clients", "add", "till", "--may", "wipe", "--lag", "5m", "-o", "json").json
    assert list(record)[:4] == ["client_id", "client_secret", "name", "may"]
    assert (record["cache_for"], record["lag"], record["applications"]) == ("1m", "5m", [])
    shown = authctl("clients", "show", "SHOP", "-o", "json").json
    assert (shown["client_id"], shown["cache_for"], shown["may"]) == (client_id, "2m", ["introspect"])
    assert "client_secret" not in shown
    listed = authctl("clients", "list")
    assert secret not in listed.out + authctl("clients", "list", "-o", "json").out
    assert authctl("clients", "list", "-o", "id").out.splitlines() == [client_id, record["client_id"]]
    assert authctl("clients", "rotate", "shop").code == 4
    rotated = authctl("clients", "rotate", "shop", "--note", "yearly rotation", "-o", "json").json
    assert rotated["has_old_secret"]
    assert rotated["client_secret"] != secret
    assert authctl("clients", "remove", "shop").code == 4
    assert authctl("clients", "remove", "shop", "--note", "shop closed").code == 0
    assert authctl("clients", "remove", "shop", "--note", "shop closed").code == 3
    assert authctl("clients", "show", "shop").code == 3
    assert authctl("clients", "add", "till", "--may", "wipe").code == 4
    assert authctl("clients", "add", "x", "--may", "anything").code == 2
    assert authctl("clients", "add", "x").code == 2


def test_revoke_names_the_longest_lag(authctl, home):
    """Of the clients that may be asked about the sessions: until then a resource server may let them in."""
    authctl("init", "-q")
    with Registry.open(home) as registry:
        check_lag(authctl, registry)


def check_lag(authctl, registry):
    """Each client is added between two revocations."""
    sign_in = ("tokens", "issue", "--user", "alice", "--application", "Shop", "-q")
    authctl(*sign_in)
    add(registry, "short", cache_for=30 * SECOND)
    assert "for up to 30s" in authctl("revoke", "--user", "alice", "--note", "lost device").err
    authctl(*sign_in)
    add(registry, "proxy", may=["verify"], lag=5 * MINUTE)
    add(registry, "others", applications=["Mail"], lag=HOUR)
    ran = authctl("revoke", "--user", "alice", "--note", "lost device")
    assert "for up to 5m" in ran.err
    assert "proxy" in ran.err
    assert "for up to" not in authctl("revoke", "--user", "alice", "--note", "lost device", "-q").err
    assert "for up to" not in authctl("revoke", "--user", "alice", "--note", "lost device").err


def test_a_removed_client_stays_removed_after_a_restore(registry, home, tmp_path, clock):
    """And a secret that was replaced stays refused; what the backup alone knows stays as it was."""
    kept, removed, rotated = (add(registry, name) for name in ("kept", "removed", "rotated"))
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(hours=1)
    registry.clients.remove("removed", note="shop closed")
    new = registry.clients.rotate("rotated", note="secret leaked", at_once=True)
    later = add(registry, "later")
    registry.close()
    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk failed", clock=clock)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as restored:
        names = {client.name for client in restored.clients.list()}
        assert names == {"kept", "rotated"}
        assert is_secret_of(restored.clients.get("kept"), kept.secret)
        assert not is_secret_of(restored.clients.get("rotated"), rotated.secret)
        assert is_secret_of(restored.clients.get("rotated"), new.secret)
        assert restored.clients.by_id(removed.client.client_id) is None
        assert restored.clients.by_id(later.client.client_id) is None


def test_a_damaged_row_is_an_integrity_failure(registry, home, authctl):
    """Exit 7, and no traceback."""
    add(registry)
    places.change_in(home, "UPDATE clients SET may = 'x'")
    assert authctl("clients", "list").code == 7
