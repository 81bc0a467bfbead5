"""The groups of options in a long help text: options for daily use come first. Loaded for a help text alone."""

from collections.abc import Iterable

DAILY: dict[str, tuple[str, ...]] = {
    "sessions list": (
        "--user",
        "--application",
        "--device",
        "--status",
        "--kind",
        "--search",
        "--unused-for",
        "--limit",
        "--count",
        "--output",
        "--help",
    ),
    "revoke": (
        "--user",
        "--application",
        "--device",
        "--search",
        "--unused-for",
        "--all",
        "--except",
        "--note",
        "--dry-run",
        "--yes",
        "--help",
    ),
}
"""The options of the first group, by the path of the command. The help of any other command has one group."""

FIRST_GROUP = "Options"
_OTHERS = "Other options"
_GROUPS = {
    "More filters": (
        "--status",
        "--platform",
        "--profile",
        "--kind",
        "--source",
        "--used-after-end",
        "--wipe",
        "--delivery",
    ),
    "Filters by time": ("--created-since", "--created-before", "--used-since", "--expires-before"),
    "Order and pages": ("--sort", "--after", "--group-by"),
    "Plans and files": ("--from", "--column", "--keep", "--plan", "--apply"),
    "Output": ("--output", "--quiet", "--local", "--exact", "--pager"),
}


def grouped(path: str, records: Iterable[tuple[str, tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """The lines of a help text by their heading, in the order of the headings; each is given with the long name of its option."""
    groups: dict[str, list[tuple[str, str]]] = {heading: [] for heading in (FIRST_GROUP, *_GROUPS, _OTHERS)}
    daily = DAILY.get(path)
    for name, line in records:
        groups[FIRST_GROUP if daily is None or name in daily else _heading(name)].append(line)
    return {heading: lines for heading, lines in groups.items() if lines}


def _heading(name: str) -> str:
    return next((heading for heading, names in _GROUPS.items() if name in names), _OTHERS)
