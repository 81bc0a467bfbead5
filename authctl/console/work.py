"""Work in the background of a widget: begun in one place, so that none is made and never awaited when the screen closes meanwhile."""

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode


def begin(widget: DOMNode, work: Callable[[], Coroutine[Any, Any, Any]], group: str = "default") -> None:
    """Begin some work; former work of the same group ends, unless it is the default one."""
    widget.run_worker(work, group=group, exclusive=group != "default")
