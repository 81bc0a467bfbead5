"""What a continuity event costs: one registry twice, its sessions held beyond their time on the one side, within it on the other.

    python benchmarks/continuity.py [SESSIONS]        # 100,000 unless said otherwise

Every operation is timed on both sides in turn, and the medians of the rounds are compared. Beginning and ending an event, and
saying what it holds, have no counterpart without one: their reference is named beside them.
"""

import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

from measuring import compare, compared, seconds

from authctl import Registry, Session, SessionFilter, profiles
from authctl.instants import DAY, HOUR, MINUTE, datetime_of
from authctl.model import NewSession, Tokens
from authctl.names import new_id
from authctl.registry.init import create
from authctl.registry.tokens.issue import mint_tokens
from authctl.settings import find_home

TEXT = b"""\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3d, continuity: true}
  pair: {tokens: pair, idle_timeout: 14d, absolute_timeout: 90d, continuity: true}
"""
START = 1_800_000_000_000_000
EVENT = START + 30 * MINUTE
BEYOND = START + 20 * DAY
ROUNDS = 15
COPIES = 5
TOKENS = 500


class Side:
    """A registry, and a clock that it goes by."""

    def __init__(self, home: Path, now: int) -> None:
        self.now = now
        self.registry = Registry.open(home, registry=home / "registry.db", clock=lambda: datetime_of(self.now))


def filled(home: Path, sessions: int) -> list[str]:
    """Make a registry of so many sessions; access tokens of some, whose verification moves no deadline."""
    create(find_home(home, home / "registry.db"), profiles.read(TEXT, "p"), TEXT, clock=lambda: datetime_of(START))
    side = Side(home, START)
    installation, mint = side.registry._installation, side.registry._reader.mint()
    ruled = side.registry.profiles.in_force().profiles
    tokens = []
    with installation.store.change() as tx:
        for number in range(sessions):
            profile = ruled["pair" if number < TOKENS else "single"]
            at = START + number * 20 * MINUTE // sessions
            secret = secrets.token_bytes(16)
            new = NewSession(
                id=new_id(),
                username=f"user{number % (sessions // 5)}",
                application=("Outlook", "Teams", "ArcGIS Pro")[number % 3],
                profile=profile.name,
                created_at=at,
                last_used_at=at,
                deadlines=profile.deadlines(at, at),
                tokens=profile.tokens,
                access_expires_at=at + HOUR if profile.tokens is Tokens.PAIR else None,
                secret_hash=sha256(secret).digest(),
                key_id=mint.ring.signing.id,
            )
            session = tx.add_session(new)
            if number < TOKENS:
                tokens.append(mint_tokens(mint, session, secret).access_token)
    side.registry.close()
    return tokens


def operations(tokens: list[str]) -> dict[str, Callable[[Registry, list[Session]], object]]:
    """What is done on both sides."""
    users = count()

    def first_page(registry: Registry, **criteria: str) -> list[Session]:
        return list(islice(registry.sessions(SessionFilter(**criteria)), 50))

    return {
        "verify, 500 tokens": lambda registry, _some: [registry.verify(token) for token in tokens],
        "list, first page of all": lambda registry, _some: first_page(registry),
        "list, first page of active": lambda registry, _some: first_page(registry, status="active"),
        "list, first page of expired": lambda registry, _some: first_page(registry, status="expired"),
        "list of a user": lambda registry, _some: first_page(registry, username=f"user{next(users) % 1000}"),
        "search, first page": lambda registry, _some: first_page(registry, search="user77"),
        "count active": lambda registry, _some: registry.count(SessionFilter(status="active")),
        "groups by application": lambda registry, _some: registry.lists.groups("application"),
        "show, 50 sessions": lambda registry, some: [registry.session(one.id) for one in some],
        "revoke a user, dry run": lambda registry, _some: registry.revoke(
            SessionFilter(username=f"user{next(users) % 1000}"), note=None, dry_run=True
        ),
    }


def main(sessions: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "0"
        tokens = filled(first, sessions)
        homes = [first, *(shutil.copytree(first, Path(folder) / str(n)) for n in range(1, COPIES + 1))]
        plain, held = Side(homes[0], EVENT + MINUTE), Side(homes[1], EVENT)
        held.registry.continuity.start(note="identity provider is down")
        held.now = BEYOND
        states = held.registry.continuity.status()
        assert sum(state.held_sessions for state in states) == sessions
        assert plain.registry.count(SessionFilter(status="active")) == sessions
        table = f"A continuity event over {sessions:,} sessions"
        without = "within it, without an event"
        some = [list(islice(side.registry.sessions(), 50)) for side in (held, plain)]
        for name, operation in operations(tokens).items():
            sides = [
                partial(operation, side.registry, of_side) for side, of_side in zip((held, plain), some, strict=True)
            ]
            compare(table, name, *sides, against=without, rounds=ROUNDS)
        status = [seconds(held.registry.continuity.status) for _ in range(ROUNDS)]
        counted = [seconds(lambda: plain.registry.count(SessionFilter(status="active"))) for _ in range(ROUNDS)]
        compared(table, "continuity status", status, counted, against="count active, without an event")
        began, ended, disabled = [], [], []
        for home in homes[2:]:
            side = Side(home, EVENT)
            disabled.append(seconds(lambda side=side: side.registry.users.disable("nobody", note="a bare change")))
            began.append(seconds(lambda side=side: side.registry.continuity.start(note="identity provider is down")))
            side.now = BEYOND
            ended.append(seconds(lambda side=side: side.registry.continuity.end(note="it is back")))
            assert side.registry.count(SessionFilter(status="active")) == 0
        compared(table, "continuity start", began, disabled, against="a change that concerns no session")
        compared(table, "continuity end", ended, counted[: len(ended)], against="count active, without an event")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
