"""Tokens of a session: their form, and from where they are good."""

from enum import StrEnum


class Tokens(StrEnum):
    """The form of token that a session is registered with, and keeps."""

    SINGLE = "single"
    """One access token, as good as its session; use moves the idle deadline."""
    PAIR = "pair"
    """A short-lived access token, and a refresh token that is exchanged for the next pair."""
    REQUESTED = "requested"
    """One access token for as long as was asked for; use does not extend it."""


class Binding(StrEnum):
    """From where alone a token is good: the address or the referrer it was issued to."""

    ADDRESS = "address"
    REFERRER = "referrer"
