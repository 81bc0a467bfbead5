"""Reading tokens: from a token to its claims, and from claims to a session, by the key ring.

See docs/glossary.md#key-ring.
"""

import os
from time import monotonic
from typing import TYPE_CHECKING

from authctl.errors import TokenUnknown
from authctl.key_ring import load
from authctl.model import Session
from authctl.registry.installation import Installation
from authctl.registry.tokens.checks import session_of_token
from authctl.tokens import Claims, TokenMint

if TYPE_CHECKING:
    from authctl.store.protocol import View

UNCHECKED_SECONDS = 0.01
"""How long a key ring is used before its file is checked again. A retired key's sessions are ended in the registry at once."""


class TokenReader:
    """Reads the claims of tokens; the key ring is read for the first one."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._mint: TokenMint | None = None
        self._version: tuple[int, int, int] | None = None
        self._unchecked_until = 0.0

    def mint(self) -> TokenMint:
        """The mint of the present key ring: read again when its file was changed or replaced."""
        try:
            file = os.stat(self.installation.home.keys)  # noqa: PTH116  # half the time of Path.stat
            # A file that is replaced has another inode. One that is written in place has another ctime, which no program sets.
            version = (file.st_ctime_ns, file.st_ino, file.st_size)
        except OSError:
            version = None
        if self._mint is None or version != self._version:
            self._mint, self._version = TokenMint(load(self.installation.home.keys)), version
        self._unchecked_until = monotonic() + UNCHECKED_SECONDS
        return self._mint

    def claims(self, token: str) -> Claims:
        """The claims of a token, by the key ring in memory; a key that is not in it is looked for in the file.

        Raises TokenUnknown, or as `key_ring.load`.
        """
        # decision 99: to check the file for each token was a tenth of the cost of verifying
        if self._mint is not None and monotonic() < self._unchecked_until:
            try:
                return self._mint.read(token)
            except TokenUnknown:
                pass
        # A key that was added a moment ago, on another machine: the file is read before the token is refused.
        return self.mint().read(token)

    def owner(self, view: "View", token: str, now: int) -> Session | None:
        """The session that a token was issued to, of any kind and generation; None for any other text."""
        # decision 33: a spent token still names its session
        try:
            claims = self.claims(token)
            return session_of_token(view.by_number(claims.number, now), claims)
        except TokenUnknown:
            return None

    def owner_now(self, token: str) -> Session | None:
        """The same by the look-up of `verify`, outside of a transaction."""
        try:
            claims = self.claims(token)
            row = self.installation.store.by_number(claims.number, self.installation.clock.replacement())
            return session_of_token(row, claims)
        except TokenUnknown:
            return None
