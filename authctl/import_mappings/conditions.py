"""The conditions of `where`: by equality only.

Pure. A number equals a number of the same value, and a text equals the text of a value, so that `4624` in a mapping meets
`4624`, `4624.0` and `"4624"` in a row.
"""

from collections.abc import Container
from typing import Any, NamedTuple

from authctl.import_paths import as_text


class Condition(NamedTuple):
    """The condition of `where` on the value at one path."""

    texts: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    is_not: bool = False
    """Whether the value must be none of these, instead of one of them."""
    present: bool | None = None
    """Whether a value must be there, or must not; None where values are named."""

    def is_met(self, value: Any, blank: Container[str]) -> bool:
        """Whether a value meets the condition; None for no value. A blank text does not count as present."""
        if self.present is not None:
            return self.present is (value is not None and not is_blank(value, blank))
        if type(value) is str:
            is_one = value in self.texts
        else:
            # Three cases: a text, a number of the same value, and no value. No value is none of the named ones, so
            # `not` is met.
            is_one = value is not None and (as_text(value) in self.texts or _is_number(value, self.numbers))
        return is_one is not self.is_not


def read_condition(value: Any) -> Condition | None:
    """The condition that a mapping file gives as a value, a list, `{not: …}` or `{present: …}`; None where it gives none."""
    if isinstance(value, dict) and set(value) == {"present"} and isinstance(value["present"], bool):
        return Condition(present=value["present"])
    is_not = isinstance(value, dict) and set(value) == {"not"}
    wanted = value["not"] if is_not else value
    listed = wanted if isinstance(wanted, list) else [wanted]
    if not listed or not all(isinstance(element, str | int) for element in listed):
        return None
    numbers = frozenset(element for element in listed if isinstance(element, int) and not isinstance(element, bool))
    return Condition(frozenset(map(as_text, listed)), numbers, is_not)


def is_blank(value: Any, blank: Container[str]) -> bool:
    """Whether a value is a text that means nothing."""
    return isinstance(value, str) and (not value.strip() or value in blank)


def _is_number(value: Any, numbers: frozenset[int]) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in numbers
