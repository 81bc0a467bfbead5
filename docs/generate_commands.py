"""Writes docs/commands.md from the commands' own help; with --check, only says whether it is up to date."""

import os
import sys
from pathlib import Path

import typer
from typer.main import get_command

PAGE = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

Written by `make docs` from the commands' own help; `make check` compares the two. Options that stand everywhere, exit
codes and formats: [below](#everywhere).

## Everywhere

- Standard output is data, standard error is talk. `-q` silences success.
- `-o table|json|ndjson|csv|id`, or `AUTHCTL_OUTPUT`. In a pipe a table is tab-separated with a header, its id first.
- A session id may be abbreviated to any unique beginning of six characters or more.
- Times: `2026-11-01`, RFC 3339, or an age: `90s`, `30m`, `36h`, `7d`, `2w`, `6 months`, `1 year`. An age counts back from now
  (`--created-since`, `--created-before`, `--used-since`, `--unused-for`, `--since` and `--until` of `audit list`), except for
  `--expires-before`, and `--until` of `continuity start`, where it counts ahead.
- Options that name what a filter is about (`--user`, `--application`, `--device`, `--platform`, `--profile`, `--status`, and
  `--actor`, `--action`, `--session` of `audit list`) may be given again: any of the values matches, and options of different names
  narrow each other. Every other option that takes a value is refused (2) when it is given twice with different values; flags may repeat.
- `-` among ids or names stands for the lines of standard input, and is nobody's name: the first tab-separated field counts; blank lines,
  a list's header, a byte order mark, white space and quotes around it do not. A line that names no session is not found (3), and the
  rest is done; a name that cannot be accepted refuses all (2). `tokens revoke` and `sessions end` take `Bearer ` off, too.
- A name that no session in the registry has is said on standard error, with the nearest names that there are; a list that is empty says
  so there.
- A revocation by a filter or of everything, and a `keys retire` or `profiles apply` that ends sessions, show first whom they hit, on
  standard error, and ask: counts by user, application and status, and up to ten sessions, used last first. The note is asked for
  after that. Only what was shown is hit: where any other session would be, nothing is done (4), and the message says how many there
  are now; fewer are no obstacle. `revoke --all` has no such bound, and its question says so. With `--yes` nobody is asked, and
  `--max-affected` alone bounds; with `-q` besides nothing is shown.
- What a deed came to is the last line on standard error, after its rows on standard output. On a terminal those are cut to 50, and
  the command that shows all of them is named.
- `--home DIR` (`AUTHCTL_HOME`) is one installation; `--registry PATH` (`AUTHCTL_REGISTRY`) names a database elsewhere.

| exit code | meaning |
|---|---|
| 0 | done; token valid; a list with no rows; nothing left to revoke |
| 1 | unexpected failure: a defect in authctl |
| 2 | wrong usage, unreadable input, invalid profile, a name that cannot be accepted, a text that can be no token where one is revoked or ended |
| 3 | no such session, user, profile or event; a revoke that matched nothing, or some of whose ids were unknown (the rest is done) |
| 4 | refused: note missing or saying nothing, question declined, `--yes` missing, limit exceeded, user disabled, condition not met, password not accepted or authenticator not to be asked, target exists already, a damaged registry where a backup is to be put |
| 5 | token not valid |
| 6 | registry, key ring or authenticators file unavailable: missing, locked, read-only, disk full, open to others, schema too new; nothing changed (of an import or cleanup, nothing since its last whole batch) |
| 7 | registry, key ring or audit log damaged or tampered with |
| 8 | done, but the result could not be found out or written out |
| 9 | `doctor` found something to mend |
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
    sys.stderr.write("docs/commands.md is not what the commands say; run: make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
