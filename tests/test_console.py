"""The console, driven by Textual's pilot: lists, search, selection, revocation, users, audit trail, continuity and deliveries."""

import re
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.instants import DAY
from tests import places
from tests.conftest import Authctl, Clock, unseen

pytest.importorskip("textual", reason="Textual is not installed: it comes with .[console] or .[dev]")

from authctl.console import app as application
from authctl.console import sources
from tests.console_screen import console, run
from tests.receiver import Receiver, receiver
from tests.test_delivering import subscribe

__all__ = ["receiver"]

PEOPLE = ("alice", "bob", "carol")
ACTIVE = SessionFilter(status="active")


@pytest.fixture
def folder(registry: Registry, tmp_path: Path, clock: Clock) -> Path:
    """The home of an installation in which three users have a computer and a phone."""
    for name in PEOPLE:
        for device, platform in (("PC", "Windows 11"), ("PHONE", "iOS 26")):
            clock.forward(seconds=1)
            registry.issue(
                username=name, application="Outlook", device=f"{name[:2].upper()}-{device}", platform=platform
            )
    clock.forward(minutes=5)
    return tmp_path / "home"


def ids(registry: Registry, **criteria: object) -> set[str]:
    """The ids of the sessions that a filter selects."""
    return {session.id for session in registry.sessions(SessionFilter(**criteria))}


def test_the_first_screen_lists_the_sessions(folder: Path, clock: Clock):
    """Everything fits into 24 lines of 80 columns: the list, the details, the command and the keys."""

    async def visit():
        async with console(folder, clock) as driver:
            lines = driver.screen.splitlines()
            assert len(lines) <= 24
            assert "[ ] carol     Outlook      CA-PHONE  iOS 26      active  5 min ago" in driver.screen
            assert "1 of 6" in driver.screen
            assert "$ authctl sessions list\n" in driver.screen
            assert lines[-1].startswith("? help  q quit")

    run(visit)


def test_the_search_follows_the_typing(folder: Path, clock: Clock):
    """The list, the counts and the command are those of the typed text; Enter goes to the list."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("slash")
            await driver.type("al-ph")
            assert "1 of 1" in driver.screen
            assert "carol" not in driver.screen
            assert "$ authctl sessions list --search al-ph\n" in driver.screen
            await driver.press("enter")
            assert driver.app.focused is driver.app.pane.table

    run(visit)


def test_the_status_the_kind_and_the_group_are_chosen_by_keys(folder: Path, registry: Registry, clock: Clock):
    """Each key shows the next choice; a group is opened, and left again."""
    registry.revoke(SessionFilter(username="bob"), note="lost device")

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("s")
            assert "1 of 4" in driver.screen
            assert "$ authctl sessions list --status active\n" in driver.screen
            await driver.press("s", "s")
            assert "lost device" in driver.screen
            await driver.press("s", "k", "k", "g")
            assert "group  active  expired  revoked  total" in driver.screen
            await driver.press("g", "g")
            assert "$ authctl sessions list --kind all --group-by platform\n" in driver.screen
            await driver.press("enter")
            assert "$ authctl sessions list --platform 'iOS 26' --kind all\n" in driver.screen
            assert "1 of 3" in driver.screen
            await driver.press("backspace")
            assert "--group-by platform" in driver.screen

    run(visit)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_filters_fit_beside_a_group_with_a_long_name(
    registry: Registry, tmp_path: Path, clock: Clock, columns: int
):
    """The name is shortened, and nothing of the line is beyond the screen."""
    registry.issue(username="alice", application="Outlook for a very long name of an application")

    async def visit():
        async with console(tmp_path / "home", clock, size=(columns, 24)) as driver:
            await driver.press("g", "g", "enter")
            line = driver.screen.splitlines()[1]
            assert re.search(r"Search: {10,}s\w*: all  k\w*: application  \w+: 'Outlo.*\.\.\.'$", line), line

    run(visit)


def test_selected_sessions_are_revoked(folder: Path, registry: Registry, clock: Clock):
    """Those and no others, whatever is listed meanwhile: a selection is of ids."""
    chosen = ids(registry, username=("alice", "carol"), device=("AL-PC", "CA-PHONE"))

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("space", *["down"] * 5, "space")
            assert "2 selected" in driver.screen
            await driver.press("slash")
            await driver.type("bob")
            await driver.press("enter")
            assert "2 selected" in driver.screen
            await driver.press("r")
            assert "this would revoke 2 sessions, 0 of them web sessions" in driver.screen
            await driver.type("lost device")
            await driver.press("enter")
            assert "revoked 2 sessions" in driver.screen
            assert "selected" not in driver.screen.replace("[Revoke Selected]", "")

    run(visit)
    assert ids(registry, status="revoked") == chosen
    assert {session.note for session in registry.sessions(SessionFilter(status="revoked"))} == {"lost device"}


def test_the_effect_is_told_with_the_outcome(folder: Path, registry: Registry, clock: Clock):
    """What lives on of the same users, in the words of the command line; nothing where nothing lives on."""

    async def visit():
        async with console(folder, clock, size=(120, 30)) as driver:
            await driver.press("r")
            await driver.type("lost device")
            await driver.press("enter")
            shown = " ".join(driver.screen.split())
            assert "revoked 1 session; still active: 1 session of the same users, by application: 'Outlook' 1;" in shown
            assert "unless used, they end: 1 within a week; the last at 2026-03-05T09:00:05Z" in shown
            await driver.press("down", "r")
            await driver.type("lost device")
            await driver.press("enter")
            assert "still active" not in driver.screen

    run(visit)


def test_a_note_without_content_is_refused(folder: Path, registry: Registry, clock: Clock):
    """By the rule of the command line, and with its words; nothing is done."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("r")
            for note in ("", "..", "ok"):
                await driver.type(note)
                await driver.press("enter")
                assert "the note is too short" in driver.screen
            await driver.press("escape")

    run(visit)
    assert not ids(registry, status="revoked")


def test_all_that_match_are_asked_about_again(folder: Path, registry: Registry, clock: Clock):
    """Enter in the note goes to the button; excepted sessions are spared."""
    spared = ids(registry, device="CA-PHONE")

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("slash")
            await driver.type("phone")
            await driver.press("enter", "a", "space")
            assert "all but 1 selected" in driver.screen
            await driver.press("r")
            assert "this would revoke 2 sessions" in driver.screen
            shown = f"authctl revoke --kind application --search phone --except {next(iter(spared))} --note WHY"
            assert shown in driver.words
            await driver.type("stolen phones")
            await driver.press("enter")
            assert not ids(registry, status="revoked")
            await driver.press("enter")

    run(visit)
    assert ids(registry, status="revoked") == ids(registry, device=("AL-PHONE", "BO-PHONE"))


def test_another_search_ends_the_selection_of_all_that_match(folder: Path, clock: Clock):
    """A filter that a person chose must not become another one unseen."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("a")
            assert "all that match selected" in driver.screen
            await driver.press("s")
            assert "all that match" not in driver.screen

    run(visit)


def test_a_session_that_came_after_the_preview_is_not_revoked(folder: Path, registry: Registry, clock: Clock):
    """The preview is a bound, as on the command line; the next try is about what is there now."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("R")
            registry.issue(username="dora", application="Outlook")
            await driver.type("retired")
            await driver.press("enter", "enter")
            assert "1 of them was not in the preview" in driver.words
            assert not ids(registry, status="revoked")
            assert "this would revoke 7 sessions" in driver.screen
            await driver.press("enter")

    run(visit)
    assert len(ids(registry, status="revoked")) == 7


def test_everybody_is_revoked_only_for_the_count(folder: Path, registry: Registry, clock: Clock):
    """With no filter at all the count has to be typed, as for `revoke --all`."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("k", "k", "R")
            assert "everybody has to sign in again" in driver.screen
            assert "authctl revoke --all --note WHY" in driver.screen
            await driver.type("breach")
            await driver.press("enter", "5", "enter", "enter")
            assert "not done: the answer was not '6'" in driver.screen
            assert not ids(registry, status="revoked")
            await driver.press("backspace", "6", "enter", "enter")
            assert "revoked 6 sessions" in driver.screen

    run(visit)
    assert len(ids(registry, status="revoked")) == 6


def test_changes_of_other_processes_appear(folder: Path, authctl: Authctl, registry: Registry):
    """A revocation and a sign-in by others are on the screen within two seconds; the cursor stays on its session."""

    async def visit():
        async with console(folder) as driver:
            await driver.press("down", "down")
            under_cursor = driver.app.pane.table.current.key
            registry.issue(username="zoe", application="Teams")
            await driver.until(lambda: "zoe" in driver.screen)
            assert driver.app.pane.table.current.key == under_cursor
            registry.revoke(SessionFilter(username="zoe"), note="test of a change")
            await driver.until(lambda: "revoked" in driver.screen)

    run(visit)


def test_users_are_disabled_and_enabled(folder: Path, registry: Registry, clock: Clock):
    """Found by the beginning of the name; the preview counts what would end, and the audit log has the note."""

    async def visit():
        async with console(folder, clock, actor="dora") as driver:
            await driver.press("2", "slash")
            await driver.type("bo")
            await driver.press("enter", "e")
            assert "this would disable 'bob' and end 2 active sessions" in driver.screen
            assert "authctl users disable --note WHY bob" in driver.screen
            await driver.type("left")
            await driver.press("enter")
            assert "disabled 'bob': 2 active sessions ended" in driver.screen
            await driver.press("n")
            assert "disabled by 'dora': 'left'" in driver.screen
            await driver.type("back")
            await driver.press("enter")
            assert "enabled 'bob'; no session comes back" in driver.screen

    run(visit)
    events = list(registry.audit.events())[:2]
    assert [(one.action, one.actor, one.note) for one in events] == [
        ("user.enable", "dora", "back"),
        ("user.disable", "dora", "left"),
    ]


def test_users_are_disabled_until_a_time(folder: Path, registry: Registry, clock: Clock):
    """A length of time ahead, checked by the rule of the command line; the command that is shown has it."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("2", "e")
            await driver.type("on leave")
            await driver.press("shift+tab")
            await driver.type("soon")
            await driver.press("enter", "enter")
            assert "not a time or a length of time: 'soon'" in driver.words
            assert not registry.users.get("carol").user.disabled_at
            await driver.press("shift+tab", *["backspace"] * 4, "7", "d")
            assert "authctl users disable --until 7d --note 'on leave' carol" in driver.words
            await driver.press("enter", "enter")
            assert "disabled 'carol' until 2026-03-09T09:05:06Z: 2 active sessions ended" in driver.screen
            await driver.press("n")
            assert "'carol': disabled until 2026-03-09T09:05:06Z by" in driver.words

    run(visit)
    user = registry.users.get("carol").user
    assert (user.disabled_until, user.note) == (registry.now() + 7 * DAY, "on leave")


def test_ids_and_commands_are_copied(folder: Path, registry: Registry, clock: Clock):
    """Ids one a line, names as words of a shell, and the command of a list or window."""
    registry.issue(username="o'hara $(id)", application="Outlook")

    async def visit():
        async with console(folder, clock) as driver:
            app = driver.app
            await driver.press("y")
            assert app.clipboard == app.pane.table.current.key
            await driver.press("down", "space", "down", "space", "y")
            assert set(app.clipboard.split("\n")) == ids(registry, username="carol")
            assert "copied to the terminal's clipboard: 2 lines" in driver.screen
            await driver.press("s", "ctrl+y")
            assert app.clipboard == "authctl sessions list --status active"
            await driver.press("d", "y")
            assert app.clipboard.startswith("authctl sessions show ")
            await driver.press("escape", "x", "R", "ctrl+y")
            assert app.clipboard == "authctl revoke --status active --kind application --note WHY"
            await driver.press("escape", "a", "y")
            assert "nothing was copied" in driver.screen
            await driver.press("2", "y")
            assert app.clipboard == "'o'\"'\"'hara $(id)'"
            await driver.press("3", "y")
            assert app.clipboard == "8"

    run(visit)


def test_a_token_is_never_copied(folder: Path, registry: Registry, clock: Clock):
    """Not even one that was pasted into the search or the note."""
    token = registry.issue(username="alice", application="Outlook").access_token

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("slash")
            await driver.paste(token)
            await driver.press("ctrl+y")
            assert driver.app.clipboard.startswith("authctl sessions list --search ac")
            assert token not in driver.app.clipboard
            await driver.press("enter", "R")
            await driver.paste(token)
            await driver.press("ctrl+y")
            assert token not in driver.app.clipboard

    run(visit)


def test_a_whole_list_catches_up_after_its_rest(folder: Path, registry: Registry, clock: Clock, monkeypatch):
    """A change right after the list was read is read once the list has rested; none is forgotten."""
    monkeypatch.setattr(sources, "_REST", 1e9)
    monkeypatch.setattr(application, "_CLOCK_SECONDS", 1e9)

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("g", "g")
            registry.issue(username="zoe", application="Teams")
            await driver.until(lambda: driver.app.pane.is_behind)
            assert "Teams" not in driver.screen
            monkeypatch.setattr(sources, "_REST", 0)
            await driver.until(lambda: "Teams" in driver.screen)
            assert not driver.app.pane.is_behind

    run(visit)


def test_the_sessions_of_a_user_are_opened(folder: Path, clock: Clock):
    """Enter on a user leads to the list of sessions, of every kind."""

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("2", "down", "enter")
            assert "$ authctl sessions list --user bob --kind all\n" in driver.screen
            assert "1 of 2" in driver.screen

    run(visit)


def test_the_audit_trail_is_searched(folder: Path, registry: Registry, clock: Clock):
    """Newest first, with the details of the event under the cursor."""
    registry.revoke(SessionFilter(username="bob"), note="lost device")

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("3")
            assert "session.revoke" in driver.screen
            await driver.press("slash")
            await driver.type("lost dev")
            assert "1 of 1" in driver.screen
            await driver.press("enter", "enter")
            assert "hash before" in driver.screen
            assert "$ authctl audit show" in driver.screen

    run(visit)


def test_a_continuity_event_is_started_and_ended(install, tmp_path: Path, clock: Clock):
    """For the profiles that allow it, until a length of time ahead."""
    registry = install("version: 1\ndefault_profile: d\nprofiles: {d: {idle_timeout: 1h, continuity: true}}\n")
    registry.issue(username="alice", application="Outlook")

    async def visit():
        async with console(tmp_path / "home", clock) as driver:
            await driver.press("4", "n")
            assert "profiles that allow it: 'd'" in driver.screen
            await driver.type("outage")
            await driver.press("shift+tab")
            await driver.type("4h")
            assert "$ authctl continuity start --until 4h --note outage" in driver.screen
            await driver.press("enter", "enter")
            assert "continuity started for 'd'" in driver.screen
            assert registry.continuity.status()[0].event.note == "outage"
            await driver.press("e")
            await driver.type("over")
            await driver.press("enter")
            assert "continuity ended for 'd'; 0 sessions expired" in driver.screen

    run(visit)
    assert not registry.continuity.status()


def test_the_mouse_does_the_same(folder: Path, registry: Registry, clock: Clock):
    """A click on a box selects, one on a word in brackets opens the window, one on a tab shows it."""

    async def visit():
        async with console(folder, clock) as driver:
            table = driver.app.pane.table
            await driver.pilot.click(table, offset=(1, 2))
            await driver.pilot.click(table, offset=(1, 3))
            await driver.settle()
            assert "2 selected" in driver.screen
            await driver.pilot.click("#revoke-selected")
            await driver.settle()
            assert "this would revoke 2 sessions" in driver.screen
            await driver.type("clicked")
            await driver.pilot.click("#do")
            await driver.settle()
            await driver.pilot.click("#tab-audit")
            await driver.settle()
            assert "session.revoke" in driver.screen

    run(visit)
    assert len(ids(registry, status="revoked")) == 2


def test_an_error_is_shown_and_the_console_stays(folder: Path, clock: Clock):
    """A registry that is gone is told, with the hint of the command line."""
    # a file that is open stays readable, so that it is looked for again; tables are missed at once
    told = "does not exist" if places.ON_POSTGRES else "error: there is no registry"

    async def visit():
        async with console(folder, clock) as driver:
            with places.away(folder):
                while driver.app.reads._idle:
                    driver.app.reads._idle.pop().close()
                await driver.press("f5")
                assert told in driver.screen
            await driver.press("f5")
            assert "1 of 6" in driver.screen

    run(visit)


def test_help_and_commands_are_shown(folder: Path, clock: Clock):
    """Every tab has its keys in the help; a long command is shown as a whole."""

    async def visit():
        async with console(folder, clock, size=(80, 60), before=("--home", "/var/lib/auth ctl")) as driver:
            await driver.press("question_mark")
            for word in ("Sessions", "Users", "Continuity", "Audit window", "Mouse"):
                assert word in driver.screen
            await driver.press("escape", "c")
            assert "$ authctl" not in driver.screen.split("The same on the command line")[1].split("Esc close")[0]
            assert "authctl --home '/var/lib/auth ctl' sessions list" in driver.screen
            await driver.press("escape", "q")
            assert not driver.app.is_running or driver.app._exit

    run(visit)


def test_a_long_list_is_read_as_it_is_looked_at(registry: Registry, tmp_path: Path, clock: Clock):
    """Pages come when they are scrolled to, none is missing and none comes twice; far pages are not kept."""
    for number in range(1_100):
        registry.issue(username=f"user{number:04}", application="Outlook")

    async def visit():
        async with console(tmp_path / "home", clock, size=(80, 64)) as driver:  # a page is a key, which takes a while
            table = driver.app.pane.table
            assert len(table.rows) == 200
            for _ in range(30):
                assert all(table.rows.row(table.first_line + line) for line in range(table.line_count))
                await driver.press(*["pagedown"] * 2) if table.first_line else await driver.press("end")
                if table.rows.is_complete and table.cursor == len(table.rows) - 1:
                    break
            assert len(table.rows) == 1_100
            keys = [table.rows.row(index) for index in range(1_100)]
            assert len({row.key for row in keys if row}) == sum(row is not None for row in keys)
            await driver.press("home")
            assert table.current.record["username"] == "user1099"

    run(visit)


def test_hostile_texts_are_harmless(authctl: Authctl, registry: Registry, tmp_path: Path, clock: Clock):
    """In every field, list, view and window: no control character reaches the terminal, and markup is a text."""
    from tests.conftest import HOSTILE

    evil = "".join(HOSTILE) + "[bold]x[/bold][@click=app.quit]y[/]"
    fields = ("application", "application_version", "device", "platform", "ip", "user_agent", "referrer")
    registry.issue(username="[red]mallory[/red]", **dict.fromkeys(fields, evil))
    registry.issue(username="[red]mallory[/red]", **dict.fromkeys(fields, "[bold]x[/bold]"))
    registry.revoke(SessionFilter(device="[bold]x[/bold]"), note=f"note {evil}", actor="[b]actor[/b]")
    seen = []

    async def visit():
        async with console(tmp_path / "home", clock, size=(120, 40), before=("--home", evil)) as driver:
            for keys in VISITED:
                await driver.press(*keys)
                seen.append(driver.screen)

    run(visit)
    everything = "".join(seen)
    assert not unseen(everything)
    for literal in ("[red]mallory[/red]", "[bold]x[/bold]", "[b]actor[/b]", r"\x1b[5;41m", ":smile:"):
        assert literal in everything, literal


VISITED = (
    ("s", "s", "s", "s"),
    ("d",),
    ("escape",),
    ("down",),
    ("d",),
    ("escape", "c"),
    ("escape", "g"),
    ("d",),
    ("escape", "g"),
    ("d",),
    ("enter", "enter"),
    ("c",),
    ("escape", "r"),
    ("w", "h", "y", "enter"),
    ("escape", "escape", "x", "backspace", "g", "g", "g", "R"),
    ("escape", "2"),
    ("d",),
    ("escape", "e"),
    ("w", "h", "y", "enter"),
    ("n",),
    ("escape", "enter"),
    ("3",),
    ("d",),
    ("escape", "4"),
    ("n",),
    ("escape",),
)
"""Keys that lead through every list, view and window."""


def test_a_text_is_visible_and_never_markup():
    """Whoever calls: the function that makes every text of the screen does not trust its callers."""
    from authctl.console import texts
    from tests.conftest import HOSTILE

    for evil in HOSTILE:
        made = [texts.text(evil), texts.message(evil), texts.cell(evil, 60), texts.row([evil], [60])]
        assert not [one for one in made if unseen(one.plain)]
    assert texts.text("[bold]x[/bold]").plain == "[bold]x[/bold]"
    assert not texts.text("[bold]x[/bold]").spans


def test_pasted_text_has_nothing_unseen(folder: Path, clock: Clock):
    """An escape character that is pasted into a field would reach the terminal as it is."""
    from textual.events import Paste

    async def visit():
        async with console(folder, clock) as driver:
            await driver.press("slash")
            driver.app.focused.post_message(Paste("al\x1b[31m-ph\u202e"))
            await driver.settle()
            assert driver.app.focused.value == "al[31m-ph"

    run(visit)


def test_deliveries_are_tried_again_and_dropped(registry: Registry, tmp_path: Path, clock: Clock, receiver: Receiver):
    """By state, behind the audit window with a note, which the audit log keeps."""
    subscribe(tmp_path / "home", receiver)
    receiver.answer(other="refuse")
    for user in ("alice", "bob"):
        registry.issue(username=user, application="Outlook")
        registry.revoke(SessionFilter(username=user), note="lost device")
    registry.deliveries.deliver()

    async def visit():
        async with console(tmp_path / "home", clock) as driver:
            await driver.press("5", "s", "s")
            assert "state: refused" in driver.screen
            assert "$ authctl deliveries list --state refused" in driver.screen
            await driver.press("space", "down", "e")
            assert "the session may go on in its own system" in driver.screen
            assert "$ authctl deliveries drop 2.2 --note WHY" in driver.screen
            await driver.type("it is gone")
            await driver.press("enter")
            assert "1 message dropped" in driver.screen
            await driver.press("home", "r")
            await driver.type("mended")
            assert "$ authctl deliveries retry 1.1 --note mended" in driver.screen
            await driver.press("enter")
            assert "1 message due now" in driver.screen
            await driver.press("s", "s", "s", "s", "s", "slash")
            await driver.type("alice")
            await driver.press("enter")
            assert "$ authctl deliveries list --user alice" in driver.screen
            await driver.press("r")
            await driver.press("escape")

    run(visit)
    assert {one.id: one.state for one in registry.deliveries.list()} == {"2.2": "dropped", "1.1": "pending"}
    notes = [(one.action, one.note) for one in registry.audit.events() if one.action.startswith("delivery.")]
    assert notes[:2] == [("delivery.retry", "mended"), ("delivery.drop", "it is gone")]


def test_what_is_delivered_cannot_be_dropped(registry: Registry, tmp_path: Path, clock: Clock, receiver: Receiver):
    """The window shows it, and has no button for it."""
    subscribe(tmp_path / "home", receiver)
    registry.issue(username="alice", application="Outlook")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.deliveries.deliver()

    async def visit():
        async with console(tmp_path / "home", clock) as driver:
            await driver.press("5", "e")
            assert "1.1  session-revoked to 'a': delivered" in driver.screen
            await driver.type("it is gone")
            await driver.press("enter", "enter")
            assert "Drop deliveries" in driver.screen

    run(visit)
    assert [one.state for one in registry.deliveries.list()] == ["delivered"]
