"""Texts to filters without the command line: an HTTP door or a console reads the same words as a person types."""

import inspect

import pytest

from authctl import InvalidInput, Kind, SessionFilter, Status
from authctl.cli.audit import list_ as audit_list
from authctl.cli.revoke import revoke
from authctl.cli.sessions import list_ as sessions_list
from authctl.filter_texts import (
    EVENT_LISTS,
    EVENT_TEXTS,
    SESSION_LISTS,
    SESSION_TEXTS,
    read_event_filter,
    read_session_filter,
)
from authctl.instants import DAY
from authctl.model import EventFilter

NOW = 1_800_000_000_000_000


def test_each_text_means_what_the_option_means():
    """Ages count back, a deadline's age counts ahead, several texts are alternatives."""
    texts = {
        "status": ["active", "revoked"],
        "user": ["alice", "Bob"],
        "device": "AL-PC",
        "kind": "web",
        "created_before": "7d",
        "unused_for": "2d",
        "expires_before": "7d",
    }
    assert read_session_filter(texts, NOW) == SessionFilter(
        status=(Status.ACTIVE, Status.REVOKED),
        username=("alice", "Bob"),
        device="AL-PC",
        kind=Kind.WEB,
        created_before=NOW - 7 * DAY,
        unused_since=NOW - 2 * DAY,
        expires_before=NOW + 7 * DAY,
    )
    assert read_event_filter({"user": "alice", "since": "7d"}, NOW) == EventFilter(
        username="alice", since=NOW - 7 * DAY
    )


def test_nothing_given_selects_everything():
    """A text that is not given is no criterion; `all` is every kind."""
    empty = dict.fromkeys([*SESSION_TEXTS, *SESSION_LISTS, "status"])
    assert read_session_filter(empty, NOW) == read_session_filter({"kind": "all", "user": []}, NOW) == SessionFilter()


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ({"colour": "red"}, "no such filter: 'colour'"),
        ({"username": "alice"}, "no such filter: 'username'"),
        ({"search": ["a", "b"]}, "the filter 'search' takes one value, and 2 are given"),
        ({"kind": "browser"}, "'browser' is none of: application, web, all"),
        ({"status": "gone"}, "'gone' is none of"),
        ({"created_before": "tomorrow"}, "tomorrow"),
        ({"search": " "}, "the search is blank"),
    ],
)
def test_what_cannot_be_read_is_an_error(texts: dict[str, str], problem: str):
    """Nothing that was meant to narrow a selection is left out without a word."""
    with pytest.raises(InvalidInput) as caught:
        read_session_filter(texts, NOW)
    assert problem in caught.value.message


def test_the_names_are_those_of_the_options():
    """Every text is an option of the list; revoke has all of them too, and the audit log's list those of events."""
    sessions = {*SESSION_TEXTS, *SESSION_LISTS, "status"}
    assert sessions <= inspect.signature(sessions_list).parameters.keys()
    assert sessions <= inspect.signature(revoke).parameters.keys()
    assert {*EVENT_TEXTS, *EVENT_LISTS} <= inspect.signature(audit_list).parameters.keys()
