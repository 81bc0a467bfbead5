"""The tab of the audit trail: every event, newest first, searched by its text."""

from __future__ import annotations

from authctl.console.pane import Pane, Shared
from authctl.console.sources import Events, Source


class AuditPane(Pane):
    """Audit events."""

    keys = ("/ search", "Enter details", "c command")
    view = "event"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared, "audit")

    def make_source(self) -> Source:
        """The events that contain the typed text."""
        return Events(self.typed)
