"""The part of a database connection that the nouns use. A driver after PEP 249 with these two short cuts has it as it is."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Cursor(Protocol):
    """The outcome of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """The next row; None after the last one."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """Up to so many of the next rows."""

    def close(self) -> None:
        """End the statement."""

    def __iter__(self) -> Iterator[Any]:
        """The rows."""


class Executor(Protocol):
    """An open transaction in which statements run. A parameter is written `?`, or `:name`."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Execute a statement."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Execute a statement once for each set of parameters."""
