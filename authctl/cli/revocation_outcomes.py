"""The outcome of a revocation on both streams: the sessions, the verdict, and warnings about the rest.

See docs/glossary.md#lag.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from authctl import records, render
from authctl.cli.context import Cli
from authctl.cli.receiver_messages import told_deliveries
from authctl.cli.targets import check_found
from authctl.errors import AuthctlError, NotFound
from authctl.instants import format_timeout
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.revocations import RevokeOutcome


class Terms(NamedTuple):
    """The terms of a revocation: the reason, the actor and the guards."""

    note: str | None
    actor: str | None
    dry_run: bool
    yes: bool
    max_affected: int | None
    deliver: bool = False
    """Whether the receivers are told at once, after the commit."""
    may_ask: bool = True
    """Whether the note may be asked for: not where standard input has the targets."""


def show(cli: Cli, outcome: "RevokeOutcome", *, deliver: bool = False) -> None:
    """Show the sessions and the verdict. Raises NotFound where an id is unknown, or nothing was selected.

    With `deliver` the deliveries are sent before; then it raises Exit with 9 if something stays pending.
    """
    has_sessions = outcome.selected or outcome.plan
    from authctl.cli.effects import told_effect

    if outcome.revoked and not outcome.dry_run:
        _say_lag(cli, outcome)
    effect = told_effect(
        cli, lambda: cli.registry.effects.of_revocation(outcome), sources=False, revoked=outcome.revoked
    )
    told = told_deliveries(cli, outcome, deliver=deliver)
    with cli.last_line(verdict(outcome) if has_sessions else None):
        if has_sessions or cli.form:
            # A revocation that names exact sessions lists the newly revoked ones alone; with --keep there may be none, and none that is kept.
            is_exact = outcome.plan or outcome.kept or not outcome.sessions
            total = outcome.revoked if is_exact else outcome.selected
            record = {**records.revocation(outcome), "effect": effect, "deliveries": told.states}
            those = "all of them" if outcome.revoked == total or outcome.dry_run else "those revoked now"
            cli.show_outcome(record, render.REVOKED, total, _list_of(outcome), those=those)
    check_found(outcome.not_found, hint_for_unknown(cli, outcome.not_found))
    if not has_sessions:
        raise NotFound("no session matches", "to see all sessions: authctl sessions list")
    if deliver:
        told.check()


def _list_of(outcome: "RevokeOutcome") -> str | None:
    """The command that lists the sessions of a revocation: of those that were revoked before, no list has these alone."""
    if outcome.dry_run:
        return "the same with -o json"
    newest = f"authctl sessions list --status revoked --kind all --limit {outcome.revoked}"
    return newest if outcome.revoked else None


def verdict(outcome: "RevokeOutcome") -> str:
    """The sentence about a revocation, or its dry run."""
    done = "dry run, nothing was changed: would revoke" if outcome.dry_run else "revoked"
    before = f"; {outcome.already_revoked:,} revoked before" if outcome.already_revoked else ""
    kept = f"; {outcome.kept:,} kept" if outcome.kept else ""
    newcomers = outcome.plan.newcomers if outcome.plan else 0
    spared = f"; {newcomers:,} newly selected by the filter and not in the plan" if newcomers else ""
    not_recorded = "" if outcome.revocation_id or outcome.dry_run else "; the note was not recorded"
    return f"{done} {counted(outcome.revoked, 'session')}{before}{kept}{spared}{not_recorded}"


def warn_of_sources(cli: Cli, outcome: "RevokeOutcome") -> None:
    """Warn of the systems in which revoked sessions stay active, if no receiver is told about them."""
    for system, number in outcome.by_source.items():
        if cli.registry.deliveries.is_told(system):
            continue
        cli.warn(
            f"{counted(number, 'session')} of {quoted(system)}: revoked only here; authctl does not tell that system"
        )


def _say_lag(cli: Cli, outcome: "RevokeOutcome") -> None:
    """Report the longest lag of the clients concerned: they may accept the sessions by answers that they keep."""
    if cli.quiet:
        return
    # a long revocation names its first thousand sessions only
    is_whole = outcome.selected == len(outcome.sessions)
    client = cli.registry.clients.slowest({s.application for s in outcome.sessions} if is_whole else None)
    if client is not None and client.lag:
        lag = format_timeout(client.lag)
        cli.say(f"client {client.name} may let these sessions in for up to {lag}, by answers that it keeps")


def hint_for_unknown(cli: Cli, not_found: Sequence[str]) -> str:
    """The next step after ids that no session has: often the name of a user was typed in the place of an id."""
    with suppress(AuthctlError):
        without_sessions = cli.registry.users.unknown(not_found[:1])
        if not_found and not without_sessions:
            return f"to revoke all sessions of this user: authctl revoke --user {quoted(not_found[0])}"
    return "to find it: authctl sessions list"
