"""`authctl sessions import`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import import_records
from authctl.cli.context import Cli, start
from authctl.cli.options import TIME, Actor, DryRun, Output, Quiet, Yes, user_names, whole_number
from authctl.errors import InvalidInput, NotFound
from authctl.instants import parse_when
from authctl.names import counted, quoted
from authctl.render import Format

if TYPE_CHECKING:
    from authctl.import_mappings import Mapping
    from authctl.registry.imports.complete import Complete
    from authctl.registry.imports.file import ImportOutcome

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...|-",
        help="Export files: JSON lines, JSON, CSV or another text, also packed with gzip. With -, standard input.",
    ),
]
Map = Annotated[
    str,
    typer.Option(
        "--map",
        metavar="MAP.yaml|NAME",
        help="Mapping file, the place of each field in the export; or the name of a shipped one (see: authctl mappings list).",
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile of the new sessions, instead of the assigned one."),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Encoding of a file without a byte order mark: UTF-8 (default), UTF-16, UTF-16LE, UTF-16BE or Windows-1252.",
    ),
]
TakenAt = Annotated[
    str | None,
    typer.Option(
        "--taken-at",
        metavar="TIME",
        help=f"Time at which the listing was taken: {TIME}. Default: the time in the file, or now.",
    ),
]
SourceName = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="System of the sessions, instead of the source in the mapping."),
]
IsComplete = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="The files have all sessions of the source, or of each --user: active sessions that are not in them end.",
    ),
]
OfUsers = Annotated[
    list[str] | None,
    typer.Option(
        "--user", metavar="NAME", callback=user_names, help="With --complete: only sessions of this user. Repeatable."
    ),
]
AllowPartial = Annotated[
    bool,
    typer.Option(
        "--allow-partial", help="With --complete: accept files without a row, or with rows that are not used."
    ),
]
MaxAffected = Annotated[
    int | None,
    typer.Option(
        "--max-affected",
        metavar="N",
        parser=whole_number(0),
        help="With --complete: refuse if more sessions would end. Default: half of the active sessions of the source.",
    ),
]
IsStrict = Annotated[bool, typer.Option("--strict", help="Register nothing if any row is rejected (exit 2).")]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Accept a file of which no row is used (exit 0 instead of 3).")
]


def import_(
    ctx: typer.Context,
    files: Files,
    mapping: Map,
    profile: ProfileName = None,
    encoding: Encoding = None,
    source: SourceName = None,
    taken_at: TakenAt = None,
    complete: IsComplete = False,
    user: OfUsers = None,
    allow_partial: AllowPartial = False,
    max_affected: MaxAffected = None,
    yes: Yes = False,
    strict: IsStrict = False,
    allow_empty: AllowEmpty = False,
    dry_run: DryRun = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Import sessions from another system's export. Importing a file again, or files in any order, gives the same result."""
    from authctl.cli.files import opened_exports
    from authctl.import_mappings import read_mapping

    cli = start(ctx, output, quiet)
    fields = read_mapping(_mapping_text(mapping), mapping, is_timed=taken_at is not None)
    claim = _complete(cli, complete, user, allow_partial=allow_partial, max_affected=max_affected, yes=yes)
    if claim and not claim.users:
        _warn_of_listing_of_user(cli, mapping)
    taken = None if taken_at is None else parse_when(taken_at, cli.registry.now())
    with opened_exports(files) as exports, cli.progress("registering") as progress:
        name, first = next(exports)
        outcome = cli.registry.imports.run(
            first,
            fields,
            name=name,
            more=exports,
            source=source,
            taken_at=taken,
            complete=claim,
            encoding=encoding,
            profile=profile,
            strict=strict,
            dry_run=dry_run,
            actor=actor,
            progress=progress,
        )
    _warn_of_rows(cli, outcome, fields, mapping)
    _show(cli, outcome)
    # decision 120: most often the mapping is wrong, and an exit 0 would hide it from cron
    if outcome.unused_because and not (allow_empty or allow_partial):
        hint = "if a file without rows is not an error: --allow-empty"
        raise NotFound(f"no row of {name} was used: {outcome.unused_because}", hint)


def _mapping_text(name: str) -> bytes:
    """The text of a mapping: of a shipped one, if it has that name, else of a file. Raises InvalidInput."""
    from authctl import shipped_mappings
    from authctl.cli.files import read_file

    if not shipped_mappings.is_name(name):
        return read_file(Path(name))
    if name not in shipped_mappings.names():
        message = f"no shipped mapping {quoted(name)}{shipped_mappings.nearest_in_words(name)}"
        raise InvalidInput(message, f"for a file of that name: --map ./{name}")
    return shipped_mappings.read(name).text.encode()


def _warn_of_listing_of_user(cli: Cli, name: str) -> None:
    """Warn if a listing of that mapping has one user: files that lack a user would end the sessions of that user."""
    # decision 167: several files of single users can have every user, so it may be right
    from authctl import shipped_mappings

    if shipped_mappings.is_name(name) and shipped_mappings.read(name).complete_for == shipped_mappings.OF_USER:
        users = "unless the files have every user, name the users of these files: --user NAME"
        cli.warn(f"a listing of {quoted(name)} has the sessions of one user; {users}")


def _complete(
    cli: Cli, complete: bool, users: list[str] | None, *, allow_partial: bool, max_affected: int | None, yes: bool
) -> "Complete | None":
    """The claim that the files are complete. Raises InvalidInput for an option that needs --complete and stands without it."""
    given = {"--user": bool(users), "--allow-partial": allow_partial, "--max-affected": max_affected is not None}
    if not complete:
        if misplaced := [name for name, is_given in given.items() if is_given]:
            raise InvalidInput(f"{misplaced[0]} is for a complete listing", "give --complete, too")
        return None
    from authctl.cli.previews import confirm_not_listed
    from authctl.registry.imports.complete import Complete

    return Complete(
        tuple(users or ()), allow_partial, max_affected, lambda preview: confirm_not_listed(cli, preview, yes)
    )


def _warn_of_rows(cli: Cli, outcome: "ImportOutcome", fields: "Mapping", mapping: str) -> None:
    for part in fields.blank_parts() if outcome.rows.used else ():
        cli.warn(f"{mapping}: the key part '{part}' was blank in every row")
    for row in (*outcome.rejected_rows, *outcome.moved_rows):
        cli.warn(f"{row.file}: {row.place}: {row.reason}")
    for remark in outcome.remarks:
        places = "; ".join(f"{row.file}: {row.place}" for row in remark.rows)
        more = ", …" if remark.total > len(remark.rows) else ""
        cli.warn(f"{counted(remark.total, 'row')}: {remark.remark}: {places}{more}")


def _show(cli: Cli, outcome: "ImportOutcome") -> None:
    done, would_be = ("dry run, nothing was changed", "would be ") if outcome.dry_run else ("done", "")
    registered = f"{counted(outcome.registered, 'session')} {would_be}registered"
    counts_in_words = f"{registered}, {outcome.updated:,} updated, {outcome.unchanged:,} unchanged"
    record = import_records.imported(outcome)
    if cli.form in (None, Format.TABLE):
        del record["rejections"], record["moved"], record["remarks"], record["not_listed_sessions"]
    if outcome.dry_run and outcome.ends and outcome.ends.summary.total and not cli.quiet:
        from authctl.cli.previews import show_preview

        show_preview(outcome.ends, "end", "active session")
    for line in _of_source(outcome):
        cli.say(line)
    cli.report(record, f"{done}: {counts_in_words}; {counted(outcome.rows.rejected, 'row')} rejected")


def _of_source(outcome: "ImportOutcome") -> Iterator[str]:
    """The lines about sessions that ended, returned, or were used after their end in their source."""
    source, would = quoted(outcome.source or ""), "would " if outcome.dry_run else ""
    if outcome.not_listed:
        ended = f"{would}end" if would else "ended"
        yield f"{counted(outcome.not_listed, 'session')} {ended}: not in the complete listing of {source}"
    if outcome.returned:
        yield f"{counted(outcome.returned, 'session')} {would or 'are '}active again: listed by {source}"
    if outcome.used_after_end:
        yield (
            f"{counted(outcome.used_after_end, 'session')} used in {source} after the end here;"
            " to see them: authctl sessions list --used-after-end"
        )
    if outcome.adopted:
        yield f"{counted(outcome.adopted, 'session')} without a source: their source is now {source}"
