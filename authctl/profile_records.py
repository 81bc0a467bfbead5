"""Profiles to records: the objects of the JSON output, field by field in the documented order; blank is null."""

from typing import TYPE_CHECKING

from authctl.instants import format_timeout
from authctl.model.fields import PROFILE_FIELDS
from authctl.records import Record

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet
    from authctl.registry.profiles import ApplyOutcome, ProfileDifference


def profile(side: "Profile", profiles: "ProfileSet") -> Record:
    """A profile, every field, with the assignments that lead to it."""
    document = dict.fromkeys(PROFILE_FIELDS) | side.to_document()
    return {
        "name": side.name,
        "default": side.name == profiles.default_profile,
        **document,
        "assignments": [a.to_document() for a in profiles.assignments if a.profile == side.name],
        "retention": str(profiles.retention),
    }


def difference(difference_: "ProfileDifference") -> Record:
    """The difference that applying a file makes to one profile."""
    timeouts: Record = {}
    for field in ("idle_timeout", "absolute_timeout"):
        old, new = (getattr(side, field) if side else None for side in (difference_.before, difference_.after))
        lengths = [None if length is None else format_timeout(length) for length in (old, new)]
        timeouts |= {f"{field}_before": lengths[0], f"{field}_after": lengths[1]}
    changes = {
        "shortened": difference_.shortened,
        "lengthened": difference_.lengthened,
        "ended": difference_.ended,
        "unmet_conditions": difference_.unmet_conditions,
    }
    return {
        "name": difference_.name,
        "change": difference_.change,
        **changes,
        **timeouts,
        "fields": difference_.fields(),
    }


def application(outcome: "ApplyOutcome") -> Record:
    """The changes of applying profiles."""
    return {
        "profiles": list(outcome.profiles),
        "added": list(outcome.added),
        "changed": list(outcome.changed),
        "withdrawn": list(outcome.withdrawn),
        "shortened": outcome.shortened,
        "lengthened": outcome.lengthened,
        "ended": outcome.ended,
        "unmet_conditions": outcome.unmet_conditions,
        "dry_run": outcome.dry_run,
    }
