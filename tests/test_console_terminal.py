"""The console in a real pseudo-terminal: started as a person starts it, its screen read as a terminal draws it."""

import base64
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from tests import places, succeeded_commands
from tests.conftest import PROGRAM, Authctl, OnTerminal

pytest.importorskip("textual", reason="Textual is not installed: it comes with .[console] or .[dev]")
pyte = pytest.importorskip("pyte", reason="pyte is not installed: it comes with .[dev]")

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60


class Terminal:
    """A terminal of 80 columns and 24 lines, on which the console runs."""

    def __init__(self, process: subprocess.Popen, controller: int) -> None:
        self.process = process
        self.controller = controller
        self.raw = b""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.controller, keys.encode())

    def until(self, condition: Callable[[], bool]) -> None:
        """Draw what comes until something is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.text
            if select.select([self.controller], [], [], 0.1)[0] and not self._draw():
                break
        assert condition(), self.text

    def until_shown(self, text: str) -> None:
        """Wait for a text on the screen."""
        self.until(lambda: text in self.text)

    def _draw(self) -> bool:
        try:
            part = os.read(self.controller, 65_536)
        except OSError:
            return False
        self.raw += part
        self._stream.feed(part)
        return bool(part)

    def end(self) -> int:
        """Wait for the end of the console; its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.controller], [], [], 0.1)[0]:
                self._draw()
        code = self.process.wait(1)
        succeeded_commands.remember(("console",), code)
        return code


@contextmanager
def terminal(home: Path, *arguments: str, **variables: str) -> Iterator[Terminal]:
    """The console on a pseudo-terminal."""
    controller, own = pty.openpty()
    ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {
        "PATH": os.environ["PATH"],
        "AUTHCTL_HOME": str(home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **places.environment(),
    }
    process = subprocess.Popen(
        [*PROGRAM, "console", *arguments],
        stdin=own,
        stdout=own,
        stderr=own,
        env={**environment, **variables},
        start_new_session=True,
    )
    os.close(own)
    try:
        yield Terminal(process, controller)
    finally:
        process.kill()
        process.wait()
        os.close(controller)


@pytest.fixture
def phones(registry: Registry, tmp_path: Path) -> Path:
    """The home of an installation with a hundred sessions, one of them of a lost phone."""
    for number in range(100):
        registry.issue(username=f"user{number}", application="Outlook", device=f"PHONE-{number:04}")
    return tmp_path / "home"


def test_a_lost_phone_is_found_and_revoked_in_under_ten_keys(phones: Path, registry: Registry):
    """After the search; the note is four of them."""
    with terminal(phones) as screen:
        screen.until_shown("1 of 100")
        screen.press("/PHONE-0042")
        screen.until_shown("1 of 1 ")
        keys = ["\r", "r", *"lost", "\r"]
        assert len(keys) < 10
        screen.press(keys[0] + keys[1])
        screen.until_shown("this would revoke 1 session")
        screen.press("".join(keys[2:]))
        screen.until_shown("revoked 1 session")
        screen.press("q")
        assert screen.end() == 0
    (revoked,) = registry.sessions(SessionFilter(status="revoked"))
    assert (revoked.device, revoked.note) == ("PHONE-0042", "lost")


def test_keys_that_come_at_once_are_taken_in_their_order(phones: Path, registry: Registry):
    """On a slow line many keys come in one piece: after `/` all of them are the search, also `r`, `a`, `R` and `q`."""
    with terminal(phones) as screen:
        screen.until_shown("1 of 100")
        screen.press("/rRaq12?4\r")
        screen.until_shown("$ authctl sessions list --search 'rRaq12?4'")
        screen.press("/\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f2\r23")
        screen.until_shown("session.issue")
        screen.press("1q")
        assert screen.end() == 0
    assert not registry.count(SessionFilter(status="revoked"))


def test_a_command_is_copied_by_the_terminal(phones: Path):
    """By OSC 52, which the terminal itself understands, also over SSH; the text is encoded, so that nothing in it is read."""
    with terminal(phones) as screen:
        screen.until_shown("1 of 100")
        screen.press("\x19")
        screen.until_shown("the command was copied")
        copied = re.search(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", screen.raw)
        assert base64.b64decode(copied[1]) == b"authctl sessions list"
        screen.press("q")
        assert screen.end() == 0


def test_the_terminal_is_left_as_it_was(phones: Path):
    """The usual screen, the cursor and the mouse are back, and nothing is left on it."""
    with terminal(phones) as screen:
        screen.until_shown("1 of 100")
        screen.press("q")
        assert screen.end() == 0
        for begun, ended in (
            (b"\x1b[?1049h", b"\x1b[?1049l"),
            (b"\x1b[?25l", b"\x1b[?25h"),
            (b"\x1b[?1000h", b"\x1b[?1000l"),
        ):
            assert screen.raw.rfind(ended) > screen.raw.rfind(begun)


def test_no_colour_where_none_is_wanted(phones: Path):
    """With NO_COLOR no colour is written at all, and the cursor is still seen: it is drawn in reverse."""
    with terminal(phones, NO_COLOR="1") as screen:
        screen.until_shown("1 of 100")
        screen.press("q")
        screen.end()
        codes = {code for found in re.findall(rb"\x1b\[([0-9;]*)m", screen.raw) for code in found.split(b";")}
        colours = {code for code in codes if re.fullmatch(rb"3[0-8]|4[0-8]|9[0-7]|10[0-7]", code)}
        assert (colours, b"7" in codes) == (set(), True)


def test_without_the_extra_it_is_said_how_to_install_it(phones: Path):
    """Exit code 2, and nothing on the screen but the error and the hint."""
    program = "import sys; sys.modules['textual'] = None; sys.argv = ['authctl', 'console']; from authctl.__main__ import main; main()"
    controller, own = pty.openpty()
    environment = {**os.environ, "AUTHCTL_HOME": str(phones)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=own, stdout=own, stderr=own, env=environment, start_new_session=True
    )
    os.close(own)
    assert process.wait(PATIENCE_SECONDS) == 2
    shown = os.read(controller, 65_536).decode()
    os.close(controller)
    assert "error: the console is not installed" in shown
    assert "pip install 'authctl[console]'" in shown


def test_without_a_terminal_nothing_is_shown(installed: Authctl):
    """Exit code 2, with a command for a script."""
    ran = installed("console")
    assert (ran.code, ran.out) == (2, "")
    assert "the console needs a terminal" in ran.err


def test_a_registry_that_is_missing_is_told_before_the_screen(tmp_path: Path, on_terminal: OnTerminal):
    """As any other command does, with its exit code."""
    screen = on_terminal("console", AUTHCTL_HOME=str(tmp_path / "nowhere"))
    assert screen.code == 6
    assert "\x1b[?1049h" not in screen.text
