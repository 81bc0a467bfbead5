"""An htpasswd file, as Apache's program of that name writes it: bcrypt, SHA-256 and SHA-512 crypt, or Apache's MD5.

Plain texts, unsalted SHA-1 and the 8-character crypt are no hashes that keep a password, and a line that is none of
ours, such as `alice:!`, lets nobody in.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from authctl.errors import AuthenticatorUnavailable, reason
from authctl.names import quoted
from authctl.visible_text import visible

if TYPE_CHECKING:
    from passlib.apache import HtpasswdFile

_SCHEMES = ["bcrypt", "sha512_crypt", "sha256_crypt", "apr_md5_crypt"]
_BCRYPT = b"$2"
_BCRYPT_BYTES = 72
"""How much of a password bcrypt looks at: of a longer one, any other with the same beginning would do."""


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """`Authenticator` over such a file."""

    path: Path

    def authenticate(self, username: str, password: str) -> bool:
        """As `Authenticator.authenticate`; names are compared exactly, as Apache compares them."""
        # decision 61: passlib is no longer maintained, and libpass is its maintained fork
        file = self._file()
        entry = _hash_of(file, username)
        # An unknown name is compared with the hash of another user: the time must not show which names exist.
        against = entry if entry is not None else next((_hash_of(file, other) for other in file.users()), None)
        try:
            fits = against is not None and bool(file.context.verify(password, against))
        except ValueError:  # a password that bcrypt does not take, or a hash that is none
            fits = False
            if entry is not None and not file.context.identify(entry):
                message = f"{self.path} has no usable entry for {quoted(username)}"
                raise AuthenticatorUnavailable(message) from None
        # Refused after the comparison: the time must not show that the entry is a bcrypt one.
        too_long = against is not None and against.startswith(_BCRYPT) and len(password.encode()) > _BCRYPT_BYTES
        return fits and entry is not None and not too_long

    def _file(self) -> "HtpasswdFile":
        from passlib.apache import HtpasswdFile
        from passlib.context import CryptContext

        try:
            return HtpasswdFile.from_string(self.path.read_bytes(), context=CryptContext(schemes=_SCHEMES))
        except OSError as error:
            raise AuthenticatorUnavailable(f"cannot read {self.path}: {reason(error)}") from None
        except ValueError as error:
            raise AuthenticatorUnavailable(f"cannot read {self.path}: {visible(str(error))}") from None


def _hash_of(file: "HtpasswdFile", username: str) -> bytes | None:
    """The hash on a user's line; None for a name that is not there, or that no line could have."""
    try:
        entry: bytes | None = file.get_hash(username)
    except ValueError:
        return None
    return entry
