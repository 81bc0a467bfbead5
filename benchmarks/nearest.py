"""What the nearest names of a name that nobody has cost, where every session has a user of its own.

    python benchmarks/nearest.py [SESSIONS ...]     # 10,000 and 100,000 unless said otherwise

Each question is asked of a registry that was just opened, as a command does, and of one that is warm.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import population
from measuring import fact, seconds, shown

ROUNDS = 9
TYPED = {
    "one slip in a short name": "alcie",
    "one slip in an address": "alice.smyth300@example.org",
    "two slips in an address": "alcie.smiht120000@example.org",
    "another domain": "alice.smith120000@example.com",
    "no domain": "alice.smith120000",
    "nothing like it": "zzyzx-nobody-qqq",
    "everybody's beginning": "alice",
    "everybody's domain": "@example.org",
    "the longest": "alice.smith" * 90,
}


def own_user(session: Any) -> Any:
    """Making a session as `population.session` does, for a user of its own."""

    def made(number: int, *given: Any) -> Any:
        first = population._FIRST[number % len(population._FIRST)]
        last = population._LAST[number // len(population._FIRST) % len(population._LAST)]
        return session(number, *given)._replace(username=f"{first}.{last}{number}@example.org")

    return made


def measure(sessions: int) -> None:
    """Ask for each name, in an installation of so many sessions and users."""
    with tempfile.TemporaryDirectory(prefix="authctl-nearest-") as folder:
        made = population.populate(Path(folder) / "home", sessions)
        for what, typed in TYPED.items():
            cold = [ask_anew(made, typed) for _ in range(ROUNDS)]
            with made.open() as registry:
                found = registry.users.nearest(typed)
                warm = [
                    seconds(lambda registry=registry, typed=typed: registry.users.nearest(typed)) for _ in range(ROUNDS)
                ]
            cells = {
                "what is typed": what,
                "just opened": shown(statistics.median(cold)),
                "the slowest": shown(max(cold)),
                "warm": shown(statistics.median(warm)),
                "found": ", ".join(found) or "none",
            }
            fact(f"Nearest names, {sessions:,} sessions and users (limit: <= 100 ms)", cells)


def ask_anew(made: population.Population, typed: str) -> float:
    """How long the question takes a registry that was just opened."""
    with made.open() as registry:
        registry.now()
        return seconds(lambda: registry.users.nearest(typed))


if __name__ == "__main__":
    began = time.monotonic()
    population.session = own_user(population.session)
    for size in sys.argv[1:] or ("10000", "100000"):
        measure(int(size))
    print(f"\n{time.monotonic() - began:.0f} s")
