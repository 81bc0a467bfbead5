"""The text of `profiles.yaml` to a `ProfileSet`: strict, every fault with its line and column.

What is in force is in the registry, not here; this is read when profiles are checked or applied.
The fields, with unit, default and limits, are listed in `docs/profiles.md`.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from authctl import lifetimes, names
from authctl.errors import AuthctlError
from authctl.instants import NEVER, Duration, parse_duration, parse_timeout
from authctl.model import Assignment, Profile, ProfileSet
from authctl.validation import Text, invalid, validated
from authctl.yamlfile import Document, Path, load

DEFAULT_FILE = """\
# How long sessions live. After a change: authctl profiles check, then authctl profiles apply --note "why".
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
        names.profile_name(value)
    except AuthctlError as error:
        raise invalid(error.message) from None
    return value


def _user(value: Any) -> Any:
    try:
        return names.username(value) if isinstance(value, str) else value
    except AuthctlError as error:
        raise invalid(error.message) from None


def _not_blank(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise invalid("is blank")
    return value


def _version(value: Any) -> int:
    if type(value) is not int or value != 1:
        raise invalid("must be 1")
    return value


Timeout = Annotated[int, BeforeValidator(_timeout)]
Name = Annotated[str, BeforeValidator(_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class _Profile(_Strict):
    description: Text | None = None
    idle_timeout: Timeout | None = None
    absolute_timeout: Timeout = NEVER


class _Assignment(_Strict):
    user: Annotated[str | None, BeforeValidator(_user)] = None
    application: Annotated[Text | None, AfterValidator(_not_blank)] = None
    profile: Name


class _File(_Strict):
    version: Annotated[int, BeforeValidator(_version)]
    retention: Annotated[Duration, BeforeValidator(_retention)] = lifetimes.DEFAULT_RETENTION
    default_profile: Name | None = None
    assignments: list[_Assignment] = []
    profiles: Annotated[dict[Name, _Profile], Field(min_length=1)]


def read(raw: bytes, name: str) -> ProfileSet:
    """Read the bytes of a profiles file; `name` is how its faults call it. Raises InvalidFile."""
    document = load(raw, name)
    file = validated(_File, document)
    _Contradictions(file, document).note()
    document.raise_faults()
    spellings = {names.fold(name): name.strip() for name in file.profiles}

    def spelled(name: str) -> str:
        return spellings[names.fold(name)]

    return ProfileSet(
        retention=file.retention,
        default_profile=spelled(file.default_profile or next(iter(file.profiles))),
        profiles={name.strip(): _profile(name.strip(), written) for name, written in file.profiles.items()},
        assignments=tuple(Assignment(spelled(a.profile), a.user, a.application) for a in file.assignments),
    )


def _profile(name: str, written: _Profile) -> Profile:
    idle = written.idle_timeout
    if idle is None:
        idle = lifetimes.default_idle_timeout(written.absolute_timeout)
    return Profile(name, idle, written.absolute_timeout, written.description)


class _Contradictions:
    """What no single field can get wrong, noted in the document."""

    def __init__(self, file: _File, document: Document) -> None:
        self.file = file
        self.document = document
        self.keys = {names.fold(name) for name in file.profiles}

    def note(self) -> None:
        self.same_names()
        for name, profile in self.file.profiles.items():
            idle = profile.idle_timeout
            if idle is not None and idle != NEVER and profile.absolute_timeout <= idle:
                where: Path = ("profiles", name, "absolute_timeout")
                self.fault(where, "absolute_timeout must be longer than idle_timeout")
        if self.file.default_profile is not None:
            self.defined(self.file.default_profile, ("default_profile",))
        elif len(self.file.profiles) > 1:
            self.fault((), "default_profile is missing: with several profiles, one must be named")
        self.assignments()

    def fault(self, path: Path, what: str) -> None:
        self.document.fault(self.document.value_position(path), what)

    def same_names(self) -> None:
        first: dict[str, str] = {}
        for name in self.file.profiles:
            other = first.setdefault(names.fold(name), name)
            if other != name:
                what = f"profiles {names.quoted(other)} and {names.quoted(name)} have the same name"
                self.document.fault(self.document.key_position(("profiles", name)), what)

    def assignments(self) -> None:
        seen: set[tuple[str | None, ...]] = set()
        for index, assignment in enumerate(self.file.assignments):
            here: Path = ("assignments", index)
            self.defined(assignment.profile, (*here, "profile"))
            meant = tuple(text and names.fold(text) for text in (assignment.user, assignment.application))
            if meant == (None, None):
                self.fault(here, "an assignment needs a user, an application or both")
            elif meant in seen:
                self.fault(here, "the same user and application are assigned above")
            seen.add(meant)

    def defined(self, name: str, path: Path) -> None:
        if names.fold(name) not in self.keys:
            self.fault(path, f"no profile is called {names.quoted(name)}")
