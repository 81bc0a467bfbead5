"""Minting and reading tokens: knows keys, not the registry.

A token is `acat_` (access) or `acrt_` (refresh) and 124 lower-case hexadecimal digits: the id of the key that signed it
(8), the session's number (12), its generation (8), the session's secret (32), and the signature (64), HMAC-SHA-256 by
itsdangerous over all that stands before it, the kind included, with a key derived for that kind. It says nothing about
the user. A double click takes all of it. It is read strictly first: one spelling, one length, then cryptography.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from itsdangerous import HMACAlgorithm, Signer

from authctl.errors import TokenUnknown
from authctl.keys import KeyRing

SECRET_BYTES = 16
LONGEST_TOKEN = 4_096

_SIGNATURE = 64
_SHAPE = re.compile(r"(?:acat|acrt)_[0-9a-f]{124}", re.ASCII)
_LENGTH = 129


class TokenKind(StrEnum):
    """What a token is for; the value is its readable prefix."""

    ACCESS = "acat"
    REFRESH = "acrt"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once its signature was found good."""

    kind: TokenKind
    key_id: str
    number: int
    generation: int
    secret: bytes

    def secret_hash(self) -> bytes:
        """What the registry keeps of the secret."""
        return sha256(self.secret).digest()


class TokenMint:
    """Signs and verifies with the keys of one ring; each kind's key is derived once."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._algorithm = HMACAlgorithm(sha256)
        self._derived: dict[tuple[str, str], bytes] = {}

    def mint(self, kind: TokenKind, key_id: str, number: int, generation: int, secret: bytes) -> str:
        """The one token with those claims. Raises TokenUnknown when the key is not in the ring."""
        claims = f"{kind}_{key_id}{number:012x}{generation:08x}{secret.hex()}"
        return claims + self._algorithm.get_signature(self._key(kind, key_id), claims.encode()).hex()

    def read(self, token: str) -> Claims:
        """The claims of a token that one of the keys signed. Raises TokenUnknown, and nothing else."""
        if not isinstance(token, str) or len(token) != _LENGTH or not _SHAPE.fullmatch(token):
            raise TokenUnknown
        kind, key_id = token[:4], token[5:13]
        signature = bytes.fromhex(token[-_SIGNATURE:])
        if not self._algorithm.verify_signature(self._key(kind, key_id), token[:-_SIGNATURE].encode(), signature):
            raise TokenUnknown
        return Claims(
            TokenKind(kind), key_id, int(token[13:25], 16), int(token[25:33], 16), bytes.fromhex(token[33:65])
        )

    def _key(self, kind: str, key_id: str) -> bytes:
        derived = self._derived.get((kind, key_id))
        if derived is None:
            key = self.ring.verifying(key_id)
            if key is None:
                raise TokenUnknown
            signer = Signer(key.secret, salt=f"authctl token {kind}", key_derivation="hmac", digest_method=sha256)
            derived = self._derived[kind, key_id] = signer.derive_key()
        return derived


def looks_like_token(text: str) -> bool:
    """Whether a text is meant to be a token, going by its beginning."""
    return text.startswith(tuple(f"{kind}_" for kind in TokenKind))
