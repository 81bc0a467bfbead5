"""A restore that is killed after its commit and before `audit.head`: what each host says then, and what mends it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from tests.conftest import Authctl, Start
from tests.new_places import MakePlace

pytestmark = pytest.mark.in_a_file

KILLED = """
import os, sys
from authctl.__main__ import main
from authctl.registry.outside_head import OutsideHead

OutsideHead.accept = lambda *_given: os.kill(os.getpid(), 9)
sys.exit(main())
"""
COMMANDS = (
    ("tokens", "verify", "-"),
    ("tokens", "issue", "--user", "mallory", "--application", "Outlook"),
    ("audit", "verify"),
    ("backup", "copy-2.db"),
)


@pytest.mark.parametrize("mend", ["restore", "accept"])
@pytest.mark.parametrize("kind", ["file", "server"])
def test_a_restore_that_is_killed_before_audit_head(
    installed_at: MakePlace,
    home: Path,
    authctl: Authctl,
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    mend: str,
):
    """The registry is restored whole, nobody is let in, and every host names the restore. One host restores again or accepts it; others copy its head."""
    monkeypatch.chdir(tmp_path)
    place = installed_at(kind)
    options = ("--registry", str(place))
    with Registry.open(home, registry=place) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
        registry.backups.create(tmp_path / "copy.db")
        registry.issue(username="bob", application="Outlook")
        registry.revoke(SessionFilter(username="bob"), note="lost device")
    second = tmp_path / "second"
    second.mkdir(mode=0o700)
    for name in ("keys.json", "audit.head"):
        shutil.copy(home / name, second / name)
    process = start("-c", KILLED, *options, "restore", str(tmp_path / "copy.db"), "--note", "disk failed", "--yes")
    assert process.wait(timeout=60) == -signal.SIGKILL
    for folder in (home, second):
        for command in COMMANDS:
            ran = authctl("--home", str(folder), *options, *command, stdin=f"{token}\n")
            assert ran.code == 7, (command, ran)
            assert "audit.head names event" in ran.err
            assert "is a restore by 'tester' at " in ran.err
            assert "audit accept" in ran.err
        # a revocation is never refused for that, and warns
        ran = authctl("--home", str(folder), *options, "revoke", "--user", "alice", "--note", "lost device")
        assert (ran.code, "does not match audit.head" in ran.err) == (0, True), ran.err
    with Registry.open(home, registry=place) as registry:
        assert registry.count(SessionFilter(status="active")) == 0
    if mend == "restore":
        again = authctl(*options, "restore", str(tmp_path / "copy.db"), "--note", "disk failed", "--yes")
        assert again.code == 0, again.err
        # what was carried over by the first one is carried over again
        with Registry.open(home, registry=place) as registry:
            assert [one.note for one in registry.sessions(SessionFilter(username="bob"))] == ["lost device"]
    else:
        assert authctl(*options, "audit", "accept", "--note", "the restore was interrupted").code == 0
    signed_in = authctl(*options, "tokens", "issue", "--user", "carol", "--application", "Outlook", "--quiet")
    assert signed_in.code == 0, signed_in.err
    # the second host knows the former head until it has the new one
    on_second = ("--home", str(second), *options, "tokens", "verify", "-")
    assert authctl(*on_second, stdin=signed_in.out).code == 7
    shutil.copy(home / "audit.head", second / "audit.head")
    assert authctl(*on_second, stdin=signed_in.out).code == 0
    assert authctl(*on_second, stdin=f"{token}\n").code == 5
    for folder in (home, second):
        assert authctl("--home", str(folder), *options, "audit", "verify").code == 0
