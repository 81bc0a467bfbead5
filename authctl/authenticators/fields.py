"""The fields of `authenticators.yaml`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from authctl.instants import SECOND
from authctl.validation import Lifetime, Name, Strict, Text, Version, invalid

if TYPE_CHECKING:
    from authctl.authenticators import Authenticator

DEFAULT_TIMEOUT = 10 * SECOND


def _absolute(value: str) -> str:
    """A path that does not depend on where authctl is run."""
    if not value.startswith("/"):
        raise invalid("must be an absolute path")
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

    @model_validator(mode="after")
    def _keeps_passwords_private(self) -> "WrittenDirectory":
        private = self.url.startswith(("ldaps://", "ldapi://"))
        if not private and not (self.url.startswith("ldap://") and self.start_tls):
            raise invalid(
                "the password must not cross the network in clear: ldaps://, ldapi://, or ldap:// with start_tls"
            )
        return self


class WrittenAuthenticator(Strict):
    """One of the kinds, and how long it may take."""

    htpasswd: AbsolutePath | None = None
    command: Annotated[list[Text], Field(min_length=1)] | None = None
    ldap: WrittenDirectory | None = None
    timeout: Lifetime = DEFAULT_TIMEOUT

    @model_validator(mode="after")
    def _is_one_kind(self) -> "WrittenAuthenticator":
        if sum(kind is not None for kind in (self.htpasswd, self.command, self.ldap)) != 1:
            raise invalid("needs one of htpasswd, command and ldap")
        if self.command is not None:
            _absolute(self.command[0])
        return self

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


class File(Strict):
    """The whole file."""

    version: Version
    authenticators: Annotated[dict[Name, WrittenAuthenticator], Field(min_length=1)]
