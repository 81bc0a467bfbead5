"""The authentication cache: that an authenticator found a user's password right, and how to know it again."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CachedLogin:
    """A success under one profile; the password cannot be read out of it, nor guessed without the key ring."""

    profile: str
    username: str
    authenticator: str
    """Who said yes."""
    authenticated_at: int
    last_used_at: int
    key_id: str
    """The key whose derivative the verifier was made with."""
    salt: bytes = field(repr=False)
    verifier: bytes = field(repr=False)
