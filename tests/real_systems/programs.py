"""Programs of other systems: where they are installed, how one is started, and how it is ended."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / ".venv-systems"
START_SECONDS = 90
STOP_SECONDS = 20


def python_of(system: str) -> Path:
    """The Python in whose environment that system is installed; the test is skipped, visibly, where it is not."""
    folder = ENVIRONMENTS / system
    if not (folder / "installed.txt").exists():
        pytest.skip(f"{system} is not installed: make real-systems")
    return folder / "bin" / "python"


class Program:
    """A process that was started in a folder, with its output in the file `output` there."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when the program is ready; end it and fail if it stops before, or takes too long."""
        until = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < until:
            if ready():
                return
            time.sleep(0.1)
        self.stop()
        pytest.fail(f"{self.process.args} did not start:\n{self.output.read_text(errors='replace')[-4_000:]}")

    def stop(self) -> None:
        """End the process: politely, and after some seconds by force."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
