"""The screens of the console, kept as texts: each list, view and window at 60, 80 and 120 columns."""

import os
import re
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from tests.conftest import Clock

pytest.importorskip("textual", reason="Textual is not installed: it comes with .[console] or .[dev]")

from tests.console_screen import console, run
from tests.receiver import Receiver, receiver
from tests.test_delivering import subscribe

__all__ = ["receiver"]

pytestmark = pytest.mark.slow

STEP = int(os.environ.get("AUTHCTL_SCREENS_STEP", "1"))
"""CI looks at every third screen."""
SCREENS = Path(__file__).parent / "screens" / "console"
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d, absolute_timeout: 30d, continuity: true, on_revoke: wipe}
"""
VISITS = {
    "sessions": (),
    "sessions-selected": ("space", "down", "down", "space"),
    "sessions-all-selected": ("a", "down", "space"),
    "sessions-revoked": ("s", "s", "s"),
    "sessions-searched": ("slash", "p", "h", "o", "n", "e", "enter"),
    "sessions-nothing": ("slash", "q", "q", "q"),
    "groups-user": ("g",),
    "groups-application": ("g", "g"),
    "groups-platform": ("g", "g", "g"),
    "group-opened": ("g", "g", "g", "enter"),
    "details": ("d",),
    "command": ("slash", "p", "h", "o", "n", "e", "enter", "s", "c"),
    "help": ("question_mark",),
    "revoke": ("r",),
    "revoke-refused": ("r", "full_stop", "full_stop", "enter"),
    "revoke-matching": ("R", "l", "o", "s", "t", "enter"),
    "revoke-everything": ("k", "k", "R", "l", "o", "s", "t", "enter", "1", "enter"),
    "revoked": ("r", "l", "o", "s", "t", "enter"),
    "users": ("2",),
    "users-searched": ("2", "slash", "b", "o"),
    "users-disable": ("2", "down", "e"),
    "users-enable": ("2", "s", "n"),
    "audit": ("3",),
    "audit-details": ("3", "enter"),
    "continuity": ("4",),
    "continuity-start": ("4", "n"),
    "continuity-end": ("4", "e"),
    "deliveries": ("5",),
    "deliveries-refused": ("5", "s", "s"),
    "deliveries-retry": ("5", "s", "s", "r"),
    "deliveries-drop": ("5", "space", "down", "space", "e", "l", "e", "f", "t"),
}


@pytest.fixture
def furnished(install, clock: Clock) -> Registry:
    """A registry in which there is something to see on every tab."""
    registry = install(PROFILES)
    people = (
        ("alice", "Outlook"),
        ("bob", "Teams"),
        ("田中太郎", "ArcGIS Pro"),
        ("maximiliane.mustermann@example.org", "Outlook"),
    )
    for name, application in people:
        for device, platform in (("PC-0815", "Windows 11"), ("PHONE-4711", "iOS 26")):
            clock.forward(minutes=7)
            registry.issue(
                username=name,
                application=application,
                device=device,
                platform=platform,
                ip="192.0.2.7",
                user_agent="Mozilla/5.0",
                actor="gate",
            )
    registry.issue(username="carol", application="Outlook Web", kind="web", device="KIOSK-7", actor="gate")
    revoked = SessionFilter(username="bob", device="PHONE-4711")
    registry.revoke(revoked, note="lost on the train to Köln, ticket 4711", actor="dora")
    registry.users.disable("carol", note="left the company", actor="dora")
    registry.continuity.start(note="the identity provider is down", until=clock.now.replace(day=4), actor="dora")
    clock.forward(hours=3)
    return registry


@pytest.fixture
def delivered(furnished: Registry, home: Path, receiver: Receiver) -> Registry:
    """The same with deliveries: one refused, one delivered, two pending, and a decision that was told to nobody yet."""
    subscribe(home, receiver)
    receiver.answer(session_revoked="refuse", user_disabled="retry", password_changed="done")
    furnished.revoke(SessionFilter(username="alice", device="PHONE-4711"), note="lost at the airport", actor="dora")
    furnished.users.password_changed("alice", note="reset at the desk", actor="dora")
    furnished.users.disable("bob", note="left the company", actor="dora")
    furnished.deliveries.deliver()
    furnished.revoke(SessionFilter(application="ArcGIS Pro"), note="licence ended", actor="dora")
    return furnished


def still(text: str, registry: Registry) -> str:
    """A screen without what is random: ids, and hashes, which may be wrapped, or half hidden by a window."""
    for session in registry.sessions():
        text = text.replace(session.id, "x" * len(session.id))
    text = re.sub(r"\b[0-9a-f]{16,}\b", lambda match: "0" * len(match[0]), text)
    if "$ authctl audit list" not in text:
        return text
    return re.sub(r"(?m)(?<=  | │)[0-9a-f]{1,15}(?= *│?$)", lambda match: "0" * len(match[0]), text)


@pytest.mark.parametrize("name", [*VISITS][::STEP])
def test_the_screens_are_as_they_were_looked_at(
    furnished: Registry, tmp_path: Path, clock: Clock, name: str, request: pytest.FixtureRequest
):
    """Every list, view and window on a screen of 24 lines."""
    shown = []
    if name.startswith("deliveries"):
        request.getfixturevalue("delivered")

    async def visit(columns: int):
        async with console(tmp_path / "home", clock, size=(columns, 24), actor="dora") as driver:
            await driver.press(*VISITS[name])
            shown.append(f"{'-' * columns}\n{driver.screen}")

    for columns in (60, 80, 120) if name != "revoked" else (80,):
        run(lambda columns=columns: visit(columns))
    text = still("".join(shown), furnished)
    file = SCREENS / f"{name}.txt"
    if os.environ.get("AUTHCTL_WRITE_SCREENS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_no_screen_is_forgotten():
    """A text without a visit is one that nobody compares."""
    assert {file.stem for file in SCREENS.iterdir()} == set(VISITS)
