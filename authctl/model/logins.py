"""The authentication cache: that an authenticator found a user's password right, and how to know it again."""

from typing import NamedTuple


class CachedLogin(NamedTuple):
    """A success under one profile; the password cannot be read out of it, nor guessed without the key ring."""

    profile: str
    username: str
    authenticator: str
    """The authenticator that accepted it."""
    authenticated_at: int
    last_used_at: int
    key_id: str
    """The key whose derivative the verifier was made with."""
    salt: bytes
    verifier: bytes

    def __repr__(self) -> str:
        return f"CachedLogin(profile={self.profile!r}, username={self.username!r})"
