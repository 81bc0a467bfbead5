"""The fields of `profiles.yaml`, each checked by itself, and the profile they come to."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from authctl import lifetimes, names
from authctl.conditions import check_version, read_network
from authctl.instants import NEVER, Duration, parse_duration
from authctl.lifetimes import PasswordRule
from authctl.model import Binding, CacheRules, Conditions, OnReuse, OnRevoke, PairRules, Profile, RequestRules, Tokens
from authctl.validation import Length, Lifetime, Name, Strict, Text, Timeout, Version, invalid, length, parse_field


def _choice(choices: type[StrEnum]) -> BeforeValidator:
    """One of a few words."""

    def chosen(value: Any) -> StrEnum:
        if value not in tuple(choices):
            raise invalid(f"must be one of: {', '.join(choices)}")
        return choices(value)

    return BeforeValidator(chosen)


def _user(value: Any) -> Any:
    return parse_field(names.username, value) if isinstance(value, str) else value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise invalid("is blank")
    return value


def _given(value: Any) -> Any:
    if value is None:
        raise invalid("is blank")
    return value


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """A text that `check` finds nothing wrong with, as written."""

    def checked(value: str) -> str:
        parse_field(check, value)
        return value

    return AfterValidator(checked)


_NO_SCOPE_CHARACTER = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")


def _scope(value: str) -> str:
    """The words of a scope, as RFC 6749, section 3.3, has them."""
    words = value.split(" ")
    if "" in words:
        raise invalid("must be words with one blank between them")
    for word in words:
        if found := _NO_SCOPE_CHARACTER.search(word):
            raise invalid(f"{names.quoted(word)} contains {names.quoted(found.group())}, which no scope may contain")
        if words.count(word) > 1:
            raise invalid(f"{names.quoted(word)} is given twice")
    return value


Pattern = Annotated[Text, AfterValidator(_not_blank)]


class WrittenAuthentication(Strict):
    """How strongly the applications' users are authenticated."""

    two_step: bool = False
    saml: bool = False


class WrittenRefresh(Strict):
    """The rules for a spent refresh token."""

    grace: Length = PairRules().grace
    on_reuse: Annotated[OnReuse, _choice(OnReuse)] = OnReuse.REVOKE


class WrittenConditions(Strict):
    """The conditions for the use of sessions, as they are written."""

    networks: list[Annotated[Text, _checked(read_network)]] = Field(default_factory=list, min_length=1)
    platforms: list[Pattern] = Field(default_factory=list, min_length=1)
    minimum_versions: dict[Pattern, Annotated[Text, _checked(check_version)]] = Field(
        default_factory=dict, min_length=1
    )
    blocked_applications: list[Pattern] = Field(default_factory=list, min_length=1)


class WrittenCache(Strict):
    """For how long an authenticator's yes is remembered, and for how many users."""

    max_age: Lifetime = CacheRules().max_age
    capacity: Annotated[int, Field(ge=1, le=1_000_000)] = CacheRules().capacity


class WrittenProfile(Strict):
    """A profile as it is written; a field that is not written is None."""

    description: Text | None = None
    idle_timeout: Timeout | None = None
    absolute_timeout: Timeout = NEVER
    slide_after: Length = 0
    browser: bool = False
    authentication: WrittenAuthentication = WrittenAuthentication()
    tokens: Annotated[Tokens, _choice(Tokens)] = Tokens.SINGLE
    access_lifetime: Lifetime | None = None
    refresh: WrittenRefresh = WrittenRefresh()
    default_lifetime: Lifetime | None = None
    max_lifetime: Lifetime | None = None
    sealed: bool = False
    bind: Annotated[Binding | None, _choice(Binding)] = None
    ends_on_password_change: Annotated[PasswordRule, _choice(PasswordRule)] = PasswordRule.ALL
    continuity: bool = False
    on_revoke: Annotated[OnRevoke, _choice(OnRevoke)] = OnRevoke.SIGN_OUT
    conditions: WrittenConditions = WrittenConditions()
    authenticator: Annotated[Name | None, BeforeValidator(_given)] = None
    cache: Annotated[WrittenCache | None, BeforeValidator(_given)] = None
    scope: Annotated[Text | None, AfterValidator(_scope), BeforeValidator(_given)] = None

    @property
    def absolute(self) -> int:
        """The longest age of its sessions: of requested lifetimes, the longest of them."""
        if self.tokens is Tokens.REQUESTED:
            return self.max_lifetime or RequestRules().max_lifetime
        return self.absolute_timeout

    @property
    def idle(self) -> int:
        """The longest inactivity; none for a browser session, nor for a requested lifetime."""
        if self.browser or self.tokens is Tokens.REQUESTED:
            return NEVER
        return lifetimes.default_idle_timeout(self.absolute) if self.idle_timeout is None else self.idle_timeout

    def profile(self, name: str) -> Profile:
        """The profile that these fields come to."""
        return Profile(
            name=name,
            idle_timeout=self.idle,
            absolute_timeout=self.absolute,
            description=self.description,
            slide_after=self.slide_after,
            browser=self.browser,
            two_step=self.authentication.two_step,
            saml=self.authentication.saml,
            pair=self._pair_rules() if self.tokens is Tokens.PAIR else None,
            requested=self._request_rules() if self.tokens is Tokens.REQUESTED else None,
            bind=self.bind,
            ends_on_password_change=self.ends_on_password_change,
            continuity=self.continuity,
            on_revoke=self.on_revoke,
            conditions=self._conditions(),
            authenticator=self.authenticator,
            cache=None if self.cache is None else CacheRules(self.cache.max_age, self.cache.capacity),
            scope=self.scope,
        )

    def _conditions(self) -> Conditions | None:
        written = self.conditions
        conditions = Conditions(
            tuple(written.networks),
            tuple(written.platforms),
            written.minimum_versions,
            tuple(written.blocked_applications),
        )
        return conditions if conditions.to_document() else None

    def _pair_rules(self) -> PairRules:
        access = self.access_lifetime or min(PairRules().access_lifetime, self.idle, self.absolute)
        return PairRules(access, self.refresh.grace, self.refresh.on_reuse)

    def _request_rules(self) -> RequestRules:
        default = self.default_lifetime or min(RequestRules().default_lifetime, self.absolute)
        return RequestRules(default, self.absolute, self.sealed)


class WrittenAssignment(Strict):
    """Which profile a new session gets."""

    user: Annotated[str | None, BeforeValidator(_user)] = None
    application: Pattern | None = None
    profile: Name


class File(Strict):
    """The whole file."""

    version: Version
    retention: Annotated[Duration, length(parse_duration)] = lifetimes.DEFAULT_RETENTION
    default_profile: Name | None = None
    assignments: list[WrittenAssignment] = Field(default_factory=list)
    profiles: Annotated[dict[Name, WrittenProfile], Field(min_length=1)]
