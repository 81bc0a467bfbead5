"""Profiles: named sets of lifetimes for sessions, and of rules for their tokens."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from authctl import lifetimes
from authctl.errors import InvalidInput, NotFound, Refused
from authctl.instants import NEVER, Duration, format_timeout, parse_duration, parse_length, parse_timeout
from authctl.lifetimes import Deadlines, PasswordRule, Timeouts
from authctl.model.rules import CacheRules, Conditions, OnRevoke, PairRules, RequestRules
from authctl.model.tokens import Binding, Tokens
from authctl.names import fold, pattern_fit, profile_name, quoted


class Profile(NamedTuple):
    """A named set of lifetimes and rules for sessions; lengths in microseconds."""

    name: str
    idle_timeout: int = lifetimes.DEFAULT_IDLE_TIMEOUT
    absolute_timeout: int = NEVER
    """Of a profile with requested lifetimes, the longest of them."""
    description: str | None = None
    slide_after: int = 0
    browser: bool = False
    two_step: bool = False
    saml: bool = False
    pair: PairRules | None = None
    requested: RequestRules | None = None
    bind: Binding | None = None
    ends_on_password_change: PasswordRule = PasswordRule.ALL
    continuity: bool = False
    """Whether a continuity event keeps its sessions active."""
    on_revoke: OnRevoke = OnRevoke.SIGN_OUT
    conditions: Conditions | None = None
    authenticator: str | None = None
    """The authenticator that checks passwords: a name from `authenticators.yaml`."""
    cache: CacheRules | None = None
    scope: str | None = None
    """The scope of its sessions' tokens, which the door tells to resource servers: words with a blank between them."""

    @property
    def tokens(self) -> Tokens:
        """The form of token that its sessions get."""
        if self.pair:
            return Tokens.PAIR
        return Tokens.REQUESTED if self.requested else Tokens.SINGLE

    @property
    def timeouts(self) -> Timeouts:
        """The rules from which its sessions' deadlines follow."""
        return Timeouts(self.idle_timeout, self.absolute_timeout, self.slide_after)

    def deadlines(self, created_at: int, used_at: int) -> Deadlines:
        """The deadlines of a session of this profile that was created and last used then."""
        return lifetimes.deadlines(self.timeouts, created_at, used_at, used_at)

    def granted_lifetime(self, asked: int | None) -> int | None:
        """The lifetime of a new session; None where its timeouts decide.

        Raises InvalidInput for one that is not above zero; Refused above the maximum, and if the profile takes no requests.
        ArcGIS shortens it silently, and the application would rely on a wrong expiry.
        """
        if asked is not None and (type(asked) is not int or asked <= 0):
            raise InvalidInput("a lifetime must be above zero, in whole microseconds")
        if self.requested is None:
            if asked is not None:
                message = f"profile {quoted(self.name)} does not take a lifetime"
                raise Refused(message, "leave out --lifetime, or give the profile tokens: requested")
            return None
        if asked is None:
            return self.requested.default_lifetime
        if asked > self.requested.max_lifetime:
            longest = format_timeout(self.requested.max_lifetime)
            raise Refused(f"profile {quoted(self.name)} grants {longest} at the most, not {format_timeout(asked)}")
        return asked

    def to_document(self) -> dict[str, Any]:
        """The profile in the fields of `profiles.yaml`, every one that applies written out."""
        document: dict[str, Any] = {
            "description": self.description,
            "idle_timeout": format_timeout(self.idle_timeout),
            "absolute_timeout": format_timeout(self.absolute_timeout),
            "slide_after": format_timeout(self.slide_after),
            "browser": self.browser,
            "authentication": {"two_step": self.two_step, "saml": self.saml},
            "tokens": self.tokens.value,
            "bind": self.bind and self.bind.value,
            "ends_on_password_change": self.ends_on_password_change.value,
            "continuity": self.continuity,
            "on_revoke": self.on_revoke.value,
            "conditions": self.conditions and self.conditions.to_document(),
            "authenticator": self.authenticator,
            "cache": self.cache and self.cache.to_document(),
            "scope": self.scope,
        }
        for rules in (self.pair, self.requested):
            document |= rules.to_document() if rules else {}
        return document

    @classmethod
    def from_document(cls, name: str, document: Mapping[str, Any]) -> "Profile":
        """The inverse of `to_document`; of a field that is younger than the document, its default."""
        tokens = Tokens(document.get("tokens", Tokens.SINGLE))
        authentication = document.get("authentication", {})
        bind, conditions, cache = (document.get(name) for name in ("bind", "conditions", "cache"))
        return cls(
            name,
            parse_timeout(document["idle_timeout"]),
            parse_timeout(document["absolute_timeout"]),
            document["description"],
            parse_length(document.get("slide_after", "0s")),
            document.get("browser", False),
            authentication.get("two_step", False),
            authentication.get("saml", False),
            PairRules.from_document(document) if tokens is Tokens.PAIR else None,
            RequestRules.from_document(document) if tokens is Tokens.REQUESTED else None,
            bind and Binding(bind),
            PasswordRule(document.get("ends_on_password_change", PasswordRule.ALL)),
            document.get("continuity", False),
            OnRevoke(document.get("on_revoke", OnRevoke.SIGN_OUT)),
            conditions and Conditions.from_document(conditions),
            document.get("authenticator"),
            cache and CacheRules.from_document(cache),
            document.get("scope"),
        )


class Assignment(NamedTuple):
    """A rule for the profile of a new session; `*` in user or application stands for any text."""

    profile: str
    user: str | None = None
    application: str | None = None

    def specificity(self, username: str, application: str) -> tuple[tuple[int, int], ...] | None:
        """How closely this fits, greater is closer; None when it does not. A user outweighs an application."""
        fits = (pattern_fit(self.user, username), pattern_fit(self.application, application))
        return None if None in fits else fits  # type: ignore[return-value]

    def to_document(self) -> dict[str, Any]:
        """The assignment as it stands in `profiles.yaml`."""
        fields = {"user": self.user, "application": self.application, "profile": self.profile}
        return {key: value for key, value in fields.items() if value is not None}


class Changeover(NamedTuple):
    """The state of new profiles that have not reached all sessions yet: a session that they have not reached has its former one."""

    before: "ProfileSet"
    stages: Mapping[str, int]
    """The stage in which the sessions of each profile have their turn, by its folded key; other profiles have changed at once."""
    stage: int
    done: int
    """The number up to which the sessions of the present stage are done."""
    last: int
    """The highest number of a session at the beginning; later ones have the new profiles."""
    event: int
    """The number of the event that began it."""

    def has_reached(self, profile: str, number: int) -> bool:
        """Whether the session with that number has its new profile."""
        # decision 175: no session has a mark. The comparison is of pairs: in an earlier stage all numbers are done, in the present
        # one those up to `done`, in a later one none. Profiles without a stage, and later sessions, have changed at once.
        stage = self.stages.get(fold(profile))
        return stage is None or number > self.last or (stage, number) <= (self.stage, self.done)

    @property
    def is_complete(self) -> bool:
        """Whether all sessions have their new profiles."""
        return self.done == self.last and self.stage == max(self.stages.values())

    def advanced(self, done: int) -> "Changeover":
        """The state when the sessions up to that number are done in the present stage."""
        if done == self.last and self.stage < max(self.stages.values()):
            return self._replace(stage=self.stage + 1, done=0)
        return self._replace(done=done)


class ProfileSet(NamedTuple):
    """The content of `profiles.yaml`; `withdrawn` profiles still rule the sessions they have."""

    retention: Duration
    default_profile: str
    profiles: Mapping[str, Profile]
    assignments: tuple[Assignment, ...] = ()
    withdrawn: Mapping[str, Profile] = MappingProxyType({})
    changeover: Changeover | None = None
    """The former profiles, while some sessions still have them."""

    def in_force(self, name: str) -> Profile | None:
        """The profile in force of that name, however it is spelled."""
        return _spelled(name, self.profiles)

    def get(self, name: str) -> Profile | None:
        """The profile of that name, however it is spelled, in force or withdrawn."""
        return self.in_force(name) or _spelled(name, self.withdrawn)

    def ruling(self, name: str, number: int) -> Profile | None:
        """The profile of that name as it rules the session with that number: the former one, if a changeover has not reached it."""
        if self.changeover is None or self.changeover.has_reached(name, number):
            return self.get(name)
        return self.changeover.before.get(name)

    def named(self, name: str) -> Profile:
        """The profile in force of that name, however it is spelled. Raises NotFound."""
        if profile := self.in_force(profile_name(name)):
            return profile
        raise NotFound(f"no profile {quoted(name)} in force", "to see all profiles: authctl profiles list")

    def assigned(self, username: str, application: str) -> Profile:
        """The profile of a new session: the most specific assignment's, the first of equals, or the default."""
        if not self.assignments:
            return self.profiles[self.default_profile]
        fitting = [(a.specificity(username, application), a.profile) for a in self.assignments]
        # Equally close assignments: max() takes the first, so that the order of the file decides.
        closest = max((f for f in fitting if f[0]), key=lambda f: f[0] or (), default=(None, self.default_profile))
        return self.profiles[closest[1]]

    def logins_since(self, now: int) -> dict[str, int]:
        """The profiles that keep successful logins, and since when one still counts."""
        return {name: now - p.cache.max_age for name, p in self.with_sessions.items() if p.cache}

    @property
    def with_sessions(self) -> dict[str, Profile]:
        """The profiles that may rule a session: withdrawn ones and those in force."""
        return {**self.withdrawn, **self.profiles}

    def has_same_file(self, other: "ProfileSet") -> bool:
        """Whether both stand for the same `profiles.yaml`: it does not have the withdrawn profiles."""
        return self._replace(withdrawn={}).to_document() == other._replace(withdrawn={}).to_document()

    def to_document(self) -> dict[str, Any]:
        """All profiles in the fields of `profiles.yaml`, with `withdrawn` beside them; JSON can represent it."""
        return {
            "retention": str(self.retention),
            "default_profile": self.default_profile,
            "assignments": [assignment.to_document() for assignment in self.assignments],
            "profiles": {name: profile.to_document() for name, profile in self.profiles.items()},
            "withdrawn": {name: profile.to_document() for name, profile in self.withdrawn.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ProfileSet":
        """The inverse of `to_document`. Raises KeyError, TypeError, ValueError or AuthctlError for a damaged one."""
        profiles, withdrawn = (
            {name: Profile.from_document(name, fields) for name, fields in document[part].items()}
            for part in ("profiles", "withdrawn")
        )
        assignments = tuple(Assignment(**assignment) for assignment in document["assignments"])
        retention = parse_duration(document["retention"])
        return cls(retention, document["default_profile"], profiles, assignments, withdrawn)


def _spelled(name: str, profiles: Mapping[str, Profile]) -> Profile | None:
    # Most names are spelled as the profile spells them: then no other name has to be folded.
    if profile := profiles.get(name):
        return profile
    key = fold(name)
    return next((profile for profile in profiles.values() if fold(profile.name) == key), None)
