"""`--pager`: a list or view in the person's own pager, and where that is refused.

A pager can start a shell. `LESSSECURE` takes that from `less`; other pagers do not know it. So a run with the rights of somebody else
has no pager at all.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from signal import SIG_IGN, SIGINT, signal
from typing import TextIO

_ELEVATED = ("SUDO_USER", "SUDO_UID", "DOAS_USER", "PKEXEC_UID")
_DEFAULT = "less"
_LESS = "FRX"
"""The options of less for a person without `$LESS`: end at once if all fits, show colours, and leave the text on the screen."""


def allowed_pager(warn: Callable[[str], None]) -> tuple[str, ...] | None:
    """The command of the pager; None, with a warning, where it is refused or cannot be read."""
    # decision 186: a pager can start a shell, with the rights of the other user
    if any(name in os.environ for name in _ELEVATED) or _has_other_rights():
        warn("no pager: this runs with the rights of another user, and a pager can start a shell")
        return None
    try:
        command = tuple(shlex.split(os.environ.get("PAGER", "").strip() or _DEFAULT))
    except ValueError:
        command = ()
    if not command:
        warn("no pager: PAGER is not a command")
    return command or None


def _has_other_rights() -> bool:
    return (os.getuid(), os.getgid()) != (os.geteuid(), os.getegid())


@contextmanager
def paged(command: tuple[str, ...], out: TextIO) -> Iterator[TextIO]:
    """The file for the text of the pager, shown at the end of the block. If the pager cannot be started, the terminal shows it."""
    page = _Page(out)
    yield page
    # The interrupt key belongs to the pager: it stops a search there, and must not end authctl before it.
    before = signal(SIGINT, SIG_IGN)
    try:
        if not _run(command, page.getvalue()):
            out.write(page.getvalue())
    finally:
        signal(SIGINT, before)


class _Page(StringIO):
    """A text that is drawn as for the terminal which the pager uses."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def isatty(self) -> bool:
        return self._out.isatty()

    def fileno(self) -> int:
        return self._out.fileno()


def _run(command: tuple[str, ...], text: str) -> bool:
    """Show a text in the pager, and wait for its end; whether it could be started."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=_environment())
    except OSError:
        return False
    # A person who has seen enough leaves before the end of the text: `communicate` ignores that.
    with process:
        process.communicate(text.encode())
    return True


def _environment() -> dict[str, str]:
    """The environment of the pager: secure, and without the programs that less would run on its input."""
    environment = {name: value for name, value in os.environ.items() if name not in ("LESSOPEN", "LESSCLOSE")}
    return {"LESS": _LESS} | environment | {"LESSSECURE": "1"}
