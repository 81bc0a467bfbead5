"""The preview of an operation in words: the sessions that it would hit, counted by user, application and status.

Pure; `cli/previews.py` prints the lines, and the console shows them in its window.
"""

from typing import TYPE_CHECKING

from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.previews import Preview
    from authctl.store.protocol.previews import Largest

_LONGEST_NAME = 40


def preview_lines(preview: "Preview", operation: str, noun: str) -> list[str]:
    """The lines above the table of a preview; `operation` is the verb of the first one: "this would revoke"."""
    summary = preview.summary
    by_status = (("active", summary.active), ("expired", summary.expired), ("revoked", summary.revoked))
    lines = [
        f"this would {operation} {counted(summary.total, noun)}, {summary.web:,} of them web sessions",
        f"by user: {_shares(summary.users)}",
        f"by application: {_shares(summary.applications)}",
        f"by status: {', '.join(f'{status} {count:,}' for status, count in by_status if count)}",
    ]
    if summary.total > len(preview.sessions):
        lines.append(f"the {len(preview.sessions)} most recently used of them:")
    return lines


def _shares(largest: "Largest") -> str:
    """Names with how many sessions each has, and how many names there are besides."""
    named = [f"{quoted(name, _LONGEST_NAME) if name else 'none'} {count:,}" for name, count in largest.counts]
    return ", ".join(named) + (f", and {largest.more:,} more" if largest.more else "")
