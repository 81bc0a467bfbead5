"""The parts that every command shares: where the registry is, how to print, how to ask, and where progress goes."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TextIO

import typer

from authctl import render
from authctl.cli.streams import is_terminal, print_message, printing, write_line
from authctl.errors import Refused
from authctl.names import counted
from authctl.names import note as checked_note
from authctl.records import Record
from authctl.records import session as session_record
from authctl.render import AsJson, Format, Shape

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from authctl.registry import Registry
    from authctl.registry.batches import Progress
    from authctl.screens.times import Look
    from authctl.settings import Home


_MOST_ROWS = 50
"""The most rows on a terminal without `--limit`; a lower terminal shows as many as fit."""
_HINT, _CURSOR, _VERDICT = 70, 240, 80
"""The length of the messages after a list: the option for the rest, the cursor of the next page, the result of an operation."""
_MOST_PAGED = 10_000
"""How many rows a pager gets: a table is measured as a whole before its first row is drawn."""
_ATTEMPTS = 3
"""How often a note is asked for."""


class Cli:
    """One run of the command line: the global options, and the options of output of its command."""

    def __init__(self, home: str | None, registry_path: str | None, keys_path: str | None) -> None:
        self.home = home
        self.registry_path = registry_path
        self.keys_path = keys_path
        self.form: Format | None = None
        self.quiet = False
        self.local = False
        self.exact = False
        self.pager: tuple[str, ...] | None = None
        """The program that shows output longer than the screen."""
        self._opened: list[Registry] = []
        self._bars: list[Bar] = []

    @property
    def installation_home(self) -> "Home":
        """The installation that is meant."""
        from authctl.settings import find_home

        return find_home(self.home, self.registry_path, self.keys_path)

    @property
    def registry(self) -> "Registry":
        """The registry, opened when a command first needs it."""
        if not self._opened:
            from authctl.registry import Registry

            self._opened.append(
                Registry.open(self.home, registry=self.registry_path, keys=self.keys_path, warn=self.warn)
            )
        return self._opened[0]

    def close(self) -> None:
        """Let go of the registry."""
        for registry in self._opened:
            registry.close()

    # Results

    @property
    def on_terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return is_terminal(sys.stdout)

    @property
    def draws(self) -> bool:
        """Whether records are drawn for a person: as tables and views, on a terminal."""
        return self.on_terminal and self.form_or_table is Format.TABLE

    @property
    def look(self) -> "Look | None":
        """How a terminal shows records; None where nothing is drawn."""
        if not self.draws:
            return None
        from authctl.instants import utc_now
        from authctl.screens.times import Look

        opened = self._opened[0] if self._opened else None
        shorten = opened.lists.short_ids if opened else None
        return Look(opened.now() if opened else utc_now(), self.local, self.exact, shorten)

    @property
    def form_or_table(self) -> Format:
        """The format asked for, or a table."""
        return self.form or Format.TABLE

    @property
    def prints_json(self) -> bool:
        """Whether records are printed as JSON, in one text or line by line."""
        return self.form in (Format.JSON, Format.NDJSON)

    def rows_above(self, *messages: int) -> int | None:
        """The number of records that a terminal shows: as tables, as many as fit above messages of these lengths; None if all are printed."""
        # decision 222: header, messages and the prompt of the shell stay in sight with the list
        if not self.on_terminal:
            return None
        if not self.draws:  # decision 364: as the contract has it, whatever the format is; a script reads a pipe
            return _MOST_ROWS
        if self.pager:
            return _MOST_PAGED
        from authctl.screens.drawing import rows_that_fit

        return min(_MOST_ROWS, rows_that_fit(sys.stdout, messages) or _MOST_ROWS)

    @property
    def page_size(self) -> int | None:
        """The same of a list that has pages."""
        return self.rows_above(_HINT, _CURSOR)

    def show_sessions(self, sessions: "Iterable[Any]", shape: Shape) -> bool:
        """Print a list as `show_many` does: of `Session`, or in JSON of `ListedSession`, without a record of each."""
        if not self.prints_json:
            return self.show_many(map(session_record, sessions), shape)
        from authctl.session_texts import session_text

        return self.show_many(sessions, shape, session_text)

    def show_many(self, records: Iterable[Any], shape: Shape, as_json: AsJson = json.dumps) -> bool:
        """Print a list on standard output; for an empty list print a message on standard error. Returns whether it has a row."""
        rest = iter(records)
        first = list(islice(rest, 1))
        # The first record is taken before anything is printed: an error in reading must not leave half a table.
        self.show_rows(chain(first, rest), shape, as_json)
        if not first:
            self.say(shape.nothing)
        return bool(first)

    def show_rows(self, records: Iterable[Any], shape: Shape, as_json: AsJson = json.dumps) -> None:
        """Print rows on standard output, without a message if there are none: for callers that report it themselves."""
        with self.drawing() as out:
            render.many(out, records, shape, self.form_or_table, self.look, as_json)

    def show(self, record: Record, view: str = "") -> None:
        """Print one record on standard output; on a terminal by the view of that name."""
        with self.drawing() as out:
            render.one(out, record, self.form_or_table, self.look, view)

    @contextmanager
    def drawing(self) -> Iterator[TextIO]:
        """Standard output, through the pager where one is wanted."""
        with printing() as out:
            if self.pager is None:
                yield out
            else:
                from authctl.cli.pager import paged

                with paged(self.pager, out) as page:
                    yield page

    def show_line(self, text: str) -> None:
        """Print one line of data on standard output."""
        with printing() as out:
            out.write(text + "\n")

    def report(self, record: Record, text: str) -> None:
        """Show the result of an operation, in words and as a record; quietly, only the record that was asked for."""
        with self.last_line(text):
            if self.form or not self.quiet:
                self.show(record)

    @contextmanager
    def last_line(self, text: str | None) -> Iterator[None]:
        """Print the result of an operation in words after all that the block shows of it, even where that cannot be written."""
        try:
            yield
        finally:
            if text is not None:
                self.say(text)

    def show_outcome(
        self,
        record: Record,
        shape: Shape,
        total: int | None = None,
        rest: str | None = None,
        *,
        field: str = "sessions",
        those: str = "all of them",
    ) -> None:
        """Show the result of an operation: as JSON the whole record, otherwise its sessions. With `--quiet` only if a format was given.

        A terminal shows a screenful. `total` is the number of sessions, if the record may not have all of them, and `rest` the
        command that shows `those`, by default all of them. `field` is the list of the record that is shown: sessions, or the rows of a file.
        """
        if self.quiet and not self.form:
            return
        rows = record[field]
        whole = f"; to see {those}: {rest}" if rest else ""
        most = self.rows_above(_HINT + len(whole), _VERDICT)
        if self.prints_json:
            self.show(record)
        else:
            rows = rows[:most]
            self.show_rows(rows, shape)
        if total is None:
            total = len(record[field])
        if total > len(rows):
            text = f"only {len(rows):,} of the {total:,} {field} are listed{whole}"
            self.say(text) if most else self.warn(text)

    # Messages

    def say(self, text: str) -> None:
        """A message of success, on standard error."""
        if not self.quiet:
            print_message(text)

    def show_cut(self, records: Iterable[Record], shape: Shape, limit: int | None) -> bool:
        """Print a list up to the limit, or a screenful on a terminal, and then report a rest. Returns whether the list has a row."""
        rest = iter(records)
        most = limit or self.rows_above(_HINT)
        is_listed = self.show_many(islice(rest, most), shape)
        self.say_cut(most, is_limited=limit is not None, more=lambda: next(rest, None) is not None)
        return is_listed

    def say_next(self, cursor: str | None) -> None:
        """Print the cursor of the next page, also with `--quiet`; None if there is no next page."""
        if cursor is not None:
            write_line(
                f"more: --after {cursor}"
            )  # as it is: a cursor has no more than letters, digits, `.`, `-` and `_`

    def say_cut(self, most: int | None, *, is_limited: bool, more: Callable[[], bool]) -> None:
        """Report that a list was cut, also with `--quiet`: to a screenful on a terminal, or to the limit that was given."""
        if most and more():
            more_rows = "a larger --limit" if is_limited else "--limit N"
            print_message(f"the list was cut after {counted(most, 'row')}; for more: {more_rows}")

    def warn(self, text: str) -> None:
        """A warning, on standard error, quiet or not."""
        print_message(f"warning: {text}")

    # Questions

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to answer."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def ask(self, question: str) -> str:
        """Ask a person. The answer is blank when none comes."""
        return self._answer(question) or ""

    def _answer(self, question: str) -> str | None:
        """The answer of a person; None where input is at its end (Ctrl-D)."""
        with self._bar_paused():
            sys.stderr.write(question)
            sys.stderr.flush()
            try:
                answer = sys.stdin.readline()
            except KeyboardInterrupt:
                sys.stderr.write("\n")
                raise
        if not answer:
            sys.stderr.write("\n")  # nobody pressed Enter
        return answer.strip("\r\n") if answer else None

    def check_note(self, note: str | None, *, may_ask: bool = True) -> None:
        """Refuse at once a note without content, and a missing one where nobody can be asked for it. Raises Refused."""
        if note is not None or not (may_ask and self.can_ask):
            checked_note(note)

    def note(self, typed: str | None, *, may_ask: bool = True) -> str | None:
        """The note that was given, or asked for where a person can answer, again while it has no content. Raises Refused."""
        return self._asked_note() if typed is None and may_ask and self.can_ask else typed

    def _asked_note(self) -> str:
        for _ in range(_ATTEMPTS):
            answer = self._answer("authctl: why? (the note is kept and shown later): ")
            if answer is None:
                break
            try:
                return checked_note(answer)
            except Refused as error:
                print_message(f"{error.message}; {error.hint}")
        raise Refused("not done: no note was given", 'give a reason: --note "lost device"')

    def confirm(self, question: str, answer: str, yes: bool) -> None:
        """Go on only if the person types that answer, or gave `--yes`. Raises Refused."""
        if yes:
            return
        if not self.can_ask:
            raise Refused(
                "not done: confirmation needed, but this is not a terminal", "to skip the confirmation: --yes"
            )
        # "1,200" and "1200" are the same count: people copy it as it was shown.
        typed = self.ask(f"authctl: {question} ").strip().lower().replace(",", "")
        if typed != answer and not (answer == "y" and typed == "yes"):
            raise Refused(f"not done: the answer was not '{answer}'")

    # Standard input

    def lines(self, header: str = "id", read: Callable[[str], str] | None = None) -> Iterator[str]:
        """The first field of each line of standard input, without blank lines and the header of a list.

        A header other than `id` counts as one only beside other columns: alone it may be a name.
        """
        from authctl.cli.pasted_text import first_field

        # Bytes, so that a name in another encoding is an unknown name and no traceback.
        for number, raw in enumerate(sys.stdin.buffer if sys.stdin else ()):
            line = (read or first_field)(raw.decode(errors="surrogateescape"))
            is_header = number == 0 and line == header and (header == "id" or b"\t" in raw.strip())
            if line and not is_header:
                yield line

    @contextmanager
    def progress(self, text: str) -> "Iterator[Progress]":
        """The progress of long work: a bar when standard error is a terminal, else nowhere."""
        if self.quiet or not is_terminal(sys.stderr):
            yield lambda _done, _total: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        from authctl.screens.drawing import console_size

        width, height = console_size(sys.stderr)
        with Bar(console=Console(stderr=True, width=width, height=height), transient=True) as bar:
            task = bar.add_task(text, total=None)
            self._bars.append(bar)
            try:
                yield lambda done, total: bar.update(task, completed=done, total=total)
            finally:
                self._bars.remove(bar)

    @contextmanager
    def _bar_paused(self) -> "Iterator[None]":
        """Take the bar off the terminal: it would be drawn over a question, and take `[y/N]` for a style."""
        for bar in self._bars:
            bar.stop()
        yield
        for bar in self._bars:
            bar.start()

    @contextmanager
    def progress_told(self, text: str, of: str) -> "Iterator[Progress]":
        """The same for work that an interruption leaves half done: then a message gives the number that is done."""
        last = (0, 0)

        def tell(done: int, total: int) -> None:
            nonlocal last
            last = (done, total)
            progress(done, total)

        with self.progress(text) as progress:
            try:
                yield tell
            except BaseException:
                # An interruption after the last batch left nothing undone.
                if last[0] < last[1]:
                    print_message(f"only the first {last[0]:,} of {last[1]:,} {of} are done")
                raise


def start(
    ctx: typer.Context,
    output: Format | None = None,
    quiet: bool = False,
    *,
    local: bool = False,
    exact: bool = False,
    pager: bool = False,
) -> Cli:
    """The run that a command belongs to, with its options of output."""
    cli: Cli = ctx.find_root().obj
    cli.form = output
    cli.quiet = quiet
    cli.local, cli.exact = local, exact
    if pager and cli.draws:
        from authctl.cli.pager import allowed_pager

        cli.pager = allowed_pager(cli.warn)
    return cli
