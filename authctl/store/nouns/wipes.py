"""Wipes.

See docs/glossary.md#wipe.
"""

from authctl.store.nouns.reader import Writer


class WipesWriter(Writer):
    """`WipesChange` over any database."""

    def deliver_wipe(self, number: int, at: int) -> None:
        self.write("UPDATE sessions SET wipe_delivered_at = ? WHERE number = ?", (at, number))

    def acknowledge_wipe(self, number: int, at: int) -> None:
        sql = (
            "UPDATE sessions SET wipe_acknowledged_at = :at, wipe_delivered_at = coalesce(wipe_delivered_at, :at)"
            " WHERE number = :number"
        )
        self.write(sql, {"at": at, "number": number})
