"""Warnings of receivers that could not be told, for the commands that deliver."""

from typing import TYPE_CHECKING

from authctl.cli.context import Cli
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.delivering import DeliverOutcome


def warn_of_failures(cli: Cli, outcome: "DeliverOutcome") -> None:
    """Warn of each receiver that could not be told, and of deliveries that were given up."""
    for one in outcome.receivers:
        if one.reason:
            cli.warn(f"receiver {quoted(one.receiver)}: {one.reason}")
    if outcome.dead:
        cli.warn(f"{counted(outcome.dead, 'message')} given up: pending for longer than give_up_after")
