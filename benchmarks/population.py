"""Installations of any size to measure on: realistic users, devices and times, 30 % expired, 5 % revoked, 8 % web sessions.

    python benchmarks/population.py FOLDER SESSIONS

Rows go in by bulk statements, as no user would, beyond a million as copies with other ids and users; what is measured afterwards
goes through the public paths. Secrets follow from numbers, so that `token` can mint any session's token.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from authctl import Registry, profiles
from authctl.instants import DAY, HOUR, MINUTE
from authctl.model import NewSession, ProfileSet
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sql import rows
from authctl.store.sqlite.library import sqlite3
from authctl.tokens import TokenKind

PROFILES = b"""\
version: 1
default_profile: mail
profiles:
  mail: {idle_timeout: 30d, continuity: true}
  apps: {idle_timeout: 40d, absolute_timeout: 300d}
"""
EXPIRED, REVOKED, WEB = 0.30, 0.05, 0.08
FOLDER = Path(os.environ.get("AUTHCTL_BENCH_HOMES") or Path(__file__).parents[1] / ".bench")
_SHAPE = 1
"""Counted up when what is made changes."""
_KEPT_SECONDS = 3 * 86_400
_PER_REVOCATION = 3
_MADE = 1_000_000
_LETTERS, _CHARACTERS = "abcdefghjkmnpqrstvwxyz", "abcdefghjkmnpqrstvwxyz23456789"
_FIRST = [
    "alice",
    "bob",
    "carol",
    "dora",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "karl",
    "laura",
    "mallory",
    "nina",
    "oscar",
    "peggy",
    "rolf",
    "sybil",
    "trent",
    "ursula",
]
_LAST = [
    "smith",
    "müller",
    "rossi",
    "novák",
    "garcía",
    "dubois",
    "jensen",
    "kowalski",
    "silva",
    "tanaka",
    "okafor",
    "haddad",
    "petrov",
    "larsen",
    "moreau",
]
_APPLICATIONS = (
    "Outlook",
    "Teams",
    "Mimecast Mobile",
    "ArcGIS Pro",
    "Exchange ActiveSync",
    "OneDrive",
    "Field Maps",
    "Yammer",
)
_PLATFORMS = ("Windows 11", "iOS 19.1", "Android 16", "macOS 15", "Ubuntu 24.04", None)
_NOTES = ("lost device", "left the company", "phone replaced", "suspicious sign-in from abroad", "contract ended")


def secret_of(number: int) -> bytes:
    """The secret of a session, which follows from its number."""
    return sha256(b"benchmark %d" % ((number - 1) % _MADE)).digest()[:16]


def id_of(number: int) -> str:
    """A session id of its own for each number up to `_MADE`; those of its copies end in other letters."""
    rest = number * (22 * 30**14 // _MADE)
    digits = []
    for _ in range(14):
        rest, digit = divmod(rest, 30)
        digits.append(_CHARACTERS[digit])
    return _LETTERS[rest % 22] + "".join(reversed(digits)) + _LETTERS[0]


@dataclass(frozen=True)
class Population:
    """A home that holds so many sessions, as of an instant."""

    home: Path
    sessions: int
    now: int

    def open(self) -> Registry:
        """The registry, by the machine's own clock."""
        return Registry.open(self.home, registry=self.home / "registry.db")

    @cached_property
    def _signing(self) -> Any:
        with self.open() as registry:
            return registry._reader.mint()

    def token(self, number: int) -> str:
        """The access token of a session."""
        mint = self._signing
        return str(mint.mint(TokenKind.ACCESS, mint.ring.signing.id, number, 0, secret_of(number)))


def session(number: int, chance: random.Random, sessions: int, now: int, ruled: ProfileSet, key_id: str) -> NewSession:
    """A session as it may have been registered and used."""
    user = int(sessions / 6 * chance.random() ** 1.5)
    first, last = _FIRST[user % len(_FIRST)], _LAST[user // len(_FIRST) % len(_LAST)]
    profile = ruled.profiles["mail" if user % 4 else "apps"]
    over = chance.random() < EXPIRED
    used_at = now - chance.randrange(45 * DAY, 170 * DAY) if over else now - chance.randrange(2 * HOUR, 20 * DAY)
    created_at = used_at - chance.randrange(MINUTE, 60 * DAY)
    return NewSession(
        id=id_of(number),
        username=f"{first}.{last}{user}@example.org",
        application=_APPLICATIONS[
            user * 7 % len(_APPLICATIONS) if chance.random() < 0.7 else chance.randrange(len(_APPLICATIONS))
        ],
        application_version=f"16.0.{chance.randrange(4000, 5200)}",
        platform=_PLATFORMS[chance.randrange(len(_PLATFORMS))],
        device=f"{first.upper()}-{chance.randrange(36**4):04X}" if chance.random() < 0.8 else None,
        ip=f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        kind="web" if chance.random() < WEB else "application",
        profile=profile.name,
        created_at=created_at,
        last_used_at=used_at,
        deadlines=profile.deadlines(created_at, used_at),
        signed_in_with="password",
        secret_hash=sha256(secret_of(number)).digest(),
        key_id=key_id,
    )


@contextmanager
def _unindexed(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection with no journal, whose indexes are made once everything is there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = -1000000")
        connection.execute("PRAGMA journal_mode = OFF")
        found = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL"
        indexes = connection.execute(found).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        yield connection
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def populate(home: Path, sessions: int) -> Population:
    """Make an installation with so many sessions."""
    home.mkdir(parents=True, mode=0o700, exist_ok=True)
    now = time.time_ns() // 1000
    place = find_home(home, home / "registry.db")
    create(place, profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="benchmark")
    made = Population(home, sessions, now)
    with made.open() as registry:
        ruled = registry.profiles.in_force()
        key_id = registry._reader.mint().ring.signing.id
        chance = random.Random(sessions)
        with registry._installation.store.change() as tx:
            revocations = [tx.one_number("SELECT id FROM revocations WHERE at IS NULL")]
            for _ in range(max(1, int(sessions * REVOKED / _PER_REVOCATION))):
                at = now - chance.randrange(DAY, 150 * DAY)
                revocations.append(tx.add_revocation(at, "benchmark", chance.choice(_NOTES), "{}"))
            tx.record_time(now)

    def filled() -> Iterator[tuple[Any, ...]]:
        for number in range(1, min(sessions, _MADE) + 1):
            row = rows.columns(session(number, chance, sessions, now, ruled, key_id))
            revoked = chance.random() < REVOKED
            yield (number, *row.values(), chance.choice(revocations[1:]) if revoked else revocations[0])

    columns = ["number", *rows.columns(session(1, chance, 10, now, ruled, key_id)), "revocation_id"]
    with _unindexed(home / "registry.db") as connection:
        given = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO sessions ({', '.join(columns)}) VALUES ({given})", filled())
        for copy in range(1, -(-sessions // _MADE)):
            changed = {
                "number": f"number + {copy * _MADE}",
                "id": f"substr(id, 1, 15) || '{_LETTERS[copy]}'",
                "username": f"replace(username, '@', '{copy}@')",
                "username_key": f"replace(username_key, '@', '{copy}@')",
            }
            taken = ", ".join(changed.get(name, name) for name in columns)
            last = min(_MADE, sessions - copy * _MADE)
            sql = f"INSERT INTO sessions ({', '.join(columns)}) SELECT {taken} FROM sessions WHERE number <= {last}"
            connection.execute(sql)
    with made.open() as registry, registry._installation.store.change() as tx:
        while tx.extend_search_index():
            pass
    return made


def kept(sessions: int) -> Population:
    """Such an installation, made once and kept for a few days where AUTHCTL_BENCH_HOMES says, or in `.bench`."""
    home = FOLDER / f"{sessions}-{_SHAPE}"
    made_at = home.stat().st_mtime if home.exists() else 0
    if time.time() - made_at > _KEPT_SECONDS:
        shutil.rmtree(home, ignore_errors=True)
        draft = home.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        populate(draft, sessions)
        draft.rename(home)
        made_at = time.time()
    return Population(home, sessions, int(made_at * 1_000_000))


@contextmanager
def copied(source: Population) -> Iterator[Population]:
    """A copy to change, which goes afterwards; on the disk, so that no measured commit waits for it to get there."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Path(folder) / "home"
        shutil.copytree(source.home, home)
        os.sync()
        yield Population(home, source.sessions, source.now)


if __name__ == "__main__":
    began = time.monotonic()
    populate(Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{int(sys.argv[2]):,} sessions in {time.monotonic() - began:.0f} s")
