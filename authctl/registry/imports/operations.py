"""Operations that also apply to rows about the time before them, which are imported later.

See docs/glossary.md#operation.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from authctl.registry.imports.known_sessions import end_of, final_end
from authctl.registry.imports.past_revocations import Criteria
from authctl.store.protocol.imports import ImportedDetail


class Operation(NamedTuple):
    """An operation that binds rows of the time before it; it has a `revocation_id`, `criteria` or a `reason`."""

    at: int
    revocation_id: int | None = None
    criteria: Criteria | None = None
    reason: str | None = None
    """The reason of the end, for sessions that were active then."""
    of_password: bool = False
    """Whether it ended only the sessions that, by their profile, a changed password ends."""
    of_source: bool = False
    """Whether it is the end of a session in its source."""
    of_other: bool = False
    """Whether it is the end of another user's session of the same key. It does not bind a part that ended before."""
    created_at: int | None = None
    """When that session began, where its source gave that."""
    is_cut: bool = False
    """Whether it only parts rows without a beginning: an end in the source of a session that began before another one."""


def instant_of_operation(operation: Operation) -> tuple[int, bool]:
    """The instant of an operation, to sort by; of several at one instant, one that only parts rows is the last."""
    return operation.at, operation.is_cut


def revocation_of(operation: Operation) -> int | None:
    """The revocation of an operation; None if it is an end."""
    return operation.revocation_id if operation.criteria is None else operation.criteria.revocation.id


def is_spared(end: Operation, unended: Sequence[ImportedDetail]) -> bool:
    """Whether a session of this user was active when another user's session of the same key ended: then the operation was not about this user."""
    return any(known.session.created_at <= end.at < known.session.ends_at for known in unended)


def ends_of_others(others: Sequence[ImportedDetail], unended: Sequence[ImportedDetail]) -> Iterator[Operation]:
    """The ends of other users' sessions of the same key: rows from before belong to that session, under another name."""
    for other in others:
        # An end in the source is not passed on: the source has an end of its own for each user (decision 163).
        session, at = other.session, end_of(other.session)
        if at is not None and final_end(other) is not None:
            revocation_id = session.revocation_id if session.revoked_at is not None else None
            reason = None if revocation_id else session.ended_by
            end = Operation(
                at, revocation_id=revocation_id, reason=reason, of_other=True, created_at=other.facts.created_at
            )
            if not is_spared(end, unended):
                yield end
