"""The selected sessions of the console: some ids, or all sessions that match a filter, some of them excepted.

Pure. A selection does not depend on the rows on the screen (decision 212).
"""

from authctl.model import SessionFilter


class Selection:
    """The selected sessions."""

    def __init__(self) -> None:
        # decision 212: ids, or a filter with exceptions: the revoked sessions do not depend on the rows on the screen
        self._ids: dict[str, None] = {}
        self._matching: SessionFilter | None = None

    def __contains__(self, session_id: object) -> bool:
        """Whether a listed session is selected, by its id."""
        # With a filter the ids are the exceptions, so that the test is the opposite.
        return (session_id in self._ids) != (self._matching is not None)

    def __bool__(self) -> bool:
        return bool(self._ids) or self._matching is not None

    def toggle(self, session_id: str) -> None:
        """Select a session, or leave it out."""
        if session_id in self._ids:
            del self._ids[session_id]
        else:
            self._ids[session_id] = None

    def select_matching(self, selection: SessionFilter) -> None:
        """Select all sessions that match a filter."""
        self._ids, self._matching = {}, selection

    def clear(self) -> None:
        """Select nothing."""
        self._ids, self._matching = {}, None

    def follow(self, selection: SessionFilter) -> None:
        """Go on with another filter: ids stay selected; all sessions of the former filter do not."""
        if self._matching not in (None, selection):
            self.clear()

    def target(self) -> SessionFilter | None:
        """The filter of the selected sessions; None where nothing is selected."""
        if self._matching is None:
            return SessionFilter(ids=tuple(self._ids)) if self._ids else None
        return all_of(self._matching.narrowed(except_ids=tuple(self._ids)))

    def in_words(self) -> str:
        """The selection for a person; blank where nothing is selected."""
        if self._matching is None:
            return f"{len(self._ids):,} selected" if self._ids else ""
        return f"all but {len(self._ids):,} selected" if self._ids else "all that match selected"


def all_of(selection: SessionFilter) -> SessionFilter:
    """The filter that revokes all sessions of a list; a list without a criterion needs `everything`."""
    return selection if set(selection.criteria()) - {"except_ids"} else selection.narrowed(everything=True)
