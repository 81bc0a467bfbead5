"""The disk of a PostgreSQL server is full: nothing changes, look-ups go on, and with room again everything works. On a real, tiny file system."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.cli.exit_codes import exit_code_of
from authctl.errors import DiskFull
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

SIZE = "24m"


@contextmanager
def tiny_file_system(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes. Skips the test where none can be mounted."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    folder.mkdir()
    if mount is None or unmount is None or os.geteuid() != 0:
        pytest.skip("needs the right to mount a file system")
    command = [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([unmount, str(folder)], check=True)


@pytest.fixture
def place() -> Iterator[tuple[Server, Path, str]]:
    """A server, the folder of its tiny file system, and the address of a database there."""
    with new_server() as server, tiny_file_system(server.folder / "tiny") as tiny:
        owner = server.data.stat()
        (tiny / "space").mkdir()
        os.chown(tiny / "space", owner.st_uid, owner.st_gid)
        server.execute("CREATE ROLE registrar LOGIN")
        server.execute(f"CREATE TABLESPACE tiny LOCATION '{tiny / 'space'}'")
        server.execute(
            "CREATE DATABASE registry OWNER registrar TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
            " TABLESPACE tiny"
        )
        server.execute("REVOKE CONNECT ON DATABASE registry FROM PUBLIC")
        yield server, tiny, server.url("registry", "registrar")
        server.stop()  # it has files open there


def fill(folder: Path) -> Path:
    """Fill a file system with one file."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12):
            try:
                while ballast.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return file


def test_a_full_disk_changes_nothing(place, tmp_path: Path):
    """A sign-in ends with exit 6 and leaves no half; a token is verified all the same, and with room again everything works."""
    _, tiny, url = place
    raw = profiles.DEFAULT_FILE.encode()
    create(find_home(tmp_path / "home", url), profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    with Registry.open(tmp_path / "home", registry=url) as registry:
        token = registry.issue(username="alice", application="Mail").access_token
        ballast = fill(tiny)
        issued = 0
        with pytest.raises(DiskFull, match="the disk of the server is full"):
            while issued < 20_000:
                registry.issue(username="bob", application="Mail", device="d" * 200)
                issued += 1
        assert registry.count(SessionFilter(username="bob")) == issued
        assert registry.verify(token).username == "alice"
        assert exit_code_of(DiskFull) == 6
        ballast.unlink()
        assert registry.revoke(SessionFilter(everything=True), note="breach").revoked == issued + 1
        registry.audit.verify()
