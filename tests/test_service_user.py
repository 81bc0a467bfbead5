"""The lines that need root: the service user, its home and its timers, made as the page has them, on a copy of the system.

The copy is a mount namespace in which writable layers lie over the folders that the lines change. It ends with the test.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from authctl import shipped_examples
from tests.console_blocks import PAGES, ROOT, blocks

LAYERS = "set -e; umask 022; mount -t tmpfs tmpfs {base}; for folder in /etc /usr/local /var/lib /opt; do \
    layer={base}$folder; mkdir -p $layer/upper $layer/work; \
    mount -t overlay overlay -o lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work $folder; done"
# The new user has to read Python and the program: those of the tests may lie in the home of root.
PROGRAM = r"""
mkdir -p /opt/source /opt/packages /opt/python /usr/local/bin /usr/local/share/man/man1 /etc/cron.d /etc/systemd/system
mount --bind {root} /opt/source
mount --bind {packages} /opt/packages
mount --bind {base} /opt/python
cat > /usr/local/bin/authctl <<END
#!/bin/sh
export PYTHONPATH=/opt/source:/opt/packages PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/{python} -P -m authctl "\$@"
END
chmod 0755 /usr/local/bin/authctl
cp /opt/source/docs/man/*.1 /usr/local/share/man/man1
cd /
"""
INSTALLED = PROGRAM.format(
    root=ROOT,
    packages=sysconfig.get_path("purelib"),
    base=sys.base_prefix,
    python=Path(sys.executable).resolve().name,
)
CHECKS = r"""
set +x
stat -c '%a %U %G' /var/lib/authctl /var/lib/authctl/registry.db
getent passwd authctl
sudo -u authctl authctl --home /var/lib/authctl audit list -o ndjson
"""


def namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as root on a copy of the system."""
    layers = LAYERS.format(base=folder) + "\n"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", layers + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder for the layers; skips where the lines cannot be run."""
    if os.geteuid() != 0:
        pytest.skip("the lines that make the service user are run by root alone")
    for program in ("unshare", "useradd", "sudo", "install"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if subprocess.run(["id", "authctl"], capture_output=True, check=False).returncode == 0:
        pytest.skip("this host has a user authctl")
    folder = tmp_path / "layers"
    folder.mkdir()
    tried = namespace("true", folder)
    if tried.returncode:
        pytest.skip(f"no copy of the system can be made: {tried.stderr.strip()}")
    return folder


def typed() -> list[str]:
    """Every line of the pages that is run as root."""
    return [
        line for page in PAGES for block in blocks(page) if block.as_root and not block.reason for line in block.lines
    ]


@pytest.mark.slow
def test_the_service_user_is_made_as_the_page_says(copy: Path):
    """Each line as it is written; then the home is private, the installation belongs to the user, and systemd accepts the units."""
    lines = typed()
    assert len(lines) >= 7
    assert lines[0].startswith("sudo useradd ")
    # `doctor` finds problems on some hosts, such as an old SQLite.
    shell = "\n".join(f"{line} || test $? = 9" if line.endswith(" doctor") else line for line in lines)
    ran = namespace(f"{INSTALLED}set -ex\n{shell}\n{CHECKS}", copy)
    assert ran.returncode == 0, ran.stderr
    assert "\n700 authctl authctl\n600 authctl authctl\nauthctl:x:" in ran.stdout
    assert ":/var/lib/authctl:/usr/sbin/nologin\n" in ran.stdout
    assert '"action": "registry.init"' in ran.stdout
    assert f'"actor": "{os.environ.get("SUDO_USER", "root")}"' in ran.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units_as_they_are_installed(copy: Path):
    """Unchanged, where the user, the program and the manual page are there; the services need little."""
    names = [name for name in shipped_examples.names() if name.endswith((".service", ".socket", ".timer"))]
    units = " ".join(f"/etc/systemd/system/{name}" for name in names)
    services = " ".join(unit for unit in units.split() if unit.endswith(".service"))
    shell = "\n".join(line for line in typed() if " doctor" not in line)
    check = f"systemd-analyze verify {units} 2>&1 | grep authctl || true; systemd-analyze security --offline=yes --threshold=20 {services}"
    ran = namespace(f"{INSTALLED}set -e\n{shell}\necho; echo installed; {check}", copy)
    found = ran.stdout.partition("\ninstalled\n")[2]
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Overall exposure level" in found
    assert [line for line in found.partition("  NAME")[0].splitlines() if line.startswith("/")] == []
