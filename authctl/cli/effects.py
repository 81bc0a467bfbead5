"""The effect of an operation on standard error: the access that remains, and its reason.

See docs/glossary.md#effect.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from authctl import effect_records
from authctl.cli.context import Cli
from authctl.effect_words import effect_lines
from authctl.errors import AuthctlError
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.records import Record
    from authctl.registry.effects import Effect


def told_effect(
    cli: Cli, find: "Callable[[], Effect | None]", *, sources: bool = True, revoked: int = 0
) -> "Record | None":
    """Say the effect of an operation; its record. None where it was not found out, which keeps nothing from being shown.

    `revoked` sessions may be over already: then it is said how many were active.
    """
    if cli.quiet and not cli.prints_json:
        return None
    # decision 210: the operation is done, so an effect that cannot be read must not look like its failure
    with suppress(AuthctlError):
        effect = find()
        if effect is not None:
            if revoked > effect.ended_now:
                cli.say(
                    f"ended now: {counted(effect.ended_now, 'active session')}; {revoked - effect.ended_now:,} had ended before"
                )
            say_effect(cli, effect, sources=sources)
            return effect_records.effect(effect)
    return None


def effect_of_each(find: "Callable[[], list[Effect | None]]", number: int) -> "list[Record | None]":
    """The records of several effects, such as one for each user; None where they were not found out."""
    with suppress(AuthctlError):
        return [effect and effect_records.effect(effect) for effect in find()]
    return [None] * number


def say_effect(cli: Cli, effect: "Effect", *, sources: bool = True) -> None:
    """Say which sessions live on, and until when; `sources` where no warning names the other systems."""
    for line in effect_lines(effect):
        cli.say(line)
    for system, count in (effect.untold or {}).items() if sources else ():
        cli.warn(f"{counted(count, 'session')} of {quoted(system)}: ended only here; authctl does not tell that system")
