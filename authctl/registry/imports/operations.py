"""Deeds that bind what an import tells later of the time before them.

See docs/glossary.md#deed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from authctl.registry.imports.past_revocations import Criteria
from authctl.store.protocol.imports import ImportedDetail


class Deed(NamedTuple):
    """A deed that binds what is told later of the time before it; `revocation_id`, `criteria` or `reason` says how."""

    at: int
    revocation_id: int | None = None
    criteria: Criteria | None = None
    reason: str | None = None
    """Why it ended sessions that lived then."""
    of_password: bool = False
    """Whether it ended only what the profile of a session says that a changed password ends."""
    of_source: bool = False
    """Whether it is the end of a session in its source."""
    of_other: bool = False
    """Whether it is the end of another user's session of the same key: it binds no part that is over before."""
    created_at: int | None = None
    """When that session began, where its source gave that."""


def instant_of_deed(deed: Deed) -> int:
    """The instant of a deed, to sort by."""
    return deed.at


def revocation_of(deed: Deed) -> int | None:
    """The revocation that a deed is; None where it is an end."""
    return deed.revocation_id if deed.criteria is None else deed.criteria.revocation.id


def is_spared(end: Deed, unended: Sequence[ImportedDetail]) -> bool:
    """Whether a session of this user was active when another user's session of the same key ended: it was not meant."""
    return any(known.session.created_at <= end.at < known.session.ends_at for known in unended)
