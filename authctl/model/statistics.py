"""Statistics: active sessions by application, platform, profile and source, and sign-ins, ends, revocations and expiries a day.

A day is a UTC day, given by the instant at which it begins.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Property(StrEnum):
    """The property of a session by which active sessions are counted."""

    APPLICATION = "application"
    PLATFORM = "platform"
    PROFILE = "profile"
    SOURCE = "source"


class NameCount(NamedTuple):
    """The active sessions with one name, such as one application."""

    name: str | None
    """Its first spelling in the order of characters; None for the sessions without it."""
    sessions: int


class Breakdown(NamedTuple):
    """The active sessions by one property."""

    names: tuple[NameCount, ...]
    """The names with the most sessions, the largest first."""
    other_names: int
    """The number of names that are left out."""
    other_sessions: int
    """The number of their sessions."""


class PastDay(NamedTuple):
    """The counts of one day of the past, or of the part of today that is over."""

    day: int
    sign_ins: int
    ends: int
    revocations: int


class FutureDay(NamedTuple):
    """The active sessions whose deadline is on one day, if nobody uses them before."""

    day: int
    expiries: int


class Statistics(NamedTuple):
    """The statistics of a registry at one instant, from one snapshot. Sessions of every kind are counted."""

    at: int
    active: int
    active_by: Mapping[Property, Breakdown]
    past: tuple[PastDay, ...]
    """The days up to today, the earliest first."""
    future: tuple[FutureDay, ...]
    """The days from today on."""
    later: int
    """The active sessions whose deadline is after these days, or that have none."""


class ActiveGroup(NamedTuple):
    """The active sessions with the same four names and the same day of their end, as a store counts them."""

    names: tuple[str | None, ...]
    """The names as they are spelled, in the order of `Property`."""
    day: int
    """The day of their end; the first day after the asked ones for all later ends."""
    sessions: int
