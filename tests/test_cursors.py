"""Cursors: what a page says of the next one, and every text that is given in its place."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, NotFound, Registry, SessionFilter, names
from authctl.store.nouns import reader
from tests import places
from tests.conftest import Authctl, Clock, Install, PlaceOf, Start

MORE = re.compile(r"^authctl: more: --after (\S+)$", re.MULTILINE)


def issue(registry: Registry, count: int, clock: Clock) -> list[str]:
    """So many sessions, the last one the newest; their ids."""
    issued = []
    for number in range(count):
        clock.forward(seconds=1)
        issued.append(registry.issue(username=f"user{number}", application="Outlook", device=f"laptop {number:02}"))
    return [one.session.id for one in issued]


def paged(authctl: Authctl, *arguments: str, between=len) -> list[str]:
    """The ids of a walk by the command line, page by page."""
    shown: list[str] = []
    after: tuple[str, ...] = ()
    while True:
        ran = authctl("sessions", "list", *arguments, "-o", "id", *after)
        assert ran.code == 0, ran.err
        shown += ran.out.split()
        found = MORE.search(ran.err)
        if not found:
            return shown
        after = ("--after", found[1])
        between(ran.out.split())


def test_list_a_page_revoke_it_next_page(installed: Authctl):
    """What is revoked page by page is gone from the list, and the next page goes on all the same, to the last session."""
    for number in range(7):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    whole = installed("sessions", "list", "--status", "active", "-o", "id").out.split()
    arguments = ("--status", "active", "--limit", "2", "-q")
    shown = paged(installed, *arguments, between=lambda page: installed("revoke", *page, "--note", "lost laptop"))
    assert shown == whole
    assert installed("sessions", "list", "--status", "active", "-o", "id").out.split() == whole[6:]


@pytest.mark.parametrize(
    "arguments", [(), ("--search", "user"), ("--sort", "username"), ("--sort", "-revoked_at"), ("--kind", "all")]
)
def test_a_quiet_walk_shows_the_list(installed: Authctl, arguments: tuple[str, ...]):
    """Where nothing is done between the pages they are the list, each session once, in its order; the last page says nothing."""
    for number in range(6):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    installed("revoke", "--user", "user3", "--note", "lost laptop")
    whole = installed("sessions", "list", *arguments, "-o", "id")
    assert "more" not in whole.err
    for limit in ("1", "2", "3", "4"):
        assert paged(installed, *arguments, "--limit", limit) == whole.out.split()
    assert "more" not in installed("sessions", "list", *arguments, "--limit", "6").err


def test_the_rest_of_a_list_comes_as_one(registry: Registry, clock: Clock):
    """After a cursor the list streams to its end, each session once, what moved meanwhile last."""
    ids = issue(registry, 5, clock)
    page = registry.lists.page(limit=2)
    assert [one.id for one in page.sessions] == [ids[4], ids[3]]
    registry.end([ids[1]])
    rest = registry.sessions(after=page.next)
    assert [one.id for one in rest] == [ids[2], ids[0], ids[1]]
    assert rest.next is None
    part = registry.sessions(after=page.next, limit=1)
    assert [one.id for one in part] == [ids[2]]
    assert [one.id for one in registry.sessions(after=part.next)] == [ids[0], ids[1]]


def test_a_long_stream_misses_nobody_who_is_imported_anew(registry: Registry, clock: Clock, monkeypatch):
    """A stream is a walk, too: whoever moves up within it by another operation than a use still comes once."""
    from authctl.registry import sessions as listing

    monkeypatch.setattr(listing, "_FIRST_BATCH", 2)
    monkeypatch.setattr(listing, "_BATCH", 2)
    ids = issue(registry, 8, clock)
    streamed = registry.sessions(sort=None)
    first = [next(streamed).id for _ in range(2)]
    with registry._installation.store.change() as tx:
        tx.connection.execute("UPDATE registry SET moves = moves + 1")
        newest = "SELECT max(last_used_at) FROM sessions"
        sql = f"UPDATE sessions SET last_used_at = ({newest}), moved_in = (SELECT moves FROM registry) WHERE id = ?"
        tx.connection.execute(sql, (ids[0],))
    assert sorted(first + [one.id for one in streamed]) == sorted(ids)


def test_a_cursor_of_a_search(registry: Registry, clock: Clock, monkeypatch):
    """A search is made anew for each page; few or many, the pages are the list."""
    issue(registry, 12, clock)
    for few in (10_000, 3):
        monkeypatch.setattr(reader, "MOST_SORTED", few)
        for selection in (SessionFilter(search="laptop"), SessionFilter(search="laptop 0", status="active")):
            whole = [one.id for one in registry.sessions(selection)]
            shown, after = [], None
            while True:
                page = registry.lists.page(selection, after=after, limit=3)
                shown += [one.id for one in page.sessions]
                if (after := page.next) is None:
                    break
            assert len(shown) >= 10
            assert shown == whole


def test_a_cursor_is_a_word_for_any_shell(registry: Registry, clock: Clock):
    """Letters, digits and three signs, no dash first; no session's id could be one, and no name is too long for one."""
    issue(registry, 3, clock)
    longest = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 1_000
    registry.issue(username=longest, application="Outlook")
    seen = []
    for sort in (None, "username", "-username", "application", "-last_used_at"):
        page = registry.lists.page(sort=sort, limit=1)
        assert page.next is not None
        assert re.fullmatch(r"p1\.[A-Za-z0-9_-]+", page.next)
        assert names.id_prefix(page.next) is None
        seen.append(page.next)
        assert len(registry.lists.page(sort=sort, after=page.next, limit=9).sessions) == 3
    assert len(seen[2]) > 18_000


def test_a_cursor_is_of_its_list(registry: Registry, clock: Clock):
    """Another order or another filter is refused; another spelling, an age that has moved on, and another limit are the same list."""
    issue(registry, 4, clock)
    page = registry.lists.page(SessionFilter(application="Outlook", unused_since=registry.now()), limit=2)
    clock.forward(minutes=1)
    same = SessionFilter(application="OUTLOOK", unused_since=registry.now())
    assert len(registry.lists.page(same, after=page.next, limit=9).sessions) == 2
    others = [
        SessionFilter(),
        SessionFilter(application="Outlook"),
        same.narrowed(status="active"),
        same.narrowed(kind="web"),
    ]
    for other in others:
        with pytest.raises(InvalidInput, match="another list"):
            registry.lists.page(other, after=page.next)
    for sort in ("username", "-username"):
        with pytest.raises(InvalidInput, match="another list"):
            registry.lists.page(same, after=page.next, sort=sort)
        with pytest.raises(InvalidInput, match="another list"):
            next(registry.sessions(same, after=page.next, sort=sort))


def test_a_cursor_is_of_its_registry(install: Install, clock: Clock):
    """A cursor of another registry is refused; one of an earlier version, which names no registry, is read."""
    here, there = install(), install(folder="other")
    for registry in (here, there):
        issue(registry, 3, clock)
    cursor = here.lists.page(limit=1).next
    packed = cursor.removeprefix("p1.")
    said = json.loads(urlsafe_b64decode(packed + "=" * (-len(packed) % 4))[4:])
    for text in (cursor, forged([*said[:-1], "0" * 8])):
        with pytest.raises(InvalidInput, match="another registry"):
            there.lists.page(after=text)
        with pytest.raises(InvalidInput, match="another registry"):
            next(there.sessions(after=text))
    for text in (cursor, forged(said[:-1])):
        assert len(here.lists.page(after=text).sessions) == 2
    assert here.lists.page(after=forged(said[:-1]), limit=1).next != cursor
    assert len(there.lists.page(after=forged(said[:-1])).sessions) == 3


def test_a_cursor_of_another_registry_is_wrong_usage(
    installed: Authctl, authctl: Authctl, place_of: PlaceOf, tmp_path: Path
):
    """Exit 2, with one line and a hint; nothing is listed."""
    place_of(tmp_path / "other")
    other = ("--home", str(tmp_path / "other"), *places.named(tmp_path / "other"))
    assert authctl(*other, "init").code == 0
    for number in range(2):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
        authctl(*other, "tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    cursor = MORE.search(installed("sessions", "list", "--limit", "1").err)[1]
    ran = authctl(*other, "sessions", "list", "--after", cursor)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("authctl: error: this cursor belongs to another registry\n")
    assert "begin again without --after" in ran.err


def test_who_was_spared_may_be_removed_between_pages(registry: Registry, clock: Clock):
    """An exception that no session has any more is a typing error on the first page, and none on the next one."""
    ids = issue(registry, 4, clock)
    selection = SessionFilter(except_ids=(ids[3],))
    page = registry.lists.page(selection, limit=1)
    with registry._installation.store.change() as tx:
        tx.connection.execute("DELETE FROM sessions WHERE id = ?", (ids[3],))
    assert [one.id for one in registry.lists.page(selection, after=page.next).sessions] == [ids[1], ids[0]]
    with pytest.raises(NotFound):
        registry.lists.page(selection)


def test_a_wrong_cursor_is_wrong_usage(installed: Authctl):
    """Cut, changed, huge or made up: exit 2 with one line; what could be an id and is none stays exit 3."""
    for number in range(3):
        installed("tokens", "issue", "-q", "--user", f"user{number}", "--application", "A")
    cursor = MORE.search(installed("sessions", "list", "--limit", "1").err)[1]
    wrong = [cursor[:length] for length in range(3, len(cursor))]
    wrong += [
        cursor + "A",
        cursor + "=",
        f"{cursor}\n",
        f" {cursor}",
        cursor.upper(),
        cursor.replace("p1.", "p2."),
        cursor[3:],
    ]
    wrong += ["", "p1.", "p1", "-", "--", "p1.é", "p1.\udc80", "p1." + "A" * 300_000, "p1.@@@@", "a b", "' OR 1 --"]
    for text in wrong:
        ran = installed("sessions", "list", f"--after={text}")
        assert (ran.code, ran.out) == (2, ""), text
        assert ran.err.startswith("authctl: error: "), text
        assert len(ran.err) < 400
    assert installed("sessions", "list", "--after", "zzzzzzzzzzzzzzzz").code == 3
    assert installed("sessions", "list", "--after", cursor, "--count").code == 2
    assert installed("sessions", "list", "--after", cursor).code == 0


def forged(said: object) -> str:
    """A cursor that says that, with the checksum that it needs."""
    raw = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
    return "p1." + urlsafe_b64encode(crc32(raw).to_bytes(4) + raw).decode().rstrip("=")


NUMBERS = (
    st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 0, -1])
)
VALUES = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_forged_cursor_does_no_harm(registry: Registry, clock: Clock, data: st.DataObject):
    """Whatever a cursor of this list says: sessions of the list, or that it is no cursor; never an error of SQL or of ours."""
    if not registry.count():
        issue(registry, 4, clock)
    sort = data.draw(st.sampled_from([None, "username", "-revoked_at", "expires_at"]))
    selection = data.draw(
        st.sampled_from([SessionFilter(), SessionFilter(status="expired"), SessionFilter(status="revoked")])
    )
    page = registry.lists.page(sort=sort, limit=1)
    packed = page.next.removeprefix("p1.")
    said = json.loads(urlsafe_b64decode(packed + "=" * (-len(packed) % 4))[4:])
    if selection.statuses:  # its own name of the list, from a page of it
        from authctl.model import Sort
        from authctl.registry.cursors import _name_of
        from authctl.registry.pages import SessionList

        said[0] = _name_of(SessionList(selection, sort and Sort.parse(sort)))
    for index in data.draw(st.lists(st.integers(1, len(said) - 1), max_size=3)):
        said[index] = data.draw(
            VALUES | st.lists(NUMBERS | st.none() | st.text(max_size=4), max_size=6) | st.just(said[index])
        )
    if data.draw(st.booleans()):
        said = data.draw(VALUES | st.just(said))
    text = forged(said)
    try:
        found = registry.lists.page(selection, sort=sort, after=text, limit=2).sessions
    except InvalidInput:
        return
    assert len(found) <= 2


@pytest.mark.parametrize(
    "raw", ["[" * 100_000, "[" * 20_000 + "]" * 20_000, "1" * 10_000, "NaN", '"\\ud800"', "{}", "null"]
)
def test_a_cursor_of_hostile_json(registry: Registry, raw: str):
    """What JSON's reader chokes on is no cursor."""
    packed = raw.encode()
    text = "p1." + urlsafe_b64encode(crc32(packed).to_bytes(4) + packed).decode().rstrip("=")
    with pytest.raises(InvalidInput, match="not a cursor"):
        registry.lists.page(after=text)


def test_pages_while_another_process_uses_tokens(installed: Authctl, home: Path, start: Start):
    """A second process uses tokens as fast as it can while pages are read: everybody is on one, in the own order and in others."""
    tokens = [
        installed("tokens", "issue", "-q", "--user", f"user{number:02}", "--application", "A").out.strip()
        for number in range(40)
    ]
    places.change_in(  # each use is to be written
        home,
        "UPDATE sessions SET last_used_at = last_used_at - number * 1000000, created_at = created_at - 9000000000;"
        " UPDATE sessions SET use_due_at = 0",
    )
    ids = set(installed("sessions", "list", "-o", "id").out.split())
    code = (
        "import sys, random\n"
        "from authctl import Registry\n"
        "tokens = sys.stdin.readline().split()\n"
        "registry = Registry.open()\n"
        "place = registry._installation.home.registry\n"
        "if isinstance(place, str):\n"
        "    from authctl.store.postgres.library import psycopg\n"
        "    due = psycopg.connect(place)\n"
        "else:\n"
        "    from authctl.store.sqlite.library import sqlite3\n"
        "    due = sqlite3.connect(place, timeout=30)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    due.execute('UPDATE sessions SET use_due_at = 0')\n"
        "    due.commit()\n"
        "    for token in random.sample(tokens, 10):\n"
        "        registry.verify(token)\n"
        "    registry.count()\n"  # writes the uses that wait, since so many were due at once
        "    print('used', flush=True)\n"
    )
    process = start("-c", code)
    process.stdin.write(" ".join(tokens) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    lines = iter(process.stdout.readline, "")
    moved = 0
    with Registry.open(home) as registry:
        for sort in (None, "last_used_at", "-last_used_at", "expires_at", "-expires_at", None, "last_used_at"):
            shown, after, pages = [], None, 0
            while True:
                page = registry.lists.page(sort=sort, after=after, limit=5)
                shown += [one.id for one in page.sessions]
                pages += 1
                if (after := page.next) is None:
                    break
                assert next(lines) == "used\n"
            assert set(shown) == ids
            assert pages <= 2 * (len(ids) // 5 + 1)
            moved += len(shown) - len(ids)
    assert moved
    process.kill()
