"""The fields of `authenticators.yaml`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from authctl.instants import SECOND
from authctl.names import quoted
from authctl.validation import Lifetime, Name, Strict, Text, Version, invalid
from authctl.yamlfile import Document

if TYPE_CHECKING:
    from authctl.authenticators import Authenticator

DEFAULT_TIMEOUT = 10 * SECOND


def _absolute(value: str) -> str:
    """A path that does not depend on where authctl is run."""
    if not value.startswith("/"):
        raise invalid("must be an absolute path")
    return value


def _program(value: list[str]) -> list[str]:
    if not value[0].startswith("/"):
        raise invalid("the program must be an absolute path")
    return value


def _template(value: str) -> str:
    if "{username}" not in value:
        raise invalid("must have {username} where the user's name belongs")
    return value


AbsolutePath = Annotated[Text, AfterValidator(_absolute)]


class WrittenDirectory(Strict):
    """An LDAP server."""

    url: Text
    bind_dn: Annotated[Text, AfterValidator(_template)]
    start_tls: bool = False
    ca_file: AbsolutePath | None = None

    @property
    def is_private(self) -> bool:
        """Whether passwords cross no network in clear."""
        return self.url.startswith(("ldaps://", "ldapi://")) or (self.url.startswith("ldap://") and self.start_tls)


class WrittenAuthenticator(Strict):
    """One of the kinds, and how long it may take."""

    htpasswd: AbsolutePath | None = None
    command: Annotated[list[Text], Field(min_length=1), AfterValidator(_program)] | None = None
    ldap: WrittenDirectory | None = None
    timeout: Lifetime = DEFAULT_TIMEOUT

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
    """Note in the document what no single field can get wrong."""
    for name, written in file.authenticators.items():
        here = ("authenticators", name)
        if len({"htpasswd", "command", "ldap"}.intersection(document.data["authenticators"][name])) != 1:
            document.fault(document.value_position(here), f"{quoted(name)} needs one of htpasswd, command and ldap")
        if written.ldap is not None and not written.ldap.is_private:
            what = "the password must not cross the network in clear: ldaps://, ldapi://, or ldap:// with start_tls"
            document.fault(document.value_position((*here, "ldap", "url")), what)


class File(Strict):
    """The whole file."""

    version: Version
    authenticators: Annotated[dict[Name, WrittenAuthenticator], Field(min_length=1)]
