"""Files that only their owner may touch: made so from the first byte, and refused when they are not."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from authctl.errors import DiskFull, Refused, RegistryUnavailable, reason

LOCK_TIMEOUT_SECONDS = 5.0
"""Seconds that a lock on a file is waited for."""

_PAUSE = 0.01
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def check_private(path: Path, kind: str, missing: str | None = None) -> os.stat_result:
    """Check a file that only its owner may access; `kind` is its name in errors, `missing` the hint if it is not there.

    As ssh does with its keys: no access for group or others. And a regular file with one name: the log of a registry
    is named after the file, so that a registry with two names would be corrupted.
    Raises RegistryUnavailable.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        # Files beside it mean that an installation lost this one: to run `init` there would hide the loss.
        began = path.parent.exists() and any(path.parent.iterdir())
        hint = missing or ("restore it from a backup" if began else "authctl init")
        raise RegistryUnavailable(f"there is no {kind} at {path}", hint) from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot read the {kind} at {path}: {reason(error)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise RegistryUnavailable(f"the {kind} at {path} is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise RegistryUnavailable(f"the {kind} at {path} is open to others (mode {mode:04o})", f"chmod 600 {path}")
    # The database looks for its log beside the name by which the file was opened.
    if status.st_nlink != 1:
        raise RegistryUnavailable(f"the {kind} at {path} has a second name (a hard link)", f"see: ls -li {path}")
    # Of a link both folders count: whoever can write to one can replace the link, and to the other the file.
    for folder in {path.parent, resolved(path).parent}:
        check_folder(folder)
    return status


def read_private(path: Path, kind: str, missing: str | None = None) -> bytes:
    """All of such a file. Raises as `check_private`."""
    check_private(path, kind, missing)
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryUnavailable(f"cannot read the {kind} at {path}: {reason(error)}") from None


def check_folder(folder: Path) -> None:
    """Raise RegistryUnavailable where everybody could put another file in the place of the present one."""
    # decision 22: whoever may rename the files of a folder could put others in their place
    mode = folder.stat().st_mode
    # In a sticky folder such as /tmp everybody can write, but only the owner of a file can replace it.
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise RegistryUnavailable(
            f"everybody can write to {folder} (mode {stat.S_IMODE(mode):04o})", f"chmod 700 {folder}"
        )


def resolved(path: Path) -> Path:
    """Where the links of a path lead; links that lead to each other stay as they are, to fail when they are opened."""
    return Path(os.path.realpath(path))


def create_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600, with any umask, and sync it. After a failure there is no file.

    Raises Refused when one is there.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise Refused(f"file already exists: {path}") from None
    try:
        _fill(descriptor, content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Replace a file by one of mode 0600: after a crash it is the old one or the new one, and whole.

    Raises RegistryUnavailable when it cannot be written, DiskFull on a full disk; then the old one stays.
    """
    path = resolved(path)
    with _replacing(path):
        for leftover in path.parent.glob(f".{path.name}.*.new"):  # of a write that was killed; it may hold secrets
            leftover.unlink(missing_ok=True)
        _replace(path, content, 0o600)


def replace_published(path: Path, content: bytes, mark: bytes) -> None:
    """The same with a file of mode 0644, which everybody may read, in the place of one that begins with the mark.

    Raises Refused where another file, or anything but a file, has that name.
    """
    # decision 220: a typing error in an option must not replace the registry or a key ring
    path = resolved(path)
    with _replacing(path):
        _check_mark(path, mark)
        # Leftovers stay: unlike private files, two processes may write these at once.
        _replace(path, content, 0o644)


def _check_mark(path: Path, mark: bytes) -> None:
    """Raise Refused where a file was not written by the same command; an empty one may be replaced."""
    try:
        # Without waiting: to open a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"not a regular file: {path}")
        if file.read(len(mark)) not in (b"", mark):
            raise Refused(f"another file has this name: {path}", "choose a name for the new file")


@contextmanager
def _replacing(path: Path) -> Iterator[None]:
    """The obstacles to replacing a file, as our own errors."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _NO_ROOM else RegistryUnavailable
        raise kind(f"cannot write {path}: {reason(error)}") from None


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Put a new file in the place of one, and make its name last. Raises OSError."""
    # Imported here: a command seldom replaces a file, and the module is slow to load.
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        _fill(descriptor, content, mode)
        # Synced before it is renamed: a crash right after a rename may else leave an empty file under the right name.
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _fill(descriptor: int, content: bytes, mode: int = 0o600) -> None:
    """Write a file of that mode, with any umask, sync its content, and close it."""
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Alone among those who replace files in a folder. Raises RegistryUnavailable, also where others stay in it."""
    # decision 90: registries may share a key ring
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RegistryUnavailable(f"cannot open {path}: {reason(error)}") from None
    try:
        try:
            lock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise RegistryUnavailable(f"cannot change files in {path}: {reason(error)}") from None
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, kind: int) -> None:
    """Lock an open file as flock does, and wait for that no longer than `LOCK_TIMEOUT_SECONDS`: every user who can read it can hold the lock.

    Raises OSError.
    """
    until = monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            # A blocking flock has no time limit, and whoever can read the file could hold its lock for ever.
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if monotonic() > until:
                raise OSError(error.errno, "it is locked by another process") from None
            sleep(_PAUSE)
        else:
            return


def sync_directory(path: Path) -> None:
    """Make the names in a directory last."""
    sync(path, os.O_DIRECTORY)


def sync(path: Path, flags: int = 0) -> None:
    """Make the content of a file last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
