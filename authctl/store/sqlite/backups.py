"""Backups of a registry: copies that are taken while others write, and read back.

SQLite's own backup is used in one step: a snapshot of the source, and one transaction in the target.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_folder, check_private, resolved, sync
from authctl.store.sqlite.connections import translated_errors
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import (
    check_vacant,
    draft_beside,
    file_uri,
    finish_creation,
    has_log,
    link_draft,
    registry_files,
)


def back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy a registry to a new private file. Raises Refused if a file is there."""
    with draft_beside(path) as draft, errors_about_backup(path, draft, path), translated_errors(path):
        check_folder(path.parent)
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            source.backup(target)
            check(target, path)
        put_in_place(draft, path)


def read_backup(source: Path, draft: Path) -> None:
    """Copy a backup into a draft. Raises RegistryUnavailable if it is open to others, IntegrityFailure if it is damaged."""
    source = resolved(source)  # its log lies beside the file itself
    finish_creation(source)
    check_private(source, "backup", missing=f"see: ls {source.parent}")
    with translated_errors(source):
        unchanging = "" if has_log(source) else "&immutable=1"  # so that SQLite leaves no file beside it
        address = file_uri(source, f"mode=ro{unchanging}")
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection,
            closing(sqlite3.connect(draft, isolation_level=None)) as target,
        ):
            connection.backup(target)
            check(target, source)


@contextmanager
def errors_about_backup(backup: Path, draft: Path, path: Path) -> Iterator[None]:
    """Let errors name the backup, not the draft that is made of it or for it; on a full disk, the file that was to be written."""
    files = {str(file) for file in (draft, path, resolved(draft), resolved(path))}
    try:
        yield
    except DiskFull as error:
        if not any(file in error.message for file in files):
            raise  # the disk of a server
        raise DiskFull(f"cannot write {path}: the disk is full") from None
    except AuthctlError as error:
        message = error.message
        for file in (resolved(draft), resolved(backup)):
            message = message.replace(f"the registry at {file} ", f"the backup at {backup} ").replace(
                str(file), str(backup)
            )
        raise type(error)(message, error.hint) from None


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise IntegrityFailure if SQLite finds a database damaged."""
    # quick_check leaves out the comparison of indexes with their tables: it reads each page once, also of a large file.
    answers = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if answers != ["ok"]:
        raise IntegrityFailure(f"{path} is damaged: {answers[0]}")


def keep_copy(source: sqlite3.Connection, folder: Path, name: str) -> Path:
    """Copy a registry to a new private file in a folder, with that name, or with a number after it if the name is taken."""
    path = vacant_path(folder, name)
    with draft_beside(path) as draft, errors_about_backup(path, draft, path), translated_errors(path):
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            source.backup(target)
        put_in_place(draft, path)
    return path


def vacant_path(folder: Path, name: str) -> Path:
    """The path of a new file in a folder, with that name, or with a number after it if the name is taken."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(path for path in map(folder.joinpath, names) if not any(map(os.path.lexists, registry_files(path))))


def put_in_place(draft: Path, path: Path) -> None:
    """Let a finished draft appear at its path. Raises Refused if a file is there."""
    check_vacant(path)
    try:
        sync(draft)
        link_draft(draft, path)
    except FileExistsError:
        raise Refused(f"file already exists: {path}") from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
