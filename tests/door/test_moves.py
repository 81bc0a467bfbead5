"""A move of the registry beside a running door, and through a pooler: each verdict is right, or 503, and the new place goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry
from authctl.registry.moving import move
from authctl.registry_locations import Location
from authctl.settings import find_home
from tests.door.conftest import Client, RunningDoor, make_home, start_door, stop_door
from tests.new_places import WAYS, MakePlace
from tests.postgres_server import new_pooler

pytestmark = pytest.mark.in_a_file


class Asking(threading.Thread):
    """Somebody who introspects a living token and signs out others, again and again; the answers by status and verdict."""

    def __init__(self, door: RunningDoor, client: Client, token: str) -> None:
        super().__init__(daemon=True)
        self.door, self.client, self.token = door, client, token
        self.answers: Counter[tuple[int, Any]] = Counter()
        self.is_over = threading.Event()

    def run(self) -> None:
        """Ask until the test is over."""
        while not self.is_over.is_set():
            answer = self.door.post("/introspect", self.client, token=self.token)
            self.answers[answer.status, answer.json.get("active")] += 1

    def wait_for(self, status: int, times: int) -> None:
        """Wait until that status has come so often."""
        until = time.monotonic() + 60
        while sum(n for (found, _), n in self.answers.items() if found == status) < times:
            assert time.monotonic() < until, self.answers
            assert self.is_alive()
            time.sleep(0.01)


def installed_in(folder: Path, kind: str, new_place: MakePlace) -> tuple[Path, Location]:
    """A home whose registry is at a place of a kind."""
    home = make_home(folder)
    if kind == "file":
        return home, home / "registry.db"
    place = new_place(kind)
    move(find_home(home), place)
    (home / "registry.db").unlink()
    return home, place


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_a_move_beside_a_running_door(tmp_path: Path, new_place: MakePlace, old: str, new: str):
    """Verdicts go on until the old place is closed, then all are 503; a door at the new place has the same verdicts."""
    home, place = installed_in(tmp_path, old, new_place)
    target = new_place(new)
    with Registry.open(home, registry=place) as registry:
        made = registry.clients.add("shop", may=("introspect", "revoke"), revoke_note="signed out")
        client = Client(made.client.client_id, made.secret)
        alice = registry.issue(username="alice", application="Outlook").access_token
        bob = registry.issue(username="bob", application="Outlook").access_token
        for number in range(500):  # so that the move takes a while
            registry.issue(username=f"user{number}", application="Outlook")
    door = start_door(home, tmp_path, environment={"AUTHCTL_REGISTRY": str(place)})
    asking = Asking(door, client, alice)
    try:
        assert door.post("/revoke", client, token=bob).status == 200
        asking.start()
        asking.wait_for(200, 20)
        outcome = move(find_home(home, place), target)
        asking.wait_for(503, 5)
        assert door.post("/revoke", client, token=alice).status == 503
        assert door.post("/introspect", client, token=bob).status == 503
        assert "was moved to" in door.log()
    finally:
        asking.is_over.set()
        asking.join(30)
        assert stop_door(door) == 0
    assert set(asking.answers) == {(200, True), (503, None)}, asking.answers
    assert outcome.tables["sessions"] == 502
    again = start_door(home, tmp_path, environment={"AUTHCTL_REGISTRY": str(target)})
    try:
        assert again.ask(alice, client)["active"] is True
        assert again.ask(bob, client) == {"active": False}
    finally:
        assert stop_door(again) == 0


@pytest.mark.parametrize("step", ["to", "from"])
def test_a_move_through_a_pooler_in_transaction_mode(tmp_path: Path, postgres_server, new_place: MakePlace, step: str):
    """Both ways, with a door behind the same pooler: nothing is prepared, and nothing of the move outlives its transaction."""
    database = str(new_place("server"))
    name = database.split("/", 3)[3].split("?", maxsplit=1)[0]
    home, file = installed_in(tmp_path, "file", new_place)
    with new_pooler(postgres_server, "registrar", connections=4) as folder:
        pooled = f"postgresql:///{name}?host={folder}&port=6432&user=registrar&pooler=transaction"
        with Registry.open(home, registry=file) as registry:
            made = registry.clients.add("shop", may=("introspect",))
            client = Client(made.client.client_id, made.secret)
            token = registry.issue(username="alice", application="Outlook").access_token
        assert move(find_home(home, file), pooled).moved_to == pooled
        door = start_door(home, tmp_path, environment={"AUTHCTL_REGISTRY": pooled})
        try:
            assert door.ask(token, client)["active"] is True
            if step == "from":
                back = tmp_path / "back.db"
                assert move(find_home(home, pooled), back).moved_to == str(back)
                assert door.post("/introspect", client, token=token).status == 503
                with Registry.open(home, registry=back) as registry:
                    assert registry.verify(token).username == "alice"
                    registry.audit.verify()
        finally:
            assert stop_door(door) == 0
