"""Searches for mail addresses in a store of each kind: by any part of one, in any text, whether their names are frequent or not."""

from importlib import import_module

import pytest

from authctl.model import SessionFilter
from authctl.store.protocol import Store
from tests.postgres_server import why_not
from tests.test_store_contract import NOW, add, ids, new, revoke

ADDRESSES = ("info@a.example", "info@b.example", "myinfo@a.example", "in@a.example", "in%o@a.example", "jörg@b.example")
SEARCHES = (
    *ADDRESSES,
    "info@",
    "nfo@a",
    "o@a.ex",
    "@a.example",
    "o@",
    "info@a.example@",
    "a@b",
    "inxo@a.example",
    "info@c",
)


@pytest.mark.parametrize("is_frequent", [False, True])
@pytest.mark.parametrize("search", SEARCHES)
def test_an_address_is_found_wherever_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, search: str, is_frequent: bool
):
    """As a user, as another text of the session, and in the note of its revocation; and nothing else is found."""
    if is_frequent and why_not() is None:
        monkeypatch.setattr(import_module("authctl.store.postgres.searching"), "_MOST_OF_NAME", 0)
    sessions = add(store, *(new(address, NOW - n) for n, address in enumerate(ADDRESSES)))
    sessions += add(store, *(new("alice", NOW - 10 - n, device=address) for n, address in enumerate(ADDRESSES)))
    said = {session.id: f"{session.username} {session.device}" for session in sessions}
    [noted] = add(store, new("bob", NOW - 100))
    revoke(store, note="mail to info@a.example", ids=(noted.id,))
    said[noted.id] = "bob mail to info@a.example"
    assert ids(store, search=search) == [session_id for session_id, text in said.items() if search in text]
    with store.view() as view:
        assert view.count(SessionFilter(search=search), NOW) == sum(search in text for text in said.values())
