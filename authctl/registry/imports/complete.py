"""Complete listings: the sessions of a source that are in none of the files have ended there.

That is an inference and no decision: a later listing that has such a session takes the end back. The rule gives the same in any
order of imports: a session ends at the first complete listing that was taken after the session was created, last used and last listed.

See docs/glossary.md#complete-listing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from authctl.errors import InvalidInput, Refused
from authctl.instants import MINUTE, format_instant
from authctl.names import fold, username
from authctl.registry.imports.row_facts import is_seen_before
from authctl.registry.previews import Preview, preview_of
from authctl.store.protocol.imports import CompleteListing

if TYPE_CHECKING:
    from authctl.import_mappings import Mapping
    from authctl.registry.imports.changes import Plan
    from authctl.registry.imports.reading import Reading
    from authctl.store.protocol import View
    from authctl.store.protocol.imports import Imported

Agree = Callable[[Preview], None]
"""Is shown the sessions that would end. Raises Refused where a person does not agree."""

_CLOCKS_DIFFER = 5 * MINUTE


def agree(_preview: Preview) -> None:
    """Agree to any preview."""


class Complete(NamedTuple):
    """The claim that the files of an import are a complete listing."""

    users: tuple[str, ...] = ()
    """The users whose sessions it has; none for all users."""
    allow_partial: bool = False
    """Whether files without a row, or with rows that are not used, are complete."""
    max_affected: int | None = None
    """The most sessions that may end; None for half of the active sessions of the source."""
    agree: Agree = agree
    """Is called before anything is written, if any session would end."""


class Claim(NamedTuple):
    """The claim that an import is a complete listing of a source."""

    source: str
    complete: Complete

    @classmethod
    def of(cls, complete: Complete, mapping: Mapping, source: str | None, taken_at: int | None) -> Self:
        """The claim. Raises InvalidInput without a source, or without the time of the listing."""
        if source is None:
            raise InvalidInput(
                "a complete listing needs its source",
                "give --source NAME, or source: NAME in the mapping",
            )
        if taken_at is None and not mapping.has_listing_time:
            raise InvalidInput(
                "a complete listing needs the time at which it was taken",
                "give --taken-at TIME, or taken_at: PATH in the mapping",
            )
        return cls(source, complete._replace(users=tuple(map(username, complete.users))))

    def check_rows(self, reading: Reading) -> None:
        """Raise Refused where the files may not have all sessions."""
        counts = reading.counts
        if self.complete.allow_partial:
            return
        if not counts.read:
            raise Refused("the complete listing has no row", "if the source has no sessions: --allow-partial")
        hint = "if the listing is complete without these rows: --allow-partial"
        if counts.rejected:
            first = reading.rejections[0]
            message = f"the complete listing has rejected rows: {first.file}: {first.place}: {first.reason}"
            raise Refused(message, hint)
        if counts.skipped:
            raise Refused(f"`where` leaves out rows of the complete listing: {counts.skipped:,}", hint)

    def at(self, reading: Reading, taken_at: int | None) -> CompleteSource:
        """The listing, with the time at which it was taken: of several the earliest. Raises InvalidInput."""
        # The earliest, since a session that began after it may be missing in that file alone.
        instant = reading.listed_at if taken_at is None else taken_at
        if instant is None:
            raise InvalidInput("the files do not have the time of the complete listing", "give --taken-at TIME")
        return CompleteSource(self, instant)


class CompleteSource:
    """A complete listing, and the sessions of its source that it does not have."""

    def __init__(self, claim: Claim, taken_at: int) -> None:
        self.source = claim.source
        self.user_keys = sorted(set(map(fold, claim.complete.users)))
        self.taken_at = taken_at
        self._complete = claim.complete
        self._listed = array("q")
        self._adopted = array("q")
        self._lost: list[int] = []
        self.missing: Sequence[int] = ()
        """The numbers of the sessions that the preview showed."""

    @property
    def detail(self) -> dict[str, Any]:
        """The record of the listing."""
        users = {"users": list(self._complete.users)} if self._complete.users else {}
        return {"complete": True, "taken_at": format_instant(self.taken_at), **users}

    @property
    def as_listings(self) -> list[CompleteListing]:
        """The listing for each user whose sessions it has, as it will be stored."""
        return [CompleteListing(key, self.taken_at) for key in self.user_keys or [""]]

    def add_plan(self, plan: Plan) -> None:
        """Add the known sessions that the files have, those that the import gives this source, and those that lose rows by it."""
        self._listed.extend(plan.met)
        self._adopted.extend(plan.adopted)
        self._lost += [number for number, merged in plan.lost if self._lacks(merged)]

    def _lacks(self, merged: Imported) -> bool:
        """Whether a session without a row in the files would be active, but for this listing."""
        session = merged.session
        is_of_source = session.source is not None and fold(session.source) == fold(self.source)
        is_of_users = not self.user_keys or fold(session.username) in self.user_keys
        return is_of_source and is_of_users and is_seen_before(merged, self.taken_at)

    def preview(self, view: View, now: int) -> Preview:
        """The sessions that would end. Raises InvalidInput for a listing ahead of the clock; Refused where they are too many."""
        # A time ahead of the clock would end sessions that are used between now and then. A few minutes are clocks that differ.
        if self.taken_at > now + _CLOCKS_DIFFER:
            raise InvalidInput("the complete listing was taken ahead of the clock")
        self.taken_at = min(self.taken_at, now)
        # decision 187: adopted sessions have the source only after the import
        candidates = view.missing_in_listing(self.source, self.user_keys, self.taken_at, now)
        candidates += view.missing_in_listing(None, self.user_keys, self.taken_at, now, self._adopted.tolist())
        self.missing = sorted({*candidates, *self._lost}.difference(self._listed))
        active = view.count_of_source(self.source, self.user_keys, now)
        self._check_number(active + view.count_of_source(None, self.user_keys, now, self._adopted.tolist()))
        return preview_of(view, self.missing, now)

    def _check_number(self, active: int) -> None:
        missing, limit = len(self.missing), self._complete.max_affected
        if limit is not None and missing > limit:
            raise Refused(f"more sessions would end than the limit of {limit:,}: {missing:,}", "raise --max-affected")
        # Without a limit: a listing of which a part was cut off is more likely than an end of more than half of the sessions.
        if limit is None and missing * 2 > active:
            message = f"{missing:,} of {active:,} active sessions of {self.source} would end: more than half"
            raise Refused(message, f"check the listing; if it is complete: --max-affected {missing}")

    def agree(self, preview: Preview) -> None:
        """Let a person agree to the sessions that would end. Raises Refused."""
        if preview.summary.total:
            self._complete.agree(preview)

    def still_missing(self, view: View, numbers: Sequence[int], now: int) -> list[int]:
        """Those of some sessions that are still active and not listed."""
        # Asked again inside each transaction: a session may have been used or listed since the preview.
        return sorted(view.missing_in_listing(self.source, self.user_keys, self.taken_at, now, numbers))
