"""Uses of sessions that are due: the rules by which they are written.

See docs/glossary.md#use-that-is-due.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl import lifetimes
from authctl.lifetimes import Deadlines
from authctl.model import ActiveSession, Session, Tokens

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet
    from authctl.store.protocol import Change


class Use(NamedTuple):
    """One use of a session, as verify saw it."""

    number: int
    session_id: str
    """A restore may give the number to another session while the use waits."""
    generation: int
    used_at: int


def write(tx: "Change", uses: Sequence[Use], now: int) -> int:
    """Write those uses whose sessions are still active at `now`, each at its own instant. Returns how many.

    A use is left out if its token was replaced since, or a later use is written already: so no deadline moves back.
    """
    active = {session.number: session for session in tx.active_sessions(sorted({use.number for use in uses}), now)}
    new = list(_with_deadlines(uses, active, tx.profiles()))
    if new:
        tx.record_uses(new)
        tx.record_time(max(used_at for _, used_at, _ in new))
    return len(new)


def _with_deadlines(
    uses: Iterable[Use], active: dict[int, ActiveSession], profiles: "ProfileSet"
) -> Iterable[tuple[int, int, Deadlines]]:
    """The uses that are to be written, with the deadlines after them; `active` is kept up to date."""
    for use in uses:
        session = active.get(use.number)
        if session is None or (session.id, session.generation) != (use.session_id, use.generation):
            continue
        if session.last_used_at > use.used_at:
            continue
        # Withdrawn profiles are kept: without a profile this is a damaged registry. The token is good, so the use alone is left out.
        profile = profiles.ruling(session.profile, session.number)
        if profile is None:
            continue
        deadlines = deadlines_after_use(profile, session, use.used_at)
        active[use.number] = session._replace(
            last_used_at=use.used_at, slid_at=deadlines.slid_at, expires_at=deadlines.expires_at
        )
        yield use.number, use.used_at, deadlines


def deadlines_after_use(profile: "Profile", session: Session | ActiveSession, used_at: int) -> Deadlines:
    """The deadlines of a session after the use of its access token."""
    # Of a pair only a refresh moves the idle deadline, and of a requested lifetime nothing does (decision 28).
    return deadlines_after(profile, session, used_at, moves=session.tokens == Tokens.SINGLE)


def deadlines_after(profile: "Profile", session: Session | ActiveSession, now: int, *, moves: bool) -> Deadlines:
    """A session's deadlines after a use; one that does not move the idle deadline is only recorded."""
    slid = lifetimes.slid_at(profile.slide_after, session.slid_at, now) if moves else session.slid_at
    deadlines = lifetimes.deadlines(
        profile.timeouts,
        session.created_at,
        slid,
        now,
        session.fixed_expires_at,
        use_moves=session.tokens == Tokens.SINGLE,
    )
    if deadlines.expires_at > now:
        return deadlines
    # it is held beyond its deadline, and what holds it must go on doing so
    return deadlines._replace(expires_at=max(deadlines.expires_at, session.expires_at))
