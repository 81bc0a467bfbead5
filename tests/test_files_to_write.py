"""The files that commands write: `-` and a blank text are no names of them."""

from pathlib import Path

import pytest

from tests.conftest import Authctl

WRITING = (
    ("backup",),
    ("stats", "--html"),
    ("stats", "--prometheus"),
    ("cleanup", "--archive"),
    ("revoke", "--user", "alice", "--plan"),
)


@pytest.mark.parametrize("name", ["-", ""])
@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_no_file_of_that_name_is_written(
    installed: Authctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], name: str
):
    """Standard output is not meant, and a file named `-` would surprise: exit 2, with the option named, and no file."""
    assert installed("tokens", "issue", "--user", "alice", "--application", "Teams", "-q").code == 0
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    ran = installed(*command, name)
    assert (ran.code, ran.out) == (2, "")
    assert "is not the name of a file" in ran.err
    assert not list((tmp_path / "empty").iterdir())


def test_a_plan_that_cannot_be_looked_at_is_an_error_of_the_plan(installed: Authctl, tmp_path: Path):
    """A name that is too long, a loop of links and a missing file: exit 2, with the name first, and no defect of authctl."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, problem in (("a" * 300, "file name too long"), ("loop", "symbolic link"), ("none", "no such file")):
        ran = installed("revoke", "--apply", str(tmp_path / path), "--note", "left the company")
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert ran.err.startswith("authctl: error: cannot read "), ran.err
        assert problem in ran.err


def test_two_files_of_one_name_are_refused_before_one_is_written(installed: Authctl, tmp_path: Path):
    """Else the page would be there, and the command would end with an error about it."""
    file = tmp_path / "stats"
    ran = installed("stats", "--html", str(file), "--prometheus", str(file))
    assert (ran.code, "--html and --prometheus name the same file" in ran.err, file.exists()) == (2, True, False)
