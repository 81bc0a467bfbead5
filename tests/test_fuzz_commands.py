"""The real command line with arguments put together at random: a documented exit code, and nothing that should not be seen.

How many: a part of AUTHCTL_TEST_MUTATIONS, which `make fuzz` sets to a million.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.main import get_command

from tests import places
from tests.conftest import ENDLESS, HOSTILE, Authctl, Ran, every_command, unseen

pytestmark = pytest.mark.slow

MUTATIONS = int(os.environ.get("AUTHCTL_TEST_MUTATIONS", "20000"))
SEED = 20_260_302
A_HOME = 500
"""How many command lines each installation gets."""

DOCUMENTED = {0, 2, 3, 4, 5, 6, 7, 8, 9}
STORED = {"user", "users", "application", "application_version", "platform", "device", "ip", "user_agent", "referrer", "note", "actor"}  # fmt: skip
"""Options whose text is kept and shown again, so that a secret which is written there by somebody comes back."""

COMMANDS = {
    path: [one for one in params if one.name != "watch"]  # a service, which does not end
    for path, params in every_command().items()
    if path not in {("demo",), *ENDLESS}
}
PLAIN = ["alice", "bob", "ALICE", "Outlook", "default", "held", "pairs", "asked", "cached", "lost device", "session.issue", "web"]  # fmt: skip
NUMBERS = ["0", "1", "-1", "2", "7", "1000", "9" * 30, "-0", "1.5", "0x1", "\u0661", "1e3", "4611686018427387904", "4611686018427387905"]  # fmt: skip
TIMES = ["7d", "36h", "6 months", "1000 years", "1001 years", "0s", "-7d", "99999999999999 d", "1:30", "10", "never", "2026-11-01",
         "2026-11-01T09:30:00Z", "0001-01-01", "9999-12-31", "10000-01-01", "2026-02-30", "0001-01-01T00:00+23:59", "1d 2d 3mo"]  # fmt: skip
HARD = [
    "", " ", "-", "--", "---", "-x", "-qq", "--no-such", "--help", "=", "=x", "'", '"', "\\", "*", "%", "_", "?", "[", "\x01", "\x1b",
    "\r", "\n", "a\n\nauthctl: error: forged", "\x85", "\u200b", "\u202e", "\ufeff", "\u3164", "\u0430lice", "stra\xdfe", "\uff21lice",
    "e\u0301", "\U000e0041", "\U0001f600", "\ufffe", "\udc80", "al\udcffice", "{0}", "%(x)s", "$HOME", "x" * 1_001, "y" * 4_001,
    "z" * 100_000, "\u0130" * 900, "\xe9" * 1_000, "null", "[1]", "{}", "acat_", "acat_" + "0" * 124, "acrt_" + "f" * 3_000,
]  # fmt: skip
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d, on_revoke: wipe}
  held: {continuity: true}
  pairs: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d}
  asked: {tokens: requested, max_lifetime: 1d, sealed: true}
  strict: {conditions: {networks: [10.0.0.0/8], minimum_versions: {Outlook: "16"}}, bind: address}
  cached: {authenticator: staff, cache: {}}
"""
FILES = {
    "profiles.yaml": PROFILES.encode(),
    "other.yaml": PROFILES.replace("3d", "1m").replace("  held: {continuity: true}\n", "").encode(),
    "broken.yaml": b'version: 1\nprofiles: {"\\e[31m": {idle_timeout: "\\e[31m"}}\n\xe2\x80\xae: 1\n',
    "map.yaml": b"fields: {username: u, at: t}\nkey: [username]\n",
    "rows.jsonl": b'{"u": "carol", "t": "2026-01-01"}\n{"u": "\\u202e", "t": "\\u001b"}\n',
    "rows.csv": b"u,t\ncarol,2026-01-02\n",
}


class Installation:
    """An installation with sessions of every kind, files to name, and the secrets that must not be seen."""

    def __init__(self, authctl: Authctl, folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.authctl = authctl
        self.home = folder / f"home{number}"
        if places.ON_POSTGRES:
            monkeypatch.setenv("AUTHCTL_REGISTRY", str(places.place_in(self.home)))
        files = (*FILES, "loop", "here", "", f"home{number}/registry.db")
        new = (f"new{number}", f"new{number}/x", "nowhere/x", "a\x1b[31m", "\udcff", "n" * 300, f"\u202e{number}")
        self.there = [str(folder / name) for name in files]
        self.files = [*self.there, *new]
        assert self("init", "--profiles", str(folder / "profiles.yaml"), "-q").code == 0
        (self.home / "authenticators.yaml").touch(0o600)
        (self.home / "authenticators.yaml").write_text("version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")
        (self.home / "receivers.yaml").touch(0o600)
        told = "command: [/bin/true], events: [session-revoked, session-ended, user-disabled]"
        (self.home / "receivers.yaml").write_text(f"version: 1\nreceivers: {{told: {{{told}}}}}\n")
        issued = [
            self("tokens", "issue", "--user", user, "--application", "Outlook", "--profile", profile, "-o", "json").json
            for user in ("alice", "bob")
            for profile in ("default", "held", "pairs", "asked")
        ]
        self.ids = [one["session"]["id"] for one in issued]
        self.tokens = [token for one in issued for token in (one["access_token"], one["refresh_token"]) if token]
        self.keys = [one["id"] for one in self("keys", "list", "-o", "json").json]

        fitting = {
            "session_id ids targets excepted session": self.ids,
            "token": self.tokens,
            "key_id": self.keys,
            "profile profiles name": ["default", "held", "pairs", "asked", "strict", "cached"],
            "user users username": ["alice", "bob", "carol"],
            "note": ["lost device"],
            "kind": ["application", "web"],
            "lifetime": ["30m"],
            "ip": ["10.0.0.1"],
            "limit seq batch_size max_affected": ["1", "2", "5"],
            "mapping": [str(folder / "map.yaml")],
            "file": [
                str(folder / name) for name in ("rows.jsonl", "rows.csv", "profiles.yaml", "other.yaml", f"new{number}")
            ],
        }
        self.fitting = {name: values for names, values in fitting.items() for name in names.split()}

    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Ran:
        """Run a command on it."""
        return self.authctl("--home", str(self.home), *arguments, stdin=stdin)

    def secrets(self) -> set[str]:
        """What must never be seen: the hidden parts of the first tokens, and every key there has been."""
        keys = json.loads((self.home / "keys.json").read_bytes())["keys"]
        kept = {key["secret"] for key in keys if key.get("secret")}
        assert kept
        return {token[-64:] for token in self.tokens} | kept


PREVIEWED_ROWS = re.compile(r"^id\tusername\tapplication\tdevice\tstatus\n([a-z0-9]{16}\t.*\n)+", re.MULTILINE)
"""The rows of a preview, which stand on standard error as they are."""


def write_files(folder: Path) -> None:
    """Files that commands can be given: good ones, ones with faults, and links."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "here").symlink_to(folder)


def value(chance: Random, param: Any, at: Installation) -> str:
    """Something to give to an option or argument: what fits it, something of its kind, or anything."""
    kind = param.type.name
    fitting = at.fitting.get(param.name) or (TIMES if param.metavar in ("TIME", "AGE") else None)
    if fitting and chance.random() < 0.6:
        return chance.choice(fitting)
    if kind == "path":
        return chance.choice(at.files)
    if chance.random() < 0.15:
        return chance.choice([*HARD, *HOSTILE])
    if kind == "choice":
        return chance.choice(param.type.choices)
    if "int" in kind:
        return chance.choice(NUMBERS)
    known = [*at.ids, *at.keys, at.ids[0][:6], at.ids[0][:3]]
    pools = [PLAIN, PLAIN, known, TIMES, NUMBERS, [*HARD, *HOSTILE]]
    if param.name not in STORED:
        pools += [at.tokens, [token[:-1] for token in at.tokens]]
    return chance.choice(chance.choice(pools))


def command_line(chance: Random, at: Installation) -> list[str]:
    """A real command with some of its real options, in any order, and now and then something that does not belong there."""
    path, params = chance.choice(list(COMMANDS.items()))
    parts: list[list[str]] = []
    for param in params:
        owed = param.required or param.name in ("note", "yes")
        if chance.random() > (0.9 if owed else 0.5 if param.name == "everything" else 0.2):
            continue
        if param.param_type_name == "argument":
            many = chance.choice([1, 1, 2, 3]) if param.nargs == -1 else 1
            parts.append([value(chance, param, at) for _ in range(many)])
        elif param.is_flag:
            parts.append([chance.choice(param.opts)])
        else:
            option, given = chance.choice(param.opts), value(chance, param, at)
            parts.append(
                [f"{option}={given}"] if option.startswith("--") and chance.random() < 0.5 else [option, given]
            )
    if chance.random() < 0.1:
        parts.append([chance.choice([*HARD, *HOSTILE, "--yes", "-h", "-o", "--note"])])
    chance.shuffle(parts)
    before = []
    if chance.random() < 0.03:
        where = chance.choice([*at.there, str(at.home), "", "nowhere"])  # a backup is another registry of the same head
        before = [chance.choice(["--registry", "--keys", "--home", "--version", where]), where]
    return [*before, *path, *(part for found in parts for part in found)]


def test_random_command_lines(authctl: Authctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Done or refused with a documented exit code; nothing raw, no secret, no traceback; and the audit chain stays whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("authctl.cli.app.get_command", cache(get_command))  # Typer's: each command put together once
    write_files(tmp_path)
    chance = Random(SEED)
    seen = set()
    for number in range(max(MUTATIONS // 20, 1)):
        if number % A_HOME == 0:
            at = Installation(authctl, tmp_path, number, monkeypatch)
            secrets = at.secrets()
        arguments = command_line(chance, at)
        stdin = chance.choice(["", "x\n", "y\n", f"{at.ids[1]}\nid\n", chance.choice(at.tokens), b"\xff\0\x1b\n" * 3])
        ran = at(*arguments, stdin=stdin)
        said = ran.out + ran.err
        assert ran.code in DOCUMENTED, (arguments, stdin, said)
        assert unseen(said) == [], (arguments, stdin, said)
        assert not [secret for secret in secrets if secret in said], (arguments, stdin, said)
        assert "Traceback" not in said
        print_message = PREVIEWED_ROWS.sub("", ran.err)
        assert print_message == "" or all(line.startswith("authctl: ") for line in print_message.splitlines()), (
            arguments,
            said,
        )
        seen.add(ran.code)
        if ran.code == 0 and "move" in arguments:  # nothing else can be done in that home
            at = Installation(authctl, tmp_path, MUTATIONS + number, monkeypatch)
            secrets = at.secrets()
        if "rotate" in arguments:
            secrets |= at.secrets()
        if number % A_HOME == A_HOME - 1:
            verified = at("audit", "verify")
            assert verified.code == 0, verified.err
    assert seen >= {0, 2, 3, 4, 5, 6} or MUTATIONS < 20_000
