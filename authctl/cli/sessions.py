"""`authctl sessions`: list, show, import, end."""

from pathlib import Path
from typing import Annotated, Any

import typer

from authctl import records, render
from authctl.cli.context import counted, start
from authctl.cli.options import Actor, DryRun, Limit, Output, Quiet
from authctl.cli.pasted_text import strip_token
from authctl.cli.session_filters import (
    Application,
    CreatedBefore,
    CreatedSince,
    Device,
    ExpiresBefore,
    KindChoice,
    ListedKind,
    Platform,
    ProfileName,
    Search,
    Statuses,
    UnusedFor,
    UsedSince,
    User,
    WipeState,
    report_users,
)
from authctl.errors import InvalidInput, NotFound
from authctl.filter_texts import read_session_filter
from authctl.instants import parse_when
from authctl.model import Grouping, Status
from authctl.names import quoted
from authctl.render import Format

MappingName = Annotated[
    str,
    typer.Option(
        "--map",
        metavar="MAP.yaml|NAME",
        help="Mapping file, the place of each field in the export; or the name of a shipped one (see: authctl mappings list).",
    ),
]

app = typer.Typer(help="List, show, import and end sessions.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Statuses = None,
    user: User = None,
    application: Application = None,
    device: Device = None,
    platform: Platform = None,
    profile: ProfileName = None,
    kind: ListedKind = KindChoice.APPLICATION,
    search: Search = None,
    created_since: CreatedSince = None,
    created_before: CreatedBefore = None,
    used_since: UsedSince = None,
    unused_for: UnusedFor = None,
    expires_before: ExpiresBefore = None,
    group_by: Annotated[
        Grouping | None,
        typer.Option("--group-by", help="Count sessions by status for each user, application or platform."),
    ] = None,
    wipe: WipeState = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="FIELD|-FIELD",
            help="Sort by one of: id, username, application, platform, device, ip, profile, created_at,"
            " last_used_at, expires_at, ended_at, revoked_at. With - before it, descending.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="CURSOR|ID",
            help="Continue after this place: the cursor printed with the previous page, or a session id of the list.",
        ),
    ] = None,
    limit: Limit = None,
    count: Annotated[bool, typer.Option("--count", help="Print only the number of sessions.")] = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List sessions, most recently used first. Only expired: most recent end first. Only revoked: most recent revocation first."""
    cli = start(ctx, output, quiet)
    texts: dict[str, Any] = {"status": status, "kind": kind, "search": search, "wipe": wipe}
    texts |= {"user": user, "application": application, "device": device, "platform": platform, "profile": profile}
    texts |= {"created_since": created_since, "created_before": created_before, "used_since": used_since}
    texts |= {"unused_for": unused_for, "expires_before": expires_before}
    selection = read_session_filter(texts, cli.registry.now())
    if (sort or after) and (count or group_by):
        raise InvalidInput("--sort and --after are for a list", "leave out --count or --group-by")
    groups = None if group_by is None else cli.registry.groups(group_by, selection)
    if count:
        number = cli.registry.count(selection) if groups is None else len(groups)
        as_json = cli.form in (Format.JSON, Format.NDJSON)
        cli.show_line(f'{{"count": {number}}}' if as_json else str(number))
        report_users(ctx, cli, selection, is_empty=not number)
        return
    if groups is not None:
        cli.show_cut(map(records.group, groups), render.GROUPS, limit)
        report_users(ctx, cli, selection, is_empty=not groups)
        return
    listed = cli.registry.sessions(selection, sort=sort, after=after, limit=limit or cli.screenful)
    shape = render.REVOKED_SESSIONS if selection.statuses == (Status.REVOKED,) else render.SESSIONS
    shape = shape if wipe is None else render.WIPED_SESSIONS
    is_listed = cli.show_many(map(records.session, listed), shape)
    if limit is None:
        cli.say_cut(limit, more=lambda: listed.next is not None)
    cli.say_next(listed.next)
    report_users(ctx, cli, selection, is_empty=not is_listed)


@app.command()
def show(
    ctx: typer.Context,
    session_id: Annotated[
        str, typer.Argument(metavar="ID", help="Session id, or the beginning of one that is unique.")
    ],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show every field of a session, its first deadline and, if it was revoked, by whom, when and why."""
    cli = start(ctx, output, quiet)
    cli.show(records.shown_session(cli.registry.session(session_id)))


@app.command("import")
def import_(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...|-",
            help="Export files: JSON lines, JSON, CSV or another text, also packed with gzip. With -, standard input.",
        ),
    ],
    mapping: MappingName,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Profile of the new sessions, instead of the assigned one."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="NAME",
            help="Encoding of a file without a byte order mark: UTF-8 (default), UTF-16, UTF-16LE, UTF-16BE or Windows-1252.",
        ),
    ] = None,
    taken_at: Annotated[
        str | None,
        typer.Option(
            "--taken-at",
            metavar="TIME",
            help="Time at which the listing was taken: a date, a time, or an age (7d: 7 days ago). Default: the file's, or now.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Register nothing if any row is rejected (exit 2).")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a file of which no row is used (exit 0 instead of 3).")
    ] = False,
    dry_run: DryRun = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Import sessions from another system's export. Importing a file again, or files in any order, gives the same result."""
    from authctl.cli.files import opened_exports
    from authctl.import_mappings import read_mapping

    cli = start(ctx, output, quiet)
    fields = read_mapping(_mapping_text(mapping), mapping)
    taken = None if taken_at is None else parse_when(taken_at, cli.registry.now())
    with opened_exports(files) as exports, cli.progress("registering") as progress:
        name, first = next(exports)
        outcome = cli.registry.imports.run(
            first,
            fields,
            name=name,
            more=exports,
            taken_at=taken,
            encoding=encoding,
            profile=profile,
            strict=strict,
            dry_run=dry_run,
            actor=actor,
            progress=progress,
        )
    for part in fields.blank_parts() if outcome.rows.used else ():
        cli.warn(f"{mapping}: the key part '{part}' was blank in every row")
    for row in (*outcome.rejected_rows, *outcome.moved_rows):
        cli.warn(f"{row.file}: {row.place}: {row.reason}")
    for remark in outcome.remarks:
        places = "; ".join(f"{row.file}: {row.place}" for row in remark.rows)
        cli.warn(
            f"{counted(remark.total, 'row')}: {remark.remark}: {places}{', …' if remark.total > len(remark.rows) else ''}"
        )
    done = "dry run, nothing was changed: would be" if dry_run else "done:"
    told = f"{counted(outcome.registered, 'session')} registered, {outcome.updated:,} updated, {outcome.unchanged:,} unchanged"
    record = records.imported(outcome)
    if cli.form in (None, Format.TABLE):
        del record["rejections"], record["moved"], record["remarks"]
    cli.report(record, f"{done} {told}; {counted(outcome.rows.rejected, 'row')} rejected")
    if outcome.unused_because and not allow_empty:  # decision 120
        hint = "where a file without rows is no error: --allow-empty"
        raise NotFound(f"no row of {name} was used: {outcome.unused_because}", hint)


def _mapping_text(name: str) -> bytes:
    """The text of a mapping: of a shipped one, if that is what the name says, else of a file. Raises InvalidInput."""
    from authctl import shipped_mappings
    from authctl.cli.files import read_file

    if not shipped_mappings.is_name(name):
        return read_file(Path(name))
    if name not in shipped_mappings.names():
        message = f"no shipped mapping {quoted(name)}{shipped_mappings.nearest_in_words(name)}"
        raise InvalidInput(message, f"for a file of that name: --map ./{name}")
    return shipped_mappings.read(name).text.encode()


@app.command()
def end(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="ID...|-", help="Session ids or tokens. With -, one per line on standard input."),
    ],
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """End sessions now, because the user signed out or closed the browser."""
    from authctl.cli.session_filters import check_found, read_ids_or_tokens
    from authctl.cli.sign_in import warn_of_argument
    from authctl.tokens import has_token_shape

    cli = start(ctx, output, quiet)
    chosen = read_ids_or_tokens(cli, targets)
    if any(has_token_shape(strip_token(target)) for target in targets):
        warn_of_argument(cli)
    with cli.progress_told("ending", "ids") as progress:
        outcome = cli.registry.end(chosen.texts, actor=actor, progress=progress)
    outcome = outcome._replace(not_found=chosen.not_found(outcome.not_found))
    chosen.warn_of_unusable(cli)
    total = outcome.ended + outcome.already_ended
    with cli.last_line(f"ended {counted(outcome.ended, 'session')}; {outcome.already_ended:,} had already ended"):
        rest = f"authctl sessions list --status expired --kind all --limit {total}"
        cli.show_outcome(records.ending(outcome), render.ENDED, total, rest)
    check_found(outcome.not_found)
