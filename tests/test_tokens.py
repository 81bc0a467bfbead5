"""Tokens: one spelling each, nothing but the ring's own is read, and neither key nor database alone opens a session."""

import os
import random
import re
import secrets
import shlex
import threading
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import Registry, SessionFilter, TokenInvalid, TokenUnknown, key_ring
from authctl.cli.exit_codes import exit_code_of
from authctl.key_ring import KEY_BYTES, Key, KeyRing, KeyState
from authctl.token_encryption import Sealed
from authctl.tokens import LONGEST_TOKEN, MOST_READ, SECRET_BYTES, Claims, TokenKind, TokenMint, looks_like_token
from tests import places
from tests.conftest import Install

MUTATIONS = int(os.environ.get("AUTHCTL_TEST_MUTATIONS", "20000"))
SECRET = bytes(range(100, 116))
EDITS = "0123456789abcdefABCDEFgzxoO_-+=/.,:; \t\n\r\0%*'\"\\\x7f\xa0\xe9\u0660\u0430\u200b\u202e\uff10\uff41\ud800\U0001d7ce"


def key(key_id: str, state: KeyState = KeyState.SIGNING, secret: bytes | None = None) -> Key:
    """A key of that id; its bytes follow from the id unless they are given."""
    return Key(key_id, state, 0, secret or sha256(key_id.encode()).digest())


RING = KeyRing((key("0123abcd"), key("89abcdef", KeyState.VERIFYING), key("deadbeef", KeyState.RETIRED)))
MINT = TokenMint(RING)
TOKEN = MINT.mint(TokenKind.ACCESS, "0123abcd", 7, 1, SECRET)

SIGNED = (TokenKind.ACCESS, TokenKind.REFRESH)
numbers = st.integers(0, 2**48 - 1)
generations = st.integers(0, 2**32 - 1)
session_secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


def is_read(token: object, mint: TokenMint = MINT) -> bool:
    """Whether a text is read as a token; every refusal is TokenUnknown, any other exception is let through."""
    try:
        mint.read(token)  # type: ignore[arg-type]
    except TokenUnknown:
        return False
    return True


def test_claims_are_kept_for_the_latest_tokens_and_for_these_keys_alone():
    """What was read before is read again without its signature, as the same; memory has a limit, and threads may share it."""
    mint = TokenMint(RING)
    tokens = [mint.mint(TokenKind.ACCESS, "0123abcd", n, 0, SECRET) for n in range(MOST_READ + 500)]

    def read(step: int) -> None:
        for number in range(0, len(tokens), step):
            assert mint.read(tokens[number]).number == number

    threads = [threading.Thread(target=read, args=(step,)) for step in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mint._read) <= MOST_READ + len(threads)
    read(1)
    assert all(is_read(token, mint) for token in tokens[:5] * 2)
    changed = tokens[0][:-1] + ("0" if tokens[0][-1] != "0" else "1")
    assert not is_read(changed, mint)
    retired = TokenMint(KeyRing((key("89abcdef"), key("0123abcd", KeyState.RETIRED))))
    assert not is_read(tokens[0], retired)


@given(st.sampled_from(SIGNED), st.sampled_from(["0123abcd", "89abcdef"]), numbers, generations, session_secrets)
def test_what_was_minted_is_read(kind: TokenKind, key_id: str, number: int, generation: int, secret: bytes):
    """The claims come back exactly, from a signing and from a verifying key."""
    token = MINT.mint(kind, key_id, number, generation, secret)
    assert MINT.read(token) == Claims(kind, key_id, number, generation, secret)
    assert TokenMint(RING).mint(kind, key_id, number, generation, secret) == token
    assert len(token) == 129 < LONGEST_TOKEN


@given(st.sampled_from(SIGNED), numbers, generations, session_secrets)
def test_a_token_can_be_clicked_and_pasted(kind: TokenKind, number: int, generation: int, secret: bytes):
    """A double click takes all of it, no shell changes it, and it begins with its kind."""
    token = MINT.mint(kind, "0123abcd", number, generation, secret)
    assert re.fullmatch(r"(acat|acrt)_[0-9a-f]{124}", token)
    assert shlex.quote(token) == token
    assert token.startswith({"access": "acat_", "refresh": "acrt_"}[kind.name.lower()])
    assert looks_like_token(token)


@pytest.mark.parametrize("text", ["", "acat", "ACAT_00", " acat_00", "abcdefgh", "xacat_00"])
def test_other_texts_do_not_look_like_tokens(text: str):
    """An id or any other text is not taken for a token."""
    assert not looks_like_token(text)


def test_every_single_character_counts():
    """Replaced, removed or inserted at any place, by digits, capitals, blanks or look-alikes: unknown."""
    assert is_read(TOKEN)
    edited = {TOKEN[:at] + TOKEN[at + 1 :] for at in range(len(TOKEN))}
    for at, sign in product(range(len(TOKEN) + 1), EDITS):
        edited.add(TOKEN[:at] + sign + TOKEN[at:])
        edited.add(TOKEN[:at] + sign + TOKEN[at + 1 :])
    edited.discard(TOKEN)
    assert len(edited) > 10_000
    assert [token for token in edited if is_read(token)] == []


def test_two_characters_exchanged_are_another_token():
    """Any two different characters swapped: unknown."""
    for at, other in product(range(len(TOKEN)), repeat=2):
        if at < other and TOKEN[at] != TOKEN[other]:
            swapped = TOKEN[:at] + TOKEN[other] + TOKEN[at + 1 : other] + TOKEN[at] + TOKEN[other + 1 :]
            assert not is_read(swapped)


def test_mutations_are_refused():
    """Parts flipped, cut, doubled, moved, exchanged with another good token's: none is read, nothing else is raised."""
    chance = random.Random(20_260_302)
    other = MINT.mint(TokenKind.ACCESS, "0123abcd", 8, 1, SECRET[::-1])
    accepted = []
    for _ in range(MUTATIONS):
        token = TOKEN
        for _ in range(chance.randint(1, 3)):
            at, until = sorted(chance.randrange(len(token) + 1) for _ in range(2))
            part = token[at:until]
            sign = chance.choice([chance.choice("0123456789abcdef"), chr(chance.randrange(0x110000))])
            token = chance.choice(
                [
                    token[:at] + sign + token[at + 1 :],
                    token[:at] + token[until:],
                    token[:until] + part + token[until:],
                    token[:at] + part[::-1] + token[until:],
                    token[:at] + other[at:until] + token[until:],
                    token[:at] + part.upper() + token[until:],
                    token[at:] + token[:at],
                    TOKEN,
                ]
            )
        if token not in (TOKEN, other) and is_read(token):
            accepted.append(token)
    assert accepted == []


@pytest.mark.parametrize(
    "thing",
    [
        None,
        0,
        7.5,
        True,
        [],
        {},
        object(),
        TOKEN.encode(),
        bytearray(TOKEN.encode()),
        [TOKEN],
        (TOKEN,),
        "",
        " ",
        "\0",
        "acat_",
        "acat_" + "0" * 124,
        "acrt_" + "f" * 124,
        "a" * 129,
        "\ud800" * 129,
        "\uff10" * 129,
        TOKEN * 2,
        TOKEN + "\n",
        " " + TOKEN,
        f'"{TOKEN}"',
        f"Bearer {TOKEN}",
        TOKEN.upper(),
        TOKEN.replace("acat", "ACAT"),
        TOKEN[:5] + TOKEN[5:].upper(),
        "acat_" + TOKEN,
        "a" * 10_000_000,
        TOKEN * 100_000,
    ],
    ids=lambda thing: ascii(thing)[:20],
)
def test_what_is_no_token_at_all(thing: object):
    """Other types, the empty, the huge and other spellings: unknown, like a forged one."""
    assert not is_read(thing)


@given(st.one_of(st.text(), st.binary(), st.from_regex(r"\A(acat|acrt)_(0123abcd|deadbeef)[0-9a-f]{116}\Z")))
def test_random_input_is_unknown(thing: object):
    """Of the right shape or of none."""
    assert not is_read(thing)


def test_every_kind_is_signed_for_itself():
    """An access token made into a refresh token by its prefix, or the reverse, is unknown."""
    for made, claimed in product(SIGNED, TokenKind):
        token = MINT.mint(made, "0123abcd", 7, 1, SECRET)
        relabelled = claimed.value + token[4:]
        assert is_read(relabelled) == (made is claimed)
        if made is claimed:
            assert MINT.read(relabelled).kind is made


def test_only_keys_in_force_are_believed():
    """Signed by a retired key, by one of another ring, or in the name of another key: unknown."""
    stranger = KeyRing((key("77777777"),))
    impostor = KeyRing((key("0123abcd", secret=secrets.token_bytes(KEY_BYTES)),))
    before = KeyRing((key("deadbeef"), key("0123abcd", KeyState.VERIFYING)))
    retired = TokenMint(before).mint(TokenKind.ACCESS, "deadbeef", 7, 1, SECRET)
    assert is_read(retired, TokenMint(before))
    assert not is_read(retired)
    assert not is_read(TokenMint(stranger).mint(TokenKind.ACCESS, "77777777", 7, 1, SECRET))
    assert not is_read(TokenMint(impostor).mint(TokenKind.ACCESS, "0123abcd", 7, 1, SECRET))
    assert not is_read(TOKEN[:5] + "89abcdef" + TOKEN[13:])
    for key_id in ("deadbeef", "77777777"):
        with pytest.raises(TokenUnknown):
            MINT.mint(TokenKind.ACCESS, key_id, 7, 1, SECRET)


def test_rotation_keeps_what_the_old_key_signed_until_it_is_retired():
    """A key that only verifies still opens its tokens; retired, none of them."""
    for state, good in ((KeyState.SIGNING, True), (KeyState.VERIFYING, True), (KeyState.RETIRED, False)):
        others = () if state is KeyState.SIGNING else (key("77777777"),)
        assert is_read(TOKEN, TokenMint(KeyRing((key("0123abcd", state), *others)))) is good


@pytest.mark.parametrize("length", [KEY_BYTES, 48, 64, 100])
def test_every_byte_of_a_key_counts(length: int):
    """One bit changed in any byte of the key, or a byte more or less, and its old tokens are unknown."""
    whole = random.Random(length).randbytes(length)
    token = TokenMint(KeyRing((key("0123abcd", secret=whole),))).mint(TokenKind.ACCESS, "0123abcd", 7, 1, SECRET)
    changed = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(length)]
    for other in (*changed, whole[:-1], whole[1:], whole + b"x", whole[::-1]):
        assert not is_read(token, TokenMint(KeyRing((key("0123abcd", secret=other),))))
    assert is_read(token, TokenMint(KeyRing((key("0123abcd", secret=whole),))))


PROFILES = """\
version: 1
default_profile: single
profiles:
  single: {}
  pair: {tokens: pair}
  asked: {tokens: requested}
  sealed: {tokens: requested, sealed: true}
  address: {bind: address}
  referrer: {bind: referrer}
"""
FACTS = {"ip": "10.1.2.3", "referrer": "https://gis.example.org"}
ACCESS_KIND = {"sealed": TokenKind.SEALED}


def test_no_kind_stands_in_for_another_under_any_profile(install: Install, home: Path):
    """The whole matrix: of every kind that a holder of the key ring can make for a session, with the session's own secret,
    verify takes its access kind alone and refresh a pair's refresh kind alone; every other pairing is unknown."""
    registry = install(PROFILES)
    mint = TokenMint(key_ring.load(home / "keys.json"))
    key_id = mint.ring.signing.id
    taken = []
    for profile, kind in product(registry.profiles.in_force().profiles, TokenKind):
        session = registry.issue(username="alice", application="Outlook", profile=profile, **FACTS).session
        secret = secrets.token_bytes(SECRET_BYTES)
        hashed = (sha256(secret).digest(), session.number)
        places.ask(home, "UPDATE sessions SET secret_hash = ? WHERE number = ?", hashed)
        if kind is TokenKind.SEALED:
            content = Sealed(session.number, session.id, secret.hex(), "alice", "Outlook", 0, 2**60, None, None)
            token = mint.seal(key_id, content)
        else:
            token = mint.mint(kind, key_id, session.number, 0, secret)
        for operation in (registry.verify, registry.refresh):
            try:
                operation(token, **FACTS)
            except TokenUnknown:
                continue
            taken.append((profile, kind, operation.__name__))
    owed = [(p, ACCESS_KIND.get(p, TokenKind.ACCESS), "verify") for p in registry.profiles.in_force().profiles]
    owed.append(("pair", TokenKind.REFRESH, "refresh"))
    assert sorted(taken) == sorted(owed)


def test_a_signature_is_good_for_its_own_kind_alone():
    """A readable beginning exchanged for another, with or without the key that is derived for that: never read."""
    for kind, other in product(SIGNED, SIGNED):
        token = MINT.mint(kind, "0123abcd", 7, 1, SECRET)
        moved = f"{other}{token[4:]}"
        assert is_read(moved) == (kind is other)


def test_a_token_says_nothing_about_its_user(registry: Registry):
    """Neither name nor application nor session id stands in it."""
    issued = registry.issue(username="alice", application="Outlook", device="AL-PC")
    for text in ("alice", "Outlook", "AL-PC", issued.session.id):
        assert text not in issued.access_token
        assert text.encode().hex() not in issued.access_token


def test_the_key_ring_alone_opens_no_session(registry: Registry, home: Path):
    """Who holds the keys can sign any claims, but not guess the session's own secret."""
    issued = registry.issue(username="alice", application="Outlook")
    mint = TokenMint(key_ring.load(home / "keys.json"))
    true = mint.read(issued.access_token)
    guesses = [bytes(16), secrets.token_bytes(16), sha256(true.secret).digest()[:16], true.secret[::-1]]
    forged = [mint.mint(true.kind, true.key_id, true.number, true.generation, guess) for guess in guesses]
    forged += [
        mint.mint(true.kind, true.key_id, true.number + 1, true.generation, true.secret),
        mint.mint(true.kind, true.key_id, true.number, true.generation + 1, true.secret),
        mint.mint(true.kind, true.key_id, true.number, 2**32 - 1, true.secret),
        mint.mint(true.kind, true.key_id, 0, true.generation, true.secret),
        mint.mint(true.kind, true.key_id, 2**48 - 1, true.generation, true.secret),
        mint.mint(TokenKind.REFRESH, true.key_id, true.number, true.generation, true.secret),
    ]
    for token in forged:
        assert is_read(token, mint)
        with pytest.raises(TokenUnknown):
            registry.verify(token)
    assert registry.verify(issued.access_token).id == issued.session.id


@pytest.mark.in_a_file
def test_the_database_alone_mints_no_token(registry: Registry, home: Path):
    """Neither a token, nor a session's secret, nor a key is in any file of the database."""
    issued = [registry.issue(username=f"user{number}", application="Outlook") for number in range(20)]
    registry.verify(issued[0].access_token)
    registry.revoke(SessionFilter(username="user1"), note="lost device", actor="bob")
    ring = key_ring.load(home / "keys.json")
    hidden = [ring.signing.secret]
    for one in issued:
        hidden += [TokenMint(ring).read(one.access_token).secret, bytes.fromhex(one.access_token[-64:])]
    for stage in ("open", "closed"):
        if stage == "closed":
            registry.close()
        files = [path for path in home.iterdir() if path.name != "keys.json"]
        assert home / "registry.db" in files
        assert stage == "closed" or home / "registry.db-wal" in files
        for path in files:
            raw = path.read_bytes()
            for secret in hidden:
                assert secret not in raw
                assert secret.hex().encode() not in raw.lower()
            assert b"acat_" not in raw


def test_a_token_of_another_installation_is_unknown(install: Install):
    """Two registries share nothing, even for the same user and the same number."""
    here, there = install(), install(folder="elsewhere")
    tokens = [one.issue(username="alice", application="Outlook").access_token for one in (here, there)]
    with pytest.raises(TokenUnknown):
        here.verify(tokens[1])
    with pytest.raises(TokenUnknown):
        there.verify(tokens[0])


def test_why_a_token_is_unknown_is_not_said(registry: Registry, home: Path):
    """Malformed, forged, relabelled or of no session: one answer, with exit code 5."""
    issued = registry.issue(username="alice", application="Outlook")
    mint = TokenMint(key_ring.load(home / "keys.json"))
    true = mint.read(issued.access_token)
    wrong = [
        "",
        "nonsense",
        issued.access_token[:-1] + ("0" if issued.access_token[-1] != "0" else "1"),
        mint.mint(true.kind, true.key_id, true.number, true.generation, bytes(16)),
        mint.mint(true.kind, true.key_id, 10**6, true.generation, true.secret),
        mint.mint(TokenKind.REFRESH, true.key_id, true.number, true.generation, true.secret),
    ]
    said = set()
    for token in wrong:
        with pytest.raises(TokenInvalid) as refused:
            registry.verify(token)
        said.add((type(refused.value), refused.value.message, exit_code_of(refused.type)))
    assert said == {(TokenUnknown, TokenUnknown().message, 5)}
