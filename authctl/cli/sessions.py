"""`authctl sessions`: list, show, end; import is in `session_imports.py`."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start
from authctl.cli.options import Actor, Exact, Limit, Local, Output, Paged, Quiet
from authctl.cli.session_filters import (
    Application,
    CreatedBefore,
    CreatedSince,
    Delivery,
    Device,
    ExpiresBefore,
    KindChoice,
    ListedKind,
    Platform,
    ProfileName,
    Search,
    Source,
    Statuses,
    UnusedFor,
    UsedAfterEnd,
    UsedSince,
    User,
    WipeState,
    option_texts,
    report_users,
)
from authctl.errors import InvalidInput
from authctl.filter_texts import read_session_filter
from authctl.model import Grouping, Status
from authctl.names import counted

app = typer.Typer(help="List, show, end and import sessions.", rich_markup_mode=None, add_completion=False)

ELSEWHERE = {"import": ("session_imports", "import_")}
"""Verbs of this noun in other modules, which are loaded when the verb runs: module and function."""


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
    source: Source = None,
    used_after_end: UsedAfterEnd = False,
    created_since: CreatedSince = None,
    created_before: CreatedBefore = None,
    used_since: UsedSince = None,
    unused_for: UnusedFor = None,
    expires_before: ExpiresBefore = None,
    group_by: Annotated[
        Grouping | None,
        typer.Option("--group-by", help="Count sessions by status for each user, application, platform or source."),
    ] = None,
    wipe: WipeState = None,
    delivery: Delivery = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="FIELD|-FIELD",
            help="Sort by one of: id, username, application, platform, device, ip, profile, source,"
            " created_at, last_used_at, expires_at, ended_at, revoked_at. With - before it, descending.",
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
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List sessions, most recently used first. Only expired: most recent end first. Only revoked: most recent revocation first."""
    texts = option_texts(locals())
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    selection = read_session_filter(texts, cli.registry.now(), used_after_end=used_after_end)
    if (sort or after) and (count or group_by):
        raise InvalidInput("--sort and --after are for a list", "leave out --count or --group-by")
    groups = None if group_by is None else cli.registry.lists.groups(group_by, selection)
    if count:
        number = cli.registry.count(selection) if groups is None else len(groups)
        cli.show_line(f'{{"count": {number}}}' if cli.prints_json else str(number))
        report_users(ctx, cli, selection, is_empty=not number)
        return
    if groups is not None:
        cli.show_cut(map(records.group, groups), render.GROUPS, limit)
        report_users(ctx, cli, selection, is_empty=not groups)
        return
    most = limit or cli.page_size
    # decision 344: JSON shows fewer fields than a session has, and a list may be long
    read = cli.registry.lists.listed if cli.prints_json else cli.registry.sessions
    listed = read(selection, sort=sort, after=after, limit=most)
    shape = render.REVOKED_SESSIONS if selection.statuses == (Status.REVOKED,) else render.SESSIONS
    shape = shape if wipe is None else render.WIPED_SESSIONS
    shape = render.SESSIONS_OF_SOURCES if source or used_after_end else shape
    is_listed = cli.show_sessions(listed, shape)
    if limit is None:
        cli.say_cut(most, is_limited=False, more=lambda: listed.next is not None)
    cli.say_next(listed.next)
    report_users(ctx, cli, selection, is_empty=not is_listed)


@app.command()
def show(
    ctx: typer.Context,
    session_id: Annotated[
        str, typer.Argument(metavar="ID", help="Session id, or the beginning of one that is unique.")
    ],
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show every field of a session, its first deadline and, if it was revoked, by whom, when and why."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    session = cli.registry.session(session_id)
    from authctl import delivery_records

    deliveries = [
        delivery_records.of_session(delivery) for delivery in cli.registry.deliveries.of_session(session.number)
    ]
    cli.show(records.shown_session(session, deliveries), "session")


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
    from authctl.cli.pasted_text import strip_token
    from authctl.cli.sign_in import warn_of_argument
    from authctl.cli.targets import check_found, read_ids_or_tokens
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
    if outcome.ended:
        from authctl.cli.receiver_messages import say_deliveries

        say_deliveries(cli, min(session.ended_at or 0 for session in outcome.sessions[: outcome.ended]))
    with cli.last_line(f"ended {counted(outcome.ended, 'session')}; {outcome.already_ended:,} had already ended"):
        newest = f"authctl sessions list --status expired --kind all --limit {outcome.ended}"
        those = "those that ended now" if outcome.already_ended else "all of them"
        cli.show_outcome(records.ending(outcome), render.ENDED, total, newest if outcome.ended else None, those=those)
    check_found(outcome.not_found)
