"""The example receivers that come with authctl: programs in Python's standard library, as texts. Nothing here runs one."""

from importlib import resources

from authctl.errors import NotFound
from authctl.names import quoted


def names() -> list[str]:
    """The names of all example receivers, in alphabetical order."""
    return sorted(file.name for file in (resources.files("authctl") / "example_receivers").iterdir() if file.is_file())


def read(name: str) -> str:
    """The text of the example receiver of that name. Raises NotFound."""
    if name not in names():
        raise NotFound(f"no example receiver {quoted(name)}", f"one of: {', '.join(names())}")
    return (resources.files("authctl") / "example_receivers" / name).read_text()
