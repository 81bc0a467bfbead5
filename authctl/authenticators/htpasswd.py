"""An htpasswd file, as Apache's program of that name writes it: bcrypt, SHA-256 and SHA-512 crypt, or Apache's MD5.

Plain texts, unsalted SHA-1 and the 8-character crypt are no hashes that keep a password, and a line that is none of
ours, such as `alice:!`, lets nobody in.
"""

from dataclasses import dataclass
from pathlib import Path

from authctl.errors import AuthenticatorUnavailable, reason
from authctl.names import quoted

_SCHEMES = ["bcrypt", "sha512_crypt", "sha256_crypt", "apr_md5_crypt"]


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """`Authenticator` over such a file."""

    path: Path

    def authenticate(self, username: str, password: str) -> bool:
        """As `Authenticator.authenticate`; names are compared exactly, as Apache compares them."""
        from passlib.apache import HtpasswdFile
        from passlib.context import CryptContext

        context = CryptContext(schemes=_SCHEMES)
        try:
            file = HtpasswdFile.from_string(self.path.read_bytes(), context=context)
            found = file.get_hash(username)
            if found is None:
                context.dummy_verify()  # who is unknown takes as long to refuse as who is not
                return False
            return bool(context.verify(password, found))
        except OSError as error:
            raise AuthenticatorUnavailable(f"cannot read {self.path}: {reason(error)}") from None
        except ValueError as error:
            if "72 bytes" in str(error):
                return False
            raise AuthenticatorUnavailable(f"{self.path} has no usable entry for {quoted(username)}") from None
