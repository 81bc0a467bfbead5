"""The fields of `authenticators.yaml`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from authctl.instants import MINUTE, SECOND
from authctl.names import quoted
from authctl.validation import AbsolutePath, Lifetime, Name, Program, Strict, Text, Version, invalid, note_same_names
from authctl.yaml_files import Document

if TYPE_CHECKING:
    from authctl.authenticators import Authenticator

DEFAULT_TIMEOUT = 10 * SECOND
_LONGEST_TIMEOUT = 5 * MINUTE


def _short(value: int) -> int:
    if value > _LONGEST_TIMEOUT:
        raise invalid("must be 5 minutes at the most")
    return value


def _template(value: str) -> str:
    if "{username}" not in value:
        raise invalid("must have {username} where the user's name belongs")
    return value


class WrittenDirectory(Strict):
    """An LDAP server."""

    url: Text
    bind_dn: Annotated[Text, AfterValidator(_template)]
    start_tls: bool = False
    ca_file: AbsolutePath | None = None

    @property
    def is_private(self) -> bool:
        """Whether passwords cross no network in clear."""
        several = any(sign.isspace() or sign == "," for sign in self.url)  # libldap tries one after another
        private = self.url.startswith(("ldaps://", "ldapi://")) or (self.url.startswith("ldap://") and self.start_tls)
        return private and not several


class WrittenAuthenticator(Strict):
    """One of the kinds, and how long it may take."""

    htpasswd: AbsolutePath | None = None
    command: Program | None = None
    ldap: WrittenDirectory | None = None
    timeout: Annotated[Lifetime, AfterValidator(_short)] = DEFAULT_TIMEOUT

    def made(self) -> "Authenticator":
        """The authenticator that these fields come to."""
        seconds = self.timeout / SECOND
        if self.htpasswd is not None:
            from authctl.authenticators.htpasswd import Htpasswd

            return Htpasswd(Path(self.htpasswd))
        if self.command is not None:
            from authctl.authenticators.command import Command

            return Command(tuple(self.command), seconds)
        from authctl.authenticators.directory import Directory

        assert self.ldap is not None
        return Directory(self.ldap.url, self.ldap.bind_dn, self.ldap.start_tls, self.ldap.ca_file, seconds)


def note_contradictions(file: "File", document: Document) -> None:
    """Note contradictions between fields in the document."""
    note_same_names(file.authenticators, "authenticators", document)
    for name, written in file.authenticators.items():
        here = ("authenticators", name)
        kinds = document.data["authenticators"][name].keys() & {"htpasswd", "command", "ldap"}
        if len(kinds) != 1:
            document.fault(document.value_position(here), f"{quoted(name)} needs one of htpasswd, command and ldap")
        if written.ldap is not None and not written.ldap.is_private:
            message = (
                "the password must not cross the network in clear: one ldaps:// or ldapi://, or ldap:// with start_tls"
            )
            document.fault(document.value_position((*here, "ldap", "url")), message)


class File(Strict):
    """The whole file."""

    version: Version
    authenticators: Annotated[dict[Name, WrittenAuthenticator], Field(min_length=1)]
