"""A file that puts rules in force is refused where everybody could have written it (decision 365)."""

from pathlib import Path

import pytest

from tests.conftest import Authctl

RULES = "version: 1\nprofiles: {default: {idle_timeout: 7d}}\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A profiles file beside the home."""
    folder = tmp_path / "from a colleague"
    folder.mkdir(mode=0o755)
    (folder / "rules.yaml").write_text(RULES)
    return folder / "rules.yaml"


def applied(installed: Authctl, *file: str) -> tuple[int, str]:
    """The exit code and the messages of applying a file."""
    ran = installed("profiles", "apply", *file, "--note", "longer timeouts")
    return ran.code, ran.err


def test_a_file_that_everybody_can_write_is_not_applied(installed: Authctl, rules: Path):
    """Nor tried, and nothing is changed; the message has the mode and the command. A file of a group is applied."""
    for mode in (0o666, 0o602, 0o646):
        rules.chmod(mode)
        for more in ((), ("--dry-run",)):
            code, said = applied(installed, str(rules), *more)
            assert (code, f"everybody can write to the profiles file {rules} (mode {mode:04o})" in said) == (6, True)
            assert f"hint: look at it, then: chmod o-w {rules}" in said
    assert installed("profiles", "check", str(rules)).code == 0, "to look at a file puts nothing in force"
    assert [one["idle_timeout"] for one in installed("profiles", "list", "-o", "json").json] == ["3d"]
    for mode in (0o664, 0o644):
        rules.chmod(mode)
        assert applied(installed, str(rules))[0] == 0


def test_a_folder_that_everybody_can_write(installed: Authctl, rules: Path, tmp_path: Path):
    """They could put another file in its place: of a link the folders at both ends count. A sticky folder is like /tmp."""
    link = tmp_path / "link.yaml"
    link.symlink_to(rules)
    rules.parent.chmod(0o777)
    for path in (rules, link):
        code, said = applied(installed, str(path))
        assert (code, f"everybody can write to {rules.parent} (mode 0777)" in said) == (6, True)
    rules.parent.chmod(0o1777)
    assert applied(installed, str(link))[0] == 0


def test_the_file_of_the_home(installed: Authctl, home: Path):
    """The same where no file is named."""
    (home / "profiles.yaml").chmod(0o666)
    assert applied(installed)[0] == 6
    (home / "profiles.yaml").chmod(0o600)
    assert applied(installed)[0] == 0


def test_the_file_of_a_new_installation(authctl: Authctl, home: Path, rules: Path):
    """`init --profiles` puts it in force, too, and makes nothing."""
    rules.chmod(0o666)
    ran = authctl("init", "--profiles", str(rules))
    assert (ran.code, "everybody can write" in ran.err, home.exists()) == (6, True, False)
    rules.chmod(0o644)
    assert authctl("init", "--profiles", str(rules)).code == 0


def test_only_files_have_an_owner_to_trust(installed: Authctl):
    """A device or a pipe, such as the shell makes for `<(…)`, is read as it comes: here it is empty."""
    code, said = applied(installed, "/dev/null")
    assert (code, "everybody can write" in said) == (2, False)
