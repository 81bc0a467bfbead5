"""`authctl revoke`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, DryRun, Note, Output, Quiet, Yes, whole_number
from authctl.cli.previews import confirm_revocation
from authctl.cli.session_filters import (
    Application,
    CreatedBefore,
    CreatedSince,
    Delivery,
    Device,
    ExpiresBefore,
    KindChoice,
    Platform,
    ProfileName,
    RefusedWipe,
    RevokedKind,
    Search,
    Source,
    Statuses,
    UnusedFor,
    UsedAfterEnd,
    UsedSince,
    User,
    option_texts,
    warn_of_similar,
    warn_of_unknown,
    web_sessions,
)
from authctl.cli.targets import check_found, read_ids
from authctl.errors import AuthctlError, NotFound
from authctl.filter_texts import read_session_filter
from authctl.names import counted, quoted
from authctl.registry.revocations import RevokeOutcome, check_target

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_OVERDUE = 9


@app.command()
def revoke(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...|-]", help="Session ids. With -, one id per line on standard input."),
    ] = None,
    user: User = None,
    application: Application = None,
    device: Device = None,
    platform: Platform = None,
    profile: ProfileName = None,
    kind: RevokedKind = None,
    search: Search = None,
    source: Source = None,
    used_after_end: UsedAfterEnd = False,
    created_since: CreatedSince = None,
    created_before: CreatedBefore = None,
    used_since: UsedSince = None,
    unused_for: UnusedFor = None,
    expires_before: ExpiresBefore = None,
    status: Statuses = None,
    wipe: RefusedWipe = None,
    delivery: Delivery = None,
    everything: Annotated[bool, typer.Option("--all", help="All sessions of all users.")] = False,
    excepted: Annotated[
        list[str] | None, typer.Option("--except", metavar="ID", help="Do not revoke this session. Repeatable.")
    ] = None,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    max_affected: Annotated[
        int | None,
        typer.Option(
            "--max-affected",
            metavar="N",
            parser=whole_number(0),
            help="Refuse if more sessions would be newly revoked.",
        ),
    ] = None,
    deliver: Annotated[
        bool,
        typer.Option(
            "--deliver", help="Tell the receivers at once, after the commit. Exit code 9 if something stays pending."
        ),
    ] = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Revoke sessions, with a note. Cannot be undone. Ids and --user act at once; filters and --all ask first."""
    texts = option_texts(locals()) | {"kind": kind or KindChoice.ALL}
    cli = start(ctx, output, quiet)
    targets = read_ids(cli, ids or ())
    if ids and not targets.ids:
        raise NotFound("no ids on standard input")
    selection = read_session_filter(
        texts,
        cli.registry.now(),
        ids=targets.ids,
        except_ids=tuple(excepted or ()),
        everything=everything,
        used_after_end=used_after_end,
    )
    check_target(selection)
    # Standard input gives the ids, so that nobody can type a note there.
    may_ask = "-" not in (ids or ())
    bound = None
    if not dry_run:
        cli.check_note(note, may_ask=may_ask)
    # What is named acts at once; what is described by a filter may hit more than its author thinks.
    if not (dry_run or ids or user):
        bound = confirm_revocation(cli, selection, max_affected, yes)
    note = cli.note(note, may_ask=may_ask and not dry_run)
    web = web_sessions(cli, selection) if kind is None and not ids and (user or dry_run) else 0
    outcome = cli.registry.revoke(
        selection, note=note, actor=actor, dry_run=dry_run, max_affected=max_affected, bound=bound
    )
    if web and outcome.revoked:
        cli.say(f"{counted(web, 'web session')} among them: without --kind every kind is covered")
    for system, number in outcome.by_source.items():
        if cli.registry.deliveries.is_told(system):
            continue
        cli.warn(
            f"{counted(number, 'session')} of {quoted(system)}: revoked only here; authctl does not tell that system"
        )
    warn_of_similar(cli, user or ())
    warn_of_unknown(cli, user or ())
    if targets.texts and 0 < outcome.selected < len(set(targets.texts)) - len(outcome.not_found):
        cli.warn("some of the ids do not match the other filters, and were not selected")
    targets.warn_of_unusable(cli)
    states = _deliver(cli, outcome, at_once=deliver) if outcome.revocation_id else {}
    _show(cli, outcome._replace(not_found=targets.not_found(outcome.not_found)), states)
    if deliver and any("pending" in counts for counts in states.values()):
        raise typer.Exit(_OVERDUE)


def _deliver(cli: Cli, outcome: RevokeOutcome, *, at_once: bool) -> Mapping[str, Mapping[str, int]]:
    """The deliveries of a revocation by receiver and state, after they were tried if that is wanted."""
    assert outcome.revocation_id is not None
    deliveries = cli.registry.deliveries
    if at_once:
        from authctl.cli.failed_deliveries import warn_of_failures

        warn_of_failures(cli, deliveries.deliver(at_once=True))
    states = deliveries.of_revocation(outcome.revocation_id)
    for receiver, counts in states.items():
        told = ", ".join(f"{count:,} {state}" for state, count in counts.items()) or "nothing to tell"
        cli.say(f"receiver {quoted(receiver)}: {told}")
    return states


def _show(cli: Cli, outcome: RevokeOutcome, states: Mapping[str, Mapping[str, int]]) -> None:
    done = "dry run, nothing was changed: would revoke" if outcome.dry_run else "revoked"
    before = f"; {outcome.already_revoked:,} revoked before" if outcome.already_revoked else ""
    unsaid = "" if outcome.revocation_id or outcome.dry_run else "; the note was not recorded"
    verdict = f"{done} {counted(outcome.revoked, 'session')}{before}{unsaid}" if outcome.selected else None
    rest = f"authctl sessions list --status revoked --kind all --limit {outcome.revoked}"
    with cli.last_line(verdict):
        if outcome.selected or cli.form:
            rest = "the same with -o json" if outcome.dry_run else rest
            record = {**records.revocation(outcome), "deliveries": states}
            cli.show_outcome(record, render.REVOKED, outcome.selected, rest)
    check_found(outcome.not_found, _hint_for_unknown(cli, outcome.not_found))
    if not outcome.selected:
        raise NotFound("no session matches", "to see them: authctl sessions list")


def _hint_for_unknown(cli: Cli, not_found: Sequence[str]) -> str:
    """The next step after ids that no session has: often the name of a user was typed in the place of an id."""
    with suppress(AuthctlError):
        without_sessions = cli.registry.users.unknown(not_found[:1])
        if not_found and not without_sessions:
            return f"to revoke all sessions of this user: authctl revoke --user {quoted(not_found[0])}"
    return "to find it: authctl sessions list"
