"""Every command whose decision receivers are told has the states of its deliveries on standard error; `revoke` also as a field."""

from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.instants import DAY
from tests.conftest import Authctl, Clock
from tests.receiver import Receiver, receiver
from tests.test_delivering import sessions, subscribe
from tests.test_late_rows import load, row
from tests.test_receivers import write_receivers

__all__ = ["receiver"]


def revoked_by_plan(authctl: Authctl, *options: str):
    """Revoke alice by a plan of an application, which is applied with those options."""
    assert authctl("revoke", "--application", "Outlook", "--plan", "p.plan").code == 0
    return authctl("revoke", "--apply", "p.plan", "--note", "lost device", "--yes", "-o", "json", *options)


def revoked_from_file(authctl: Authctl, *options: str):
    """Revoke alice as the user of a file."""
    Path("leavers.csv").write_text("user\nalice\n")
    words = ("--from", "leavers.csv", "--column", "user")
    return authctl("revoke", *words, "--note", "lost device", "-o", "json", *options)


def revoked_but_newest(authctl: Authctl, *options: str):
    """Revoke all sessions of alice but the newest one."""
    assert authctl("tokens", "issue", "--user", "alice", "--application", "Outlook").code == 0
    words = ("--user", "alice", "--keep", "1", "--yes")
    return authctl("revoke", *words, "--note", "lost device", "-o", "json", *options)


@pytest.mark.parametrize("revoke", [revoked_by_plan, revoked_from_file, revoked_but_newest])
def test_every_kind_of_revocation_is_told(
    revoke, registry: Registry, home: Path, receiver: Receiver, authctl: Authctl, monkeypatch, tmp_path: Path
):
    """By `authctl deliver` later, with the sessions that were revoked and no other."""
    monkeypatch.chdir(tmp_path)
    subscribe(home, receiver)
    (alice,) = sessions(registry, "alice")
    ran = revoke(authctl)
    assert (ran.code, ran.json["deliveries"]) == (0, {"a": {"pending": 1}})
    assert "receiver 'a': 1 pending" in ran.err
    assert registry.deliveries.deliver().receivers[0].delivered == 1
    assert [(told["event"], told["session"]["id"]) for told in receiver.told] == [("session-revoked", alice)]


@pytest.mark.parametrize("revoke", [revoked_by_plan, revoked_from_file, revoked_but_newest])
def test_every_kind_of_revocation_can_deliver(
    revoke, installed: Authctl, home: Path, receiver: Receiver, monkeypatch, tmp_path: Path
):
    """The exit code is 9 where the receiver does not take it, and 0 where it does."""
    monkeypatch.chdir(tmp_path)
    subscribe(home, receiver)
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    receiver.answer(other="retry")
    ran = revoke(installed, "--deliver")
    assert (ran.code, ran.json["deliveries"], len(receiver.told)) == (9, {"a": {"pending": 1}}, 1)
    receiver.answer()
    (tmp_path / "p.plan").unlink(missing_ok=True)
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    ran = revoke(installed, "--deliver")
    assert (ran.code, set(ran.json["deliveries"]["a"]), len(receiver.told) > 1) == (0, {"delivered"}, True)


def test_a_plan_that_is_made_tells_nobody(registry: Registry, home: Path, receiver: Receiver, authctl: Authctl):
    """`--plan --deliver` is a contradiction."""
    subscribe(home, receiver)
    sessions(registry, "alice")
    ran = authctl("revoke", "--user", "alice", "--plan", "p.plan", "--deliver")
    assert (ran.code, "takes no --deliver" in ran.err, Path("p.plan").exists()) == (2, True, False)


def test_a_faulty_file_does_not_hide_a_revocation(registry: Registry, home: Path, receiver: Receiver, authctl: Authctl):
    """The outcome is shown, the fault is a warning, and the exit code says that nobody was told."""
    subscribe(home, receiver)
    sessions(registry, "alice", "bob")
    assert authctl("revoke", "--user", "bob", "--note", "lost device").code == 0
    write_receivers(home, "version: 1\nreceivers: [\n")
    ran = authctl("revoke", "--user", "alice", "--note", "lost device", "--deliver", "-o", "json")
    assert (ran.code, ran.json["revoked"], ran.json["deliveries"]) == (9, 1, {"a": {"pending": 1}})
    assert "the receivers were not told" in ran.err


def test_other_decisions_have_the_states(installed: Authctl, home: Path, receiver: Receiver):
    """Of their own deliveries, and none with -q or for a dry run."""
    subscribe(home, receiver)
    for user in ("bob", "bob", "carol", "dora", "eve"):
        installed("tokens", "issue", "--user", user, "--application", "Outlook")
    alice = installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-o", "json").json["session"][
        "id"
    ]
    line = "authctl: receiver 'a': {} pending\n"
    assert line.format(1) in installed("sessions", "end", alice).err
    assert "receiver" not in installed("sessions", "end", alice).err
    assert "receiver" not in installed("users", "disable", "bob", "--note", "left", "--dry-run").err
    assert line.format(3) in installed("users", "disable", "bob", "--note", "left").err
    assert line.format(1) in installed("users", "enable", "bob", "--note", "back").err
    assert line.format(2) in installed("users", "password-changed", "carol", "--note", "reset").err
    assert installed("users", "disable", "dora", "--note", "left", "-q").err == ""
    key = installed("keys", "list", "-o", "id").out.strip()
    installed("keys", "rotate", "--note", "yearly rotation")
    words = ("keys", "retire", key, "--sign-out", "--note", "yearly rotation", "--yes")
    assert line.format(1) in installed(*words).err


def test_the_end_of_a_disabling_is_told(registry: Registry, home: Path, receiver: Receiver, clock: Clock):
    """Once, with the change that records it."""
    subscribe(home, receiver, events="user-disabled, user-enabled")
    sessions(registry, "alice")
    registry.users.disable("alice", note="on leave", until=registry.now() + DAY)
    clock.forward(days=2)
    sessions(registry, "bob", "carol")
    registry.deliveries.deliver()
    assert [(told["event"], told["username"], told["actor"]) for told in receiver.told[1:]] == [
        ("user-enabled", "alice", "authctl")
    ]


def test_a_system_that_is_told_is_not_among_the_untold(registry: Registry, home: Path, receiver: Receiver):
    """By the event of the operation: a receiver of revocations alone is not told of an end."""
    for system in ("hub", "wiki"):
        for user in ("alice", "bob"):
            load(registry, row(user, sid=f"{system}-{user}"), source=system)
    entry = f"{{command: [{receiver.program}], events: [session-revoked], source: [Hub]}}"
    write_receivers(home, f"version: 1\nreceivers:\n  a: {entry}\n")
    revoked = registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert (revoked.revoked, registry.effects.of_revocation(revoked).untold) == (2, {"wiki": 1})
    disabled = registry.users.disable_all(["bob"], note="left")
    assert registry.effects.of_users(disabled).untold == {"hub": 1, "wiki": 1}
