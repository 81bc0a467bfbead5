"""The authentication cache: a password that an authenticator accepted, and the means to recognise it again."""

from typing import NamedTuple


class CachedLogin(NamedTuple):
    """A successful login under one profile. It does not contain the password, and without the key ring nobody can guess it."""

    profile: str
    username: str
    authenticator: str
    """The authenticator that accepted it."""
    authenticated_at: int
    last_used_at: int
    key_id: str
    """The key from which the key of the verifier is derived."""
    salt: bytes
    verifier: bytes

    def __repr__(self) -> str:
        return f"CachedLogin(profile={self.profile!r}, username={self.username!r})"
