"""The effect of an operation in words: the sessions that live on, and until when.

Pure; `cli/effects.py` says the lines, and the console shows them in its message.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from authctl.instants import format_second
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.effects import Effect
    from authctl.store.protocol.effects import Ends

_LONGEST_NAME = 40


def effect_lines(effect: "Effect") -> Iterator[str]:
    """A line for each reason why sessions or tokens live on."""
    if effect.under_profiles.total:
        yield (
            f"active under the changed profiles: {counted(effect.under_profiles.total, 'session')};"
            f" unless used, {_ends(effect.under_profiles)}"
        )
    if effect.others and effect.others.total:
        yield (
            f"still active: {counted(effect.others.total, 'session')} of the same users,"
            f" by application: {_by_application(effect)}; unless used, {_ends(effect.others)}"
        )
    if effect.sealed and effect.sealed.total:
        yield (
            f"sealed tokens of {counted(effect.sealed.total, 'session')} are still accepted by whoever reads them without"
            f" asking authctl; {_ends(effect.sealed)}"
        )


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
    # decision 280: one last end would hide how many of them end within the hour
    within = {"within an hour": ends.hour, "within a day": ends.day, "within a week": ends.week, "later": ends.later}
    named = [(count, time) for time, count in within.items() if count]
    parts = [
        f"{count:,}{' more' if place and time != 'later' else ''} {time}" for place, (count, time) in enumerate(named)
    ]
    if ends.never:
        parts.append(f"{ends.never:,} never")
    words = f"they end: {', '.join(parts)}"
    return words if ends.last is None else f"{words}; the last at {format_second(ends.last)}"
