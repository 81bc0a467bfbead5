"""Health of the store: the version of SQLite, and the file system of the registry."""

from pathlib import Path

from authctl.files import resolved
from authctl.store.protocol.health import Health
from authctl.store.sqlite.library import sqlite3

_NETWORKED = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ocfs2", "fuse.sshfs"}
_MOUNTS = Path("/proc/self/mountinfo")


def engine() -> Health:
    """The version of SQLite, and its known defect."""
    package = sqlite3.__name__.partition(".")[0]
    name = f"SQLite {sqlite3.sqlite_version} of {'Python' if package == 'sqlite3' else package}"
    if not has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Health(ok=True, found=name)
    defect = "its write-ahead log can be corrupted when it is reset (corrected in 3.51.3, 3.50.7 and 3.44.6)"
    return Health(
        ok=False, found=f"{name}: {defect}", hint="in the environment of authctl: pip install 'authctl[sqlite]'"
    )


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether an SQLite can corrupt a write-ahead log that several connections reset and write at once (sqlite.org/wal.html).

    See decision 85.
    """
    mended = {(3, 44): (3, 44, 6), (3, 50): (3, 50, 7)}
    return (3, 7, 0) <= version < mended.get((version[0], version[1]), (3, 51, 3))


def file_system(path: Path) -> Health:
    """The file system that the registry lies on; a write-ahead log needs shared memory, which no network offers."""
    kind = _kind_of_file_system(path)
    if kind in _NETWORKED:
        message = f"{path} is on a network file system ({kind}), where SQLite's write-ahead log does not work"
        return Health(ok=False, found=message, hint="move the registry to a local disk")
    return Health(ok=True, found=kind or "not known")


def _kind_of_file_system(path: Path) -> str | None:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return None
    registry = resolved(path)
    above = [(len(m[4]), m[m.index("-") + 1]) for m in mounts if registry.is_relative_to(m[4])]
    return max(above, default=(0, None))[1]
