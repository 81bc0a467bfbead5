"""The text of `profiles.yaml` to a `ProfileSet`: strict, every fault with its line and column.

What is in force is in the registry, not here; this is read when profiles are checked or applied.
The fields, with unit, default and limits, are listed in `docs/profiles.md`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from authctl import lifetimes, names
from authctl.errors import AuthctlError
from authctl.instants import NEVER, Duration, parse_duration, parse_timeout
from authctl.model import Assignment, Profile, ProfileSet
from authctl.validation import Text, invalid, validated
from authctl.yamlfile import Document, Path, load

DEFAULT_FILE = """\
# How long sessions live. After a change: authctl profiles check, then authctl profiles apply --note "why".
# Every field is explained in docs/profiles.md.
version: 1
retention: 6 months                  # how long ended sessions stay listed
default_profile: default
profiles:
  default:
    description: Registered applications, used within three days
    idle_timeout: 3d                 # longest inactivity
"""


def _duration_text(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid("write a length of time with a unit, such as 3d")
    return value


def _timeout(value: Any) -> int:
    try:
        return parse_timeout(_duration_text(value))
    except AuthctlError as error:
        raise invalid(error.message) from None


def _retention(value: Any) -> Duration:
    try:
        return parse_duration(_duration_text(value))
    except AuthctlError as error:
        raise invalid(error.message) from None


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid("a name must be text: put it in quotes")
    try:
        return names.profile_name(value)
    except AuthctlError as error:
        raise invalid(error.message) from None


Timeout = Annotated[int, BeforeValidator(_timeout)]
Name = Annotated[str, BeforeValidator(_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class _Profile(_Strict):
    description: Text | None = None
    idle_timeout: Timeout | None = None
    absolute_timeout: Timeout = NEVER


class _Assignment(_Strict):
    user: Name | None = None
    application: Text | None = None
    profile: Name


class _File(_Strict):
    version: Literal[1]
    retention: Annotated[Duration, BeforeValidator(_retention)] = lifetimes.DEFAULT_RETENTION
    default_profile: Name | None = None
    assignments: list[_Assignment] = []
    profiles: Annotated[dict[Name, _Profile], Field(min_length=1)]


def read(raw: bytes, name: str) -> ProfileSet:
    """Read the bytes of a profiles file; `name` is how its faults call it. Raises InvalidFile."""
    document = load(raw, name)
    file = validated(_File, document)
    _contradictions(file, document)
    document.raise_faults()
    return ProfileSet(
        retention=file.retention,
        default_profile=file.default_profile or next(iter(file.profiles)),
        profiles={name: _profile(name, written) for name, written in file.profiles.items()},
        assignments=tuple(Assignment(a.profile, a.user, a.application) for a in file.assignments),
    )


def _profile(name: str, written: _Profile) -> Profile:
    idle = written.idle_timeout
    if idle is None:
        idle = lifetimes.default_idle_timeout(written.absolute_timeout)
    return Profile(name, idle, written.absolute_timeout, written.description)


def _contradictions(file: _File, document: Document) -> None:
    def fault(path: Path, what: str) -> None:
        document.fault(document.value_position(path), what)

    spellings: dict[str, str] = {}
    for name, profile in file.profiles.items():
        first = spellings.setdefault(names.fold(name), name)
        if first != name:
            document.fault(
                document.key_position(("profiles", name)),
                f"profiles {names.quoted(first)} and {names.quoted(name)} have the same name",
            )
        idle = profile.idle_timeout
        if idle is not None and idle != NEVER and profile.absolute_timeout <= idle:
            fault(("profiles", name, "absolute_timeout"), "absolute_timeout must be longer than idle_timeout")
    if file.default_profile is None and len(file.profiles) > 1:
        fault((), "default_profile is missing: with several profiles, one must be named")
    elif file.default_profile is not None:
        _defined(file.default_profile, file, document, ("default_profile",))
    seen: set[tuple[str | None, str | None]] = set()
    for index, assignment in enumerate(file.assignments):
        here: Path = ("assignments", index)
        _defined(assignment.profile, file, document, (*here, "profile"))
        if assignment.user is None and assignment.application is None:
            fault(here, "an assignment needs a user, an application or both")
        meant = tuple(text and names.fold(text) for text in (assignment.user, assignment.application))
        if meant in seen:
            fault(here, "the same user and application are assigned above")
        seen.add(meant)  # type: ignore[arg-type]


def _defined(name: str, file: _File, document: Document, path: Path) -> None:
    if name not in file.profiles:
        document.fault(document.value_position(path), f"no profile is called {names.quoted(name)}")
