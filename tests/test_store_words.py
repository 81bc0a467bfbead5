"""Words of SQLite stand in the SQLite store alone: another database would be a package beside it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = re.compile(
    r"sqlite|\bwal\b|-wal\b|write-ahead|pragma|-shm\b|-journal\b|reserve|vacuum|checkpoint|json_each|\bfts|rowid|indexed by|page_count",
    re.IGNORECASE,
)
IMPORT = re.compile(r"^\s*from authctl\.store\.sqlite\.\w+ import \w+(, \w+)*$")
OWN = ("authctl/store/sqlite/", "authctl/store/postgres/", "authctl/store/portable", "authctl/store/moving.py")
"""The two stores, which are written each in the words of its database, and the modules that know both."""

ALLOWED = {
    "authctl/registry_locations.py": {
        'if scheme.lower() != "sqlite":',
        '_KINDS = "a path to a file, sqlite:///PATH, postgresql://USER@HOST/DATABASE, or service=NAME"',
    },
    "authctl/registry/installation.py": {'self.warn("the disk is full: using the space reserved for revocations")'},
    "authctl/store/__init__.py": {
        "sqlite/     the store in one SQLite file",
        "from authctl.store.portable import write_file  # loads SQLite, which a registry on a server does not need else",
        "return SqliteStore(place, lock_timeout=lock_timeout)",
    },
}
"""The lines with such a word: what a person reads, and the one module that chooses a store."""


def lines() -> dict[str, set[str]]:
    """The lines with a word of SQLite outside its package, by file; imports by the module that chooses a store apart."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "authctl").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(OWN):
            continue
        for line in path.read_text().splitlines():
            if WORDS.search(line) and not (name == "authctl/store/__init__.py" and IMPORT.match(line)):
                found.setdefault(name, set()).add(line.strip())
    return found


def test_no_word_of_sqlite_stands_outside_its_package():
    """Neither in code nor in docstrings, the few lines above apart; a line of the list that is gone is removed from it."""
    assert lines() == ALLOWED


def test_the_words_are_found_in_the_package():
    """The pattern finds what it looks for."""
    text = "".join(path.read_text() for path in (ROOT / "authctl" / "store" / "sqlite").glob("*.py"))
    seen = {word.lower() for word in WORDS.findall(text)} if not WORDS.groups else set()
    assert {"sqlite", "-wal", "pragma", "-shm", "reserve", "json_each", "rowid", "indexed by", "page_count"} <= seen
