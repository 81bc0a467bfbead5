"""Importing the sessions of another system's export: all rows are read and staged, then registered in batches.

See docs/glossary.md#source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from authctl import names
from authctl.errors import InvalidInput
from authctl.import_mappings import Listing, Mapping
from authctl.instants import DAY
from authctl.registry.batches import Progress, no_progress
from authctl.registry.imports import same_file
from authctl.registry.imports.complete import Claim, Complete
from authctl.registry.imports.history import PastImport, past_import, past_imports
from authctl.registry.imports.reading import MOST_NAMED, NamedRow, Reading, RemarkOutcome, RowCounts
from authctl.registry.imports.register import ImportSource, Registration
from authctl.registry.imports.same_file import HashedFile, SameFile
from authctl.registry.imports.undo import Undo, UndoOutcome, UndoPreview
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import actor_name
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview
    from authctl.store.protocol import Staging


class ExportFile(NamedTuple):
    """A file of an export, and its name in messages."""

    name: str
    file: BinaryIO


class ImportOutcome(NamedTuple):
    """The rows that an import read, and the sessions that it registered, or would."""

    rows: RowCounts
    registered: int
    updated: int
    unchanged: int
    rejected_rows: tuple[NamedRow, ...]
    """Up to 1,000 rejected rows, each with its reason."""
    moved_rows: tuple[NamedRow, ...]
    """Up to 1,000 rows whose key is also that of another user's session."""
    unused_because: str | None
    """The most frequent reason why no row was used, with an example; None if a row was used."""
    dry_run: bool
    remarks: tuple[RemarkOutcome, ...] = ()
    import_id: int | None = None
    """The number of the import, to show it and to take it back; None where nothing was registered."""
    source: str | None = None
    """The system that the sessions live in."""
    used_after_end: int = 0
    """How many sessions were used in their source after they were revoked or ended here."""
    returned: int = 0
    """How many sessions had ended because a complete listing did not have them, and are active again."""
    adopted: int = 0
    """How many known sessions without a source have this one now."""
    not_listed: int = 0
    """How many sessions ended because the complete listing does not have them."""
    not_listed_sessions: tuple[Session, ...] = ()
    """Up to 1,000 of them; in a dry run up to ten."""
    ends: Preview | None = None
    """The preview of the sessions that a complete listing ends."""

    @property
    def rejections(self) -> tuple[tuple[int, str], ...]:
        """Line number and reason of the rejected rows."""
        return tuple((row.line, row.reason) for row in self.rejected_rows)

    @property
    def moved(self) -> tuple[tuple[int, str], ...]:
        """Line number and text of the rows whose key is also that of another user's session."""
        return tuple((row.line, row.reason) for row in self.moved_rows)


class Imports:
    """The imports of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def run(
        self,
        file: BinaryIO,
        mapping: Mapping,
        *,
        name: str = "import",
        more: Iterable[ExportFile] = (),
        source: str | None = None,
        taken_at: int | None = None,
        complete: Complete | None = None,
        encoding: str | None = None,
        profile: str | None = None,
        strict: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        progress: Progress = no_progress,
    ) -> ImportOutcome:
        """Register the sessions of another system's export, JSON lines, JSON or a text, as the mapping reads them.

        The files of `more` are read after the first, as if all were one; each is asked for when the one before was read. `source`
        is the system that the sessions live in, by default as the mapping names it. `taken_at` is the instant when the listing was
        taken, by default the time in the file, or now. `encoding` is for a file without a byte order mark; its default is the
        mapping's, or UTF-8. Importing a file again, or files that overlap in any order, gives the same registry. Nothing is written
        before all files were read, nor where no row is used. Rows from before a revocation, an end or a restore come under it.

        With `complete` the files are a listing of everything that the source has, or of all sessions of some users: its active
        sessions that are not in the files, and were created and last used before the listing, end (`not_listed`).

        Raises InvalidInput when a file cannot be read, with `strict` where a row is rejected, and with `complete` without a source or
        the time of the listing; Refused where a complete listing has no row, or a row that is not used, and where too many sessions
        would end; NotFound for a profile that is not in force.
        """
        who = actor_name(actor)
        source = mapping.source if source is None else names.source_name(source)
        settings = (mapping.digest, source, encoding, profile)
        hashed, more = None, iter(more)
        if complete is None and same_file.is_repeatable(mapping, taken_at):
            same = self._same_file(file, settings, source)
            # decision 200: several files are always read, since only one file has a digest in the record
            if same is not None and (second := next(more, None)) is not None:
                same, more = None, chain([second], more)
            if same is not None and (repeated := self._repeat(same, visible(name), source, who, dry_run=dry_run)):
                mapping.note_all_parts()
                progress(same.keys, same.keys)
                return repeated
            hashed = HashedFile(file, settings)
        claim = None if complete is None else Claim.of(complete, mapping, source, taken_at)
        with closing(self._installation.store.staging()) as staging:
            profile, reading = self._begin(mapping, staging, profile, taken_at)
            for file_name, export in chain([ExportFile(name, cast("BinaryIO", hashed or file))], more):
                reading.read(export, file_name, encoding)
            reading.check(strict=strict)
            detail = _detail(visible(name), reading)
            of = ImportSource(source, mapping.parts_rows)
            remember = None if hashed is None else partial(same_file.recorded, hashed, reading)
            registration = Registration(self._installation, staging, profile, who, progress, detail, of, remember)
            if claim is not None:
                claim.check_rows(reading)
                registration.preview_ends(claim.at(reading, taken_at), dry_run=dry_run)
            if reading.is_used or claim is not None:
                registration.look() if dry_run else registration.run()
            return _outcome(reading, registration, source, dry_run=dry_run)

    def list(self) -> Sequence[PastImport]:
        """All imports that are recorded, the latest first, each with the reason if it cannot be undone."""
        with self._installation.snapshot() as (view, now):
            return past_imports(view, now)

    def show(self, import_id: int) -> PastImport:
        """One import that is recorded. Raises NotFound."""
        with self._installation.snapshot() as (view, now):
            return past_import(view, import_id, now)

    def undo(
        self,
        import_id: int,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        max_affected: int | None = None,
        bound: Bound | None = None,
        progress: Progress = no_progress,
    ) -> UndoOutcome:
        """Take an import back: remove the sessions that it alone registered, and restore those that it changed.

        Sessions that were revoked, ended or changed since stay as they are, and are counted by reason. Only the latest import of a
        source, or without one, can be undone, within 30 days. In batches: run it again to complete one that was interrupted. `bound`
        is that of a preview. Raises Refused otherwise, without a note, or where more sessions than `max_affected`, or a session that the bound
        does not allow, would be removed or restored; NotFound for an unknown import.
        """
        undo = Undo(self._installation, import_id, actor)
        if dry_run:
            return undo.look(None if note is None else names.note(note), max_affected)
        return undo.run(names.note(note), bound, max_affected, progress)

    def preview_undo(self, import_id: int, *, max_affected: int | None = None) -> UndoPreview:
        """The sessions that `undo` would remove and restore, with the bound for it. Raises as `undo` with `dry_run`."""
        return Undo(self._installation, import_id, None).preview(max_affected)

    def _same_file(self, file: BinaryIO, settings: Sequence[str | None], source: str | None) -> SameFile | None:
        """The record of the last import of a source, if it was of this file and nothing since then concerns its sessions."""
        with self._installation.snapshot() as (view, _):
            same = SameFile.of_last_import(view, source)
            if same is None or not same.holds(view, source):
                return None
        return same if same_file.is_same(same, file, settings) else None

    def _repeat(
        self, same: SameFile, name: str, source: str | None, actor: str, *, dry_run: bool
    ) -> ImportOutcome | None:
        """Record that a file was imported again, and nothing changed; None where an operation came in between."""
        # decision 200: the same file changes nothing, so its rows are not read; asked again inside the transaction, and
        # not before it only
        if dry_run:
            with self._installation.snapshot() as (view, _):
                holds, import_id = same.holds(view, source), None
        else:
            with self._installation.change(actor) as unit:
                holds = same.holds(unit.tx, source)
                import_id = same.repeat(unit, name, source) if holds else None
        rows, none = RowCounts(*same.rows), ((), ())
        outcome = ImportOutcome(rows, 0, 0, same.keys, *none, None, dry_run, import_id=import_id, source=source)
        return outcome if holds else None

    def _begin(
        self, mapping: Mapping, staging: Staging, profile: str | None, taken_at: int | None
    ) -> tuple[str | None, Reading]:
        """The whole name of the profile, and the reading of the files. Raises InvalidInput, NotFound."""
        with self._installation.snapshot() as (view, now):
            named = None if profile is None else view.profiles().named(profile).name
        # decision 12: one day allows for every time zone that a log did not write
        latest = max(self._installation.clock.now(), now) + DAY
        if taken_at is not None and taken_at > latest:
            raise InvalidInput("the time of the listing is more than a day ahead")
        return named, Reading(mapping, staging, latest, Listing(taken_at, now))


def _detail(name: str, reading: Reading) -> dict[str, Any]:
    """The files, as the audit log records them."""
    detail = {"file": name, "rows": reading.counts.read}
    return {**detail, "files": len(reading.files)} if len(reading.files) > 1 else detail


def _outcome(reading: Reading, registration: Registration, source: str | None, *, dry_run: bool) -> ImportOutcome:
    done = registration.done
    return ImportOutcome(
        reading.counts,
        done.registered,
        done.updated,
        done.unchanged,
        tuple(reading.rejections),
        tuple(reading.staged_row(line, text) for line, text in done.moved[:MOST_NAMED]),
        reading.unused_because(),
        dry_run,
        reading.remarks(),
        import_id=registration.import_id,
        source=source,
        used_after_end=done.used_after_end,
        returned=done.returned,
        adopted=done.adopted,
        not_listed=registration.not_listed,
        not_listed_sessions=tuple(registration.not_listed_sessions),
        ends=registration.ends,
    )
