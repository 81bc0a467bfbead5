"""Moves that are given up: one place is in force at every moment, or neither, and the copy never opens afterwards."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from authctl import Registry
from authctl.errors import Refused, RegistryMoved
from authctl.registry.moving import move
from authctl.registry.unfinished_moves import give_up
from authctl.registry_locations import Location
from authctl.settings import find_home
from authctl.store.moving import marks_at
from tests.conftest import Authctl, Install, Start
from tests.new_places import WAYS, MakePlace
from tests.postgres_server import new_server, why_not
from tests.test_moving_interrupted import KILLED_AT, KILLING, STEPS, state

pytestmark = pytest.mark.in_a_file

CLOSED = "closed the old place"
NOTE = ("--note", "the new server is not ready")


def interrupted(start: Start, place: Location, target: Location, step: str) -> tuple[str, ...]:
    """A move that was killed after a step; the options that name its old place."""
    options = ("--registry", str(place))
    process = start("-c", KILLED_AT, STEPS[step], *options, "registry", "move", "--to", str(target), "--yes")
    _out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    return options


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("old", "new"), WAYS)
def test_a_move_is_given_up_after_any_step(
    installed_at: MakePlace,
    home: Path,
    new_place: MakePlace,
    authctl: Authctl,
    start: Start,
    old: str,
    new: str,
    step: str,
):
    """The old place is in force and the copy gone, with an audit event and one chain; or the new place is open, and it is refused."""
    place, target = installed_at(old), new_place(new)
    with Registry.open(home, registry=place) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
    options = interrupted(start, place, target, step)
    order = list(STEPS)
    if order.index(step) > order.index(CLOSED):
        ran = authctl(*options, "registry", "move", "--give-up", *NOTE, "--yes")
        assert (ran.code, state(home, place), state(home, target)) == (6, "closed", "open"), ran.err
        return
    ran = authctl(*options, "doctor")
    assert "registry move --give-up" in ran.out
    preview = authctl(*options, "registry", "move", "--give-up", *NOTE, "--dry-run", "-o", "json")
    assert (preview.code, preview.json["dry_run"], preview.json["seq"]) == (0, True, None), preview.err
    was_closed, had_copy = step == CLOSED, step in (CLOSED, "let the copy appear")
    assert (state(home, place) == "closed") is was_closed
    ran = authctl(*options, "registry", "move", "--give-up", *NOTE, "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    assert (ran.json["was_closed"], ran.json["copy"]) == (was_closed, "removed" if had_copy else "none")
    assert {**preview.json, "seq": 0, "at": 0, "actor": 0, "note": 0, "dry_run": 0} == {
        **ran.json,
        "seq": 0,
        "at": 0,
        "actor": 0,
        "note": 0,
        "dry_run": 0,
    }
    assert (state(home, place), state(home, target)) == ("open", "absent")
    with Registry.open(home, registry=place) as registry:
        assert registry.verify(token).username == "alice"
        newest = next(iter(registry.audit.events()))
        assert (newest.seq, newest.action, newest.note) == (ran.json["seq"], "registry.give_up_move", NOTE[1])
        registry.issue(username="bob", application="Outlook")
        registry.audit.verify()
    assert not [one for one in authctl(*options, "doctor", "-o", "json").json if one["check"] == "move"]
    assert next(one for one in authctl(*options, "doctor", "-o", "json").json if one["check"] == "audit_head")["ok"]
    # and the same place can be moved to later
    assert authctl(*options, "registry", "move", "--to", str(target), "--yes").code == 0
    with Registry.open(home, registry=target) as registry:
        assert registry.verify(token).username == "alice"
        registry.audit.verify()


KILLED_GIVING_UP = f"""{KILLING}
import authctl.registry.unfinished_moves as moves
import authctl.registry.outside_head as outside_head

if place == "before the removal":
    moves.discard_arrived = kill
elif place == "after the removal":
    moves.discard_arrived = after(moves.discard_arrived)
elif place == "before the commit":
    moves._Giver._record = after(moves._Giver._record)
elif place == "after the commit":
    outside_head.OutsideHead.advance = kill
sys.exit(main())
"""
KILLS = {
    "before the removal": "closed",
    "after the removal": "absent",
    "before the commit": "absent",
    "after the commit": "absent",
}
"""Where a kill is injected, and the state of the new place afterwards."""


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("step", ["let the copy appear", CLOSED])
@pytest.mark.parametrize(("old", "new"), [("file", "server"), ("server", "file"), ("server", "server")])
def test_a_kill_while_a_move_is_given_up(
    installed_at: MakePlace,
    home: Path,
    new_place: MakePlace,
    authctl: Authctl,
    start: Start,
    old: str,
    new: str,
    step: str,
    kill: str,
):
    """The old place is as it was until the commit; the same command goes on, and one event says so."""
    place, target = installed_at(old), new_place(new)
    options = interrupted(start, place, target, step)
    command = (*options, "registry", "move", "--give-up", *NOTE, "--yes")
    process = start("-c", KILLED_GIVING_UP, kill, *command)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    expected = "closed" if step == CLOSED and kill != "after the commit" else "open"
    assert (state(home, place), state(home, target)) == (expected, KILLS[kill])
    if expected == "closed" and KILLS[kill] == "absent":
        # the copy is gone, so the move cannot be finished any more
        ran = authctl(*options, "registry", "move", "--to", str(target), "--yes")
        assert (ran.code, "registry move --give-up" in ran.err) == (7, True), ran.err
    ran = authctl(*command)
    assert ran.code == (4 if kill == "after the commit" else 0), ran.err
    assert (state(home, place), state(home, target)) == ("open", "absent")
    with Registry.open(home, registry=place) as registry:
        registry.issue(username="bob", application="Outlook")
        registry.audit.verify()
        assert [event.action for event in registry.audit.events()].count("registry.give_up_move") == 1


STALLED = """
import sys
from authctl.__main__ import main
import authctl.registry.moving as moving

def stalled(name, function):
    def later(*given, **named):
        print("stalled", flush=True)
        sys.stdin.readline()
        return function(*given, **named)
    return later

name = sys.argv.pop(1)
if name == "open_arrived":
    moving.open_arrived = stalled(name, moving.open_arrived)
elif name == "close":
    moving._Mover._close = stalled(name, moving._Mover._close)
sys.exit(main())
"""


def stalling(start: Start, at: str, place: Location, target: Location) -> subprocess.Popen[str]:
    """A move that stands still at a step until a line comes."""
    command = ("--registry", str(place), "registry", "move", "--to", str(target), "--yes")
    process = start("-c", STALLED, at, *command, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "stalled\n"
    return process


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_a_move_that_goes_on_after_it_was_given_up_opens_nothing(
    installed_at: MakePlace, home: Path, new_place: MakePlace, start: Start, old: str, new: str
):
    """It had closed the old place, stood still, and finds no copy; also where another move has put a new one there."""
    place, target = installed_at(old), new_place(new)
    movers = [stalling(start, "open_arrived", place, target) for _ in range(1)]
    assert (state(home, place), state(home, target)) == ("closed", "closed")
    give_up(find_home(home, place), note=NOTE[1])
    movers.append(stalling(start, "open_arrived", place, target))
    give_up(find_home(home, place), note=NOTE[1])
    assert (state(home, place), state(home, target)) == ("open", "absent")
    _out, err = movers[0].communicate("\n", timeout=60)
    assert (movers[0].returncode, "was given up meanwhile" in err) == (4, True), err
    assert (state(home, place), state(home, target)) == ("open", "absent")
    third = stalling(start, "open_arrived", place, target)
    assert (state(home, place), state(home, target)) == ("closed", "closed")
    # the copy there is another one than the second mover made
    _out, err = movers[1].communicate("\n", timeout=60)
    assert (movers[1].returncode, "was given up meanwhile" in err) == (4, True), err
    assert (state(home, place), state(home, target)) == ("closed", "closed")
    assert third.communicate("\n", timeout=60)[1].startswith("authctl: moved")
    assert (state(home, place), state(home, target)) == ("closed", "open")


@pytest.mark.parametrize("old", ["file", "server"])
def test_a_move_that_was_given_up_before_its_turn_ends(
    installed_at: MakePlace, home: Path, new_place: MakePlace, start: Start, old: str
):
    """It had recorded that it begins, and nothing else."""
    place, target = installed_at(old), new_place("file")
    mover = stalling(start, "close", place, target)
    give_up(find_home(home, place), note=NOTE[1])
    _out, err = mover.communicate("\n", timeout=60)
    assert (mover.returncode, "was given up meanwhile" in err) == (4, True), err
    assert (state(home, place), state(home, target)) == ("open", "absent")
    assert marks_at(place).moving_to is None


def test_without_the_hash_a_stalled_move_would_open_the_copy_of_another_one(
    install: Install, home: Path, new_place: MakePlace, monkeypatch: pytest.MonkeyPatch
):
    """The guard is the condition in the statement that opens the copy."""
    from authctl.registry import moving
    from authctl.store.sqlite import moves

    install().close()
    place, target = home / "registry.db", new_place("file")

    class Stalled(Exception):
        pass

    def stall(*_given):
        raise Stalled

    with monkeypatch.context() as patch:
        patch.setattr(moving, "open_arrived", stall)
        with pytest.raises(Stalled):
            move(find_home(home), target)
        first = marks_at(place).last_hash
        give_up(find_home(home), note=NOTE[1])
        with pytest.raises(Stalled):
            move(find_home(home), target)
    assert not moves.open_arrived(target, first)
    monkeypatch.setattr(moves, "_LAST", f"'{first}'")
    assert moves.open_arrived(target, first)


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
@pytest.mark.parametrize("step", ["let the copy appear", CLOSED])
def test_a_new_place_that_cannot_be_asked(install: Install, home: Path, authctl: Authctl, start: Start, step: str):
    """An open old place goes on, and the copy that may be left is named; a closed one only where the new place is said to be lost."""
    install().close()
    place = home / "registry.db"
    with new_server() as server, server.fresh_database() as target:
        interrupted(start, place, target, step)
        server.stop()
        ran = authctl("registry", "move", "--give-up", *NOTE, "--yes", "-o", "json")
        if step == CLOSED:
            assert (ran.code, "cannot be asked whether it is open" in ran.err) == (6, True), ran.err
            assert "--copy-lost" in ran.err
            assert state(home, place) == "closed"
            ran = authctl("registry", "move", "--give-up", "--copy-lost", *NOTE, "--yes", "-o", "json")
        assert (ran.code, ran.json["copy"], state(home, place)) == (0, "left", "open"), ran.err
        assert "a copy may be left there, and never opens" in ran.err
        assert target in ran.err
        server.start()
        assert state(home, target) == "closed"
        assert authctl("registry", "move", "--to", target, "--yes").code == 0
        assert (state(home, place), state(home, target)) == ("closed", "open")


def test_what_is_refused(install: Install, home: Path, authctl: Authctl, new_place: MakePlace):
    """No note, no move, a finished move, and options that exclude each other."""
    install().close()
    for arguments, code, words in (
        ((), 2, "exactly one of --to and --give-up is needed"),
        (("--give-up", "--to", "x", *NOTE), 2, "exactly one of --to and --give-up is needed"),
        (("--to", "x", "--copy-lost"), 2, "--copy-lost belongs to --give-up"),
        (("--give-up", "--yes"), 4, "note"),
        (("--give-up", *NOTE, "--yes"), 4, "no move of the registry was begun"),
    ):
        ran = authctl("registry", "move", *arguments)
        assert (ran.code, words in ran.err) == (code, True), ran.err
    with pytest.raises(Refused):
        give_up(find_home(home), note=NOTE[1])
    target = new_place("file")
    move(find_home(home), target)
    with pytest.raises(RegistryMoved):
        give_up(find_home(home), note=NOTE[1])
    ran = authctl("registry", "move", "--give-up", *NOTE, "--yes")
    assert (ran.code, state(home, target)) == (6, "open"), ran.err
