"""The text of `profiles.yaml` to a `ProfileSet`: strict, every fault with its line and column.

The profiles in force are in the registry, not here; this is read when profiles are checked or applied.
The fields, with unit, default and limits, are listed in `docs/profiles.md`.
"""

from authctl import names
from authctl.model import Assignment, ProfileSet
from authctl.profiles.advice import advice
from authctl.profiles.contradictions import note_contradictions
from authctl.profiles.fields import File
from authctl.validation import validated
from authctl.yaml_files import load

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


def read(raw: bytes, name: str) -> ProfileSet:
    """Read the bytes of a profiles file; `name` is how its faults call it. Raises InvalidFile."""
    return check(raw, name)[0]


def check(raw: bytes, name: str) -> tuple[ProfileSet, tuple[str, ...]]:
    """The same, and each setting that a standard or vendor advises against, as `file:line:column: message`."""
    document = load(raw, name)
    file = validated(File, document)
    note_contradictions(file, document)
    document.raise_faults()
    profiles = _profile_set(file)
    warnings = [
        (document.value_position(("profiles", written, *path)), warning)
        for written, profile in zip(file.profiles, profiles.profiles.values(), strict=True)
        for path, warning in advice(profile)
    ]
    return profiles, tuple(document.in_words(warnings))


def _profile_set(file: File) -> ProfileSet:
    spellings = {names.fold(name): name.strip() for name in file.profiles}

    def spelled(name: str) -> str:
        return spellings[names.fold(name)]

    return ProfileSet(
        retention=file.retention,
        default_profile=spelled(file.default_profile or next(iter(file.profiles))),
        profiles={name.strip(): written.profile(name.strip()) for name, written in file.profiles.items()},
        assignments=tuple(Assignment(spelled(a.profile), a.user, a.application) for a in file.assignments),
    )
