"""Listings of other systems: how one is imported with the real command line, and which sessions are active after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.conftest import Authctl


@dataclass(frozen=True)
class Listing:
    """The documents that a system answered, by user, and an instant from before the first request."""

    taken_at: datetime
    documents: Mapping[str, bytes]

    def write(self, folder: Path) -> list[str]:
        """The names of files with those documents."""
        names = []
        for number, document in enumerate(self.documents.values()):
            name = folder / f"{self.taken_at:%H%M%S%f}-{number}.json"
            name.write_bytes(document)
            names.append(str(name))
        return names


@dataclass(frozen=True)
class Importer:
    """The command line that imports listings of one source with one mapping."""

    authctl: Authctl
    folder: Path
    mapping: str
    source: str

    def load(self, listing: Listing, *options: str) -> Any:
        """The result of an import that succeeded."""
        files = listing.write(self.folder)
        source = ("--source", self.source, "--taken-at", listing.taken_at.isoformat())
        ran = self.authctl("sessions", "import", *files, "--map", self.mapping, *source, "-o", "json", *options)
        assert ran.code == 0, ran.err
        return ran.json

    def load_complete(self, listing: Listing, *options: str) -> Any:
        """The result of the import of a listing that has all sessions of the source."""
        return self.load(listing, "--complete", "--yes", *options)

    def sessions(self, *filters: str) -> list[dict[str, Any]]:
        """The sessions of the source."""
        ran = self.authctl("sessions", "list", "--source", self.source, "-o", "json", *filters)
        assert ran.code == 0, ran.err
        return list(ran.json)

    def ends(self) -> set[tuple[str, datetime]]:
        """The reasons and instants for which sessions of the source have ended."""
        ended = self.sessions("--status", "expired")
        return {(one["ended_reason"], datetime.fromisoformat(one["ended_at"])) for one in ended}
