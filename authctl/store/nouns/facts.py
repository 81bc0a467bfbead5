"""Facts about the registry: its id, its recorded instants, and the last event of its audit log."""

from authctl.store.nouns.reader import Reader, Writer


class FactsReader(Reader):
    """`RegistryView` over any database."""

    def registry_id(self) -> str:
        row = self.one_row("SELECT id FROM registry")
        return str(row and row[0])

    def recorded_time(self) -> int:
        return self.one_number("SELECT max(seen_at) FROM clock")

    def clock(self) -> int | None:
        return None

    def last_clock_jump(self) -> int | None:
        row = self.one_row("SELECT max(leapt_at) FROM clock")
        return row[0] if row else None

    def restored_at(self) -> int | None:
        row = self.one_row("SELECT restored_at FROM registry")
        return row[0] if row else None

    def last_seal(self) -> tuple[int, str]:
        row = self.one_row("SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1")
        return (row[0], row[1]) if row else (0, "")

    def moving_to(self) -> str | None:
        row = self.one_row("SELECT moving_to FROM registry")
        return row[0] if row else None


class FactsWriter(Writer):
    """`RegistryChange` over any database."""

    def set_recorded_time(self, at: int) -> None:
        self.write("UPDATE clock SET seen_at = ?, leapt_at = NULL", (at,))
        self.write(f"UPDATE registry SET restored_at = {self.dialect.least('restored_at', ':at')}", {"at": at})

    def set_restored(self, at: int) -> None:
        latest = self.dialect.greatest("coalesce(restored_at, :at)", ":at")
        self.write(f"UPDATE registry SET restored_at = {latest}", {"at": at})

    def set_moving_to(self, place: str | None) -> None:
        self.write("UPDATE registry SET moving_to = ?", (place,))

    def set_arriving_from(self, place: str) -> None:
        self.write("UPDATE registry SET arriving_from = ?, moving_to = NULL", (place,))

    def take_time(self) -> None:
        """Nothing: only a server limits the time."""

    def close_for_move(self, place: str) -> None:
        # `moving_to` stays until the new place is open: until then the move is not finished
        self.write("UPDATE registry SET moved_to = :place, moving_to = :place", {"place": place})
