"""`authctl revoke`."""

from functools import partial
from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import Cli, counted, start, talk
from authctl.cli.options import LARGEST, Actor, DryRun, Note, Output, Quiet, Yes
from authctl.cli.selecting import (
    Application,
    CreatedBefore,
    Device,
    Platform,
    ProfileName,
    Statuses,
    UnusedFor,
    User,
    check_found,
    read_ids,
    selected,
    warn_of_similar,
)
from authctl.errors import NotFound
from authctl.model import Kind, SessionFilter, Status
from authctl.registry.revocations import RevokeOutcome, check_target

_PREVIEWED = 5

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def revoke(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...|-]", help="Sessions; with -, an id a line.")
    ] = None,
    user: User = None,
    application: Application = None,
    device: Device = None,
    platform: Platform = None,
    profile: ProfileName = None,
    unused_for: UnusedFor = None,
    created_before: CreatedBefore = None,
    status: Statuses = None,
    everything: Annotated[bool, typer.Option("--all", help="Every session of everybody.")] = False,
    excepted: Annotated[
        list[str] | None, typer.Option("--except", metavar="ID", help="Spare this one; may be given again.")
    ] = None,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    max_affected: Annotated[
        int | None,
        typer.Option(
            "--max-affected", metavar="N", min=0, max=LARGEST, help="Refuse when more would be newly revoked."
        ),
    ] = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Revoke sessions, with a note. It is for good. Ids and --user act at once; filters and --all ask first."""
    cli = start(ctx, output, quiet)
    targets = read_ids(cli, ids or ())
    if ids and not targets.ids:
        raise NotFound("no ids on standard input")
    selection = selected(
        cli.registry.now(),
        status=status,
        ids=targets.ids,
        username=user,
        application=application,
        device=device,
        platform=platform,
        profile=profile,
        unused_for=unused_for,
        created_before=created_before,
        except_ids=tuple(excepted or ()),
        everything=everything,
    )
    check_target(selection)
    note = cli.note(note, may_ask=not dry_run and "-" not in (ids or ()))
    if not (dry_run or ids or user):
        max_affected = _ask(cli, selection, note, max_affected, yes)
    outcome = cli.registry.revoke(selection, note=note, actor=actor, dry_run=dry_run, max_affected=max_affected)
    warn_of_similar(cli, user or ())
    targets.warn_of_unusable(cli)
    _show(cli, outcome._replace(not_found=targets.not_found(outcome.not_found)))


def _ask(cli: Cli, selection: SessionFilter, note: str | None, max_affected: int | None, yes: bool) -> int | None:
    """Show what a filter hits, and go on only when the person agrees; the most that may then be revoked."""
    from authctl import names

    names.note(note)
    preview = partial(cli.registry.revoke, selection, note=note, dry_run=True, max_affected=max_affected)
    found = cli.registry.with_room(preview)
    if not found.revoked:
        return max_affected if yes else 0
    unrevoked = tuple(set(selection.statuses or Status) - {Status.REVOKED})
    web = cli.registry.count(selection.narrowed(kind=Kind.WEB, status=unrevoked, everything=False))
    hit = [one for one in found.sessions if one.status_before is not Status.REVOKED]
    shown = ", ".join(f"{one.username} on {one.application or '?'}" for one in hit[:_PREVIEWED])
    more = ", …" if found.revoked > _PREVIEWED else ""
    if not (yes and cli.quiet):
        talk(f"this would revoke {counted(found.revoked, 'session')}, {web} of them web sessions: {shown}{more}")
    if selection.everything:
        question = f"everybody has to sign in again. Type {found.revoked} to revoke them:"
        cli.confirm(question, str(found.revoked), yes)
    else:
        cli.confirm(f"revoke {counted(found.revoked, 'session')}? [y/N]", "y", yes)
    return max_affected


def _show(cli: Cli, outcome: RevokeOutcome) -> None:
    done = "dry run, nothing was changed: would revoke" if outcome.dry_run else "revoked"
    before = f"; {outcome.already_revoked:,} revoked before" if outcome.already_revoked else ""
    if outcome.selected:
        unsaid = "" if outcome.revocation_id or outcome.dry_run else "; the note was not recorded"
        cli.say(f"{done} {counted(outcome.revoked, 'session')}{before}{unsaid}")
    if outcome.selected > len(outcome.sessions) and (cli.form or not cli.quiet):
        cli.warn(f"only {len(outcome.sessions):,} of the {outcome.selected:,} sessions are listed")
    if outcome.selected or cli.form:
        cli.show_outcome(records.revocation(outcome), render.REVOKED)
    check_found(outcome.not_found, "to find it: authctl sessions list")
    if not outcome.selected:
        raise NotFound("no session matches", "to see them: authctl sessions list")
