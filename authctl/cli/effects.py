"""The effect of an operation on standard error: the access that remains, and its reason.

See docs/glossary.md#effect.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from authctl import records
from authctl.cli.context import Cli
from authctl.errors import AuthctlError
from authctl.instants import format_instant
from authctl.names import counted, quoted
from authctl.render import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.registry.effects import Effect

_LONGEST_NAME = 40


def told_effect(cli: Cli, find: "Callable[[], Effect | None]", *, sources: bool = True) -> records.Record | None:
    """Report the effect of an operation. Returns its record; None if it could not be read, since the operation is done."""
    if cli.quiet and cli.form not in (Format.JSON, Format.NDJSON):
        return None
    # decision 210: the operation is done, so an effect that cannot be read must not look like its failure
    with suppress(AuthctlError):
        effect = find()
        if effect is not None:
            say_effect(cli, effect, sources=sources)
            return records.effect(effect)
    return None


def say_effect(cli: Cli, effect: "Effect", *, sources: bool = True) -> None:
    """Report the sessions that stay active, with the last end; `sources` if no other warning names the other systems."""
    if effect.others:
        named = ", ".join(
            f"{quoted(name, _LONGEST_NAME) if name else 'none'} {count:,}"
            for name, count in effect.others_by_application
        )
        if rest := effect.others - sum(count for _, count in effect.others_by_application):
            named += f", others {rest:,}"
        cli.say(
            f"still active: {counted(effect.others, 'session')} of the same users, by application: {named};"
            f" unless used, {_end(effect.others_until)}"
        )
    if effect.sealed:
        cli.say(
            f"sealed tokens of {counted(effect.sealed, 'session')} are still accepted by whoever reads them without asking"
            f" authctl; {_end(effect.sealed_until)}"
        )
    for system, count in effect.untold.items() if sources else ():
        cli.warn(f"{counted(count, 'session')} of {quoted(system)}: ended only here; authctl does not tell that system")


def _end(instant: int | None) -> str:
    return "they never end" if instant is None else f"the last of them ends at {format_instant(instant)}"
