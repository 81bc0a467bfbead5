"""The key ring file: private from its first byte, whole or refused, and never guessed at."""

import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from authctl import AuthctlError, IntegrityFailure, Refused, RegistryUnavailable, TokenUnknown, key_ring
from authctl.cli.exit_codes import exit_code_of
from authctl.key_ring import Key, KeyRing, KeyState
from authctl.tokens import TokenKind, TokenMint

NOW = 1_793_525_400_000_000
SECRETS = [bytes(range(n, n + 32)).hex() for n in range(3)]
SECRET = bytes(range(16))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Another file mode creation mask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def entry(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A good entry of a key ring, or one changed for the worse; the first signs, the others verify."""
    state = "verifying" if number else "signing"
    good = {"id": f"0123abc{number}", "state": state, "created_at": "2026-11-01T09:30:00Z", "secret": SECRETS[number]}
    return {**good, **changes}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key ring is."""
    return tmp_path / "keys.json"


def write(path: Path, document: Any) -> Path:
    """Put a key ring there, 0600."""
    path.touch(mode=0o600)
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return path


def write_entries(path: Path, *entries: Any) -> Path:
    """Put a key ring of those entries there."""
    return write(path, {"version": 1, "keys": list(entries)})


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777], ids=oct)
def test_a_key_ring_is_private_whatever_the_umask(path: Path, mask: int):
    """Made with mode 0600, a regular file with one name, and readable by its owner at once."""
    with umask(mask):
        made = key_ring.create(path, NOW)
    found = path.stat()
    assert stat.S_ISREG(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_nlink) == (0o600, 1)
    assert key_ring.load(path) == made


def test_a_new_key_ring_has_one_fresh_key(tmp_path: Path):
    """It signs, has 32 bytes and an id of eight digits, and is never the same twice."""
    rings = [key_ring.create(tmp_path / f"{number}.json", NOW) for number in range(20)]
    for ring in rings:
        (key,) = ring.keys
        assert (key.state, key.created_at, len(key.secret), len(key.id)) == (KeyState.SIGNING, NOW, 32, 8)
        assert ring.signing is key
        assert ring.verifying(key.id) is key
        assert ring.verifying("00000000") is None
    assert len({ring.signing.secret for ring in rings}) == len({ring.signing.id for ring in rings}) == 20


@pytest.mark.parametrize("taken", ["file", "folder", "symlink", "dangling"])
def test_what_is_there_is_never_replaced(path: Path, taken: str):
    """A file, a folder or a link in its place, even one that leads nowhere, is refused and left alone."""
    other = path.with_name("other")
    if taken == "file":
        path.write_text("mine")
    elif taken == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
    if taken == "symlink":
        other.write_text("mine")
    with pytest.raises(Refused, match="file already exists"):
        key_ring.create(path, NOW)
    assert other.exists() == (taken == "symlink")
    assert not path.is_file() or path.read_text() == "mine"


def test_a_secret_is_not_printed(path: Path):
    """Neither a key nor a ring nor what it was read from shows the secret."""
    ring = key_ring.create(path, NOW)
    secret = ring.signing.secret
    for text in (repr(ring), str(ring), repr(ring.signing), f"{ring.signing}"):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700], ids=oct)
def test_a_private_key_ring_is_read(path: Path, mode: int):
    """What only its owner can touch is private enough."""
    made = key_ring.create(path, NOW)
    path.chmod(mode)
    assert key_ring.load(path) == made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o660, 0o666, 0o777, 0o040], ids=oct)
def test_a_key_ring_open_to_others_is_refused(path: Path, mode: int):
    """Any access for group or others is refused, as ssh does, with what mends it."""
    key_ring.create(path, NOW)
    path.chmod(mode)
    with pytest.raises(RegistryUnavailable, match=f"open to others .mode {mode:04o}") as refused:
        key_ring.load(path)
    assert (exit_code_of(refused.type), refused.value.hint) == (6, f"chmod 600 {path}")


def test_a_missing_key_ring_is_refused(path: Path):
    """Nothing there, or a link that leads nowhere: unavailable, and nothing is created."""
    with pytest.raises(RegistryUnavailable, match="there is no key ring"):
        key_ring.load(path)
    assert not path.exists()
    path.symlink_to(path.with_name("nowhere"))
    with pytest.raises(RegistryUnavailable, match="there is no key ring"):
        key_ring.load(path)
    assert not path.with_name("nowhere").exists()


def test_a_key_ring_with_two_names_is_refused(path: Path):
    """A hard link elsewhere may be open to others some day."""
    key_ring.create(path, NOW)
    other = path.with_name("other.json")
    other.hardlink_to(path)
    for name in (path, other):
        with pytest.raises(RegistryUnavailable, match="hard link"):
            key_ring.load(name)
    other.unlink()
    assert key_ring.load(path)


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "link to a device"])
def test_what_is_no_regular_file_is_refused(path: Path, kind: str):
    """A folder, a pipe or a device is refused at once, without waiting for anyone to write to it."""
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(RegistryUnavailable, match="not a regular file"):
        key_ring.load(path)


def test_a_symbolic_link_is_as_good_as_what_it_leads_to(path: Path):
    """The file itself is judged, not the link."""
    target = path.with_name("elsewhere.json")
    made = key_ring.create(target, NOW)
    path.symlink_to(target)
    assert key_ring.load(path) == made
    target.chmod(0o644)
    with pytest.raises(RegistryUnavailable, match="open to others"):
        key_ring.load(path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(RegistryUnavailable, match="cannot read the key ring"):
        key_ring.load(path)


def test_a_ring_of_several_keys_is_read(path: Path):
    """In order, with their states; longer keys are as good."""
    long = entry(2, state="retired", secret=bytes(range(64)).hex())
    assert key_ring.load(write_entries(path, entry(1), entry(0), long)) == KeyRing(
        (
            Key("0123abc1", KeyState.VERIFYING, NOW, bytes.fromhex(SECRETS[1])),
            Key("0123abc0", KeyState.SIGNING, NOW, bytes.fromhex(SECRETS[0])),
            Key("0123abc2", KeyState.RETIRED, NOW, bytes(range(64))),
        )
    )


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" \n",
        b"\0" * 300,
        b"\xff\xfe{}",
        b"{",
        b"[" * 100_000,
        b"null",
        b"1",
        b'"keys"',
        b"[]",
        b"{}",
        {"version": 1},
        {"version": 1, "keys": None},
        {"version": 1, "keys": {}},
        {"version": 1, "keys": []},
        {"version": 1, "keys": [None]},
        {"version": 1, "keys": ["0123abcd"]},
        {"version": 1, "keys": [[]]},
        {"version": 1, "keys": [{}]},
        {"keys": [entry()]},
    ],
    ids=lambda document: ascii(document)[:30],
)
def test_a_damaged_key_ring_is_an_integrity_failure(path: Path, document: Any):
    """Torn, emptied, foreign: exit 7, in a short message that names the file."""
    with pytest.raises(IntegrityFailure, match="damaged") as refused:
        key_ring.load(write(path, document))
    assert exit_code_of(refused.type) == 7
    assert str(path) in refused.value.message
    assert len(refused.value.message) < len(str(path)) + 100


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": ""},
        {"secret": "ab"},
        {"secret": SECRETS[0][:-2]},
        {"secret": SECRETS[0][:-1]},
        {"secret": "00" * 32},
        {"secret": "ff" * 32},
        {"secret": "61" * 64},
        {"secret": "zz" * 32},
        {"secret": "secret"},
        {"secret": None},
        {"secret": 5},
        {"secret": [1] * 32},
        {"id": ""},
        {"id": "0123abc"},
        {"id": "0123abcde"},
        {"id": "zzzzzzzz"},
        {"id": "0123ABCD"},
        {"id": "0x1234ab"},
        {"id": "+1234567"},
        {"id": "0123_456"},
        {"id": " 1234567"},
        {"id": "\uff10123abcd"[:8]},
        {"id": 12_345_678},
        {"id": None},
        {"id": ["0"] * 8},
        {"state": "active"},
        {"state": ""},
        {"state": None},
        {"created_at": "yesterday"},
        {"created_at": 0},
        {"created_at": None},
    ],
    ids=str,
)
def test_a_key_that_is_no_key_is_an_integrity_failure(path: Path, changes: dict[str, Any]):
    """Empty, short, one byte repeated, no hexadecimal, an id that no token could name, an unknown state: exit 7."""
    with pytest.raises(IntegrityFailure, match="damaged") as refused:
        key_ring.load(write_entries(path, entry(1, state="signing"), entry(0, **{"state": "verifying", **changes})))
    assert exit_code_of(refused.type) == 7


@pytest.mark.parametrize("missing", ["id", "state", "created_at", "secret"])
def test_a_key_with_a_part_missing_is_an_integrity_failure(path: Path, missing: str):
    """Nothing is made up for it."""
    torn = entry()
    del torn[missing]
    with pytest.raises(IntegrityFailure, match="damaged"):
        key_ring.load(write_entries(path, torn))


@pytest.mark.parametrize(
    "entries",
    [
        [entry(0), entry(1, state="signing")],
        [entry(0, state="verifying")],
        [entry(0, state="retired"), entry(1)],
        [entry(0), entry(1, id="0123abc0")],
        [entry(0), entry(1), entry(2, id="0123abc1")],
        [entry(0), entry(0)],
    ],
    ids=["two sign", "none signs", "the one that signs is retired", "an id twice", "an id twice later", "a key twice"],
)
def test_one_key_signs_and_ids_are_unique(path: Path, entries: list[dict[str, Any]]):
    """No signing key, two of them, or an id twice: exit 7."""
    with pytest.raises(IntegrityFailure, match="one signing key") as refused:
        key_ring.load(write_entries(path, *entries))
    assert exit_code_of(refused.type) == 7


def test_a_newer_key_ring_is_unavailable(path: Path):
    """Written by a later authctl it is not damaged: exit 6 says to upgrade."""
    with pytest.raises(RegistryUnavailable, match="newer") as refused:
        key_ring.load(write(path, {"version": 3, "keys": [entry()]}))
    assert exit_code_of(refused.type) == 6


def test_every_truncation_is_an_integrity_failure(path: Path):
    """A key ring cut anywhere is damaged, unless only its last line end is gone."""
    key_ring.create(path, NOW)
    raw = path.read_bytes()
    for length in range(len(raw) - 1):
        with pytest.raises(IntegrityFailure):
            key_ring.load(write(path, raw[:length]))
    assert key_ring.load(write(path, raw[:-1]))


def test_every_bit_flip_is_refused_or_harmless(path: Path):
    """Each bit of the file flipped: refused with exit 6 or 7, or a ring that reads what it mints."""
    raw = write_entries(path, entry()).read_bytes()
    forgetful = []
    for position in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << position % 8
        try:
            ring = key_ring.load(write(path, bytes(flipped)))
        except AuthctlError as refused:
            if not isinstance(refused, IntegrityFailure | RegistryUnavailable):
                raise
            continue
        mint = TokenMint(ring)
        token = mint.mint(TokenKind.ACCESS, ring.signing.id, 7, 1, SECRET)
        try:
            mint.read(token)
        except TokenUnknown:
            forgetful.append(ring.signing.id)
    assert forgetful == []


def test_every_byte_of_a_key_counts(path: Path):
    """One byte of the secret changed in the file, and the tokens from before are unknown."""
    ring = key_ring.create(path, NOW)
    secret = ring.signing.secret
    token = TokenMint(ring).mint(TokenKind.ACCESS, ring.signing.id, 7, 1, SECRET)
    document = json.loads(path.read_bytes())
    for at in range(len(secret)):
        changed = secret[:at] + bytes([secret[at] ^ 0x01]) + secret[at + 1 :]
        document["keys"][0]["secret"] = changed.hex()
        mint = TokenMint(key_ring.load(write(path, document)))
        with pytest.raises(TokenUnknown):
            mint.read(token)


def test_a_ring_that_finds_no_room_is_not_there(path: Path):
    """Nothing is left that would keep the next try from making one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            key_ring.create(path, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not path.exists()
    assert key_ring.create(path, NOW)
