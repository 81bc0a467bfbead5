"""Orders of lists that are asked for; most lists are in their own order."""

from enum import StrEnum
from typing import NamedTuple

from authctl.errors import InvalidInput
from authctl.names import quoted


class SortField(StrEnum):
    """The fields by which a list can be sorted; texts are compared by their folded key, and blank values come first."""

    ID = "id"
    USERNAME = "username"
    APPLICATION = "application"
    PLATFORM = "platform"
    DEVICE = "device"
    IP = "ip"
    PROFILE = "profile"
    SOURCE = "source"
    CREATED_AT = "created_at"
    LAST_USED_AT = "last_used_at"
    EXPIRES_AT = "expires_at"
    ENDED_AT = "ended_at"
    REVOKED_AT = "revoked_at"


class Sort(NamedTuple):
    """An order that was asked for instead of a list's own."""

    field: SortField
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> "Sort":
        """Read FIELD, or -FIELD for the greatest first. Raises InvalidInput."""
        name = text.removeprefix("-")
        if name not in tuple(SortField):
            raise InvalidInput(
                f"sessions are not sorted by {quoted(text)}",
                f"one of: {', '.join(SortField)}; with - before it, the greatest first",
            )
        return cls(SortField(name), text.startswith("-"))
