"""The console under test: driven by keys and the mouse, and its screen as text. Needs Textual; tests skip without it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual import events

from authctl import Registry
from authctl.console.app import Console
from tests import places
from tests.conftest import Clock

_PATIENCE_SECONDS = 20


class Driver:
    """A running console."""

    def __init__(self, app: Console, pilot: Any) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """The whole screen, as a person without colours sees it."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"

    @property
    def words(self) -> str:
        """The words of the window on one line, without its frame."""
        return " ".join(" ".join(re.findall(r"│(.*)│", self.screen)).split())

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until all that they began is done."""
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.press(*("space" if character == " " else character for character in text))

    async def paste(self, text: str) -> None:
        """Paste a text, as a terminal sends it: whole."""
        self.app.post_message(events.Paste(text))
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is read or drawn any more."""
        for _ in range(3):
            await self.pilot.pause()
            await self.app.workers.wait_for_complete([one for one in self.app.workers if one.group != "watch"])
            await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; a failure tells what the screen shows."""
        for _ in range(_PATIENCE_SECONDS * 50):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(self.screen)


@asynccontextmanager
async def console(
    home: Path, clock: Clock | None = None, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Driver]:
    """Run the console of an installation on a screen of that size."""
    app = Console(
        lambda warn: Registry.open(home, registry=places.place_in(home), clock=clock, warn=warn),
        "registry.db",
        **options,
    )
    try:
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            await driver.settle()
            yield driver
    finally:
        app.reads.close()


def run(visit: Callable[[], Awaitable[None]]) -> None:
    """Run a visit to its end."""
    asyncio.run(visit())
