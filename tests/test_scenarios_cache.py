"""The authentication cache of Exchange Online's basic authentication; each scenario a test named after its row.

Against a real htpasswd file and a real program, which counts how often it was asked.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from time import sleep

import pytest

from authctl import (
    AuthenticatorUnavailable,
    InvalidInput,
    LoginRefused,
    NotFound,
    Refused,
    Registry,
    RegistryUnavailable,
    Session,
    passwords,
    profiles,
)
from authctl.key_ring import load
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import Authctl, Clock, Install

pytestmark = pytest.mark.slow

TEXT = """\
version: 1
default_profile: basic
assignments:
  - {application: "ArcGIS*", profile: arcgis}
profiles:
  basic: {absolute_timeout: 24h, authenticator: staff, cache: {max_age: 24h, capacity: 3}}
  arcgis: {tokens: requested, bind: address, authenticator: staff}
  file: {authenticator: file, cache: {}}
  blocked: {authenticator: staff, cache: {}, conditions: {blocked_applications: [POP3]}}
  tokens: {}
"""
PROGRAM = """\
#!{python} -P
import json, os, pathlib, sys, time
folder = pathlib.Path({folder!r})
name, password = sys.stdin.read().splitlines()
with (folder / "asked").open("a") as asked:
    asked.write(name + "\\n")
if (folder / "slow").exists():
    (folder / "slow").unlink()
    while not (folder / "go").exists():
        time.sleep(0.01)
if (folder / "down").exists():
    sys.exit(75)
known = json.loads((folder / "passwords").read_text())
sys.exit(0 if known.get(name.lower()) == password else 1)
"""
PASSWORDS = {"alice": "correct horse", "bob": "battery", "carol": "staple", "dora": "Schlüssel", "erin": "e"}


class Provider:
    """An identity provider: a program that counts how often it was asked, and can be down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "check"
        self.program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o700)
        self.know(**PASSWORDS)

    def know(self, **known: str) -> None:
        """From now on, these names and passwords are right."""
        (self.folder / "passwords").write_text(json.dumps(known))

    @property
    def asked(self) -> list[str]:
        """Who it was asked about, in order."""
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    """An identity provider that is up."""
    folder = tmp_path / "provider"
    folder.mkdir()
    return Provider(folder)


def write_authenticators(home: Path, text: str) -> None:
    """Put `authenticators.yaml` into a home, its owner's alone."""
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text(text)


@pytest.fixture
def basic(install: Install, home: Path, provider: Provider) -> Registry:
    """A registry whose default profile asks that provider, and remembers three users for 24 hours."""
    registry = install(TEXT)
    write_authenticators(
        home, f"version: 1\nauthenticators:\n  staff: {{command: [{provider.program}], timeout: 20s}}\n"
    )
    return registry


def log_in(registry: Registry, name: str = "alice", password: str | None = None, **options: str) -> Session:
    """Log in, by default with the right password."""
    given = PASSWORDS[name.lower()] if password is None else password
    return registry.tokens.login(username=name, application="Exchange", password=given, **options).session


def how(registry: Registry) -> str:
    """By what the newest login was authenticated."""
    return json.loads(next(registry.audit.events()).detail)["authenticated_by"]


def test_x1_the_provider_is_asked_again_after_24_hours_and_not_before(
    basic: Registry, provider: Provider, clock: Clock
):
    """Counted from the success; use does not extend it; every login registers a session, opened by a password."""
    first = log_in(basic)
    assert (first.username, first.application, first.signed_in_with) == ("alice", "Exchange", "password")
    assert (provider.asked, how(basic)) == (["alice"], "staff")
    for _ in range(23):
        clock.forward(hours=1)
        log_in(basic, "ALICE")
        assert how(basic) == "cache"
    clock.forward(seconds=3599, milliseconds=999)
    log_in(basic)
    assert provider.asked == ["alice"]
    clock.forward(milliseconds=1)
    log_in(basic)
    assert (provider.asked, how(basic)) == (["alice"] * 2, "staff")
    assert basic.count() == 26
    (remembered,) = basic.cache.list()
    assert remembered.login.authenticated_at == clock().timestamp() * 10**6
    assert remembered.expires_at - remembered.login.authenticated_at == 24 * 3600 * 10**6


def test_x1_each_profile_s_own(basic: Registry, provider: Provider):
    """A success under one profile is none under another, and a profile without a cache asks every time."""
    for _ in range(2):
        log_in(basic, profile="basic")
        log_in(basic, profile="blocked")
        basic.tokens.login(username="alice", application="ArcGIS Pro", password="correct horse", ip="10.0.0.1")
    assert len(provider.asked) == 4
    assert sorted(r.login.profile for r in basic.cache.list()) == ["basic", "blocked"]


def test_x1_a_shortened_age_counts_at_once(basic: Registry, provider: Provider, clock: Clock):
    """It is judged by the profile as it is now; one without a cache remembers nothing, and neither does another authenticator."""
    log_in(basic)
    clock.forward(hours=2)
    basic.profiles.apply(profiles.read(TEXT.replace("max_age: 24h", "max_age: 1h").encode(), "p"), note="shorter")
    assert basic.cache.list() == []
    log_in(basic)
    assert len(provider.asked) == 2
    basic.profiles.apply(
        profiles.read(
            TEXT.replace("basic: {absolute_timeout: 24h, authenticator: staff", "basic: {authenticator: file").encode(),
            "p",
        ),
        note="other",
    )
    assert basic.cache.list() == []
    with pytest.raises(NotFound, match="no authenticator 'file' in"):
        log_in(basic)


def test_x1_a_clock_set_back_lengthens_nothing(basic: Registry, provider: Provider, clock: Clock):
    """A little behind, time stands still; further, nobody is logged in until the clock is right."""
    log_in(basic)
    clock.forward(hours=24, milliseconds=-1)
    log_in(basic)
    clock.forward(minutes=-4)
    log_in(basic)
    assert len(provider.asked) == 1
    clock.forward(minutes=-2)
    with pytest.raises(Refused, match="the clock is at"):
        log_in(basic)
    clock.forward(minutes=6, milliseconds=1)
    log_in(basic)
    assert len(provider.asked) == 2


def test_x2_at_capacity_the_least_recently_used_goes_first(basic: Registry, provider: Provider, clock: Clock):
    """Use keeps an entry in the cache, though it does not lengthen its life; the newest success never goes."""
    for name in ("alice", "bob", "carol"):
        clock.forward(minutes=1)
        log_in(basic, name)
    clock.forward(minutes=1)
    log_in(basic, "alice")
    assert provider.asked == ["alice", "bob", "carol"]
    clock.forward(minutes=1)
    log_in(basic, "dora")
    assert [r.login.username for r in basic.cache.list()] == ["dora", "alice", "carol"]
    clock.forward(minutes=-4)
    log_in(basic, "erin")
    assert [r.login.username for r in basic.cache.list()] == ["dora", "erin", "alice"]


def test_x3_new_rules_reach_the_client_when_the_cache_is_cleared(basic: Registry, provider: Provider):
    """Until then the old password is good, and the new one, too, once the provider has said so."""
    log_in(basic)
    log_in(basic, "bob")
    provider.know(**{**PASSWORDS, "alice": "new"})
    log_in(basic)
    cleared = basic.cache.clear("ALICE", note="alice has a new password", actor="help desk")
    assert (cleared.forgotten, cleared.username) == (1, "ALICE")
    with pytest.raises(LoginRefused):
        log_in(basic)
    log_in(basic, password="new")
    with pytest.raises(LoginRefused):
        log_in(basic)
    assert basic.cache.clear(note="new rules for all").forgotten == 2
    events = [e for e in basic.audit.events() if e.action == "cache.clear"]
    assert [(e.subject, e.note) for e in events] == [
        (None, "new rules for all"),
        ("ALICE", "alice has a new password"),
    ]
    with pytest.raises(Refused, match="note is required"):
        basic.cache.clear(note=None)
    provider.know(**{**PASSWORDS, "bob": "other"})
    with pytest.raises(LoginRefused):
        log_in(basic, "bob")


def test_x3_the_new_password_takes_the_place_of_the_old(basic: Registry, provider: Provider):
    """A success with another password is the one that is remembered; the old one is asked about again."""
    log_in(basic)
    provider.know(**{**PASSWORDS, "alice": "new"})
    log_in(basic, password="new")
    with pytest.raises(LoginRefused):
        log_in(basic)
    log_in(basic, password="new")
    assert len(provider.asked) == 3


@pytest.mark.parametrize("operation", ["disable", "password"])
def test_x3_a_disabled_user_and_a_changed_password_are_forgotten(basic: Registry, provider: Provider, operation: str):
    """At once: nobody disabled logs in, and what was remembered does not come back with `enable`."""
    log_in(basic)
    log_in(basic, "bob")
    if operation == "disable":
        basic.users.disable("alice", note="left the company")
        with pytest.raises(Refused, match="is disabled"):
            log_in(basic)
        basic.users.enable("alice", note="is back")
    else:
        basic.users.password_changed("alice", note="reset by the help desk")
    assert [r.login.username for r in basic.cache.list()] == ["bob"]
    asked = len(provider.asked)
    log_in(basic)
    assert len(provider.asked) == asked + 1


def test_x3_a_slow_success_takes_no_later_one_s_place(basic: Registry, provider: Provider, clock: Clock):
    """The old password, whose yes was long on its way, is not what is remembered once the new one succeeded."""
    (provider.folder / "slow").touch()
    thread = threading.Thread(target=lambda: log_in(basic))
    thread.start()
    while not provider.asked:
        sleep(0.01)
    clock.forward(seconds=1)
    known = (provider.folder / "passwords").read_text()
    provider.know(**{**PASSWORDS, "alice": "new"})
    log_in(basic, password="new")
    (provider.folder / "passwords").write_text(known)
    (provider.folder / "go").touch()
    thread.join(30)
    provider.know(**{**PASSWORDS, "alice": "new"})
    assert basic.count() == 2
    log_in(basic, password="new")
    assert how(basic) == "cache"
    with pytest.raises(LoginRefused):
        log_in(basic)


def test_x3_a_cache_that_was_taken_away_comes_back_empty(basic: Registry, provider: Provider):
    """A profile that remembers nothing has nothing to go back to."""
    log_in(basic)
    for text in (TEXT.replace(", cache: {max_age: 24h, capacity: 3}", ""), TEXT):
        basic.profiles.apply(profiles.read(text.encode(), "p"), note="without, and with again")
    assert basic.cache.list() == []
    log_in(basic)
    assert len(provider.asked) == 2


@pytest.mark.parametrize("operation", ["clear", "disable", "password", "other"])
def test_x3_an_answer_on_its_way_is_not_remembered(basic: Registry, provider: Provider, operation: str):
    """What was asked before the cache was cleared, the user disabled or the password changed, comes too late for it."""
    (provider.folder / "slow").touch()
    outcome: list[object] = []

    def slow() -> None:
        try:
            outcome.append(log_in(basic))
        except Refused as error:
            outcome.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    while not provider.asked:
        sleep(0.01)
    {
        "clear": lambda: basic.cache.clear(note="new rules"),
        "disable": lambda: basic.users.disable("alice", note="left the company"),
        "password": lambda: basic.users.password_changed("alice", note="reset"),
        "other": lambda: basic.issue(username="bob", application="Outlook", profile="tokens"),
    }[operation]()
    (provider.folder / "go").touch()
    thread.join(30)
    assert isinstance(outcome[0], Refused if operation == "disable" else Session)
    assert len(basic.cache.list()) == (operation == "other")


def test_x4_a_wrong_password_is_never_remembered(basic: Registry, provider: Provider):
    """Nor answered from the cache of the right one, which it leaves as it is."""
    for _ in range(2):
        with pytest.raises(LoginRefused, match="authenticator 'staff' does not accept that name and password"):
            log_in(basic, password="wrong")
    assert (provider.asked, basic.cache.list(), basic.count()) == (["alice"] * 2, [], 0)
    log_in(basic)
    for wrong in ("wrong", "correct hors", "correct horse ", "Correct horse", "correct horse\t"):
        with pytest.raises(LoginRefused):
            log_in(basic, password=wrong)
    assert len(provider.asked) == 8
    log_in(basic)
    assert len(provider.asked) == 8
    with pytest.raises(LoginRefused):
        log_in(basic, "bob", password="correct horse")


@pytest.mark.in_a_file
def test_x4_nothing_of_the_password_can_be_read_back(basic: Registry, home: Path, provider: Provider):
    """Not in any file of the home; and what is kept fits no password without the key ring."""
    log_in(basic, "dora")
    (row,) = basic.cache.list()
    basic.close()
    files = list(home.iterdir())
    assert home / "registry.db" in files
    for file in files:
        assert PASSWORDS["dora"].encode() not in file.read_bytes()
    assert PASSWORDS["dora"] not in repr(row)
    assert row.login.verifier.hex() not in repr(row)
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        columns = [found[1] for found in connection.execute("PRAGMA table_info(cached_logins)")]
    assert columns == [
        "profile_key",
        "username_key",
        "username",
        "profile",
        "authenticator",
        "authenticated_at",
        "last_used_at",
        "key_id",
        "salt",
        "verifier",
    ]
    login, key = row.login, load(home / "keys.json").signing
    success = ("basic", "dora", "staff", login.authenticated_at)
    assert passwords.verifier(PASSWORDS["dora"], login.salt, key, *success) == login.verifier
    other = type(key)(key.id, key.state, key.created_at, bytes(32))
    assert passwords.verifier(PASSWORDS["dora"], login.salt, other, *success) != login.verifier


@pytest.mark.in_a_file
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cached_logins SET username_key = 'alice', username = 'alice'",
        "UPDATE cached_logins SET username_key = 'alice'",
        "UPDATE cached_logins SET profile_key = 'blocked'",
        "UPDATE cached_logins SET authenticated_at = authenticated_at + 1",
        "UPDATE cached_logins SET profile_key = 'blocked', profile = 'blocked'",
        "UPDATE cached_logins SET salt = zeroblob(16)",
        "UPDATE cached_logins SET verifier = zeroblob(32)",
        "UPDATE cached_logins SET key_id = '00000000'",
    ],
)
def test_x4_a_verifier_fits_nothing_else(basic: Registry, home: Path, provider: Provider, clock: Clock, change: str):
    """Moved to another user or profile, or given another age, it is as if nobody had logged in."""
    log_in(basic, "bob")
    places.change_in(home, change)
    clock.forward(minutes=1)
    for name, profile in (("alice", "basic"), ("bob", "basic"), ("bob", "blocked")):
        if name == "alice":
            with pytest.raises(LoginRefused):
                log_in(basic, name, PASSWORDS["bob"], profile=profile)
        else:
            log_in(basic, name, profile=profile)
    assert len(provider.asked) == 4


def test_x5_while_the_provider_is_down_who_is_cached_continues(basic: Registry, provider: Provider, clock: Clock):
    """Others are refused with that reason; what is remembered stays until its time is over."""
    log_in(basic)
    (provider.folder / "down").touch()
    log_in(basic)
    for name, password in (("bob", None), ("alice", "wrong")):
        with pytest.raises(
            AuthenticatorUnavailable, match="authenticator 'staff' could not be asked: it exited with 75"
        ):
            log_in(basic, name, password)
    clock.forward(hours=24)
    with pytest.raises(AuthenticatorUnavailable):
        log_in(basic)
    (provider.folder / "down").unlink()
    log_in(basic)


def test_a_retired_key_takes_what_it_made_with_it(basic: Registry, home: Path, provider: Provider):
    """A verifier of a key that is not in the ring any more fits nothing; the next success is made with the present one."""
    log_in(basic)
    ring = json.loads((home / "keys.json").read_text())
    ring["keys"][0]["state"] = "retired"
    ring["keys"].append({**ring["keys"][0], "id": "fedcba98", "state": "signing", "secret": "5a" * 31 + "00"})
    (home / "keys.json").write_text(json.dumps(ring))
    for _ in range(2):
        log_in(basic)
    assert len(provider.asked) == 2


def test_nobody_is_asked_in_vain(basic: Registry, provider: Provider):
    """What the profile refuses anyway is refused before the provider hears of it."""
    attempts: list[Callable[[], object]] = [
        lambda: basic.tokens.login(username="alice", application="POP3", password="x", profile="blocked"),
        lambda: basic.tokens.login(username="alice", application="ArcGIS", password="x"),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="x", lifetime=10**6),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="x", profile="tokens"),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="x", profile="nowhere"),
        lambda: basic.tokens.login(username="a\u200blice", application="Exchange", password="x"),
        lambda: basic.tokens.login(username="alice", application=" ", password="x"),
        lambda: basic.tokens.login(username="alice", application="Exchange", password=""),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="two\nlines"),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="nul\0"),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="x" * 1001),
        lambda: basic.tokens.login(username="alice", application="Exchange", password="\ud800"),
    ]
    for attempt in attempts:
        with pytest.raises((Refused, InvalidInput, NotFound)) as refused:
            attempt()
        assert "xxx" not in refused.value.message
    assert provider.asked == []
    assert (basic.count(), basic.cache.list()) == (0, [])


def test_arcgis_name_and_password_in_token_out(basic: Registry, provider: Provider):
    """A requested lifetime, bound to the address; its profile asks every time."""
    issued = basic.tokens.login(
        username="alice", application="ArcGIS Pro", password="correct horse", ip="10.0.0.1", lifetime=30 * 60 * 10**6
    )
    assert issued.expires_at - issued.session.created_at == 30 * 60 * 10**6
    assert basic.verify(issued.access_token, ip="10.0.0.1").username == "alice"
    with pytest.raises(Refused, match="grants 1d at the most"):
        basic.tokens.login(
            username="alice", application="ArcGIS", password="correct horse", ip="10.0.0.1", lifetime=10**12
        )


def test_cleanup_forgets_what_counts_no_longer(basic: Registry, clock: Clock):
    """Successes older than their profile's age, and those of profiles that remember nothing any more."""
    log_in(basic)
    clock.forward(hours=12)
    log_in(basic, "bob")
    log_in(basic, "bob", profile="blocked")
    basic.profiles.apply(
        profiles.read(TEXT.replace("staff, cache: {}, cond", "staff, cond").encode(), "p"), note="none"
    )
    clock.forward(hours=13)
    basic.cleanup.run()
    with basic._installation.store.view() as view:
        assert [(one.username, one.profile) for one in view.cached_logins()] == [("bob", "basic")]


# Programs that do not behave


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exec sleep 60", "no answer within 1 s"),
        ("(sleep 60; echo) & exec sleep 60", "no answer within 1 s"),
        ("kill -9 $$", "signal 9 ended it"),
        ("exit 2", "it exited with 2"),
        ("exit 255", "it exited with 255"),
    ],
)
def test_x5_a_program_without_an_answer_is_no_answer(basic: Registry, home: Path, tmp_path: Path, body: str, said: str):
    """Neither yes nor no; what it started is ended with it."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    write_authenticators(home, f"version: 1\nauthenticators: {{staff: {{command: [{program}], timeout: 1s}}}}\n")
    with pytest.raises(AuthenticatorUnavailable) as refused:
        log_in(basic)
    assert refused.value.message == f"authenticator 'staff' could not be asked: {said}"


def test_x4_an_answer_that_somebody_else_took_is_no_yes(basic: Registry, home: Path):
    """Where SIGCHLD is ignored, or another thread waits for children, the exit code is lost: that is no answer."""
    write_authenticators(home, "version: 1\nauthenticators: {staff: {command: [/bin/false]}}\n")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(AuthenticatorUnavailable, match="its exit code was lost"):
            log_in(basic, password="wrong")
    finally:
        signal.signal(signal.SIGCHLD, before)
    stop = threading.Event()

    def reap() -> None:
        while not stop.is_set():
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

    thread = threading.Thread(target=reap)
    thread.start()
    try:
        for _ in range(5):
            with pytest.raises((AuthenticatorUnavailable, LoginRefused)):
                log_in(basic, password="wrong")
    finally:
        stop.set()
        thread.join()
    assert basic.cache.list() == []


def test_a_program_that_does_not_listen(basic: Registry, home: Path):
    """One that answers without reading what it is given has answered; one that is not there has not."""
    write_authenticators(home, "version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")
    assert log_in(basic)
    write_authenticators(home, "version: 1\nauthenticators: {staff: {command: [/nowhere/check]}}\n")
    with pytest.raises(AuthenticatorUnavailable, match="no such file or directory"):
        log_in(basic, "bob")


def test_a_program_is_told_nothing_beside_standard_input(
    basic: Registry, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No credentials in its arguments or environment, nothing of ours in it, and the root for a working directory."""
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    program = tmp_path / "program"
    program.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/stdin; env > {tmp_path}/env; echo $# > {tmp_path}/args; pwd > {tmp_path}/pwd\n"
    )
    program.chmod(0o700)
    write_authenticators(home, f"version: 1\nauthenticators: {{staff: {{command: [{program}, --realm]}}}}\n")
    assert log_in(basic, "dora")
    assert (tmp_path / "stdin").read_text() == "dora\nSchlüssel\n"
    names = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LANG"}
    assert ((tmp_path / "args").read_text(), (tmp_path / "pwd").read_text()) == ("1\n", "/\n")


# htpasswd files


def hashed(scheme: str, password: str) -> str:
    """A line's hash, as Apache's program would make it."""
    from passlib import hash as hashes

    fast = {"bcrypt": {"rounds": 4}, "sha512_crypt": {"rounds": 1000}, "sha256_crypt": {"rounds": 1000}}
    made: str = getattr(hashes, scheme).using(**fast.get(scheme, {})).hash(password)
    return made.replace("$2b$", "$2y$")


@pytest.fixture
def htpasswd(basic: Registry, home: Path, tmp_path: Path) -> Path:
    """An htpasswd file that the profile `file` goes by."""
    path = tmp_path / "htpasswd"
    write_authenticators(home, f"version: 1\nauthenticators: {{file: {{htpasswd: {path}}}}}\n")
    return path


@pytest.mark.parametrize("scheme", ["bcrypt", "sha512_crypt", "sha256_crypt", "apr_md5_crypt"])
def test_x1_to_x4_with_an_htpasswd_file(basic: Registry, htpasswd: Path, scheme: str):
    """Every kind of hash that keeps a password; names exactly as they are written; cached like any other."""
    htpasswd.write_text(
        f"# staff\n\nalice:{hashed(scheme, PASSWORDS['alice'])}\ndora:{hashed(scheme, PASSWORDS['dora'])}\n"
    )
    assert log_in(basic, "dora", profile="file")
    assert log_in(basic, profile="file")
    for name, password in (("alice", "wrong"), ("bob", "battery"), ("Alice", "wrong")):
        with pytest.raises(LoginRefused):
            log_in(basic, name, password, profile="file")
    htpasswd.unlink()
    assert log_in(basic, profile="file")
    assert how(basic) == "cache"
    with pytest.raises(AuthenticatorUnavailable, match=r"cannot read .*htpasswd: no such file"):
        log_in(basic, "bob", profile="file")


@pytest.mark.parametrize(
    "line",
    [
        "alice:correct horse",
        "alice:!",
        "alice:",
        "alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "alice:rqXexS6ZhobKA",
        "alice",
        "alice:x:y",
    ],
)
def test_x5_an_entry_that_is_no_hash_lets_nobody_in(basic: Registry, htpasswd: Path, line: str):
    """A plain text, a lock mark, unsalted SHA-1, the old crypt, a broken line: no answer, with the file's name."""
    htpasswd.write_text(line + "\n")
    for password in ("correct horse", "!", "password", "x"):
        with pytest.raises(AuthenticatorUnavailable, match=r"no usable entry for 'alice'|malformed htpasswd file"):
            log_in(basic, password=password, profile="file")


@pytest.mark.parametrize("length", [72, 73, 200])
def test_x4_a_password_longer_than_bcrypt_takes_is_not_cut(basic: Registry, htpasswd: Path, length: int):
    """Bcrypt looks at 72 bytes: a longer one is refused, since any other with the same beginning would do."""
    htpasswd.write_text(f"alice:{hashed('bcrypt', 'p' * 72)}\n")
    if length == 72:
        assert log_in(basic, password="p" * length, profile="file")
    else:
        with pytest.raises(LoginRefused):
            log_in(basic, password="p" * length, profile="file")


# authenticators.yaml


FAULTS = {
    "authenticators: {a: {htpasswd: /x}}": "1:1: 'version' is missing",
    "version: 1\nauthenticators: {}": "2:17: 'authenticators' must not be empty",
    "version: 1\nauthenticators: {a: {}}": "2:21: 'a' needs one of htpasswd, command and ldap",
    "version: 1\nauthenticators: {a: {htpasswd: /x, command: [/y]}}": "2:21: 'a' needs one of htpasswd, command and ldap",
    "version: 1\nauthenticators: {a: {htpasswd: ~}}": "2:32: 'htpasswd' has no value: write one, or leave it out",
    "version: 1\nauthenticators: {a: {htpasswd: /x}, A: {htpasswd: /y}}": (
        "2:37: authenticators 'a' and 'A' have the same name"
    ),
    "version: 1\nauthenticators: {a: {command: [/x], timeout: 30d}}": "2:46: 'timeout' must be 5 minutes at the most",
    "version: 1\nauthenticators: {a: {ldap: {url: 'ldaps://x ldap://y', bind_dn: '{username}'}}}": (
        "2:34: the password must not cross the network in clear: one ldaps:// or ldapi://, or ldap:// with start_tls"
    ),
    "version: 1\nauthenticators: {a: {ldap: {url: 'ldaps://x,ldap://y', bind_dn: '{username}'}}}": (
        "2:34: the password must not cross the network in clear: one ldaps:// or ldapi://, or ldap:// with start_tls"
    ),
    "version: 1\nauthenticators: {a: {htpasswd: x}}": "2:32: 'htpasswd' must be an absolute path",
    "version: 1\nauthenticators: {a: {command: [x]}}": "2:31: 'command': the program must be an absolute path",
    "version: 1\nauthenticators: {a: {command: []}}": "2:31: 'command' must not be empty",
    "version: 1\nauthenticators: {a: {command: /x}}": "2:31: 'command' must be a list",
    "version: 1\nauthenticators: {a: {htpasswd: /x, timeout: 10}}": "2:45: 'timeout': write a length of time with a unit, such as 3d",
    "version: 1\nauthenticators: {a: {ldap: {url: 'ldap://x', bind_dn: 'uid={username}'}}}": (
        "2:34: the password must not cross the network in clear: one ldaps:// or ldapi://, or ldap:// with start_tls"
    ),
    "version: 1\nauthenticators: {a: {ldap: {url: 'ldaps://x', bind_dn: 'uid=alice'}}}": (
        "2:56: 'bind_dn' must have {username} where the user's name belongs"
    ),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults_of_the_authenticators_file(basic: Registry, home: Path, text: str):
    """Each at its line and column; nobody is let in meanwhile."""
    write_authenticators(home, text)
    with pytest.raises(InvalidInput) as refused:
        log_in(basic)
    assert refused.value.message.replace("authenticators.yaml:", "").splitlines() == [FAULTS[text]]


def test_a_file_that_others_can_touch_is_refused(basic: Registry, home: Path, provider: Provider):
    """As the key ring is; and a missing one says so. Who is cached needs neither."""
    log_in(basic)
    (home / "authenticators.yaml").chmod(0o640)
    with pytest.raises(RegistryUnavailable, match=r"the authenticators file at .* is open to others \(mode 0640\)"):
        log_in(basic, "bob")
    (home / "authenticators.yaml").unlink()
    with pytest.raises(RegistryUnavailable, match="there is no authenticators file at"):
        log_in(basic, "bob")
    log_in(basic)
    assert provider.asked == ["alice"]


# By command


def test_x1_to_x5_by_command(basic: Registry, authctl: Authctl, provider: Provider, home: Path):
    """The password on standard input; the token on standard output; what the cache holds, and that it was cleared."""
    who = ("login", "--user", "alice", "--application", "Exchange")
    for ending in ("\n", "", "\r\n"):
        done = authctl(*who, stdin="correct horse" + ending)
        assert (done.code, done.out.startswith("acat_")) == (0, True)
    assert provider.asked == ["alice"]
    refused = authctl(*who, stdin="wrong\n")
    assert (refused.code, refused.out) == (4, "")
    assert "authenticator 'staff' does not accept that name and password" in refused.err
    record = authctl(*who, "-o", "json", stdin="correct horse").json
    assert list(record) == ["session", "access_token", "token_type", "expires_at", "refresh_token"]
    assert record["session"]["signed_in_with"] == "password"
    listed = authctl("cache", "list", "-o", "json").json
    assert [list(one) for one in listed] == [
        ["username", "profile", "authenticator", "authenticated_at", "last_used_at", "expires_at"]
    ]
    assert authctl("cache", "list", "--user", "bob", "-o", "csv").out.count("\n") == 1
    assert authctl("cache", "clear").code == 4
    cleared = authctl("cache", "clear", "--user", "alice", "--note", "new rules", "-o", "json")
    assert (cleared.code, cleared.json["forgotten"], cleared.json["username"]) == (0, 1, "alice")
    assert authctl("cache", "clear", "--note", "new rules").code == 0
    assert authctl("cache", "list", "-o", "json").json == []
    (provider.folder / "down").touch()
    down = authctl(*who, stdin="correct horse")
    assert (down.code, down.out) == (4, "")
    assert "could not be asked: it exited with 75" in down.err
    for piped, code in ((b"\xff\n", 2), (b"\n", 2), (b"", 2), (b"two\nlines\n", 2), (b"x" * 9000, 2)):
        assert authctl(*who, stdin=piped).code == code
    assert authctl(*who, "--profile", "tokens", stdin="x").code == 4
    assert authctl("audit", "verify").code == 0
    assert (
        authctl("audit", "list", "--action", "cache.clear", "--user", "alice", "-o", "json").json[0]["note"]
        == "new rules"
    )


@pytest.mark.in_a_file
@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a POSIX shell")
def test_a_real_login_leaves_no_trace_of_the_password(basic: Registry, authctl: Authctl, home: Path):
    """Neither in what it prints nor in any file of the home, registry and log included."""
    canary = "Tr0ub4dor-canary"
    write_authenticators(home, "version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")
    said = [authctl("login", "--user", "alice", "--application", "E", "-o", "json", stdin=canary)]
    write_authenticators(home, "version: 1\nauthenticators: {staff: {command: [/bin/false]}}\n")
    said.append(authctl("login", "--user", "bob", "--application", "E", stdin=canary))
    said.append(authctl("login", "--user", "bob", "--application", " ", stdin=canary))
    assert [ran.code for ran in said] == [0, 4, 2]
    said += [authctl("audit", "list", "-o", "json"), authctl("cache", "list", "-o", "json")]
    assert not any(canary in ran.out + ran.err for ran in said)
    files = list(home.iterdir())
    assert home / "registry.db" in files
    assert not any(canary.encode() in file.read_bytes() for file in files)
