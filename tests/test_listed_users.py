"""`revoke --from FILE --column NAME`: the users of a CSV file, a result for each row, and an honest exit code."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, NotFound, Refused, Registry, SessionFilter
from authctl.names import fold
from authctl.user_lists import MOST_ROWS, ListedName, read_column
from tests.conftest import HOSTILE, Authctl, Clock, unseen
from tests.test_late_rows import at, load, row

NOTE = ("--note", "left the company")
LIST = 'name;Email\r\nAlice;alice\r\nBob;"bob"\r\nX;nobody\r\nBlank; \r\nAgain;ALICE\r\n'


@pytest.fixture
def filled(installed: Authctl) -> Authctl:
    """Two sessions of alice, one of bob and one of carol."""
    for user in ("alice", "alice", "bob", "carol"):
        assert installed("tokens", "issue", "--user", user, "--application", "Teams", "-q").code == 0
    return installed


def revoke(authctl: Authctl, path: Path, text: str | bytes, *options: str, column: str = "email"):
    """Write a file, and revoke the sessions of its users."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return authctl("revoke", "--from", str(path), "--column", column, *options)


def still_active(authctl: Authctl) -> list[str]:
    """The users of the active sessions."""
    return sorted(one["username"] for one in authctl("sessions", "list", "--status", "active", "-o", "json").json)


def test_each_row_has_a_result_in_every_format(filled: Authctl, tmp_path: Path):
    """Revoked, not found, invalid and repeated; the rest is done, the exit code is 3, and it is one revocation."""
    dry = revoke(filled, tmp_path / "l.csv", LIST, "--dry-run", "-o", "json")
    assert (dry.code, dry.json["dry_run"], dry.json["revoked"], len(still_active(filled))) == (3, True, 3, 4)
    ran = revoke(filled, tmp_path / "l.csv", LIST, *NOTE, "-o", "json")
    assert ran.code == 3
    assert "2 rows of 5 without a session to revoke" in ran.err
    results = [(one["row"], one["username"], one["result"], one["revoked"]) for one in ran.json["rows"]]
    assert results == [
        (2, "alice", "revoked", 2),
        (3, "bob", "revoked", 1),
        (4, "nobody", "not_found", 0),
        (5, "", "invalid", 0),
        (6, "ALICE", "repeated", 0),
    ]
    assert [one["result"] for one in dry.json["rows"]] == [one["result"] for one in ran.json["rows"]]
    assert (ran.json["revoked"], still_active(filled)) == (3, ["carol"])
    events = filled("audit", "list", "--action", "session.revoke", "-o", "json").json
    assert [event["detail"]["selector"] for event in events] == [{"username": ["alice", "bob", "nobody"]}]
    for form, lines in (("table", 6), ("csv", 6), ("id", 5), ("ndjson", 1)):
        again = revoke(filled, tmp_path / "l.csv", LIST, *NOTE, "-o", form)
        assert (again.code, len(again.out.splitlines())) == (3, lines)
        assert form in ("id", "ndjson") or "already_revoked" in again.out


def test_a_list_of_known_users_is_zero_and_asks_nothing(filled: Authctl, tmp_path: Path):
    """The names are named targets: no --yes is needed; a note is, and --max-affected bounds."""
    text = "email\nalice\nbob\n"
    assert revoke(filled, tmp_path / "l.csv", text).code == 4
    assert revoke(filled, tmp_path / "l.csv", text, *NOTE, "--max-affected", "2").code == 4
    assert len(still_active(filled)) == 4
    assert revoke(filled, tmp_path / "l.csv", text, *NOTE).code == 0
    assert revoke(filled, tmp_path / "l.csv", text, *NOTE).code == 0
    assert still_active(filled) == ["carol"]


def test_other_filters_narrow_a_list(filled: Authctl, tmp_path: Path):
    """Only sessions that meet them; a user without one is not found."""
    filled("tokens", "issue", "--user", "alice", "--application", "Outlook")
    ran = revoke(filled, tmp_path / "l.csv", "email\nalice\nbob\n", "--application", "outlook", *NOTE, "-o", "json")
    assert (ran.code, [one["result"] for one in ran.json["rows"]]) == (3, ["revoked", "not_found"])
    assert still_active(filled) == ["alice", "alice", "bob", "carol"]


def test_the_newest_of_a_list_may_stay(filled: Authctl, tmp_path: Path):
    """With --keep it asks; a user with nothing else is kept."""
    text = "email\nalice\nbob\n"
    assert revoke(filled, tmp_path / "l.csv", text, "--keep", "1", *NOTE).code == 4
    ran = revoke(filled, tmp_path / "l.csv", text, "--keep", "1", *NOTE, "--yes", "-o", "json")
    assert (ran.code, [one["result"] for one in ran.json["rows"]]) == (0, ["revoked", "kept"])
    assert still_active(filled) == ["alice", "bob", "carol"]


def test_a_plan_of_a_list(filled: Authctl, tmp_path: Path):
    """It is written with what is known, names the rest, and revokes nothing before it is applied."""
    plan = tmp_path / "p"
    ran = revoke(filled, tmp_path / "l.csv", LIST, "--plan", str(plan))
    assert (ran.code, "row 4, 'nobody': no session" in ran.err, len(still_active(filled))) == (3, True, 4)
    assert len(json.loads(plan.read_text())["sessions"]) == 3
    assert filled("revoke", "--apply", str(plan), *NOTE, "--yes").code == 0
    assert still_active(filled) == ["carol"]


def test_standard_input_is_a_file(filled: Authctl):
    """`-` is read as a file is; a note is then not asked for."""
    assert filled("revoke", "--from", "-", "--column", "email", *NOTE, stdin="email\nbob\n").code == 0
    assert still_active(filled) == ["alice", "alice", "carol"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--column", "email"), 2),
        (("--from", "l.csv"), 2),
        (("--from", "l.csv", "--column", "mail"), 2),
        (("--from", "missing.csv", "--column", "email"), 2),
        (("--from", ".", "--column", "email"), 2),
        (("--from", "l.csv", "--column", "email", "--all"), 2),
        (("--from", "l.csv", "--column", "email", "--user", "bob"), 2),
        (("--from", "l.csv", "--column", "email", "abcdefgh"), 2),
        (("--from", "l.csv", "--column", "email", "-"), 2),
        (("--from", "l.csv", "--column", "email", "--wipe", "pending"), 2),
        (("--from", "l.csv", "--column", "email", "--except", "zzzzzzzz"), 3),
    ],
)
def test_wrong_usage_does_nothing(
    filled: Authctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
):
    """Two that name users, one that is missing, a file or a column that is not there."""
    monkeypatch.chdir(tmp_path)
    Path("l.csv").write_text("name,email\nA,alice\n")
    ran = filled("revoke", *options, *NOTE)
    assert (ran.code, len(still_active(filled))) == (code, 4)
    assert "mail" not in options or "its columns: 'name', 'email'" in ran.err


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n",
        b'[{"email": "alice"}]',
        b'{"email": "alice"}\n',
        b'email\nbob\n"alice',
        b'email\nbob\nal"ice"x\n"a"b\n',
        b"name,email\nA,bob\nB",
        b"email\nbob\n\xff\xfe\n",
        b"email\0\nbob\n",
        b"\x1f\x8b" + b"x" * 40,
        gzip.compress(b"email\nbob\n" * 9)[:-9],
        b"email,Email\nbob,alice\n",
        b"email\n" + b"bob\n" * (MOST_ROWS + 1),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_a_file_that_cannot_be_read_changes_nothing(filled: Authctl, tmp_path: Path, raw: bytes):
    """Not to its end, no CSV, a column twice, too many rows: 2, before anything is done."""
    ran = revoke(filled, tmp_path / "l.csv", raw, *NOTE)
    assert (ran.code, "Traceback" in ran.err, "--encoding" in ran.err) == (2, False, False)
    assert len(still_active(filled)) == 4


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfemail,n\nbob,1\n",
        "email\tn\r\nbob\t1\r\n".encode("utf-16"),
        b"n|EMAIL\n1|bob\n",
        b'"e","email"\n"a ""b"" ,\nc"," Bob "\n',
        gzip.compress(b"email\nbob\n"),
        "n;ｅｍａｉｌ\n1;ｂｏｂ\n".encode(),
    ],
)
def test_files_as_programs_write_them(filled: Authctl, tmp_path: Path, raw: bytes):
    """Byte order marks, UTF-16, other delimiters, quotes, line breaks in cells, gzip, full-width letters."""
    assert revoke(filled, tmp_path / "l.csv", raw, *NOTE).code == 0
    assert still_active(filled) == ["alice", "alice", "carol"]


def test_only_a_header_is_a_list_of_nobody(filled: Authctl, tmp_path: Path):
    """3: nothing was named, and everybody is never meant."""
    for text in ("email\n", "email\n\n \n", "n,email\n1,\n2, \n"):
        assert revoke(filled, tmp_path / "l.csv", text, *NOTE).code == 3
        assert revoke(filled, tmp_path / "l.csv", text, "--plan", str(tmp_path / "p")).code == 3
    assert (len(still_active(filled)), (tmp_path / "p").exists()) == (4, False)


def test_cells_that_name_nobody(filled: Authctl, tmp_path: Path):
    """What `--user` refuses is an invalid row with the reason, and a token in it is not shown."""
    token = filled("tokens", "issue", "--user", "dan", "--application", "Teams").out.strip()
    cells = ["-", "al\u200bice", "x" * 1001, token, "bob"]
    text = "email\n" + "".join(f"{cell}\n" for cell in cells)
    ran = revoke(filled, tmp_path / "l.csv", text, *NOTE, "-o", "json")
    assert (ran.code, [one["result"] for one in ran.json["rows"]]) == (3, ["invalid"] * 4 + ["revoked"])
    assert all(one["reason"] for one in ran.json["rows"][:4])
    assert token not in ran.out + ran.err
    assert still_active(filled) == ["alice", "alice", "carol", "dan"]


def test_hostile_cells_and_columns_are_shown_escaped(filled: Authctl, tmp_path: Path):
    """In each format, as a cell and as a column; CSV has no cell that a spreadsheet would run."""
    out = io.StringIO()
    csv.writer(out).writerows([["email"], *([text] for text in [*HOSTILE, "=cmd()", "@x", "+1"])])
    for form in ("table", "csv", "json", "id"):
        ran = revoke(filled, tmp_path / "l.csv", out.getvalue(), *NOTE, "-o", form)
        assert (ran.code, unseen(ran.out.replace("\r", "")), unseen(ran.err)) == (3, [], [])
        assert form != "csv" or all(cell in ran.out for cell in ("'=cmd()", "'@x", "'+1"))
    for text in HOSTILE:
        header = io.StringIO()
        csv.writer(header).writerows([[f"n{text}", "o"], ["alice", "bob"]])
        ran = revoke(filled, tmp_path / "l.csv", header.getvalue(), *NOTE, column=f"m{text}")
        assert (ran.code, unseen(ran.err)) == (2, [])
    assert len(still_active(filled)) == 4


NAMES = st.sampled_from(["alice", "ALICE", " bob", "bob", "carol", "nobody", "", "al\u200bice"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(NAMES, max_size=8), criteria=st.sampled_from([{}, {"application": "Teams"}, {"status": "active"}])
)
def test_a_list_revokes_what_its_names_revoke(registry: Registry, cells, criteria):
    """The dry run of a list is that of its names, and the results of the rows add up to it."""
    if not registry.count():
        for user, application in (("alice", "Teams"), ("Alice", "Outlook"), ("bob", "Teams"), ("bob", "Teams")):
            registry.issue(username=user, application=application)
        registry.revoke(SessionFilter(username="bob", application="Teams"), note="before")
        registry.issue(username="bob", application="Outlook")
    rows = [ListedName(number, cell.strip()) for number, cell in enumerate(cells, 2)]
    usable = [cell for cell in cells if cell.strip() and cell.isascii()]
    if not rows:
        with pytest.raises(NotFound):
            registry.listed_users.revoke(rows, SessionFilter(**criteria), note=None, dry_run=True)
        return
    if not usable:
        listed = registry.listed_users.revoke(rows, SessionFilter(**criteria), note=None, dry_run=True)
        assert (listed.outcome.selected, listed.failed) == (0, len(rows))
        return
    listed = registry.listed_users.revoke(rows, SessionFilter(**criteria), note=None, dry_run=True)
    named = registry.revoke(SessionFilter(username=tuple(usable), **criteria), note=None, dry_run=True)
    assert (listed.outcome.selected, listed.outcome.revoked) == (named.selected, named.revoked)
    assert sum(one.revoked for one in listed.rows) == named.revoked
    assert sum(one.already_revoked for one in listed.rows) == named.already_revoked
    assert [one.row for one in listed.rows] == [one.row for one in rows]
    assert {fold(one.username) for one in listed.rows if one.result not in ("invalid", "repeated")} == {
        *map(fold, usable)
    }


def test_a_list_binds_late_rows_as_its_names_do(registry: Registry, clock: Clock):
    """A session of an earlier time that an import brings comes under it, also of a user of whom no session was known."""
    registry.issue(username="alice", application="Teams")
    clock.forward(hours=3)
    rows = [ListedName(2, "alice"), ListedName(3, "olga")]
    assert registry.listed_users.revoke(rows, note="left the company").failed == 1
    load(registry, row("olga", app="Teams", at=at(0.5)), row("paul", sid="s2", app="Teams", at=at(0.5)))
    late = {one.username: one.note for one in registry.sessions(SessionFilter(username=("olga", "paul")))}
    assert late == {"olga": "left the company", "paul": None}


def test_the_library_refuses_what_the_command_refuses(registry: Registry):
    """Ids, users or everything beside a list; no note; no user at all."""
    rows = [ListedName(2, "alice")]
    for selection in (SessionFilter(ids=("abcdefgh",)), SessionFilter(username="bob"), SessionFilter(everything=True)):
        with pytest.raises(InvalidInput):
            registry.listed_users.revoke(rows, selection, note="left the company")
    with pytest.raises(Refused):
        registry.listed_users.revoke(rows, note=None)
    with pytest.raises(NotFound):
        registry.listed_users.revoke([], note="left the company")
    assert read_column(io.BytesIO(b"a,b\n1,2\n"), "f", "B") == [ListedName(2, "2")]


def test_a_plan_reports_the_same_rows_as_the_revocation(filled: Authctl, tmp_path: Path):
    """A row of which the other filters select nothing, an unknown name and a blank one: each is named, and the exit code is 3."""
    text, plan = "email,n\nalice,1\ncarol,2\nnobody,3\n,4\n", tmp_path / "p.json"
    assert filled("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q").code == 0
    options = ("--application", "Outlook")
    dry = revoke(filled, tmp_path / "l.csv", text, *options, "--dry-run")
    made = revoke(filled, tmp_path / "l.csv", text, *options, "--plan", str(plan))
    assert (dry.code, made.code) == (3, 3)
    assert "3 rows of 4 without a session to revoke" in dry.err
    assert "3 rows of 4 without a session to revoke" in made.err
    for words in ("row 3, 'carol': no session", "row 4, 'nobody': no session", "row 5, '': user name is blank"):
        assert words in made.err
    assert json.loads(plan.read_text())["counts"]["sessions"] == 1


def test_only_unusable_rows_have_their_results_all_the_same(filled: Authctl, tmp_path: Path):
    """3, each row with its reason in every format, and nothing is written: no revocation, no event, no plan."""
    text, events = "email\n-\nal\u200bice\n", filled("audit", "list", "-o", "id").out
    for options in ((), ("--dry-run",), ("--keep", "1", "--yes")):
        ran = revoke(filled, tmp_path / "l.csv", text, *NOTE, *options, "-o", "json")
        assert (ran.code, [row["result"] for row in ran.json["rows"]]) == (3, ["invalid"] * 2)
        assert (ran.json["selected"], ran.json["revocation_id"], ran.json["dry_run"]) == (
            0,
            None,
            "--dry-run" in options,
        )
        assert "2 rows of 2 without a session to revoke" in ran.err
        assert "revoked 0" not in ran.err
    piped = revoke(filled, tmp_path / "l.csv", text, *NOTE)
    assert [line.split("\t")[2] for line in piped.out.splitlines()] == ["result", "invalid", "invalid"]
    planned = revoke(filled, tmp_path / "l.csv", text, "--plan", str(tmp_path / "p"))
    assert (planned.code, planned.err.count("warning: row"), (tmp_path / "p").exists()) == (3, 2, False)
    assert revoke(filled, tmp_path / "l.csv", text, "--user", "bob", *NOTE).code == 2
    assert (filled("audit", "list", "-o", "id").out, len(still_active(filled))) == (events, 4)


def test_many_rows_without_a_session_are_counted_in_a_plan(filled: Authctl, tmp_path: Path):
    """Ten are named, and all of them counted."""
    text = "email\nalice\n" + "".join(f"nobody{number}\n" for number in range(12))
    made = revoke(filled, tmp_path / "l.csv", text, "--plan", str(tmp_path / "p.json"))
    assert made.code == 3
    assert (made.err.count("warning: row"), "and 2 rows more (12 in all)" in made.err) == (10, True)


@pytest.mark.in_a_file  # the driver of SQLite tells its statements
def test_sessions_of_many_users_are_counted_by_one_query(filled: Authctl, home: Path):
    """The queries of a long list are as many as those of a short one: each has all names, so that more would take quadratic time."""
    with Registry.open(home) as registry:
        asked: list[str] = []
        with registry._installation.snapshot() as (view, _):
            view.connection.set_trace_callback(asked.append)  # type: ignore[attr-defined]
        counts = []
        for most in (2, 500):
            rows = [ListedName(number, f"user{number}") for number in range(most)] + [ListedName(most, "alice")]
            asked.clear()
            assert registry.listed_users.revoke(rows, SessionFilter(), note=None, dry_run=True).outcome.selected == 2
            counts.append(len(asked))
    assert counts[0] == counts[1] > 0
