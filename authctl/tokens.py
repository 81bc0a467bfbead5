"""Minting and reading tokens: with keys, without the registry.

A token is `acat_` (access) or `acrt_` (refresh) and 124 lower-case hexadecimal digits: the id of the key that signed it
(8), the session's number (12), its generation (8), the session's secret (32), and the signature (64), HMAC-SHA-256 by
itsdangerous over everything before it, the kind included, with a key derived for that kind. It contains nothing about
the user. The third kind, `acst_`, is an access token with user and expiry sealed inside: the key's id (8), a nonce (24), and
the ciphertext of `token_encryption`. A double click takes all of a token. It is read strictly first: one spelling, one length, then
cryptography.

itsdangerous derives the key of each kind (`Signer.derive_key`), signs, and compares signatures in constant time
(`HMACAlgorithm`). Its `Signer.sign` and `Signer.unsign` are not used: they derive the key again for each token, which is half
of their 3.8 µs, and write the signature in base64, which has more than one spelling of a last digit (decision 4).

See docs/glossary.md#generation.
"""

import hmac
import re
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from itsdangerous import HMACAlgorithm, Signer

from authctl.errors import InvalidInput, TokenUnknown
from authctl.key_ring import KeyRing, load

if TYPE_CHECKING:
    from authctl.token_encryption import Sealed

SECRET_BYTES = 16
# A sealed token grows with the user name; a longer text is refused before any cryptography.
LONGEST_TOKEN = 4_096

MOST_READ = 8_192
"""The most tokens whose claims are kept: some 4 MB. Sealed tokens, which may be long, are not kept."""

_SIGNATURE = 64
_PREFIX = 5
_PREFIXES = ("acat_", "acrt_")
_LENGTH = 129
_HEAD = 13
_KIND, _KEY_ID = slice(0, 4), slice(5, 13)
"""The characters of a token with its kind, and with the id of its key."""

_NUMBER, _GENERATION, _SECRET = slice(4, 10), slice(10, 14), slice(14, 30)
"""The bytes after the prefix with the number of the session, the generation and the secret; the id of the key is before them."""

_SEALED_SHAPE = r"acst_[0-9a-f]{8}(?:[0-9a-f]{2}){28,}"  # as text: `re` compiles it for the first sealed token


class TokenKind(StrEnum):
    """The purpose of a token; the value is its readable prefix."""

    ACCESS = "acat"
    REFRESH = "acrt"
    SEALED = "acst"
    """An access token that carries user and expiry inside."""


_NEW = tuple.__new__
_KINDS = {kind.value: kind for kind in TokenKind}


class Claims(NamedTuple):
    """The claims of a token whose signature is good."""

    kind: TokenKind
    key_id: str
    number: int
    generation: int
    secret: bytes

    def __repr__(self) -> str:
        return f"Claims({self.kind.value}, key {self.key_id}, session {self.number}, generation {self.generation})"

    def secret_hash(self) -> bytes:
        """The hash of the secret, as the registry keeps it."""
        return sha256(self.secret).digest()


class _Hmac(HMACAlgorithm):
    """The library's HMAC, by OpenSSL in one call."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class TokenMint:
    """Signs, seals and verifies with the keys of one ring; each kind's key is derived once."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._algorithm = _Hmac(sha256)
        self._derived: dict[tuple[str, str], bytes] = {}
        self._read: dict[str, Claims] = {}
        """The claims of tokens whose signature was good. It counts as long as these keys do."""

    def mint(self, kind: TokenKind, key_id: str, number: int, generation: int, secret: bytes) -> str:
        """The one token with those claims. Raises TokenUnknown when the key is not in the ring."""
        # decision 4: hexadecimal, so that a double click takes the whole token
        claims = f"{kind}_{key_id}{number:012x}{generation:08x}{secret.hex()}"
        return claims + self._algorithm.get_signature(self._key(kind, key_id), claims.encode()).hex()

    def seal(self, key_id: str, content: "Sealed") -> str:
        """A sealed token with that content. Raises InvalidInput when it would be longer than 4 KiB."""
        from authctl.token_encryption import seal

        token = seal(f"{TokenKind.SEALED}_{key_id}", content, self._key(TokenKind.SEALED, key_id))
        if len(token) > LONGEST_TOKEN:
            raise InvalidInput(
                f"user, application and bound address or page do not fit into a token of {LONGEST_TOKEN:,} bytes"
            )
        return token

    def read(self, token: str) -> Claims:
        """The claims of a token that one of the keys signed or sealed. Raises TokenUnknown, and nothing else."""
        known = self._read.get(token) if isinstance(token, str) else None
        if known is not None:
            return known
        # The length first: nothing reads a text of megabytes.
        if not isinstance(token, str) or len(token) != _LENGTH or token[:_PREFIX] not in _PREFIXES:
            return self._read_sealed(token)
        kind, key_id = token[_KIND], token[_KEY_ID]
        content = _bytes_of(token[_PREFIX:])
        # The signature is compared before anything of the token is used.
        signed = token[:-_SIGNATURE].encode()
        if not self._algorithm.verify_signature(self._key(kind, key_id), signed, content[-_SIGNATURE // 2 :]):
            raise TokenUnknown
        number, generation = int.from_bytes(content[_NUMBER], "big"), int.from_bytes(content[_GENERATION], "big")
        claims = _NEW(Claims, (_KINDS[kind], key_id, number, generation, content[_SECRET]))
        self._keep(token, claims)
        return claims

    def _keep(self, token: str, claims: Claims) -> None:
        """Keep the claims of a token. The oldest entry goes: a dictionary keeps the order in which its entries were added."""
        # decision 313: the signature is a quarter of a verification, and most tokens are presented again and again
        if len(self._read) >= MOST_READ:
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread removes one at the same moment
                del self._read[next(iter(self._read))]
        self._read[token] = claims

    def unseal(self, token: str) -> "Sealed":
        """The content of a sealed token. Raises TokenUnknown."""
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN or not re.fullmatch(_SEALED_SHAPE, token):
            raise TokenUnknown
        from authctl.token_encryption import unseal

        return unseal(token[:_HEAD], bytes.fromhex(token[_HEAD:]), self._key(TokenKind.SEALED, token[_KEY_ID]))

    def _read_sealed(self, token: str) -> Claims:
        inside = self.unseal(token)
        # Generation 0: sealed tokens are never refreshed, since they come with a requested lifetime (decision 35).
        return Claims(TokenKind.SEALED, token[_KEY_ID], inside.number, 0, bytes.fromhex(inside.secret))

    def _key(self, kind: str, key_id: str) -> bytes:
        derived = self._derived.get((kind, key_id))
        if derived is None:
            key = self.ring.verifying(key_id)
            if key is None:
                raise TokenUnknown
            # A key for each kind: an access token that is presented as a refresh token has a wrong signature.
            signer = Signer(key.secret, salt=f"authctl token {kind}", key_derivation="hmac", digest_method=sha256)
            derived = self._derived[kind, key_id] = signer.derive_key()
        return derived


def _bytes_of(digits: str) -> bytes:
    """The bytes of lower-case hexadecimal digits. Raises TokenUnknown for any other spelling."""
    try:
        content = bytes.fromhex(digits)
    except ValueError:
        raise TokenUnknown from None
    # `fromhex` skips white space, and takes capitals: only one spelling comes back the same.
    if content.hex() != digits:
        raise TokenUnknown
    return content


def read_sealed(token: str, key_ring: str | Path) -> "Sealed":
    """Read a sealed token offline: with the key ring file that sealed it, and without the registry.

    It trusts the key alone: the session may have been revoked or ended since, and everybody with the key can make such a
    token. The reader must compare `expires_at` with the time, and the bound address or page with the request;
    `Registry.verify` does all of that, and asks the registry. Raises TokenUnknown, or RegistryUnavailable or
    IntegrityFailure for the key ring.
    """
    return TokenMint(load(Path(key_ring))).unseal(token)


def looks_like_token(text: str) -> bool:
    """Whether a text is meant to be a token, going by its beginning."""
    return text.startswith(tuple(f"{kind}_" for kind in TokenKind))


def kind_and_key(token: str) -> tuple[TokenKind, str]:
    """The kind and the key id in a text that has the shape of a token. They are not verified."""
    return _KINDS[token[_KIND]], token[_KEY_ID]


def has_token_shape(text: str) -> bool:
    """Whether a text is spelled as a token is, from any issuer: any other text is no token."""
    if len(text) == _LENGTH and text[:_PREFIX] in _PREFIXES:
        try:
            return bool(_bytes_of(text[_PREFIX:]))
        except TokenUnknown:
            return False
    return len(text) <= LONGEST_TOKEN and re.fullmatch(_SEALED_SHAPE, text) is not None
