"""Authenticators, which check passwords: an interface of one method, and its kinds in `authenticators.yaml`.

The file is in the home, and only its owner can read it (0600). A profile only names an entry: the program, file or server never
comes from a profile. The file is read when a password has to be checked.
"""

from pathlib import Path
from typing import Protocol

from authctl import names
from authctl.authenticators.fields import File, note_contradictions
from authctl.errors import NotFound
from authctl.files import read_private
from authctl.validation import validated
from authctl.yaml_files import load

_MISSING = "to begin with one, mode 0600: authctl examples show authenticators.yaml"


class Authenticator(Protocol):
    """The owner of passwords: a directory, a file or a program."""

    def authenticate(self, username: str, password: str) -> bool:
        """Whether the password is that user's. Raises AuthenticatorUnavailable if there is no answer."""


def find(name: str, file: Path) -> Authenticator:
    """The authenticator of that name.

    Raises NotFound where the file has none, InvalidFile for one with faults, RegistryUnavailable where it is missing or
    open to others.
    """
    document = load(read_private(file, "authenticators file", _MISSING), file.name)
    written = validated(File, document)
    note_contradictions(written, document)
    document.raise_faults()
    key = names.fold(name)
    for entry, authenticator in written.authenticators.items():
        if names.fold(entry) == key:
            return authenticator.made()
    raise NotFound(f"no authenticator {names.quoted(name)} in {file}", "add it there, or name another in the profile")
