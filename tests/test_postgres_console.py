"""The console on a registry in PostgreSQL whose server goes away and comes back: it tells so, and stays."""

import asyncio
from pathlib import Path

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import new_server, why_not

pytest.importorskip("textual")
pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def test_the_console_outlasts_its_server(tmp_path: Path):
    """Keys that ask for nothing are answered meanwhile, with the ages of all rows; a read tells the error; afterwards all goes on."""
    from authctl.console.app import Console
    from tests.console_screen import Driver

    async def visit(url: str) -> None:
        app = Console(lambda warn: Registry.open(tmp_path / "home", registry=url, warn=warn), "registry")
        try:
            async with app.run_test(size=(120, 30)) as pilot:
                driver = Driver(app, pilot)
                await driver.until(lambda: "alice" in driver.screen)
                before = app.reads.now()
                server.stop()
                for key in ("down", "up", "end", "home"):  # each shows the details of another row, with its ages
                    await driver.press(key)
                assert "alice" in driver.screen
                assert before < app.reads.now() < before + 600_000_000
                await driver.press("slash")
                await driver.type("bob")
                await driver.until(lambda: "cannot be used" in " ".join(driver.screen.split()))
                server.start()
                await driver.until(lambda: "cannot be used" not in " ".join(driver.screen.split()))
                await driver.until(lambda: "bob" in driver.screen and "alice" not in driver.screen)
                await driver.settle()
        finally:
            app.reads.close()

    with new_server() as server, server.fresh_database() as url:
        home = find_home(tmp_path / "home", url)
        raw = profiles.DEFAULT_FILE.encode()
        create(home, profiles.read(raw, "profiles.yaml"), raw, actor="founder")
        with Registry.open(home.folder, registry=url) as registry:
            for user in ("alice", "bob", "carol"):
                registry.issue(username=user, application="Mail")
        asyncio.run(visit(url))
