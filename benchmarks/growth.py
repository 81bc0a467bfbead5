"""What each operation costs as the registry grows: the same operation at every size in turn, before and after what makes it hard.

    python benchmarks/growth.py [SESSIONS ...]    # 10,000 and 100,000 unless said otherwise

As it is, during a continuity event, with nothing active once a long one has ended, and after everything was revoked; at last
half of it is cleaned up.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice
from statistics import median

from bulk import halved
from lists import KIND, PAGE, STATUSES, first_page, selection, size, some_user
from measuring import compared, fact, seconds, shown
from population import Population, copied, kept
from verify import active_numbers

from authctl import Registry, SessionFilter, TokenInvalid
from authctl.store.sqlite.library import sqlite3

TOKENS = 200
ROUNDS = 9
PATIENCE = 60.0
"""Seconds that one operation may take at all sizes together, in as many rounds as go into that."""


@dataclass
class Side:
    """A registry of one size, and what is asked for in it."""

    population: Population
    registry: Registry
    user: str
    tokens: list[str]
    middle: str
    """The session in the middle of the list of all."""
    unused: Iterator[tuple[str, str]]
    """Ids and users of sessions that live, each once."""
    new: Iterator[int]

    @property
    def size(self) -> str:
        """What its column is called."""
        return size(self.population.sessions)


Operation = Callable[[Side], object]


@contextmanager
def opened(population: Population, late: timedelta = timedelta()) -> Iterator[Side]:
    """The registry as of so much later."""

    def clock() -> datetime:
        return datetime.now(UTC) + late

    connection = sqlite3.connect(population.home / "registry.db")
    sql = f"SELECT id FROM sessions INDEXED BY sessions_by_use WHERE kind = '{KIND}' ORDER BY last_used_at DESC LIMIT 1 OFFSET ?"
    middle = connection.execute(sql, (population.sessions // 2,)).fetchone()[0]
    sql = "SELECT id, username_key FROM sessions WHERE number > ? AND revocation_id = (SELECT id FROM revocations WHERE at IS NULL)"
    unused = connection.execute(sql, (population.sessions // 3,))
    with Registry.open(population.home, registry=population.home / "registry.db", clock=clock) as registry:
        tokens = [population.token(number) for number in active_numbers(population, registry, TOKENS)]
        tokens = tokens or [population.token(number) for number in range(1, TOKENS + 1)]
        yield Side(population, registry, some_user(registry), tokens, middle, unused, count())
    connection.close()


def listed(name: str) -> Operation:
    """The first page of a list."""
    return lambda side: first_page(side.registry, selection(name, side.user))()


def verified(side: Side) -> None:
    """Some tokens, good or not."""
    for token in side.tokens:
        with suppress(TokenInvalid):
            side.registry.verify(token)


def searched(side: Side, text: str) -> object:
    """The first page of a search."""
    return first_page(side.registry, SessionFilter(search=text))()


def revoked_one(side: Side) -> object:
    """A session by its id."""
    return side.registry.revoke(SessionFilter(ids=(next(side.unused)[0],)), note="lost device", actor="benchmark")


def revoked_user(side: Side) -> object:
    """All that a user has."""
    return side.registry.revoke(SessionFilter(username=next(side.unused)[1]), note="lost device", actor="benchmark")


def begun(side: Side) -> object:
    """A continuity event begins."""
    return side.registry.continuity.start(note="identity provider is down", actor="benchmark")


def over(side: Side) -> object:
    """It ends."""
    return side.registry.continuity.end(note="it is back", actor="benchmark")


def revoked_all(side: Side) -> object:
    """Everything, with what it came to."""
    return side.registry.revoke(SessionFilter(everything=True), note="breach drill", actor="benchmark")


FIRST_PAGES: dict[str, Operation] = {f"first page of {name}": listed(name) for name in STATUSES}
READING: dict[str, Operation] = FIRST_PAGES | {
    "page in the middle": lambda side: list(
        islice(side.registry.sessions(SessionFilter(kind=KIND), after=side.middle), PAGE)
    ),
    "search for a user": lambda side: searched(side, side.user),
    "search for no session": lambda side: searched(side, "nowhere at all"),
    "show": lambda side: side.registry.session(side.middle),
    f"verify {TOKENS} tokens": verified,
    "count active": lambda side: side.registry.count(SessionFilter(status="active")),
}
ONCE: dict[str, Operation] = {
    "issue": lambda side: side.registry.issue(
        username=f"new{next(side.new)}", application="Outlook", actor="benchmark"
    ),
    "revoke one session": revoked_one,
    "revoke a user's": revoked_user,
    "first page in the order of user names": lambda side: list(islice(side.registry.sessions(sort="username"), PAGE)),
}


def repeatedly(operation: Operation, side: Side, often: int) -> None:
    """Do it so often."""
    for _ in range(often):
        operation(side)


def grown(circumstance: str, sides: list[Side], operations: dict[str, Operation]) -> None:
    """A row for each operation: the median at each size; then the first pages of the largest beside those of the one before."""
    times = {name: in_turn(sides, operation) for name, operation in operations.items()}
    for name, took in times.items():
        noted(circumstance, name, sides, took)
    small, large = sides[-2:]
    against = f"{small.size}, beside {large.size}"
    for name in FIRST_PAGES:
        *_, before, last = times[name]
        compared(f"Growth of first pages, {circumstance}", name, last, before, limit="<= 1.5", against=against)


def in_turn(sides: list[Side], operation: Operation) -> list[list[float]]:
    """The times of an operation at each size, round by round."""
    warm = [seconds(partial(operation, side)) for side in sides]
    often = [max(1, min(50, int(0.005 / one))) for one in warm]
    took: list[list[float]] = [[] for _ in sides]
    for _ in range(max(1, min(ROUNDS, int(PATIENCE / sum(warm))))):
        for side, times, repeated in zip(sides, took, often, strict=True):
            times.append(seconds(partial(repeatedly, operation, side, repeated)) / repeated)
    return took


def noted(circumstance: str, name: str, sides: list[Side], took: list[list[float]]) -> None:
    """A row of times, and how they grow."""
    sizes = {side.size: shown(median(times)) for side, times in zip(sides, took, strict=True)}
    ratio = median(a / b for a, b in zip(took[-1], took[-2], strict=True))
    table = f"Cost at each size, {circumstance}"
    fact(table, {"operation": name, **sizes, f"{sides[-1].size} to {sides[-2].size}": f"{ratio:.2f}"})


def circumstances(populations: list[Population]) -> None:
    """Everything at every size, as it is and after each of what makes it hard."""
    with ExitStack() as stack:
        copies = [stack.enter_context(copied(one)) for one in populations]

        def under(
            circumstance: str,
            operations: dict[str, Operation],
            first: dict[str, Operation],
            late: timedelta = timedelta(),
        ) -> None:
            with ExitStack() as open_ones:
                sides = [open_ones.enter_context(opened(one, late)) for one in copies]
                for name, operation in first.items():
                    took = [[seconds(partial(operation, side))] for side in sides]
                    noted(circumstance, name, sides, took)
                grown(circumstance, sides, operations)

        late = timedelta(days=400)
        under("as it is", READING | ONCE, {})
        under("during a continuity event", READING, {"begin it": begun})
        under("nothing active", READING, {"end the event, which held most": over}, late)
        under("everything just revoked", READING, {"revoke everything": revoked_all}, late)


def cleaned(populations: list[Population]) -> None:
    """Half of the sessions removed, at each size once."""
    each: dict[str, str] = {}
    for population in populations:
        with copied(population) as copy, copy.open() as registry:
            halved(copy)
            began = time.monotonic()
            removed = registry.cleanup.run().removed
            took = time.monotonic() - began
            each[size(population.sessions)] = f"{shown(took)}, {shown(took / removed)} each"
    fact("Clean-up of half at each size", {"operation": "clean up half", **each})


if __name__ == "__main__":
    chosen = [kept(int(text)) for text in sys.argv[1:] or ("10000", "100000")]
    circumstances(chosen)
    cleaned(chosen)
