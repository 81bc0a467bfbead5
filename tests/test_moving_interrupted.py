"""Moves that are interrupted, and changes by others during a move: nothing acknowledged is lost, and never are both places open."""

import random
import signal
import subprocess
from pathlib import Path

import pytest

from authctl import IntegrityFailure, Registry, RegistryMoved, RegistryUnavailable, SessionFilter, Status
from authctl.registry.moving import move
from authctl.registry_locations import Location
from authctl.settings import find_home
from authctl.store.moving import marks_at
from tests.conftest import Authctl, Start
from tests.new_places import WAYS, MakePlace

pytestmark = pytest.mark.in_a_file

STEPS = {
    "recorded that it begins": "moving._Mover._close, before",
    "made the copy": "moving.compare, before",
    "let the copy appear": "store_of_old.close_for_move, before",
    "closed the old place": "moving.open_arrived, before",
    "opened the new place": "moving.open_arrived, after",
    "moved audit.head on": "moving.finish_move, before",
    "noted that it is finished": "moving.finish_move, after",
}
"""The steps of a move, and where a kill after each of them is injected."""

KILLING = """
import os, sys
from authctl.__main__ import main

def kill(*_given, **_named):
    os.kill(os.getpid(), 9)

def after(function):
    def done(*given, **named):
        function(*given, **named)
        kill()
    return done

place = sys.argv.pop(1)
"""
"""The beginning of a program that is killed at a place, which is its first argument: before a function, or after it."""
KILLED_AT = f"""{KILLING}
import authctl.registry.moving as moving
import authctl.store.nouns.facts as facts

if place == "moving._Mover._close, before":
    moving._Mover._close = kill
elif place == "moving.compare, before":
    moving.compare = kill
elif place == "store_of_old.close_for_move, before":
    facts.FactsWriter.close_for_move = kill
elif place == "moving.open_arrived, before":
    moving.open_arrived = kill
elif place == "moving.open_arrived, after":
    moving.open_arrived = after(moving.open_arrived)
elif place == "moving.finish_move, before":
    moving.finish_move = kill
elif place == "moving.finish_move, after":
    moving.finish_move = after(moving.finish_move)
else:
    raise ValueError(place)
sys.exit(main())
"""


def state(home: Path, place: Location) -> str:
    """Whether a registry is open at a place: "open", "closed" or "absent"."""
    try:
        with Registry.open(home, registry=place) as registry:
            registry.count()
            return "open"
    except RegistryMoved:
        return "closed"
    except RegistryUnavailable as error:
        return "closed" if "not in use yet" in error.message else "absent"
    except IntegrityFailure:  # an empty database
        return "absent"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("old", "new"), WAYS)
def test_a_kill_after_any_step(
    installed_at: MakePlace,
    home: Path,
    new_place: MakePlace,
    authctl: Authctl,
    start: Start,
    old: str,
    new: str,
    step: str,
):
    """One place is open, or neither, and then both name the command; the same command again completes the move, with what came since."""
    place, target = installed_at(old), new_place(new)
    with Registry.open(home, registry=place) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
    command = ("--registry", str(place), "registry", "move", "--to", str(target), "--yes")
    process = start("-c", KILLED_AT, STEPS[step], *command)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    states = state(home, place), state(home, target)
    was_closed = list(STEPS).index(step) >= list(STEPS).index("closed the old place")
    assert states in (
        {("closed", "open"), ("closed", "closed")} if was_closed else {("open", "absent"), ("open", "closed")}
    )
    is_finished = step == "noted that it is finished"
    finding = next(
        one for one in authctl("--registry", str(place), "doctor", "-o", "json").json if "move" in one["found"]
    )
    assert not finding["ok"]
    assert ("registry move --to" in finding["next"]) is not is_finished
    if states == ("closed", "closed"):
        ran = authctl("--registry", str(place), "sessions", "list")
        assert (ran.code, "the move was not finished" in ran.err) == (6, True)
        ran = authctl("--registry", str(target), "sessions", "list")
        assert (ran.code, "is not in use yet" in ran.err) == (6, True)
        assert f"registry move --to {target}" in ran.err.replace("'", "")
    in_force = target if states[1] == "open" else place
    since = None
    if "open" in states:
        with Registry.open(home, registry=in_force) as registry:
            since = registry.issue(username="bob", application="Outlook").access_token
    ran = authctl(*command, "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["was_begun"] is was_closed
    assert (state(home, place), state(home, target)) == ("closed", "open")
    assert marks_at(place).moving_to is None
    with Registry.open(home, registry=target) as registry:
        assert registry.verify(token).username == "alice"
        assert since is None or registry.verify(since).username == "bob"
        assert registry.audit.verify().seq == registry.audit.event(ran.json["seq"]).seq + (
            since is not None and was_closed
        )
    assert authctl("--registry", str(target), "doctor", "-o", "json").json[-1]["ok"]


WRITER = """
import sys
from authctl import Registry, RegistryMoved, SessionFilter
from itertools import count
home, place, name = sys.argv[1:]
print("ready", flush=True)
with Registry.open(home, registry=place) as registry:
    for number in count():
        user = f"{name}-{number}"
        try:
            issued = registry.issue(username=user, application="Outlook")
            print("issued", issued.session.id, issued.access_token, flush=True)
            if number % 3 == 0:
                registry.revoke(SessionFilter(username=user), note="lost device")
                print("revoked", issued.session.id, flush=True)
            elif number % 3 == 1:
                registry.users.disable(user, note="left the company")
                print("disabled", user, flush=True)
            elif registry.verify(issued.access_token).id != issued.session.id:
                print("wrong", flush=True)
        except RegistryMoved as error:
            print("moved", error.moved_to, flush=True)
            break
"""


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_changes_during_a_move_are_moved_or_refused(
    installed_at: MakePlace, home: Path, new_place: MakePlace, start: Start, old: str, new: str
):
    """Sign-ins, revocations and disablings of other processes: each that was acknowledged is in the new place, the others are refused."""
    place, target = installed_at(old), new_place(new)
    writers = [start("-c", WRITER, str(home), str(place), f"writer{number}") for number in range(3)]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
            assert writer.stdout.readline().startswith("issued ")
        outcome = move(find_home(home, place), target)
        texts = [writer.communicate(timeout=60) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    said = [line.split(" ", 2) for out, _err in texts for line in out.splitlines()]
    assert [words[1] for words in said if words[0] == "moved"] == [str(target)] * 3, texts
    assert not [words for words in said if words[0] == "wrong"]
    with Registry.open(home, registry=target) as registry:
        revoked = {session.id for session in registry.sessions(SessionFilter(status=Status.REVOKED))}
        ids = {session.id for session in registry.sessions()}
        disabled = {user.user.username for user in registry.users.list() if user.user.disabled_at is not None}
        assert {words[1] for words in said if words[0] == "issued"} <= ids
        assert {words[1] for words in said if words[0] == "revoked"} <= revoked
        assert {words[1] for words in said if words[0] == "disabled"} <= disabled
        assert registry.audit.verify().seq == outcome.seq
        assert outcome.tables["sessions"] == len(ids) >= 3


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_kills_at_random(
    installed_at: MakePlace, home: Path, new_place: MakePlace, start: Start, authctl: Authctl, old: str, new: str
):
    """Whenever a move is killed, exactly one place takes sign-ins, or neither; the last run completes it."""
    place, target = installed_at(old), new_place(new)
    with Registry.open(home, registry=place) as registry:
        tokens = [registry.issue(username=f"user{number}", application="Outlook").access_token for number in range(40)]
    command = ("-m", "authctl", "--registry", str(place), "registry", "move", "--to", str(target), "--yes")
    chance = random.Random(5)
    seen = set()
    for _ in range(8):
        process = start(*command)
        try:
            process.wait(timeout=chance.uniform(0.15, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        states = state(home, place), state(home, target)
        assert states.count("open") <= 1
        assert states != ("absent", "absent")
        assert states[0] == "open" or "closed" in states
        seen.add(states)
        if "open" in states:
            with Registry.open(home, registry=place if states[0] == "open" else target) as registry:
                tokens.append(registry.issue(username="late", application="Outlook").access_token)
    assert authctl(*command[2:]).code == 0
    assert (state(home, place), state(home, target)) == ("closed", "open")
    with Registry.open(home, registry=target) as registry:
        assert len([registry.verify(token) for token in tokens]) == len(tokens) == registry.count()
        registry.audit.verify()
