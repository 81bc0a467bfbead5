"""The sample commands of the help texts: every command has one, and each of them runs as it is written."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from authctl.cli.sample_commands import SAMPLE_COMMANDS
from tests import places
from tests.conftest import ENDLESS, Authctl, every_command
from tests.receiver import Receiver

PROFILES = """\
version: 1
profiles:
  default: {idle_timeout: 3d, continuity: true, on_revoke: wipe, authenticator: staff, cache: {max_age: 24h}, tokens: pair}
"""
LISTING = Path(__file__).parent / "data" / "listings" / "jupyterhub.json"
OTHER_CODES = {"audit accept": 4, "console": 2, "doctor": 9, "registry move": 4}
"""The commands that cannot succeed without a fault of the installation or without a terminal, or that find a fault on some hosts."""


def lines() -> list[tuple[str, str]]:
    """Every example with the path of its command, those apart that run until a signal ends them: tests/door runs these."""
    endless = {" ".join(path) for path in ENDLESS}
    return [(path, line) for path, samples in SAMPLE_COMMANDS.items() if path not in endless for line in samples]


def test_every_command_has_sample_commands(authctl: Authctl):
    """One to three, in its help text, each on a line by itself; and each is of this command."""
    assert set(SAMPLE_COMMANDS) == {" ".join(path) for path in every_command()}
    for path, samples in SAMPLE_COMMANDS.items():
        assert 1 <= len(samples) <= 3
        help_lines = authctl(*path.split(), "--help").out.splitlines()
        for line in samples:
            assert f"  {line}" in help_lines
            assert len(line) <= 100
            assert path in line


@pytest.mark.parametrize("noun", ["", *sorted({path[0] for path in every_command() if len(path) > 1})])
def test_every_noun_has_sample_commands(authctl: Authctl, noun: str):
    """The help of a noun, and of authctl itself, ends with one to three sample commands."""
    text = authctl(*noun.split(), "--help").out
    samples = [line.strip() for line in text.partition("\nExamples:\n")[2].splitlines()]
    assert 1 <= len(samples) <= 3
    tried = {line for path, line in lines() if path.startswith(noun)}
    assert set(samples) <= tried


@pytest.fixture
def prepared(authctl: Authctl, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An installation in which every sample command makes sense; the texts of those that have other values in it."""
    monkeypatch.chdir(tmp_path)
    Path("profiles.yaml").write_text(PROFILES)
    Path("password").write_text("secret\n")
    Path("alice.json").write_bytes(LISTING.read_bytes())
    assert authctl("init", "-q", "--profiles", "profiles.yaml").code == 0
    program = json.dumps([sys.executable, "-c", "import sys; sys.stdin.read()"])
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text(f"version: 1\nauthenticators: {{staff: {{command: {program}}}}}\n")
    told = Receiver(tmp_path / "receiver").program
    entry = f"{{command: [{told}], events: [session-revoked]}}"
    pushed = "{push: {url: 'https://siem.example/'}, issuer: i, audience: [a], events: [session-ended]}"
    (home / "receivers.yaml").touch(0o600)
    (home / "receivers.yaml").write_text(f"version: 1\nreceivers:\n  synapse: {entry}\n  siem: {pushed}\n")
    Path("leavers.csv").write_text("name,email\nAlice,alice\n")
    issued = authctl(
        *("tokens", "issue", "--user", "alice", "--application", "Teams", "--device", "AL-PHONE", "-o", "json")
    ).json
    Path("token").write_text(issued["access_token"] + "\n")
    Path("refresh-token").write_text(issued["refresh_token"] + "\n")
    key = authctl("keys", "list", "-o", "id").out.strip()
    return {"htpsgxk2": issued["session"]["id"][:8], "3f0e2eda": key, "/var/lib/authctl": str(tmp_path / "other")} | {
        "/var/lib/node_exporter": str(tmp_path)
    }


_A_CLIENT = ("clients", "add", "shop", "--may", "introspect")
EXTRAS = {"receivers key": "joserfc"}
"""The commands that need an extra, and its library."""

BEFORE = {
    "clients show": _A_CLIENT,
    "clients rotate": _A_CLIENT,
    "clients remove": _A_CLIENT,
    "continuity end": ("continuity", "start", "--note", "an outage"),
    "tokens wipe-done": ("revoke", "--user", "alice", "--note", "lost device"),
    "restore": ("backup", "registry-copy.db"),
    "keys retire": ("keys", "rotate", "--note", "yearly rotation"),
    **dict.fromkeys(
        ("deliver", "deliveries show", "deliveries retry", "deliveries drop"),
        ("revoke", "--user", "alice", "--note", "lost device"),
    ),
    "users enable": ("users", "disable", "alice", "--note", "on leave"),
}
"""What has to be done before an example."""


@pytest.mark.parametrize(("path", "line"), lines())
def test_an_example_runs(authctl: Authctl, home: Path, prepared: dict[str, str], path: str, line: str):
    """As it is written, from a shell or in a script."""
    if path in EXTRAS:
        pytest.importorskip(EXTRAS[path], reason="an extra that is not installed")
    if path.startswith("imports ") or "unused" in line:
        import_something(authctl)
    if path in BEFORE:
        assert authctl(*BEFORE[path]).code == 0
    if path == "init":  # of another home, too, where both have their registry on a server
        places.take_away(home)
    if line == "authctl init":
        for file in home.iterdir():
            file.unlink()
    for text, value in prepared.items():
        line = line.replace(text, value)
    out, ran = "", None
    for command in line.split(" | "):
        line_of_command, _, into = command.partition(" > ")
        words, _, file = line_of_command.partition(" < ")
        program, *arguments = shlex.split(words)
        assert program == "authctl"
        ran = authctl(*arguments, stdin=Path(file).read_text() if file else out)
        out = ran.out
        assert not into or out
    assert ran is not None
    assert ran.code in (0, OTHER_CODES.get(path, 0)), (line, ran.err)


def import_something(authctl: Authctl) -> None:
    """An import that can be taken back."""
    Path("rows.jsonl").write_text(json.dumps({"u": "erin", "t": "2025-01-01"}) + "\n")
    Path("map.yaml").write_text("source: okta\nfields: {username: u, at: t}\nkey: [username]\n")
    assert authctl("sessions", "import", "rows.jsonl", "--map", "map.yaml", "-q").code == 0
