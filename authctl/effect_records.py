"""Effects of operations to records."""

from typing import TYPE_CHECKING

from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.registry.effects import Effect
    from authctl.store.protocol.effects import Ends


def effect(effect_: "Effect") -> Record:
    """The effect of an operation. A field is null if it was not found out."""
    others, sealed = effect_.others, effect_.sealed
    return {
        "ended_now": effect_.ended_now,
        "others": others and others.total,
        "others_by_application": [{"application": name, "sessions": n} for name, n in effect_.others_by_application],
        "others_until": others and instant(others.until),
        "sealed": sealed and sealed.total,
        "sealed_until": sealed and instant(sealed.until),
        "untold": None if effect_.untold is None else dict(effect_.untold),
        "ends_later": effect_.ends_later,
        "others_ends": others and _ends(others),
        "sealed_ends": sealed and _ends(sealed),
        "under_profiles": effect_.under_profiles.total,
        "under_profiles_ends": _ends(effect_.under_profiles),
    }


def _ends(ends: "Ends") -> Record:
    return {**ends._asdict(), "last": instant(ends.last)}
