"""Lists with nothing in them, given to a store: an answer about nothing. SQLite alone takes `IN ()`, which others refuse (decision 371)."""

import inspect
from typing import Any

from authctl.store.protocol import Change, Store, View

_GIVEN: dict[str, Any] = {"int": 1, "str": "somebody", "str | None": None, "bool": False, "Sequence[int] | None": []}
"""A value for a parameter of each type; a list has nothing in it."""
_LISTS = ("Sequence[", "Collection[", "Iterable[")


def questions(kind: type) -> dict[str, list[Any]]:
    """The methods of a protocol that take a list, with what to give them; those that take other values are left out."""
    found: dict[str, list[Any]] = {}
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        parameters = [one for one in inspect.signature(method).parameters.values() if one.kind is not one.KEYWORD_ONLY]
        types = [str(one.annotation).strip("'") for one in parameters[1:]]
        lists = [one.startswith(_LISTS) and not one.endswith("None") for one in types]
        if any(lists) and all(is_list or one in _GIVEN for is_list, one in zip(lists, types, strict=True)):
            found[name] = [[] if is_list else _GIVEN[one] for is_list, one in zip(lists, types, strict=True)]
    return found


def fill(store: Store) -> None:
    """Rows that a question about nothing must not find, in the tables that are asked only if they have any."""
    with store.change() as change:
        change.keep_ahead([(b"a key of 32 bytes, more or less..", 5)])


def test_a_question_about_nothing_has_an_answer(store: Store):
    """Each one that takes a list: the rows that are found for no key, number and name."""
    fill(store)
    asked = questions(View)
    assert len(asked) > 12
    for name, given in asked.items():
        with store.view() as view:
            answer = getattr(view, name)(*given)
        assert not answer or isinstance(answer, tuple), (name, answer)


def test_a_change_of_nothing_is_made(store: Store):
    """Each one that takes a list leaves the store as it is."""
    fill(store)
    asked = {name: given for name, given in questions(Change).items() if name not in questions(View)}
    assert len(asked) > 8
    for name, given in asked.items():
        with store.change() as change:
            getattr(change, name)(*given)
