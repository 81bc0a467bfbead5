"""Counts of sessions."""

from typing import TYPE_CHECKING

from authctl.store.nouns.reader import Reader

if TYPE_CHECKING:
    from authctl.model import Group, Grouping, SessionFilter

_GROUPED = {"user": "username", "application": "application", "platform": "platform", "source": "source"}


class CountsReader(Reader):
    """`CountsView` over any database."""

    def count(self, selection: "SessionFilter", now: int, at_most: int | None = None) -> int:
        # Without other criteria the indexes know the counts, and no session is read (decision 97).
        if at_most is None and set(selection.criteria()) <= {"status", "kind"}:
            from authctl.store.nouns.status_counts import count_by_status

            starts = {key: event.started_at for key, event in self.continuity.running(now).items()}
            living_since = {key: starts.get(key, now) for key in self.profile_keys()}
            return count_by_status(self, selection.statuses, selection.kind, living_since)
        chosen = self.select(selection, now)
        limit = "" if at_most is None else " LIMIT :at_most"
        counted = 0
        for part in chosen.parts_to_count:
            within = f"{chosen.where} AND {part.condition}{chosen.of_every_kind}{limit}"
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {chosen.count_source(part)} WHERE {within}) AS counted"
            parameters = {**chosen.parameters, **part.parameters}
            counted += self.one_number(sql, {**parameters, "at_most": at_most and max(0, at_most - counted)})
        return counted

    def groups(self, selection: "SessionFilter", by: "Grouping", now: int) -> "list[Group]":
        from authctl.model import Group, Status
        from authctl.store.sql.filters import has_status

        chosen = self.select(selection, now)
        name = _GROUPED[by]
        by_status = ", ".join(
            f"count(*) FILTER (WHERE {has_status(status, self.continuity, now)})" for status in Status
        )
        spelling = self.dialect.of_latest(f"s.{name}", "s.last_used_at")
        # decision 282: one pass over the table: groups need columns that no index has, and row by row along an index it takes three times as long.
        entrances = self.tables
        passes = chosen.table in (*entrances.walks, entrances.by_deadline)
        source = entrances.anywhere if passes and "r." not in chosen.where else chosen.count_source()
        where = chosen.where if source == entrances.anywhere else f"{chosen.where_in_all_parts}{chosen.of_every_kind}"
        sql = (
            f"SELECT {spelling}, {by_status}, max(s.last_used_at) AS used FROM {source}"
            f" WHERE {where} GROUP BY s.{name}_key"
            f" ORDER BY used DESC, {self.dialect.sorted_by(f's.{name}_key', descending=False)}"
        )
        return [Group(*row) for row in self.all_rows(sql, chosen.parameters)]
