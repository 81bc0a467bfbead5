"""Lists of sessions otherwise than as a stream: one page, or counts by group; and the short ids of those that are shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput
from authctl.model import Grouping, Session, SessionFilter
from authctl.registry.pages import SessionList, next_step
from authctl.registry.sessions import ALL, cursor_of, position_of, read_sort, whole_list, with_whole_ids

if TYPE_CHECKING:
    from authctl.model import Group
    from authctl.registry.installation import Installation
    from authctl.store.protocol import View

_LARGEST_PAGE = 2**40


class SessionPage(NamedTuple):
    """Some sessions of a list, in its order."""

    sessions: tuple[Session, ...]
    next: str | None
    """The cursor that the next page goes on after; None where there is no next page."""


class Lists:
    """Lists of sessions: pages, groups and short ids. `Registry.sessions` streams one."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def page(
        self,
        selection: SessionFilter | None = None,
        *,
        sort: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> SessionPage:
        """One page of the list of `Registry.sessions`: its `sessions`, and `next`, the cursor to give as `after` for the next page; None on the last one.

        A walk of pages ends, and every session that stays selected is on one page at least, also if sessions change between them; one that moved
        within the list comes last, sometimes once more. A cursor may be kept: it depends on no session. Raises as that.
        """
        if limit < 1:
            raise InvalidInput(f"a page has at least one session, not {limit}")
        wanted_list = SessionList(selection or ALL, read_sort(sort))
        with self._installation.snapshot() as (view, now):
            wanted = whole_list(view, wanted_list, after)
            step = next_step(
                view, wanted, now, min(limit, _LARGEST_PAGE), position_of(view, wanted_list, wanted, now, after)
            )
            shown = (*(view.sessions_by_number(step.numbers, now) if step.numbers else ()), *step.sessions)
        return SessionPage(shown, cursor_of(wanted_list, step.position))

    def groups(self, by: Grouping | str, selection: SessionFilter | None = None) -> "list[Group]":
        """The selected sessions counted by user, application or platform; most recently used first."""
        if by not in tuple(Grouping):
            raise InvalidInput(f"sessions are grouped by {', '.join(Grouping)}, not by {names.quoted(by)}")
        with self._installation.snapshot() as (view, now):
            return view.groups(with_whole_ids(view, selection or ALL)[0], Grouping(by), now)

    def short_ids(self, ids: Sequence[str]) -> dict[str, str]:
        """The shortest beginning of each id that no other session has now, of eight characters or more. Later it may be ambiguous."""
        with self._installation.snapshot() as (view, _now):
            return {session_id: _short_id(view, session_id) for session_id in ids}


def _short_id(view: "View", session_id: str) -> str:
    """The shortest beginning of an id that is unique now; the whole id where its session is gone."""
    # decision 183: the shortest beginning that no other session has now
    lengths = range(names.SHORTEST_SHOWN, len(session_id))
    beginnings = (session_id[:length] for length in lengths)
    return next((text for text in beginnings if view.ids_beginning(text, 2) == [session_id]), session_id)
