"""Previews of revocations: the sessions that one would newly revoke, and the bound that limits it to exactly those."""

from typing import TYPE_CHECKING

from authctl.registry.exact_revocations import check_kept, check_limit, find
from authctl.registry.previews import Preview, preview_of
from authctl.registry.revocations import check_limit_of_filter, newly_revoked
from authctl.registry.sessions import with_whole_ids

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.registry.installation import Installation


class RevocationPreviews:
    """Previews of revocations; `Registry.revoke` is the operation."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def make(self, selection: "SessionFilter", *, max_affected: int | None = None, keep: int | None = None) -> Preview:
        """The sessions that `Registry.revoke` would newly revoke, with the bound for it. Raises as that with `dry_run`.

        With `everything` there is no bound, unless nothing is there to revoke: users who sign in before the revocation are meant, too.
        With `keep` there is always one.
        """
        check_kept(selection, keep)
        if keep is None:
            return self._installation.with_kept_space(lambda: self._of_filter(selection, max_affected))
        with self._installation.snapshot() as (view, now):
            found = find(view, with_whole_ids(view, selection)[0], keep, now)
            check_limit(found.numbers, max_affected)
            return preview_of(view, found.numbers, now)

    def _of_filter(self, selection: "SessionFilter", max_affected: int | None) -> Preview:
        with self._installation.snapshot() as (view, now):
            whole, _ = with_whole_ids(view, selection)
            check_limit_of_filter(view, whole, now, max_affected)
            numbers = newly_revoked(view, whole, now)
            return preview_of(view, numbers, now, bounded=not (whole.everything and numbers))
