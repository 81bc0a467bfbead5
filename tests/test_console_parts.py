"""The parts of the console that need no screen: commands that are shown, selections, paged lists, and the import rule."""

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import Registry, SessionFilter
from authctl.cli.app import COMMANDS
from authctl.console.commands import command_line, operands, option, revoke_words, shell_word
from authctl.console.filters import GROUPINGS, KINDS, STATUSES, Filter, following
from authctl.console.paging import Page, PagedList, Row
from authctl.console.reads import Reads
from authctl.console.selection import Selection, all_of
from authctl.errors import RegistryUnavailable
from authctl.model import Grouping, Status
from authctl.visible_text import first_invisible
from tests import places
from tests.conftest import HOSTILE, Authctl

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(TEXTS)
def test_a_word_of_a_shell_has_nothing_unseen(text: str):
    """A word without invisible characters is what a POSIX shell reads as that text."""
    word = shell_word(text)
    assert first_invisible(word) is None
    if first_invisible(text) is None:
        assert shlex.split(word) == [text]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_reads_every_word_as_its_text():
    """Also one with characters that cannot be seen, quotes and backslashes."""
    texts = [*HOSTILE, "$(id)", "`id`", "a'b\x07\\", "\\", "'", "\x1b'\\x", "日本\u200b", "!", "*", "~", ""]
    program = f"printf '%s\\0' {' '.join(map(shell_word, texts))}"
    ran = subprocess.run(["bash", "-c", program], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert ran.stdout.decode().split("\0")[:-1] == texts


def test_an_option_takes_a_value_that_looks_like_an_option():
    """In one word; and a user whose name does comes after `--`."""
    assert option("--search", "-x") == ("--search=-x",)
    assert operands(["-x", "y"]) == ["--", "-x", "y"]


FILTERS = [
    Filter(),
    Filter(search="-pc"),
    Filter(search="it's $(x)"),
    Filter(status=Status.REVOKED, kind=None),
    Filter(status=Status.ACTIVE, search="al"),
    Filter(group=(Grouping.USER, "alice"), kind=None),
    Filter(group=(Grouping.PLATFORM, "iOS 26")),
    Filter(group=(Grouping.APPLICATION, "it's $(x)"), status=Status.ACTIVE),
]


@pytest.fixture
def varied(registry: Registry, tmp_path: Path) -> Iterator[Registry]:
    """Sessions that differ in everything that the console filters by, at the time by which the command line goes."""
    with Registry.open(tmp_path / "home", registry=places.place_in(tmp_path / "home")) as real:
        yield furnish(real)


def furnish(registry: Registry) -> Registry:
    """Register the sessions."""
    for user, device in (("alice", "x-PC"), ("bob", "PHONE"), ("-x", "PC")):
        for application in ("Outlook", "it's $(x)"):
            registry.issue(username=user, application=application, device=device, platform="iOS 26")
    registry.issue(username="alice", application="Web mail", kind="web")
    registry.revoke(SessionFilter(username="bob", application="Outlook"), note="lost device")
    return registry


@pytest.mark.parametrize("wanted", FILTERS)
def test_the_command_of_a_list_prints_the_same(varied: Registry, authctl: Authctl, wanted: Filter):
    """As a shell reads it: the same sessions in the same order."""
    words = shlex.split(command_line(*wanted.list_words()))
    assert words[0] == "authctl"
    ran = authctl(*words[1:], "-o", "json")
    assert ran.code == 0, ran.err
    assert [one["id"] for one in ran.json] == [session.id for session in varied.sessions(wanted.selection())]


@pytest.mark.parametrize("wanted", FILTERS)
def test_the_command_of_a_revocation_means_the_same_sessions(varied: Registry, authctl: Authctl, wanted: Filter):
    """A dry run of the command that is shown counts the sessions that the console would revoke."""
    selection = all_of(wanted.selection())
    owed = varied.revocation_previews.make(selection).summary.total
    words = shlex.split(command_line(*revoke_words(selection, "-x lost")))
    ran = authctl(*words[1:], "--dry-run", "-o", "json")
    assert (ran.code, ran.json["revoked"]) == (0, owed) if owed or ran.code != 3 else ran.code == 3


def test_everything_is_said_to_be_everything(varied: Registry):
    """With no criterion at all, and a spared session, the command is `revoke --all`."""
    selection = Selection()
    selection.select_matching(Filter(kind=None).selection())
    first = next(varied.sessions()).id
    selection.toggle(first)
    target = selection.target()
    assert target is not None
    assert target.everything
    assert revoke_words(target, "breach") == ["revoke", "--all", "--except", first, "--note", "breach"]


def test_choices_go_round():
    """The last one is followed by the first."""
    for choices in (STATUSES, KINDS, GROUPINGS):
        assert following(choices, choices[-1]) is choices[0]


ROWS = st.lists(st.integers(0, 30), max_size=60, unique=True)


@given(ROWS, st.integers(1, 7), st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12))
def test_a_paged_list_shows_every_row_in_order(numbers: list[int], size: int, looks: list[tuple[int, bool]]):
    """Wherever one looks, and whenever all is read again: what is asked for and put is the list itself."""
    rows = [Row(str(number), {}) for number in numbers]
    listed = PagedList()

    def read(first: int) -> None:
        while (number := listed.wanted(first, 3)) is not None:
            begin = listed.place(number) or 0
            listed.put(number, Page(rows[begin : begin + size], begin + size if begin + size < len(rows) else None))

    for first, again in looks:
        if again:
            listed.restart()
        read(min(first, len(listed)))
        for index in range(min(first, len(listed)), min(first + 3, len(listed))):
            assert listed.row(index) == rows[index]
    assert len(listed) <= len(rows)


def test_rows_that_went_are_not_shown_again():
    """A page with other rows than before ends what was known after it."""
    listed = PagedList()
    pages = {None: Page([Row("a", {}), Row("b", {})], 2), 2: Page([Row("c", {})], None)}
    for number in (0, 1):
        listed.put(number, pages[listed.place(number)])
    assert (len(listed), listed.is_complete) == (3, True)
    listed.outdate()
    assert listed.wanted(0, 2) == 0
    listed.put(0, Page([Row("b", {}), Row("c", {})], None))
    assert (len(listed), listed.is_complete, listed.index_of("a")) == (2, True, None)


@pytest.mark.slow
def test_no_other_command_loads_the_console():
    """Neither the package nor Textual, by the import of any command's module."""
    modules = sorted({module for name, module in COMMANDS.items() if name != "console"} | {"app", "session_imports"})
    imports = "; ".join(f"import authctl.cli.{module}" for module in modules)
    program = f"{imports}; import sys; print([name for name in sys.modules if name.startswith(('textual', 'authctl.console'))])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.slow
def test_a_list_loads_nothing_of_the_console(registry: Registry, tmp_path: Path):
    """`sessions list` as it runs."""
    registry.issue(username="alice", application="Outlook")
    program = (
        "import sys; from authctl.cli.app import run; code = run(['sessions', 'list']);"
        " print(code, [name for name in sys.modules if name.startswith(('textual', 'authctl.console', 'authctl.cli.console'))])"
    )
    environment = {"AUTHCTL_HOME": str(tmp_path / "home"), "AUTHCTL_REGISTRY": str(places.place_in(tmp_path / "home"))}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_only_one_module_makes_texts():
    """Every other module of the console hands texts to widgets as `texts` made them: no `str`, and no markup."""
    import authctl.console

    folder = Path(authctl.console.__file__).parent
    for file in folder.glob("*.py"):
        code = file.read_text()
        if file.name != "texts.py":
            assert not re.search(r"from_markup|Content\(|Content\.\w|\.notify\(|rich\.text", code), file.name
        for found in re.finditer(r"(?:Static\(|\.update\(|Button\(|Label\()(?=[^)])", code):
            after = code[found.end() :].lstrip()
            assert after.startswith(
                ("texts.", "id=", "classes=", "self._shown(", "row.record", "{row.key", "self._rows")
            ), (file.name, after[:60])


def test_the_registry_of_a_read_that_outlasts_the_console_is_closed(registry: Registry, home: Path):
    """By the thread itself, when its work ends: a server would keep the connection until the process ends."""
    begun, over = threading.Event(), threading.Event()
    used = []

    def work(given: Registry) -> None:
        used.append((given, threading.current_thread()))
        begun.set()
        over.wait(10)

    async def visit() -> None:
        reads = Reads(lambda: Registry.open(home, registry=places.place_in(home)))
        read = asyncio.ensure_future(reads.run(work))
        await asyncio.to_thread(begun.wait, 10)
        reads.close()
        [(given, _)] = used
        given.change_number()
        over.set()
        await read

    asyncio.run(visit())
    [(given, thread)] = used
    thread.join(10)
    with pytest.raises(RegistryUnavailable, match="closed"):
        given.change_number()
