"""The scope of a session's tokens: that of its profile (RFC 6749, section 3.3). Resource servers ask for it; authctl does not judge by it."""

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet, Session
    from authctl.registry.profiles import Profiles

_KEPT_SECONDS = 1.0


class Scopes:
    """The scopes of the profiles in force, read again after a second. Threads may share it."""

    def __init__(self, profiles: "Profiles") -> None:
        self._profiles = profiles
        self._kept: ProfileSet = profiles.in_force()
        self._read_at = monotonic()

    def of(self, session: "Session") -> str | None:
        """The scope of a session's tokens; None where its profile names none. Raises RegistryUnavailable, IntegrityFailure."""
        # decision 308: an answer is kept for longer than a second by whoever asks
        profile = self._ruling(session) if monotonic() < self._read_at + _KEPT_SECONDS else None
        if profile is None:
            self._kept, self._read_at = self._profiles.in_force(), monotonic()
            profile = self._ruling(session)
        return profile and profile.scope

    def _ruling(self, session: "Session") -> "Profile | None":
        return self._kept.ruling(session.profile, session.number)
