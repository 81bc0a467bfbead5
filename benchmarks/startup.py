"""What starting a command costs: whole processes, bytecode compiled, beside a minimal Typer app of the same version.

python benchmarks/startup.py
"""

import compileall
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import compare
from population import kept

import authctl

MINIMAL = """\
import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("list")
def list_() -> None:
    print("x")


@app.command()
def verify() -> None:
    print("x")


app()
"""
ROUNDS = 15


def process(*command: str) -> Callable[[], object]:
    """Running a command with its output in a pipe."""
    return lambda: subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def on_terminal(*command: str) -> Callable[[], object]:
    """Running a command on a pseudo-terminal."""

    def run() -> None:
        controller, terminal = pty.openpty()
        child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        try:
            while os.read(controller, 65536):
                pass
        except OSError:
            pass  # the other end was closed
        child.wait()
        os.close(controller)

    return run


if __name__ == "__main__":
    compileall.compile_dir(Path(authctl.__file__).parent, quiet=1)
    population = kept(10_000)
    command = (str(Path(sys.executable).with_name("authctl")), "--home", str(population.home))
    with population.open() as registry, tempfile.TemporaryDirectory() as folder:
        minimal = Path(folder) / "minimal.py"
        minimal.write_text(MINIMAL)
        token = population.token(next(registry.sessions()).number)
        app = (sys.executable, "-P", str(minimal))
        table, against = "Whole processes", "a minimal Typer app"
        listing, verifying = (*command, "sessions", "list", "--limit", "10"), (*command, "tokens", "verify", token)
        for name, ours, reference, limit in (
            ("sessions list, piped", process(*listing), process(*app, "list"), "<= 1.15"),
            ("tokens verify, piped", process(*verifying), process(*app, "verify"), "<= 1.15"),
            ("sessions list, on a terminal", on_terminal(*listing), on_terminal(*app, "list"), "<= 2"),
            ("python -c pass", process(sys.executable, "-P", "-c", "pass"), process(*app, "list"), ""),
        ):
            compare(table, name, ours, reference, limit=limit, against=against, rounds=ROUNDS)
