"""The staging of an import: rows come back by key, in an order that does not depend on the file, and event ids are known again."""

import os
import random
import resource
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl.errors import RegistryUnavailable
from authctl.store.protocol.imports import StagedKey, StagedRow
from authctl.store.sqlite.staging import SqliteStaging, _encoded

KEYS = [bytes([letter]) * 32 for letter in b"abc"]
TEXTS = st.sampled_from(["x", "X", "", "é", "\n", '"', "\\", "\x7f", "\U0001f600"])
DETAILS = st.dictionaries(
    st.sampled_from(["username", "ip", "device", "expires_at"]), TEXTS | st.integers(-(2**63), 2**63 - 1), max_size=3
)
ROWS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(-2, 2), DETAILS, st.sampled_from([None, b"s" * 32, b"t" * 32])),
    max_size=12,
)


def grouped(rows: list[tuple[bytes, int, dict[str, object], int, bytes | None]]) -> list[StagedKey]:
    """The keys with their rows, in the order that the contract asks for."""
    first: dict[bytes, int] = {}
    for key, at, _, _, without_user in rows:
        first[without_user or key] = min(at, first.get(without_user or key, at))

    def place(row: tuple[bytes, int, dict[str, object], int, bytes | None]) -> tuple[object, ...]:
        key, at, details, line, without_user = row
        shared = without_user or key
        return first[shared], shared, key, at, _encoded((details, at, None, False, None, None)), line

    return [
        StagedKey(key, without_user, [StagedRow(at, details, line) for _, at, details, line, _ in group])
        for (key, without_user), group in groupby(sorted(rows, key=place), key=itemgetter(0, 4))
    ]


@given(ROWS, st.booleans(), st.randoms())
def test_by_key(
    rows: list[tuple[bytes, int, dict[str, object], bytes | None]], is_listing: bool, chance: random.Random
) -> None:
    """Keys come in the order of their oldest rows, the rows of each in the order of time, whatever the order of the file."""
    if is_listing:  # each key has one row
        rows = list({row[3] or row[0]: row for row in rows}.values())
        rows = list({row[0]: row for row in rows}.values())
    else:  # a key names the user: it goes with one key without the user
        rows = [(key, at, details, None if key == KEYS[0] else b"s" * 32) for key, at, details, _ in rows]
    numbered = [(key, at, details, line, without_user) for line, (key, at, details, without_user) in enumerate(rows)]
    staging = SqliteStaging()
    for key, at, details, line, without_user in chance.sample(numbered, len(numbered)):
        staging.add(StagedRow(at, details, line), key, without_user)
    staged = list(staging.by_key())
    assert [one._replace(digest=b"") for one in staged] == grouped(numbered)
    assert staging.keys() == len({row[0] for row in numbered})
    users: dict[bytes, set[bytes]] = {}
    for key, *_, without_user in numbered:
        users.setdefault(without_user or b"", set()).add(key)
    users.pop(b"", None)
    assert staging.keys_of_several_users() == {shared for shared, keys in users.items() if len(keys) > 1}
    staging.close()


def test_number_of_keys_after_more_rows() -> None:
    """The number of keys counts rows that came after it was asked for."""
    staging = SqliteStaging()
    for count, key in enumerate(KEYS, 1):
        staging.add(StagedRow(0, {"username": "x"}, count), key)
        assert staging.keys() == count
    staging.close()


@pytest.mark.parametrize("number", [1, 999, 30_000])
def test_event_ids(number: int) -> None:
    """An event id is known again, and no other is taken for it, whether it waits or was stored."""
    staging = SqliteStaging()
    ids = [f"{one}é" for one in range(number)]
    assert not any(staging.seen(one) for one in ids)
    assert all(staging.seen(one) for one in reversed(ids))
    assert not staging.seen("another")
    staging.close()


def open_files() -> str:
    """The paths of the open files of this process, one a line; that of a file without a name ends with `(deleted)`."""
    paths = []
    for entry in os.scandir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            paths.append(str(Path(entry.path).readlink()))
    return "\n".join(paths)


@pytest.mark.parametrize("named", [("SQLITE_TMPDIR", "TMPDIR"), ("TMPDIR",)])
def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]) -> None:
    """It is in the first folder of those that the environment names that exists, and no process finds it there by name."""
    folders = {name: tmp_path / name for name in named}
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "absent"))
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    staging = SqliteStaging()
    for number in range(2_000):
        staging.add(StagedRow(number, {"username": "x" * 2_000}), number.to_bytes(32, "big"))
    assert staging.keys() == 2_000
    assert [path for folder in folders.values() for path in folder.iterdir()] == []
    own = f"{folders[named[0]]}/authctl-import-"
    assert own in open_files()
    staging.close()
    assert own not in open_files()


def test_a_file_that_cannot_be_made() -> None:
    """The error names the way out."""
    SqliteStaging().close()  # all modules are loaded
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    unused = os.open(os.devnull, os.O_RDONLY)
    os.close(unused)
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused, limits[1]))
    try:
        with pytest.raises(RegistryUnavailable, match="cannot be kept in a temporary file") as raised:
            SqliteStaging()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert raised.value.hint == "where there is room: SQLITE_TMPDIR=DIR authctl sessions import ..."
