"""Forty nights of a complete listing, by the command, with what goes wrong in real nights: the registry has what the system has."""

import json
import random
from pathlib import Path
from typing import Any

from authctl import Registry, SessionFilter
from authctl.instants import DAY, HOUR, format_instant
from tests.conftest import Authctl

NIGHTS = 40
MAPPING = """
source: hub
fields: {username: user, application: {value: Hub}, source_id: id, created_at: created, last_used_at: used}
key: [id]
"""
WRONG = MAPPING.replace("source_id: id", "source_id: id, device: created").replace("key: [id]", "key: [created]")


def test_forty_nights(installed: Authctl, home: Path, tmp_path: Path):
    """Sessions come, go and come back, ids are given again, one night is cut, one empty, and one has a wrong mapping."""
    chance = random.Random(1)  # the same nights each time
    (tmp_path / "map.yaml").write_text(MAPPING)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    with Registry.open(home) as registry:
        begin = registry.now() - 2 * DAY
    system: dict[str, dict[str, Any]] = {}
    hidden: dict[str, dict[str, Any]] = {}
    for night in range(NIGHTS):
        now = begin + night * HOUR
        change(system, hidden, chance, now)
        listing = tmp_path / "listing.json"
        raw = json.dumps([{**one, "used": format_instant(now - HOUR // 2)} for one in system.values()])
        listing.write_text(raw)
        command = ("sessions", "import", str(listing), "--complete", "--taken-at", format_instant(now), "--yes")
        limits = ("--max-affected", "9")
        if night in (10, 20):
            before = registry_of(home)
            listing.write_text(raw[: len(raw) // 2] if night == 10 else "[]")
            code = 2 if night == 10 else 4
            assert installed(*command, *limits, "--map", str(tmp_path / "map.yaml")).code == code
            assert registry_of(home) == before
            listing.write_text(raw)
        if night == 30:
            before = registry_of(home)
            assert installed(*command, "--max-affected", "99", "--map", str(tmp_path / "wrong.yaml")).code == 0
            assert registry_of(home) != before
            newest = installed("imports", "list", "--limit", "1", "-o", "id").out.strip()
            assert installed("imports", "undo", newest, "--note", "wrong mapping", "--yes").code == 0
            assert registry_of(home) == before
        for _ in range(2):
            ran = installed(*command, *limits, "--map", str(tmp_path / "map.yaml"))
            assert ran.code == 0, (night, ran.err)
            assert registry_of(home) == sorted((one["user"], number, one["created"]) for number, one in system.items())


def change(system: dict[str, Any], hidden: dict[str, Any], chance: random.Random, now: int) -> None:
    """What happens in a day: sign-ins, ids given again, sessions that are missing in the listing and come back, sign-outs."""
    for number in list(hidden):
        system[number] = hidden.pop(number)
    numbers = [one for one in map(str, range(12)) if one not in system]
    for number in chance.sample(numbers, min(2 if system else 6, len(numbers))):
        user = chance.choice(["alice", "bob", "carol"])
        system[number] = {"user": user, "id": number, "created": format_instant(now - HOUR // 2)}
    if now and len(system) > 6:
        for number in chance.sample(sorted(system), 2):
            gone = system.pop(number)
            if chance.random() < 0.5:
                hidden[number] = gone


def registry_of(home: Path) -> list[Any]:
    """The active sessions."""
    with Registry.open(home) as registry:
        active = registry.sessions(SessionFilter(status="active"))
        return sorted((one.username, one.source_id, format_instant(one.created_at)) for one in active)
