"""Facts about the registry: its id, its recorded instants, and the last event of its audit log."""

from authctl.store.sqlite.reader import Reader, Writer


class FactsReader(Reader):
    """`RegistryView` over SQLite."""

    def registry_id(self) -> str:
        row = self.one_row("SELECT id FROM registry")
        return str(row and row[0])

    def recorded_time(self) -> int:
        return self.one_number("SELECT seen_at FROM clock")

    def last_clock_jump(self) -> int | None:
        row = self.one_row("SELECT leapt_at FROM clock")
        return row[0] if row else None

    def restored_at(self) -> int | None:
        row = self.one_row("SELECT restored_at FROM registry")
        return row[0] if row else None

    def last_seal(self) -> tuple[int, str]:
        row = self.one_row("SELECT seq, hash FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)")
        return (row[0], row[1]) if row else (0, "")


class FactsWriter(Writer):
    """`RegistryChange` over SQLite."""

    def record_time(self, at: int) -> None:
        from authctl.store.protocol.registry import CLOCK_JUMP

        # decision 88: a leap from the first instant on is remembered, since 0 is that of an empty registry
        sql = "UPDATE clock SET leapt_at = iif(seen_at BETWEEN 1 AND :at - :leap, :at, leapt_at), seen_at = max(seen_at, :at)"
        self.write(sql, {"at": at, "leap": CLOCK_JUMP})

    def set_recorded_time(self, at: int) -> None:
        self.write("UPDATE clock SET seen_at = ?, leapt_at = NULL", (at,))
        self.write("UPDATE registry SET restored_at = min(restored_at, ?)", (at,))

    def set_restored(self, at: int) -> None:
        self.write("UPDATE registry SET restored_at = max(coalesce(restored_at, :at), :at)", {"at": at})
