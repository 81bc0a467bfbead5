"""Writes docs/commands.md from the commands' own help; with --check, only compares the page with the help."""

import os
import sys
from pathlib import Path

import typer
from typer.main import get_command

PAGE = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

Written by `make docs` from the help of the commands; `make check` compares the two. The first part has the options of
all commands, the formats and the exit codes.

## Everywhere

- Standard output has the data, standard error has the messages. With `-q` there are no messages of success.
- `--home DIR` (`AUTHCTL_HOME`) is one installation. `--registry PATH` (`AUTHCTL_REGISTRY`) and `--keys PATH` (`AUTHCTL_KEYS`) name a
  registry and a key ring elsewhere. These three stand before the command: `authctl --home DIR sessions list`.
- `-o table|json|ndjson|csv|id`, or `AUTHCTL_OUTPUT`. In a pipe a table is tab-separated with a header, its id first.
- A session id may be abbreviated to any unique beginning of six characters or more.
- On a terminal a list is fitted: notes are cut, times lose their minute, ids are shown as unique beginnings of eight characters or
  more, and columns go, before a row breaks. A time within a day of now is relative; the header of others gives their zone.
  `--exact` shows times to the second, `--local` in the time zone of the terminal. Exact times are long: if their column goes, make the
  terminal wider, or use `-o csv`, which has every column. Commands that show one record, and `doctor`, leave blanks out and wrap long
  texts. `--pager` opens `$PAGER` with `LESSSECURE=1`; not under sudo or doas. In pipes and formats these options change nothing.
- Times: `2026-11-01` (midnight UTC), `today`, `yesterday`, RFC 3339, or an age: `90s`, `30m`, `36h`, `7d`, `2w`, `6 months`, `1 year`. `m` is minutes, `mo`
  months; a capital `M` alone is refused. An age counts back from now (`--created-since`, `--created-before`, `--used-since`,
  `--unused-for`, `--taken-at`, and `--since` and `--until` of `audit list`). It counts ahead for `--expires-before`, and for
  `--until` of `continuity start` and `users disable`.
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
  revoked; `kept` in JSON is how many stay. It asks first, also beside `--user` and ids.
- `revoke --from FILE --column NAME` takes user names from a column of a CSV file (`-`: standard input) and asks nothing. The delimiter is found
  in the header, the encoding is UTF-8 or that of a byte order mark, gzip is unpacked. Each row has a result: `revoked`, `already_revoked`,
  `kept`, `repeated`, `not_found` or `invalid`, with the line of the file; in JSON as `rows` beside the other fields. Exit code 3 if a
  row is `not_found` or `invalid`: the rest is done. A file that cannot be read to its end is 2, and changes nothing.
- `revoke`, `users disable`, `users password-changed`, `keys retire` and `profiles apply` then tell which sessions go on: other active ones of
  the same users, sealed tokens that are read offline, and systems that are not told. In JSON this is `effect`, null if it is not known.
- The message with the result is the last line on standard error, after the rows on standard output. On a terminal the rows are cut to
  50, and the message names the command that shows all of them.
- A list that is cut on a terminal names the option for the rest. A page of sessions with a next page prints
  `authctl: more: --after CURSOR` on standard error, also in pipes and with `-q`. The same command with `--after CURSOR` prints the next
  page. A walk from page to page ends, and shows every session that stays in the list, whatever is done meanwhile. Sessions that moved
  within the list come last, some of them a second time. `--after ID` continues after that session, at its present place.

| exit code | meaning |
|---|---|
| 0 | done; token valid; a list with no rows; nothing left to revoke |
| 1 | unexpected failure: a defect in authctl |
| 2 | wrong usage, unreadable input, invalid profile, a name that cannot be accepted, a text that cannot be a token, for a command that revokes or ends its session |
| 3 | no such session, user, profile, key, event, import or mapping; a revoke that matched nothing, or some of whose ids were unknown (the rest is done); an import of which no row was used |
| 4 | refused: note missing or without content, question declined, `--yes` missing, limit exceeded, user disabled, condition not met, password not accepted or authenticator not available, file exists already, listing not complete, import that cannot be undone, a damaged registry in the place of which a backup would be put |
| 5 | token not valid |
| 6 | registry, key ring or authenticators file unavailable: missing, locked, read-only, disk full, open to others, schema too new; nothing changed (of an import, a cleanup or many sessions that are ended, nothing since the last whole batch) |
| 7 | registry, key ring or audit log damaged or tampered with |
| 8 | done, but the result could not be counted or written |
| 9 | `doctor` found a problem |
| 130 | interrupted (Ctrl-C); nothing is half done |
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


def main() -> int:
    """Write or check the page."""
    from authctl.cli.app import app

    os.environ.update(COLUMNS="100")
    root = get_command(app)
    context = root.make_context("authctl", ["--help"], resilient_parsing=True)
    text = "\n".join([HEAD, *pages(root, context, "authctl")])
    if "--check" not in sys.argv:
        PAGE.write_text(text)
        return 0
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    sys.stderr.write("docs/commands.md differs from the help of the commands; run: make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
