"""Messages about receivers on standard error, for the commands whose decisions receivers get."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import typer

from authctl.cli.context import Cli
from authctl.errors import AuthctlError
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.delivering import DeliverOutcome
    from authctl.registry.revocations import RevokeOutcome

_PENDING = 9
"""The exit code of deliveries that stay pending."""


class Told(NamedTuple):
    """The deliveries of a revocation."""

    states: Mapping[str, Mapping[str, int]]
    """How many are in each state, by receiver."""
    has_failed: bool = False
    """Whether sending failed, or the deliveries could not be counted."""

    def check(self) -> None:
        """Raise Exit with 9 where a delivery is pending, or may be."""
        if self.has_failed or any("pending" in counts for counts in self.states.values()):
            raise typer.Exit(_PENDING)


def told_deliveries(cli: Cli, outcome: "RevokeOutcome", *, deliver: bool) -> Told:
    """Report the deliveries of a revocation by receiver and state; with `deliver` after they were tried.

    The revocation is done: an error in sending becomes a warning, so that the outcome is shown.
    """
    if outcome.revocation_id is None:
        return Told({})
    deliveries = cli.registry.deliveries
    has_failed = False
    if deliver:
        try:
            warn_of_failures(cli, deliveries.deliver(at_once=True))
        except AuthctlError as error:
            has_failed = True
            cli.warn(f"the receivers were not told: {error.message}")
    try:
        states = deliveries.of_revocation(outcome.revocation_id)
    except AuthctlError as error:
        cli.warn(f"the deliveries could not be counted: {error.message}")
        return Told({}, has_failed=True)
    _say_states(cli, states)
    return Told(states, has_failed)


def say_deliveries(cli: Cli, at: int) -> None:
    """Report the deliveries of the decisions from an instant on, by receiver and state: of a decision that was made just now."""
    if cli.quiet:
        return
    try:
        _say_states(cli, cli.registry.deliveries.since(at))
    except AuthctlError as error:
        cli.warn(f"the deliveries could not be counted: {error.message}")


def _say_states(cli: Cli, states: Mapping[str, Mapping[str, int]]) -> None:
    for receiver, counts in states.items():
        in_words = ", ".join(f"{count:,} {state}" for state, count in counts.items()) or "no delivery"
        cli.say(f"receiver {quoted(receiver)}: {in_words}")


def warn_of_failures(cli: Cli, outcome: "DeliverOutcome") -> None:
    """Warn of each receiver that could not be reached, and of deliveries that were given up."""
    for receiver in outcome.receivers:
        if receiver.reason:
            cli.warn(f"receiver {quoted(receiver.receiver)}: {receiver.reason}")
    if outcome.dead:
        cli.warn(f"{counted(outcome.dead, 'message')} given up: pending for longer than give_up_after")
