"""The faults that no single field of `profiles.yaml` has: fields that contradict each other, and names that lead nowhere."""

from collections.abc import Iterator

from authctl import names
from authctl.instants import NEVER, format_timeout
from authctl.model import Tokens
from authctl.profiles.fields import File, WrittenProfile
from authctl.validation import note_same_names
from authctl.yaml_files import Document, Path

_Found = Iterator[tuple[str, str]]
"""A field of a profile, and its fault."""


def note_contradictions(file: File, document: Document) -> None:
    """Note each of them in the document, where it stands."""
    note_same_names(file.profiles, "profiles", document)
    for name, profile in file.profiles.items():
        # With a misspelled `tokens`, each field that belongs to its kinds would be a fault of its own.
        by_tokens = (_browser, _pair, _requested) if _has_known_tokens(document, name) else ()
        asks = () if "authenticator" in document.data["profiles"][name] else (_cache,)
        for find in (_timeouts, _authentication, _conditions, *asks, *by_tokens):
            for field, fault in find(profile):
                document.fault(document.value_position(("profiles", name, field)), fault)
    keys = {names.fold(name) for name in file.profiles}
    _default_profile(file, document, keys)
    _assignments(file, document, keys)


def _has_known_tokens(document: Document, name: str) -> bool:
    """Whether the written `tokens` can be judged: a typing error is one fault, not one for every field beside it."""
    return document.data["profiles"][name].get("tokens", Tokens.SINGLE) in tuple(Tokens)


def _timeouts(profile: WrittenProfile) -> _Found:
    idle = profile.idle_timeout
    # Only an idle timeout that was written: the default of 3 days goes with any absolute timeout.
    if idle is not None and idle != NEVER and profile.absolute_timeout <= idle:
        yield "absolute_timeout", "absolute_timeout must be longer than idle_timeout"
    if profile.slide_after and profile.idle >= NEVER and profile.tokens is not Tokens.REQUESTED:
        yield "slide_after", "slide_after needs an idle_timeout: there is no deadline to move"
    elif profile.slide_after >= profile.idle:
        yield "slide_after", "slide_after must be shorter than idle_timeout, or no use moves the deadline"


def _authentication(profile: WrittenProfile) -> _Found:
    enforced = profile.authentication.two_step or profile.authentication.saml
    if enforced and profile.idle_timeout is not None:
        yield (
            "idle_timeout",
            "idle_timeout may not be set where two-step authentication or SAML is enforced: the default of 3 days applies",
        )


def _conditions(profile: WrittenProfile) -> _Found:
    first: dict[str, str] = {}
    for name in profile.conditions.minimum_versions:
        other = first.setdefault(names.fold(name), name)
        if other != name:
            yield (
                "conditions",
                f"minimum_versions has {names.quoted(other)} and {names.quoted(name)}, which are the same",
            )


def _cache(profile: WrittenProfile) -> _Found:
    # decision 57: a field with nothing below it must not mean "no cache"
    if profile.cache is not None:
        yield "cache", "cache needs an authenticator, whose answers it remembers"


def _browser(profile: WrittenProfile) -> _Found:
    if not profile.browser:
        return
    if profile.tokens is Tokens.REQUESTED:
        yield "browser", "browser cannot be combined with tokens: requested, whose end is fixed"
    elif profile.absolute >= NEVER:
        yield (
            "browser",
            "a browser session needs an absolute_timeout, or a lost message would leave it open for ever",
        )
    if profile.idle_timeout is not None:
        yield "idle_timeout", "idle_timeout cannot be combined with browser: the session ends when the browser closes"


def _pair(profile: WrittenProfile) -> _Found:
    if profile.tokens is not Tokens.PAIR:
        for field in ("access_lifetime", "refresh"):
            if field in profile.model_fields_set:
                yield field, f"{field} needs tokens: pair"
        return
    for field, timeout in (("idle_timeout", profile.idle), ("absolute_timeout", profile.absolute)):
        if (profile.access_lifetime or 0) > timeout:
            setting = f"{field}, {format_timeout(timeout)}"
            yield (
                "access_lifetime",
                f"access_lifetime must not be longer than {setting}: its refresh token would end first",
            )


def _requested(profile: WrittenProfile) -> _Found:
    # decision 35: if the session slides, the expiry inside a sealed token is wrong after the first use
    if profile.tokens is not Tokens.REQUESTED:
        for field in ("default_lifetime", "max_lifetime", "sealed"):
            if field in profile.model_fields_set:
                yield field, f"{field} needs tokens: requested"
        return
    for field in ("idle_timeout", "absolute_timeout", "slide_after"):
        if field in profile.model_fields_set:
            yield field, f"{field} cannot be combined with tokens: requested, where max_lifetime is the limit"
    if (profile.default_lifetime or 0) > profile.absolute:
        longest = format_timeout(profile.absolute)
        yield "default_lifetime", f"default_lifetime must not be longer than max_lifetime, {longest}"


def _default_profile(file: File, document: Document, keys: set[str]) -> None:
    if file.default_profile is not None:
        _check_defined(file.default_profile, ("default_profile",), document, keys)
    elif len(file.profiles) > 1:
        message = "default_profile is missing: with several profiles, one must be named"
        document.fault(document.value_position(()), message)


def _assignments(file: File, document: Document, keys: set[str]) -> None:
    seen: set[tuple[str | None, ...]] = set()
    for index, assignment in enumerate(file.assignments):
        here: Path = ("assignments", index)
        _check_defined(assignment.profile, (*here, "profile"), document, keys)
        # Compared as the assignment will be: `Alice` and `alice` are one user.
        key = tuple(text and names.fold(text) for text in (assignment.user, assignment.application))
        if key == (None, None):
            document.fault(document.value_position(here), "an assignment needs a user, an application or both")
        elif key in seen:
            document.fault(document.value_position(here), "the same user and application are assigned above")
        seen.add(key)


def _check_defined(name: str, path: Path, document: Document, keys: set[str]) -> None:
    if names.fold(name) not in keys:
        document.fault(document.value_position(path), f"no profile is called {names.quoted(name)}")
