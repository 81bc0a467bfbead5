"""The SQL that databases share: in another dialect than SQLite's it contains no word of SQLite."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from authctl import SessionFilter, Status
from authctl.model import ContinuityEvent, Sort, SortField, Wipe
from authctl.store.postgres.dialect import PostgresDialect
from authctl.store.protocol.cursors import Cursor
from authctl.store.sql import pages, rows, statistics
from authctl.store.sql.continuity import Continuity
from authctl.store.sql.counts import EVERY_KIND, counts
from authctl.store.sql.deadlines import new_deadlines
from authctl.store.sql.filters import has_status
from authctl.store.sql.selections import select
from authctl.store.sql.tables import tables
from authctl.store.sqlite.dialect import SQLITE

NOW = 1_800_000_000_000_000
WORDS_OF_SQLITE = re.compile(
    r"indexed by|not indexed|cross join|json_|instr\(|iif\(|(?<!greatest )(?<!least )\bm(?:ax|in)\([^()]*,|glob|rowid|match|total\(|limit -1",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Plain(PostgresDialect):
    """A tiny dialect of a database without hints, with arrays, and with functions of its own: see `Dialect`."""

    no_limit: int | None = None

    def table(self, name: str, alias: str = "", index: str = "") -> str:
        """A table; this database takes no hints."""
        return f"{name} AS {alias}" if alias else name

    def whole_table(self, name: str, alias: str = "") -> str:
        """The same."""
        return self.table(name, alias)

    def join_in_order(self, first: str, second: str, condition: str) -> str:
        """A join whose order the database chooses."""
        return f"{first} JOIN {second} ON {condition}"

    def list_rows(self, parameter: str, alias: str, kind: str) -> str:
        """An array as rows."""
        return f"unnest(:{parameter}) WITH ORDINALITY AS {alias} (value, id)"

    def is_listed(self, column: str, parameter: str) -> str:
        """A comparison with an array."""
        return f"{column} = ANY (:{parameter})"

    def list_of(self, values: Iterable[str | int]) -> list[str | int]:
        """An array."""
        return list(values)

    def contains(self, text: str, parameter: str) -> str:
        """Where a text begins in another."""
        return f"strpos({text}, :{parameter}) > 0"

    def greatest(self, *values: str) -> str:
        """The greatest value."""
        return f"GREATEST({', '.join(values)})"

    def least(self, *values: str) -> str:
        """The least value."""
        return f"LEAST({', '.join(values)})"

    def sorted_by(self, column: str, *, descending: bool) -> str:
        """Where NULL comes has to be said."""
        return f"{column} DESC NULLS LAST" if descending else f"{column} ASC NULLS FIRST"


EVENTS = [
    ContinuityEvent(1, "default", NOW - 900, NOW - 500, "ann", "outage", "ann", "over"),
    ContinuityEvent(2, "default", NOW - 100, NOW + 100, "ann", "outage", None, None),
]
STATUSES = [(), ("active",), ("expired",), ("revoked",), ("active", "expired"), ("active", "revoked")]
CRITERIA = [
    {},
    {"username": "alice"},
    {"username": ("alice", "bob"), "kind": "web"},
    {"ids": ("abcdefgh23456789",), "except_ids": ("23456789abcdefgh",)},
    {"application": ("Outlook", "Teams"), "device": "AL-PC", "platform": "iOS", "profile": "default"},
    {"search": "alice", "created_since": 1, "created_before": 2, "used_since": 3, "unused_since": 4},
    {"expires_before": 5, "key_id": "01234567", "kind": "application"},
    *({"wipe": wipe} for wipe in Wipe),
]
CURSORS = {"active": (1, 2), "expired": (1, 1, 2), "revoked": (1, 1, 1, 2)}


def selections(dialect) -> Iterator[tuple]:
    """Selections of every kind, with and without continuity events and numbers of the search index."""
    for events, statuses, criteria, numbers in product([[], EVENTS], STATUSES, CRITERIA, [None, [1, 2]]):
        if "wipe" in criteria and statuses != ("revoked",):
            continue
        continuity = Continuity(dialect, events)
        yield (
            statuses,
            select(SessionFilter(status=statuses, **criteria), NOW, continuity, lambda: ["default"], numbers),
        )


def texts(dialect) -> Iterator[str]:
    """Every text that a store makes of the shared SQL."""
    columns = rows.session_columns()
    for statuses, chosen in selections(dialect):
        cursor = Cursor(CURSORS[statuses[0]] if len(statuses) == 1 else (1, 2))
        for part, kind, after in product(chosen.parts, chosen.kinds, (None, cursor)):
            for conditions in pages.ranges(chosen, part, after):
                yield pages.page(chosen, columns, part, [*pages.of_kind(kind), *conditions])
            if chosen.needs_filtering:
                yield pages.short_walk(chosen, columns, kind, after)
        yield pages.some_numbers(chosen)
        yield f"SELECT count(*) FROM {chosen.count_source()} WHERE {chosen.where_in_all_parts}{chosen.of_every_kind}"
        for sort, after in product(
            (Sort(SortField.REVOKED_AT, True), Sort(SortField.USERNAME, False)), (None, (None, 1), (1, 1))
        ):
            yield pages.sorted_numbers(chosen, sort, None, after and Cursor(after))[0]
    for field in SortField:
        yield pages.key_of_number(Sort(field, False), dialect)
    for text in vars(counts(dialect)).values():
        yield text.format(kinds=EVERY_KIND)
    new = new_deadlines(dialect)
    yield new.counts
    entrance = tables(dialect).by_deadline
    yield (
        f"SELECT {new.expires_at}, {new.idle}, {new.absolute}, {new.access}, {new.use_due} FROM {entrance} WHERE {new.active}"
    )
    for events in ([], EVENTS):
        continuity = Continuity(dialect, events)
        yield statistics.active_groups(continuity, NOW)
        yield statistics.sign_ins_by_day(continuity)
        yield statistics.ends_by_day(continuity, NOW)
        yield statistics.revocations_by_day(continuity)
    for events, status in product([[], EVENTS], Status):
        continuity = Continuity(dialect, events)
        ends = rows.session_columns(continuity.end("s.expires_at"), continuity.end("s.access_expires_at"))
        yield (
            f"SELECT {ends} FROM {entrance} JOIN revocations AS r ON r.id = s.revocation_id"
            f" WHERE {has_status(status, continuity, NOW)} AND NOT {continuity.ended_later(NOW)}"
        )


def test_the_shared_sql_contains_no_word_of_sqlite():
    """In a dialect without hints and without JSON, no text has a hint, a list as JSON or a function that only SQLite has."""
    every = set(texts(Plain()))
    assert len(every) > 500
    assert {word.group() for text in every for word in WORDS_OF_SQLITE.finditer(text)} == set()


def test_the_words_of_sqlite_come_from_its_dialect():
    """The same texts for SQLite have them: the pattern finds what it looks for."""
    words = {word.group().lower() for text in texts(SQLITE) for word in WORDS_OF_SQLITE.finditer(text)}
    assert {"indexed by", "not indexed", "cross join", "json_", "instr("} <= words
    assert any(word.startswith("min(") for word in words)
    assert any(word.startswith("max(") for word in words)


def test_parameters_can_be_written_in_another_style():
    """Each is `:name`, and nothing else looks like a parameter or an escape: one substitution suits the texts to another driver."""
    every = set(texts(Plain()))
    in_another_style = {re.sub(r":([a-z]\w*)", r"%(\1)s", text) for text in every}
    assert len(in_another_style) == len(every) > 500
    assert {text for text in every if re.search(r"[?%$@]|::", text)} == set()
    assert {text for text in in_another_style if ":" in text} == set()
    assert {text for text in every for quoted in re.findall(r"'([^']*)'", text) if ":" in quoted} == set()


@pytest.mark.in_a_file
def test_sqlite_runs_every_text(registry):
    """Each text is good SQL for the database that is there, with every parameter that it names."""
    with registry._installation.store.view() as view:
        every = set(texts(SQLITE))
        for text in every:
            names = set(re.findall(r"(?<!:):([a-z]\w*)", text))
            lists = {"profiles", "ids", "except_ids", "search_numbers", "username", "application"}
            given = {name: "[]" if name in lists and "json_each(:" + name in text else 1 for name in names}
            view.connection.execute(text, given).fetchall()
    assert len(every) > 500
