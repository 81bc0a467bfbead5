"""What the console costs: the time to its first screen, a page, a search, and the longest pause of the screen meanwhile.

    python benchmarks/console.py [SESSIONS ...]     # 100,000 unless said otherwise

A pause is the time for which the loop that takes keys and draws does nothing else, without the time in which its thread was ready to run
and had no processor: on a machine that is shared with others that is their work. Linux tells it. Needs the extra `authctl[console]`.
"""

import asyncio
import os
import pty
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import population
from measuring import fact, shown

from authctl import Registry
from authctl.console.app import Console
from authctl.console.filters import GROUPINGS

ROUNDS = 5
PAGES = 40
SEARCHES = ("a", "al", "alice.smith30", "4711", "zq", "no such text")
BEAT_SECONDS = 0.001
REST_SECONDS = 4


def first_screen(home: Path) -> float:
    """The time from the start of the process to the first row on a terminal."""
    controller, own = pty.openpty()
    environment = {**os.environ, "AUTHCTL_HOME": str(home), "TERM": "xterm-256color"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "authctl", "console"],
        stdin=own,
        stdout=own,
        stderr=own,
        env=environment,
        start_new_session=True,
    )
    os.close(own)
    seen = b""
    while b"[ ] " not in seen and time.perf_counter() - began < 60:
        if select.select([controller], [], [], 0.05)[0]:
            seen += os.read(controller, 65_536)
    took = time.perf_counter() - began
    process.kill()
    process.wait()
    os.close(controller)
    return took


class Heart:
    """Beats in the loop of the screen: the longest distance between two beats is the longest pause."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        """Beat until cancelled."""
        last, queued = time.perf_counter(), queued_seconds()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now, queue = time.perf_counter(), queued_seconds()
            self.longest = max(self.longest, now - last - (queue - queued))
            last, queued = now, queue


def queued_seconds() -> float:
    """How long this thread was ready to run so far, and waited for a processor."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def until(condition: Callable[[], bool]) -> float:
    """How long it takes until something is so."""
    began = time.perf_counter()
    while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
        await asyncio.sleep(BEAT_SECONDS)
    return time.perf_counter() - began


async def visit(home: Path, sessions: int) -> None:
    """Scroll and search, and tell what it cost."""
    app = Console(lambda warn: Registry.open(home, warn=warn), "registry.db")
    heart = Heart()
    async with app.run_test(size=(80, 24)):
        pane = app.pane
        await until(lambda: pane.table.rows.is_read)
        beating = asyncio.create_task(heart.beat())
        pages = []
        for _ in range(PAGES):
            known = len(pane.table.rows)
            pane.table.action_end()
            pages.append(await until(lambda known=known: len(pane.table.rows) > known))
        tell(sessions, "the next 200 sessions, at the end of the list", statistics.median(pages), heart)
        for text in SEARCHES:
            former = pane.source
            pane.query_one("#search").value = text
            await until(lambda former=former: pane.source is not former)
            tell(
                sessions,
                f"search for {text!r}, after the pause in typing",
                await until(lambda: pane.table.rows.is_read),
                heart,
            )
        await preview_and_users(app, sessions, heart)
        with Registry.open(home) as other:
            await changes_by_others(app, other, sessions, heart)
        beating.cancel()
    app.reads.close()


async def preview_and_users(app: Console, sessions: int, heart: Heart) -> None:
    """The slowest reads: the preview of a revocation of all sessions, and the list of all users."""
    pane = app.pane
    former = pane.source
    pane.query_one("#search").value = ""
    await until(lambda: pane.source is not former and pane.table.rows.is_read)
    pane.action_revoke_all()
    tell(sessions, "preview of the revocation of all", await until(lambda: app.screen._preview is not None), heart)
    app.screen.action_cancel()
    await until(lambda: len(app.screen_stack) == 1)
    app.action_tab("users")
    tell(sessions, "list of all users", await until(lambda: app.pane.table.rows.is_read), heart)
    app.pane.changed()
    tell(sessions, "the users in view, read again", await until(lambda: not app.pane.table.rows._outdated), heart)


async def changes_by_others(app: Console, other: Registry, sessions: int, heart: Heart) -> None:
    """How long it takes until a sign-in at another connection is on the screen, in the lists that are read as a whole."""
    await changes_in(app, other, sessions, heart, "the order of the users")
    app.action_tab("sessions")
    for grouping in GROUPINGS[1:]:
        former = app.pane.source
        app.pane._go(app.pane.filter._replace(grouping=grouping, search=""))
        await until(lambda former=former: app.pane.source is not former and app.pane.table.rows.is_read)
        await changes_in(app, other, sessions, heart, f"the groups by {grouping}")


async def changes_in(app: Console, other: Registry, sessions: int, heart: Heart, name: str) -> None:
    """The same in the present list, median of some rounds: the user or group of the sign-in comes first then, with a count more."""
    took = []
    for _ in range(ROUNDS):
        await asyncio.sleep(REST_SECONDS)
        before, newcomer = app.pane.table.rows.row(0), f"newcomer {time.monotonic_ns()}"
        await asyncio.to_thread(other.issue, username=newcomer, application="Outlook", platform="iOS 26")
        took.append(await until(lambda before=before: app.pane.table.rows.row(0) != before))
    tell(sessions, f"a sign-in elsewhere is in {name}", statistics.median(took), heart)


def tell(sessions: int, name: str, took: float, heart: Heart) -> None:
    """Print a row, and begin with the next longest pause."""
    fact(
        "The console",
        {"sessions": f"{sessions:,}", "operation": name, "time": shown(took), "longest pause": shown(heart.longest)},
    )
    heart.longest = 0.0


def main() -> None:
    """Measure at each size."""
    for sessions in map(int, sys.argv[1:] or ["100000"]):
        with population.copied(population.kept(sessions)) as made:
            took = min(first_screen(made.home) for _ in range(ROUNDS))
            fact(
                "The console",
                {
                    "sessions": f"{sessions:,}",
                    "operation": "start to the first row, least of five",
                    "time": shown(took),
                    "longest pause": "",
                },
            )
            asyncio.run(visit(made.home, sessions))


if __name__ == "__main__":
    main()
