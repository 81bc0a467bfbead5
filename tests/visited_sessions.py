"""Sessions that were looked up before, and what another process may do to them: what is kept of them must not be out of date."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from authctl import Registry, Session, SessionFilter, TokenInvalid, profiles
from authctl.registry.backups import restore
from authctl.registry_locations import Location
from authctl.settings import find_home
from tests.conftest import Clock

PROFILES = """\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3h, continuity: true, on_revoke: wipe}
  pair: {tokens: pair, idle_timeout: 3h, access_lifetime: 1h}
  asked: {tokens: requested, default_lifetime: 2h, max_lifetime: 1d}
"""
OTHER_PROFILES = (
    PROFILES.replace("3h", "150m")
    .replace("1d", "2h")
    .replace("on_revoke: wipe", "conditions: {networks: [10.0.0.0/8]}")
)


class Visited:
    """A registry with a session of each profile, all of them looked up before."""

    def __init__(self, registry: Registry, home: Path, place: Location, clock: Clock) -> None:
        self.registry, self.home, self.place, self.clock = registry, home, place, clock
        self._others: list[Registry] = []
        self.issued = [
            registry.issue(username=name, application="Outlook", device="PC", profile=name, ip="10.1.2.3")
            for name in ("single", "pair", "asked")
        ]
        for issued in self.issued:
            registry.verify(issued.access_token)
        clock.forward(minutes=10)

    def other(self) -> Registry:
        """The same registry, as another process opens it; closed by `close`."""
        self._others.append(Registry.open(self.home, registry=self.place, clock=self.clock))
        return self._others[-1]

    def close(self) -> None:
        """Close what other processes opened."""
        for other in self._others:
            other.close()

    def revoke(self) -> None:
        """Revoke all sessions."""
        with self.other() as other:
            other.revoke(SessionFilter(everything=True), note="breach")

    def wipe(self, *, done: bool = False) -> None:
        """Revoke all, and let the application be told."""
        self.revoke()
        with self.other() as other, suppress(TokenInvalid):
            other.verify(self.issued[0].access_token)
        if done:
            with self.other() as other:
                other.tokens.wipe_done(self.issued[0].access_token)

    def restore(self) -> None:
        """Back up, revoke, and put the backup back without what happened since."""
        copy = self.home.parent / "backup.db"
        self.registry.backups.create(copy)
        self.revoke()
        restore(find_home(self.home, self.place), copy, note="mistake", actor="admin", clock=self.clock)

    def use(self) -> None:
        """Use all sessions in another process."""
        with self.other() as other:
            for issued in self.issued:
                other.verify(issued.access_token)

    def refresh(self) -> None:
        """Refresh the pair in another process."""
        token = self.issued[1].refresh_token
        assert token
        with self.other() as other:
            other.refresh(token)

    def apply(self) -> None:
        """Apply other lifetimes, a condition, and another rule for revocations."""
        with self.other() as other:
            other.profiles.apply(profiles.read(OTHER_PROFILES.encode(), "profiles.yaml"), note="stricter")

    def hold(self) -> None:
        """Let a continuity event hold what would expire."""
        with self.other() as other:
            other.continuity.start(["single"], note="outage")
        self.clock.forward(hours=5)


OPERATIONS: dict[str, Callable[[Visited], object]] = {
    "nothing": lambda _: None,
    "used": Visited.use,
    "refreshed": Visited.refresh,
    "revoked": Visited.revoke,
    "spared": lambda visited: visited.other().revoke(
        SessionFilter(everything=True, except_ids=(visited.issued[0].session.id,)), note="breach"
    ),
    "wipe delivered": Visited.wipe,
    "wipe done": lambda visited: visited.wipe(done=True),
    "signed out": lambda visited: visited.other().end([issued.session.id for issued in visited.issued]),
    "user disabled": lambda visited: visited.other().users.disable("pair", note="left"),
    "profiles applied": Visited.apply,
    "key retired": lambda visited: (
        visited.other().keys.rotate(note="yearly"),
        visited.other().keys.retire(str(visited.issued[0].session.key_id), sign_out=True, note="yearly"),
    ),
    "held": Visited.hold,
    "expired": lambda visited: visited.clock.forward(days=2),
    "restored": Visited.restore,
    "cleaned up": lambda visited: (
        visited.revoke(),
        visited.clock.forward(days=365),
        visited.other().cleanup.run(accept_clock_jump=True),
    ),
}


def whole(registry: Registry, number: int) -> Session | None:
    """The session as the whole row has it, with the real ends that a look-up gives."""
    with registry._installation.snapshot() as (view, now):
        row = view.by_number(number, now)
    if row is None:
        return None
    session = row[0]
    if session.read_at < session.token_expires_at:
        return session._replace(ends_at=session.expires_at, access_ends_at=session.access_expires_at)
    return session
