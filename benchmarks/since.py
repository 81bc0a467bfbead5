"""An earlier build beside this one, in turn: whole processes on copies of one registry that the earlier build made.

    make bench-since REV=1cdad2f                         # installs the earlier build, and runs this
    AUTHCTL_BENCH_SINCE=PYTHON AUTHCTL_BENCH_SINCE_SOURCE=FOLDER python benchmarks/since.py [SESSIONS]

Times are CPU times, of the user and of the system. A copy is upgraded before it is measured. Imports are compared by `imports.py`.
"""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imports
from bulk import halved
from measuring import compared, fact
from population import FOLDER, Population

import authctl

BEFORE = os.environ["AUTHCTL_BENCH_SINCE"]
SOURCE = Path(os.environ["AUTHCTL_BENCH_SINCE_SOURCE"])
BUILDS = (sys.executable, BEFORE)
MIB = 2**20


def environment(home: Path) -> dict[str, str]:
    """The installation that a command uses."""
    return {"AUTHCTL_HOME": str(home), "AUTHCTL_REGISTRY": str(home / "registry.db"), "AUTHCTL_ACTOR": "benchmark"}


def made_before(sessions: int) -> Population:
    """A population of the earlier build, by its own program; half of the sessions ended long ago."""
    folder = FOLDER / f"since-{sessions}-{SOURCE.name}"
    if not folder.exists():
        draft = folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        program = SOURCE / "benchmarks" / "population.py"
        subprocess.run([BEFORE, program, draft / "home", str(sessions)], check=True, stdout=subprocess.DEVNULL)
        halved(Population(draft / "home", sessions, time.time_ns() // 1000))
        draft.rename(folder)
    return Population(folder / "home", sessions, 0)


def measured(population: Population, python: str, *command: str, times: int = 1) -> tuple[list[float], int]:
    """What a command uses each time, on one copy of the registry, and the size of the file afterwards."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Path(folder) / "home"
        shutil.copytree(population.home, home)
        authctl = [python, "-P", "-m", "authctl"]
        imports.used([*authctl, "sessions", "list", "--limit", "1"], environment(home))  # upgrades it
        os.sync()
        taken = [imports.used([*authctl, *command], environment(home)) for _ in range(times)]
        return taken, (home / "registry.db").stat().st_size


def in_turn(measure: Callable[[str], list[float]], rounds: int) -> tuple[list[float], list[float]]:
    """Both builds in turn, this one first."""
    ours: list[float] = []
    before: list[float] = []
    for _ in range(rounds):
        ours += measure(sys.executable)
        before += measure(BEFORE)
    return ours, before


def cleaning(population: Population, rounds: int) -> None:
    """Half of all sessions removed, and the file that is left."""
    sizes: dict[str, int] = {}

    def clean(python: str) -> list[float]:
        taken, sizes[python] = measured(population, python, "cleanup", "-q")
        return taken

    table = f"Since {SOURCE.name}, {population.sessions:,} sessions"
    compared(table, "clean up half", *in_turn(clean, rounds), limit="<= 0.45", against="the earlier build, CPU time")
    left = [f"{sizes[python] / MIB:.0f} MiB" for python in BUILDS]
    before = (population.home / "registry.db").stat().st_size / MIB
    fact("Files after a cleanup", {"before": f"{before:.0f} MiB", "authctl": left[0], "the earlier build": left[1]})


def starting(population: Population, rounds: int) -> None:
    """A short list, as a whole process."""
    ours, before = in_turn(
        lambda python: measured(population, python, "sessions", "list", "--limit", "10", times=5)[0], rounds
    )
    table = f"Since {SOURCE.name}, {population.sessions:,} sessions"
    compared(table, "sessions list, piped", ours, before, against="the earlier build, CPU time")


if __name__ == "__main__":
    # The earlier build was compiled when it was installed; this one was perhaps never, and then each process does it again.
    compileall.compile_dir(Path(authctl.__file__).parent, quiet=1)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    FOLDER.mkdir(exist_ok=True)
    kept_before = made_before(size)
    starting(kept_before, 3)
    cleaning(kept_before, 3)
    if "--imports" in sys.argv:
        for kind in imports.MAPPINGS:
            imports.since(kind, size, 3)
        if imports.SQLITE_UTILS.exists():
            imports.beside_sqlite_utils(size, 3)
