"""The effect of an operation on standard error: the sessions that go on elsewhere, and why."""

from contextlib import suppress
from typing import TYPE_CHECKING

from authctl import records
from authctl.cli.context import Cli
from authctl.errors import AuthctlError
from authctl.instants import format_second
from authctl.names import counted, quoted
from authctl.render import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.registry.effects import Effect
    from authctl.store.protocol.effects import Ends

_LONGEST_NAME = 40


def told_effect(
    cli: Cli, find: "Callable[[], Effect | None]", *, sources: bool = True, revoked: int = 0
) -> records.Record | None:
    """Say the effect of an operation; its record. None where it was not found out, which keeps nothing from being shown.

    `revoked` sessions may be over already: then it is said how many were active.
    """
    if cli.quiet and cli.form not in (Format.JSON, Format.NDJSON):
        return None
    with suppress(AuthctlError):
        effect = find()
        if effect is not None:
            if revoked > effect.ended_now:
                cli.say(
                    f"ended now: {counted(effect.ended_now, 'active session')}; {revoked - effect.ended_now:,} had ended before"
                )
            say_effect(cli, effect, sources=sources)
            return records.effect(effect)
    return None


def effect_of_each(find: "Callable[[], list[Effect | None]]", number: int) -> list[records.Record | None]:
    """The records of several effects, such as one for each user; None where they were not found out."""
    with suppress(AuthctlError):
        return [effect and records.effect(effect) for effect in find()]
    return [None] * number


def say_effect(cli: Cli, effect: "Effect", *, sources: bool = True) -> None:
    """Say which sessions live on, and until when; `sources` where no warning names the other systems."""
    if effect.under_profiles.total:
        cli.say(
            f"active under the changed profiles: {counted(effect.under_profiles.total, 'session')};"
            f" unless used, {_ends(effect.under_profiles)}"
        )
    if effect.others and effect.others.total:
        cli.say(
            f"still active: {counted(effect.others.total, 'session')} of the same users,"
            f" by application: {_by_application(effect)}; unless used, {_ends(effect.others)}"
        )
    if effect.sealed and effect.sealed.total:
        cli.say(
            f"sealed tokens of {counted(effect.sealed.total, 'session')} are still accepted by whoever reads them without"
            f" asking authctl; {_ends(effect.sealed)}"
        )
    for system, count in (effect.untold or {}).items() if sources else ():
        cli.warn(f"{counted(count, 'session')} of {quoted(system)}: ended only here; authctl does not tell that system")


def _by_application(effect: "Effect") -> str:
    named = [
        f"{quoted(name, _LONGEST_NAME) if name else 'none'} {count:,}" for name, count in effect.others_by_application
    ]
    assert effect.others is not None
    if rest := effect.others.total - sum(count for _, count in effect.others_by_application):
        named.append(f"others {rest:,}")
    return ", ".join(named)


def _ends(ends: "Ends") -> str:
    """When sessions or tokens end by themselves: how many within which time, and the last one."""
    # decision 320
    within = {"within an hour": ends.hour, "within a day": ends.day, "within a week": ends.week, "later": ends.later}
    named = [(count, time) for time, count in within.items() if count]
    parts = [
        f"{count:,}{' more' if place and time != 'later' else ''} {time}" for place, (count, time) in enumerate(named)
    ]
    if ends.never:
        parts.append(f"{ends.never:,} never")
    words = f"they end: {', '.join(parts)}"
    return words if ends.last is None else f"{words}; the last at {format_second(ends.last)}"
