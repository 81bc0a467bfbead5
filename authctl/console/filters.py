"""The filter of the console's list of sessions: search, status, kind, one group, and the grouping. Pure."""

from typing import NamedTuple, TypeVar

from authctl.console.commands import criteria_options, option
from authctl.model import Grouping, Kind, SessionFilter, Status
from authctl.names import fold

Choice = TypeVar("Choice")

STATUSES = (None, *Status)
KINDS = (Kind.APPLICATION, Kind.WEB, None)
GROUPINGS = (None, Grouping.USER, Grouping.APPLICATION, Grouping.PLATFORM)
_CRITERIA = {Grouping.USER: "username", Grouping.APPLICATION: "application", Grouping.PLATFORM: "platform"}


class Filter(NamedTuple):
    """Which sessions are listed, and whether one by one or counted by group."""

    search: str = ""
    status: Status | None = None
    kind: Kind | None = Kind.APPLICATION
    group: tuple[Grouping, str] | None = None
    """The one user, application or platform whose sessions are listed."""
    grouping: Grouping | None = None

    def selection(self) -> SessionFilter:
        """The sessions that are listed. Raises InvalidInput."""
        sessions = SessionFilter(
            search=self.search if fold(self.search) else None,
            status=(self.status,) if self.status else (),
            kind=self.kind,
        )
        return sessions if self.group is None else self.narrowed(sessions, *self.group)

    @staticmethod
    def narrowed(selection: SessionFilter, grouping: Grouping, name: str) -> SessionFilter:
        """The sessions of a filter that belong to one user, application or platform."""
        return selection.narrowed(**{_CRITERIA[grouping]: name})

    def opened(self, name: str) -> "Filter":
        """The filter of the sessions of one group of the present grouping, whose name must be one that filters take."""
        return self if self.grouping is None else self._replace(group=(self.grouping, name), grouping=None)

    @staticmethod
    def takes(name: str) -> bool:
        """Whether a filter can select the group of a name: no filter selects the sessions without a name, or with white space as one."""
        return bool(fold(name))

    def list_words(self) -> list[str]:
        """The words of the command that lists the same."""
        words = ["sessions", "list", *criteria_options(self.selection(), default_kind=Kind.APPLICATION)]
        return words if self.grouping is None else [*words, *option("--group-by", self.grouping)]


def following(choices: tuple[Choice, ...], present: Choice) -> Choice:
    """The choice after the present one; after the last one the first."""
    return choices[(choices.index(present) + 1) % len(choices)]
