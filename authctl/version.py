"""The version, alone, so that a build can read it."""

__version__ = "0.1.0"
