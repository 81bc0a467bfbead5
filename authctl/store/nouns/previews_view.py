"""The view of previews. Its work is loaded when a preview is asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.store.nouns.reader import Reader

if TYPE_CHECKING:
    from authctl.store.protocol.previews import Summary


class PreviewsReader(Reader):
    """`PreviewsView` over any database; its module is loaded when a preview is asked for."""

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        from authctl.store.nouns import previews

        return previews.used_last(self, numbers, limit)

    def beyond_newest(self, numbers: Sequence[int], keep: int) -> Sequence[int]:
        from authctl.store.nouns import previews

        return previews.beyond_newest(self, numbers, keep)

    def ids_of(self, numbers: Sequence[int]) -> list[str]:
        from authctl.store.nouns import previews

        return previews.ids_of(self, numbers)

    def counts_by_user(self, numbers: Sequence[int]) -> dict[str, int]:
        from authctl.store.nouns import previews

        return previews.counts_by_user(self, numbers)

    def summary(self, numbers: Sequence[int], now: int, largest: int) -> "Summary":
        from authctl.store.nouns import previews

        return previews.summary(self, numbers, self.continuity, now, largest)
