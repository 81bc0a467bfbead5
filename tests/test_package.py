"""The package as it is installed: the source archive, the wheel that is built from it, and a fresh environment with it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from authctl import help_topics, shipped_examples, shipped_mappings
from authctl.cli.completion import Shell
from tests.conftest import every_command

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment, with the wheel of the source archive; what authctl depends on comes from the one of the tests."""
    folder = tmp_path_factory.mktemp("package")
    (archive,) = SdistBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    source = folder / Path(archive).name.removesuffix(".tar.gz")
    (wheel,) = WheelBuilder(str(source)).build(directory=str(folder), versions=["standard"])
    place = folder / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place


Run = Callable[..., str]


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """Run the installed program in an empty folder, and give its standard output."""

    def one(*arguments: str) -> str:
        variables = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "AUTHCTL_HOME": str(tmp_path / "home")}
        ran = subprocess.run(
            ["authctl", *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, (arguments, ran.stderr)
        return ran.stdout

    return one


def test_the_installed_program_is_the_one_that_runs(run: Run, environment: Path):
    """Not the source beside the tests."""
    (package,) = environment.glob("lib/python*/site-packages/authctl")
    script = "import authctl; print(authctl.__file__)"
    ran = subprocess.run(
        [environment / "bin" / "python", "-P", "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == str(package / "__init__.py")
    assert run("--version").startswith("authctl ")


def test_every_shipped_file_is_printed(run: Run):
    """Topics, example files, mappings and completions, each by its command, as they are in the source."""
    package = ROOT / "authctl"
    for name in help_topics.names():
        assert run("help", name).startswith(help_topics.read(name).title)
    for name in shipped_examples.names():
        assert run("examples", "show", name) == (package / "examples" / name).read_text()
    for name in shipped_mappings.names():
        assert run("mappings", "show", name) == (package / "mappings" / f"{name}.yaml").read_text()
    for shell in Shell:
        assert run("completion", shell) == (package / "completions" / f"authctl.{shell}").read_text()
    assert run("profiles", "example") == (ROOT / "profiles.example.yaml").read_text()


def test_every_command_has_its_help(run: Run):
    """Whatever is missing in the package would show when a command is loaded."""
    commands = list(every_command())
    assert len(commands) > 40
    assert run("help").startswith("Topics:")
    for path in commands:
        assert run("help", *path).startswith(f"Usage: authctl {' '.join(path)}")


def test_the_installation_begins_with_the_example(run: Run, tmp_path: Path):
    """`profiles example`, `init` with it, and a command on what it made."""
    (tmp_path / "profiles.yaml").write_text(run("profiles", "example"))
    run("init", "--profiles", "profiles.yaml")
    assert "mimecast" in run("profiles", "list", "-o", "id").split()
    run("cleanup", "-q")


SHARED = {
    "share/man/man1": ROOT / "docs" / "man",
    "share/doc/authctl/examples": ROOT / "authctl" / "examples",
}
COMPLETIONS = {
    "share/bash-completion/completions/authctl": "authctl.bash",
    "share/zsh/site-functions/_authctl": "authctl.zsh",
    "share/fish/vendor_completions.d/authctl.fish": "authctl.fish",
}


def test_manual_pages_examples_and_completions_are_where_others_look(environment: Path):
    """Below `share`, beside the program, and the same files as in the source."""
    for folder, source in SHARED.items():
        installed = {path.name: path.read_text() for path in (environment / folder).iterdir()}
        assert installed == {path.name: path.read_text() for path in source.iterdir()}
        assert len(installed) >= 4
    for path, source in COMPLETIONS.items():
        assert (environment / path).read_text() == (ROOT / "authctl" / "completions" / source).read_text()
    assert set(COMPLETIONS.values()) == {path.name for path in (ROOT / "authctl" / "completions").iterdir()}


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("words", [("authctl",), ("authctl-revoke",), ("authctl", "sessions")])
def test_man_finds_the_pages(environment: Path, words: tuple[str, ...]):
    """With MANPATH; and, where man is that of man-db, with the program on PATH alone."""
    page = environment / "share" / "man" / "man1" / f"{'-'.join(words)}.1"
    plain = {name: value for name, value in os.environ.items() if name not in ("MANPATH", "MANOPT")}
    ways = [{"MANPATH": str(environment / "share" / "man")}]
    if shutil.which("manpath"):  # a program of man-db
        ways.append({"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"})
    for way in ways:
        ran = subprocess.run(["man", "-w", *words], env=plain | way, capture_output=True, text=True, check=False)
        assert str(page) in ran.stdout.split(), ran.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_finds_the_completion(environment: Path, tmp_path: Path):
    """`compinit` registers the file for authctl, which is loaded when it is needed."""
    folder = environment / "share" / "zsh" / "site-functions"
    script = (
        f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; print -- $_comps[authctl]; whence -w _authctl"
    )
    ran = subprocess.run(
        ["zsh", "-f", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert ran.stdout.split() == ["_authctl", "_authctl:", "function"]
