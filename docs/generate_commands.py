"""Writes docs/commands.md and the manual pages from the commands' own help; with --check, only compares them with the help."""

import os
import sys
from pathlib import Path

import manual_pages
import typer
from typer.main import get_command

from authctl import help_topics

PAGE = Path(__file__).with_name("commands.md")
MANUAL = PAGE.parent / "man"
HEAD = """\
# Commands

Written by `make docs` from the help of the commands and the help topics, as are the manual pages; `make check` compares them. The
first part has the options of all commands, then come the topics of `authctl help`.

## Everywhere

- `--home DIR` (`AUTHCTL_HOME`) is one installation. `--registry PLACE` (`AUTHCTL_REGISTRY`) and `--keys PATH` (`AUTHCTL_KEYS`) name a
  registry and a key ring elsewhere. These three stand before the command: `authctl --home DIR sessions list`.
- A session id may be abbreviated to any unique beginning of six characters or more.
- Filter options can be given several times, and any of the values matches: `--user`, `--application`, `--device`, `--platform`,
  `--profile`, `--status`, `--source`, and `--actor`, `--action`, `--session` of `audit list`. Filters of different names combine (and).
  `--except` of `revoke` can be given several times, too. Every other option that takes a value is refused (2) if it is given twice
  with different values. Flags can be repeated.
- `-` among ids or names means the lines of standard input. It is never a user name. The first tab-separated field of a line counts;
  blank lines, the header of a list, a byte order mark, and white space and quotes around the text are ignored. An id that no session
  has is not found (3), and the rest is done. A user name that cannot be accepted refuses all names (2). `tokens revoke` and
  `sessions end` also ignore `Bearer ` before a token.
- A user name of which no session is in the registry is reported on standard error, with the nearest names. So is an empty list.
- A revocation by filter or with `--all`, and a `keys retire` or `profiles apply` that ends sessions, shows a preview on standard
  error first, and asks: counts by user, application and status, and up to ten sessions, most recently used first. The note is asked
  for after the answer. Only sessions that the preview counted can end: if another session matches by then, nothing is done (4), and
  the message gives the present number. Fewer sessions are accepted. `revoke --all` has no such bound, and its question states this. With
  `--yes` there is no question, and only `--max-affected` sets a limit. With `-q --yes` or
  `--all --yes` there is no preview.
- `revoke --plan FILE` revokes nothing: it writes the exact sessions, with filter, counts and digest, to a new file of mode 0600 (4 if one
  is there). `revoke --apply FILE` shows them and the digest, asks, and revokes exactly them; no option beside it names targets. A file
  that is no plan is 2, one that others can read or write is 6, and a plan whose sessions were removed, revoked or are no longer
  selected is 4. The result has `plan` (`digest, made_at, made_by, newcomers`) in JSON, null without a plan.
- `revoke --keep N` leaves the `N` sessions with the latest use of each user and application, of those that are selected and not
  revoked; `kept` in JSON is how many stay. It asks first, also beside `--user` and ids. With `--all` the count is typed, as without it; only
  the sessions that were shown are revoked, and no session that is imported later.
- Names are compared without differences of case, width, composition and white space: of users, applications, devices, platforms, profiles, sources,
  receivers, clients and actors. An option that selects by a name may be given several times; any of them matches.
- `revoke --from FILE --column NAME` takes user names from a column of a CSV file (`-`: standard input) and asks nothing. The delimiter is found
  in the header, the encoding is UTF-8 or that of a byte order mark, gzip is unpacked. Each row has a result: `revoked`, `already_revoked`,
  `kept`, `repeated`, `not_found` or `invalid`, with the line of the file; in JSON as `rows` beside the other fields. Exit code 3 if a
  row is `not_found` or `invalid`: the rest is done. A file that cannot be read to its end is 2, and changes nothing.
- `revoke`, `users disable`, `users password-changed`, `keys retire` and `profiles apply` then tell which sessions go on: other active ones of
  the same users, sealed tokens that are read offline, and systems that are not told. In JSON this is `effect`, null if it is not known.
- The message with the result is the last line on standard error, after the rows on standard output. On a terminal the rows are cut as
  in a list, and the message names the command that shows all of them.
- On a terminal a list has as many rows as fit with its header, the messages below it and the prompt, at most 50; also 50
  where the terminal has no known height. `LINES` and `COLUMNS` override its size. A list that is cut names the option for the
  rest: `--limit N`. Other formats have 50 rows there. In a pipe nothing is cut. A page of sessions with a next page prints
  `authctl: more: --after CURSOR` on standard error, also in pipes and with `-q`. The same command with `--after CURSOR` prints the next
  page. A walk from page to page ends, and shows every session that stays in the list, whatever is done meanwhile. Sessions that moved
  within the list come last, some of them a second time. `--after ID` continues after that session, at its present place.
"""


def pages(command: object, context: typer.Context, path: str) -> list[str]:
    """The help of a command, and of those below it."""
    below = getattr(command, "list_commands", None)
    text = command.get_help(context)  # type: ignore[attr-defined]
    found = [] if path == "authctl" else [f"## {path}\n\n```text\n{text.rstrip()}\n```\n"]
    for name in below(context) if below else ():
        child = command.get_command(context, name)  # type: ignore[attr-defined]
        child_context = type(context)(child, info_name=name, parent=context)
        found += pages(child, child_context, f"{path} {name}")
    return found


def topics() -> list[str]:
    """The help topics, as sections."""
    return [f"## {topic.title}\n\n{topic.text}\n" for topic in map(help_topics.read, help_topics.names())]


def generated() -> dict[Path, str]:
    """Every generated file with its text."""
    from authctl.cli.app import app

    os.environ.update(COLUMNS="100")
    root = get_command(app)
    context = root.make_context("authctl", ["--help"], resilient_parsing=True)
    return {PAGE: "\n".join([HEAD, *topics(), *pages(root, context, "authctl")])} | {
        MANUAL / name: text for name, text in manual_pages.pages(context).items()
    }


def main() -> int:
    """Write or check the files; a page of a command that is gone is deleted, or reported."""
    files = generated()
    gone = [path for path in MANUAL.glob("*") if path not in files]
    if "--check" not in sys.argv:
        for path in gone:
            path.unlink()
        MANUAL.mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text)
        return 0
    wrong = gone + [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in wrong:
        sys.stderr.write(
            f"docs/{path.relative_to(PAGE.parent)} differs from the help of the commands; run: make docs\n"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
