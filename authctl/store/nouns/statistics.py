"""Statistics of sessions. The SQL is loaded when statistics are asked for."""

from typing import TYPE_CHECKING

from authctl.store.nouns.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authctl.model.statistics import ActiveGroup


class StatisticsReader(Reader):
    """`StatisticsView` over any database."""

    def active_groups(self, now: int, until: int) -> "list[ActiveGroup]":
        from authctl.model.statistics import ActiveGroup, Property
        from authctl.store.sql import statistics

        last = len(Property)
        rows = self.all_rows(statistics.active_groups(self.continuity, now), self.given(now, until=until))
        return [ActiveGroup(row[:last], *row[last:]) for row in rows]

    def sign_ins_by_day(self, since: int, now: int) -> "Mapping[int, int]":
        from authctl.store.sql import statistics

        return self._by_day(statistics.sign_ins_by_day(self.continuity), since, now)

    def ends_by_day(self, since: int, now: int) -> "Mapping[int, int]":
        from authctl.store.sql import statistics

        return self._by_day(statistics.ends_by_day(self.continuity, now), since, now)

    def revocations_by_day(self, since: int, now: int) -> "Mapping[int, int]":
        from authctl.store.sql import statistics

        return self._by_day(statistics.revocations_by_day(self.continuity), since, now)

    def _by_day(self, sql: str, since: int, now: int) -> "Mapping[int, int]":
        return dict(self.all_rows(sql, self.given(now, since=since)))
