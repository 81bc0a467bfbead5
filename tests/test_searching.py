"""The search index against the plain question of whether a text is there, through everything that changes the texts."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authctl import Registry, SessionFilter, names
from authctl.store import create_store, open_store
from authctl.store.nouns import reader
from authctl.store.protocol import Store
from authctl.store.protocol.imports import Imported
from authctl.store.sqlite import cleanup, search_index
from authctl.store.sqlite import reader as sqlite_reader
from tests.conftest import Authctl
from tests.stores import DEFAULTS
from tests.test_store_contract import NOW, add, new, revoke

WORDS = [
    "Outlook",
    "OUTBACK",
    "straße",
    "ﬁrewall",
    "東京タワー",
    "Ünïcode",
    "100%_off",
    'say "hi" OR 1',
    "a-b*c^d",
    "NEAR(x y)",
    "ab",
    "\U0001f600\U0001f601\U0001f602",
]
TEXTS = st.one_of(
    st.sampled_from(WORDS), st.text(st.sampled_from("abAB1%_\"'*東京ßİ\u0301 -"), min_size=1, max_size=12)
)
SEARCHES = st.one_of(
    TEXTS, st.sampled_from(["out", "utl", "tok", "東京", "京タワ", "%_o", '" o', "｜", "strasse", "e\u0301", "k｜o"])
)


ALICE = {"application": "Outlook", "device": None, "platform": None, "ip": None}


def meets(row: dict[str, str | None], note: str | None, search: str) -> bool:
    """Whether one of the texts has the folded search."""
    said = [names.fold(text) for name in ("username", "application", "device", "platform") if (text := row[name])]
    said += ["".join(c.lower() if c.isascii() else c for c in row["ip"] or ""), names.fold(note or "")]
    return any(names.fold(search) in text for text in said)


@st.composite
def histories(draw) -> list[tuple]:
    """What happens to sessions, in order."""
    details = st.fixed_dictionaries({name: st.none() | TEXTS for name in ("application", "device", "platform", "ip")})
    operations = [
        st.tuples(st.just("issue"), details),
        st.tuples(st.just("import"), st.lists(details, min_size=1, max_size=4)),
        st.tuples(st.just("update"), st.integers(0, 30), details),
        st.tuples(st.just("revoke"), st.integers(0, 30), TEXTS),
        st.tuples(st.just("revoke all"), TEXTS),
        st.tuples(st.just("clean up"), st.integers(0, 30)),
        st.tuples(st.just("extend search index")),
        st.tuples(st.sampled_from(["begin removal", "end removal"])),
    ]
    return draw(st.lists(st.one_of(operations), min_size=3, max_size=25))


class Model:
    """What every session says, and the note that covers it, beside the store that is under test."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows: dict[str, dict] = {}
        self.notes: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        self.imported: set[str] = set()

    def nth(self, index: int) -> str | None:
        """One of the sessions."""
        return sorted(self.rows)[index % len(self.rows)] if self.rows else None

    def do(self, kind: str, *given) -> None:
        """Do an operation to the store and to the model."""
        getattr(self, kind.replace(" ", "_"))(*given)

    def issue(self, details: dict) -> None:
        """A session signs in."""
        (session,) = add(self.store, new("alice", **details))
        self.keep(session.id, session.number, details)

    def keep(self, session_id: str, number: int, details: dict) -> None:
        """Know what a session says."""
        self.rows[session_id] = {"username": "alice", **details}
        self.numbers[session_id] = number

    def import_(self, rows: list[dict]) -> None:
        """Sessions come from an export."""
        planned = [new("alice", **details) for details in rows]
        with self.store.change() as tx:
            tx.add_imported([Imported(one.id.encode(), one, {}, None) for one in planned])
            for one, details in zip(planned, rows, strict=True):
                found = tx.session(one.id, NOW)
                assert found
                self.keep(one.id, found.number, details)
                self.imported.add(one.id)

    def update(self, index: int, details: dict) -> None:
        """An imported session is known better."""
        chosen = self.nth(index)
        if chosen in self.imported:
            with self.store.change() as tx:
                known = Imported(chosen.encode(), new("alice", id=chosen, **details), {}, None)
                tx.update_imported([(self.numbers[chosen], known)])
            self.keep(chosen, self.numbers[chosen], details)

    def revoke(self, index: int, note: str) -> None:
        """A session is revoked with a note."""
        chosen = self.nth(index)
        if chosen and chosen not in self.notes:
            revoke(self.store, note=note, ids=(chosen,))
            self.notes[chosen] = note

    def revoke_all(self, note: str) -> None:
        """Everything is revoked."""
        with self.store.change() as tx:
            tx.close_open_revocation(NOW, "bob", note, "{}")
        self.notes = dict.fromkeys(self.rows, note) | self.notes

    def clean_up(self, limit: int) -> None:
        """Some of what is over is removed."""
        with self.store.change() as tx:
            tx.remove_ended(NOW + 1, limit)
            tx.remove_unnamed_revocations(10)
        with self.store.view() as view:
            left = {one for one in self.rows if view.session(one, NOW)}
        self.rows = {one: row for one, row in self.rows.items() if one in left}
        self.notes = {one: note for one, note in self.notes.items() if one in left}

    def extend_search_index(self) -> None:
        """The index is brought up."""
        with self.store.change() as tx:
            tx.extend_search_index()

    def begin_removal(self) -> None:
        """A cleanup of many begins: the index is begun anew."""
        with self.store.change() as tx:
            tx.begin_removal(1_000_000)

    def end_removal(self) -> None:
        """A cleanup ends, or an earlier one does that was thought to be killed."""
        with self.store.change() as tx:
            tx.end_removal()


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "few"), [(1, 10_000), (3, 10_000), (256, 10_000), (2, 1)])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.lists(SEARCHES, min_size=1, max_size=5))
@example([("issue", ALICE), ("issue", ALICE), ("revoke", 0, "stolen"), ("revoke all", "breach drill")], ["breach"])
@example([("issue", ALICE), ("extend search index",), ("begin removal",), ("issue", ALICE)], ["laptop"])
@example(
    [("issue", ALICE), ("extend search index",), ("begin removal",), ("begin removal",), ("clean up", 1)], ["laptop"]
)
@example(
    [("import", [ALICE, ALICE]), ("extend search index",), ("update", 0, {**ALICE, "device": "new laptop"})], ["laptop"]
)
def test_a_search_finds_what_has_the_text_whatever_happened(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    few: int,
    history: list,
    searches: list[str],
):
    """However far the index lags behind, and however many meet it: the sessions whose text or note has the search, and no other."""
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_reader, "SEARCH_BATCH", batch)
        patched.setattr(reader, "MOST_SORTED", few)
        path = tmp_path_factory.mktemp("search") / "registry.db"
        with create_store(path, "0" * 16, DEFAULTS):
            pass
        store = open_store(path)
        model = Model(store)
        for kind, *given_ in history:
            model.do("import_" if kind == "import" else kind, *given_)
        with store.view() as view:
            for search in filter(names.fold, searches):
                owed = {one for one, row in model.rows.items() if meets(row, model.notes.get(one), search)}
                selection = SessionFilter(search=search)
                assert {one.id for one in view.page(selection, NOW, 100).sessions} == owed
                assert view.count(selection, NOW) == len(owed)
        store.close()


@pytest.mark.in_a_file
def test_an_older_registry_is_searched_before_it_is_indexed(
    registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch
):
    """What the index lacks is read as it stands, little or much of it, and the next cleanup brings it in."""
    for number in range(20):
        registry.issue(username=f"user{number}", application="Outlook", device=f"laptop {number:02}")
    selection = SessionFilter(search="LAPTOP 07")
    assert [one.username for one in registry.sessions(selection)] == ["user7"]
    monkeypatch.setattr(search_index, "_MOST_ADDED", 5)
    assert [one.username for one in registry.sessions(selection)] == ["user7"]
    registry.cleanup.run()
    with registry._installation.store.view() as view:
        assert view.one_row("SELECT sessions FROM search_index") == (20,)
    assert [one.username for one in registry.sessions(selection)] == ["user7"]


MERGING = "SELECT k, v FROM sessions_found_config WHERE k LIKE '%merge' ORDER BY k"


@pytest.mark.in_a_file
@pytest.mark.parametrize(("few", "due", "is_anew"), [(2, 3, False), (2, 4, True), (4, 4, False), (3, 4, True)])
def test_the_index_is_made_anew_where_many_sessions_go(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, few: int, due: int, is_anew: bool
):
    """Where more go than a few, and more than half of those that stay; merging is put off meanwhile, and then as before."""
    monkeypatch.setattr(cleanup, "_FEW", few)
    with registry._installation.store.change() as tx:
        for number in range(9):
            tx.add_session(new(f"user{number}"))
        tx.extend_search_index()
        tx.begin_removal(due)
        assert tx.one_row("SELECT sessions FROM search_index") == (0 if is_anew else 9,)
        assert tx.all_rows(MERGING) == ([("automerge", 32), ("crisismerge", 128)] if is_anew else [])
        tx.end_removal()
        assert dict(tx.all_rows(MERGING))["automerge"] == 4
        assert tx.one_number("PRAGMA cache_size") == -2_000


@pytest.mark.in_a_file
def test_a_search_goes_by_the_index(registry: Registry, home: Path):
    """No table is scanned for a text of three characters and more that few sessions have."""
    for number in range(300):
        registry.issue(username=f"user{number}", application="Outlook", device=f"laptop {number:03}")
    traced: list[str] = []
    with registry._installation.store.view() as view:
        view.connection.set_trace_callback(traced.append)
        assert view.count(SessionFilter(search="laptop 123"), NOW) == 1
        view.connection.set_trace_callback(None)
        plans = [
            row[3]
            for sql in traced
            if sql.startswith(("SELECT", "\n"))
            for row in view.connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    scans = [step for step in plans if step.startswith("SCAN")]
    assert scans
    small = {
        "f",
        "json_each",
        "listed",
        "(subquery-1)",
        "search_index",
        "sessions_found",
        "notes_found",
        "main.sessions_found_config",
        "main.notes_found_config",
        "continuity",
        "clock",
        "registry",
    }
    assert {step.split()[1] for step in scans} <= small
    assert any(step.startswith("SCAN f VIRTUAL TABLE") for step in scans)


@pytest.mark.in_a_file
def test_the_index_is_written_in_the_order_of_numbers(registry: Registry):
    """Sessions do not end in the order they began in; FTS5 writes out what it has gathered whenever numbers go back."""
    for number in range(256):
        registry.issue(username=f"user{number}", application="Outlook")
    shuffled = [number * 99 % 257 for number in range(1, 257)]
    with registry._installation.store.change() as tx:
        for operation in (search_index.remove_sessions, search_index.add_sessions):
            before = tx.connection.total_changes
            operation(tx.connection, shuffled)
            assert tx.connection.total_changes - before < 2 * len(shuffled)


@pytest.mark.in_a_file
@pytest.mark.parametrize("after", [False, True])
def test_a_list_of_what_many_have_is_walked_at_once(registry: Registry, monkeypatch: pytest.MonkeyPatch, after: bool):
    """Where the index knows that many have a text, no table is read to count them; the page is the newest of them all the same."""
    for number in range(300):
        registry.issue(username=f"user{number}", application="Outlook", device=f"laptop {number:03}")
    monkeypatch.setattr(reader, "MOST_SORTED", 10)
    selection = SessionFilter(search="laptop 0", kind="application")
    every = [one.id for one in registry.sessions(selection)]
    assert len(every) == 100
    traced: list[str] = []
    tenth = registry.session(every[9])
    with registry._installation.store.view() as view:
        place = view.cursor_of_session(selection, tenth) if after else None
        view.connection.set_trace_callback(traced.append)
        found = view.page(selection, NOW, 5, place).sessions
        view.connection.set_trace_callback(None)
    assert [one.id for one in found] == (every[10:15] if after else every[:5])
    assert traced
    assert not [sql for sql in traced if "sessions AS s NOT INDEXED" in sql]


@pytest.mark.parametrize("text", ["laptop", "lap", "la", "LAPTOP 1", "1"])
def test_search_combines_with_every_other_criterion(installed: Authctl, text: str):
    """A search narrows what the other filters leave, in list, count and groups alike."""
    for number in range(6):
        user = ("alice", "bob")[number % 2]
        installed("tokens", "issue", "-q", "--user", user, "--application", "A", "--device", f"Laptop 1{number}")
    installed("revoke", "--user", "bob", "--note", "lost device")
    for filters, owed in ((("--user", "bob"), 3), (("--status", "active"), 3), (("--status", "revoked"), 3), ((), 6)):
        assert len(installed("sessions", "list", "--search", text, *filters, "-o", "id").out.split()) == owed
        assert installed("sessions", "list", "--search", text, *filters, "--count").out == f"{owed}\n"
    groups = installed("sessions", "list", "--search", text, "--group-by", "user", "-o", "json").json
    assert {one["group"]: one["total"] for one in groups} == {"alice": 3, "bob": 3}
