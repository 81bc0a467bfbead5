"""Where a store is: a path, or a URL."""

import shutil
from pathlib import Path

import pytest

from authctl import InvalidInput, Registry, RegistryUnavailable
from authctl.registry_locations import read_location
from authctl.store import open_store


@pytest.mark.parametrize("location", [Path, str, "sqlite://{}".format, "sqlite:///{}".format, "SQLite://{}".format])
def test_a_store_is_opened_by_path_or_url(registry: Registry, home: Path, location):
    """A path as it is, as text, or in a URL with three slashes or four; the scheme in any case."""
    store = open_store(location(home / "registry.db"))
    with store.view() as view:
        assert view.registry_id() == registry.audit.event(1).subject
    store.close()


def test_a_url_may_quote_its_path(registry: Registry, home: Path, tmp_path: Path):
    """As every URL does: a space, a question mark and a percent sign are part of the name."""
    registry.close()
    folder = tmp_path / "a b?c%20d"
    folder.mkdir(mode=0o700)
    shutil.copy(home / "registry.db", folder / "registry.db")
    assert read_location(f"sqlite://{tmp_path}/a%20b%3Fc%2520d/registry.db") == folder / "registry.db"
    open_store(f"sqlite://{tmp_path}/a%20b%3Fc%2520d/registry.db").close()


@pytest.mark.parametrize("url", ["mysql://host/db", "://db", "http://host/registry.db"])
def test_another_database_is_not_known(url: str):
    """The error quotes what was given, and its hint names what is known."""
    with pytest.raises(InvalidInput, match="no such kind of registry") as refused:
        open_store(url)
    assert refused.value.hint == "a path to a file, sqlite:///PATH, postgresql://USER@HOST/DATABASE, or service=NAME"


@pytest.mark.parametrize("text", ["a:b@h/d", "//a:b@h/d", "postgresql//a:b@h/d", "postgres/a:@h"])
def test_an_address_whose_scheme_is_missing_is_no_path(text: str):
    """It may hold a password, and a message about a path would show it; a path of that name can be written, too."""
    with pytest.raises(InvalidInput, match="the address of a database is a URL") as refused:
        read_location(text)
    assert text not in f"{refused.value}{refused.value.hint}"
    for path in (f"./{text.lstrip('/')}", f"/srv/{text.lstrip('/')}", "registry.db", "a@b.db", "C:registry.db"):
        assert read_location(path) == Path(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--home", "ADDRESS", "doctor"),
        ("--keys", "ADDRESS", "doctor"),
        ("backup", "ADDRESS"),
        ("restore", "ADDRESS", "--note", "lost disk"),
    ],
)
def test_the_address_of_a_database_is_no_file(installed, arguments: tuple[str, ...]):
    """Where a file or folder is meant, it would be one in the working folder, and be shown with its password."""
    for address in ("postgresql://alice:hunter2@host/db", "postgres://alice@host/db", "POSTGRESQL:alice:hunter2@host"):
        ran = installed(*(address if word == "ADDRESS" else word for word in arguments))
        assert (ran.code, "hunter2" in ran.out + ran.err) == (2, False), ran.err
        assert "not the address of a database" in ran.err
        assert "authctl: hint: " in ran.err


PASSWORD = "hunter2"
ADDRESSES = [
    f"postgresql://alice:{PASSWORD}@host/db",
    f"postgres://alice:{PASSWORD}@host,other/db",
    f"postgresql://:{PASSWORD}@host/db",
    f"postgresql://alice:{PASSWORD}/a?b#c@host/db",
    f"postgresql://alice@host/db?password={PASSWORD}",
    f"postgresql://alice@host/db?user=alice&pass%77ord={PASSWORD}",
    f"postgresql://alice@host/db?sslpassword={PASSWORD}",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("by_variable", [True, False])
def test_an_address_with_a_password_is_refused_and_not_shown(authctl, monkeypatch, address: str, by_variable: bool):
    """By every command, by option or variable, also where something else is wrong; whether or not the driver is installed."""
    if by_variable:
        monkeypatch.setenv("AUTHCTL_REGISTRY", address)
    before = [] if by_variable else ["--registry", address]
    for command in (["sessions", "list"], ["init"], ["doctor"], ["revoke", "--user", "alice"], ["stats"]):
        done = authctl(*before, *command)
        assert done.code == 2
        assert "the address of the registry holds a password" in done.err
        assert PASSWORD not in done.out + done.err
    for command in (["sessions", "nothing"], ["--nothing"], ["init", "--profiles", "missing.yaml"]):
        done = authctl(*before, *command)
        assert done.code != 0
        assert PASSWORD not in done.out + done.err


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite://host/registry.db", "sqlite:///a?mode=memory", "sqlite:///a#b", "sqlite://[x"],
)
def test_a_url_names_a_file_and_nothing_else(url: str):
    """No host, no options and no part."""
    with pytest.raises(InvalidInput, match="not the URL of a file"):
        open_store(url)


def test_a_file_that_is_missing_is_unavailable(tmp_path: Path):
    """By a URL as by a path."""
    with pytest.raises(RegistryUnavailable, match="no registry"):
        open_store(f"sqlite://{tmp_path}/registry.db")


@pytest.mark.parametrize(
    "text",
    [
        f"host=db dbname=registry password={PASSWORD}",
        f" password={PASSWORD} host=db",
        "dbname=registry",
        "postgresql:registry",
        "Postgres:/registry",
        "jdbc:postgresql:registry",
    ],
)
def test_an_address_in_another_form_is_no_file(authctl, tmp_path: Path, monkeypatch, text: str):
    """It is refused without a word of it, which may be a password; `init` would make a file of that name."""
    monkeypatch.chdir(tmp_path)
    for command in (["init"], ["sessions", "list"], ["doctor"], ["--nothing"]):
        done = authctl("--registry", text, *command)
        assert done.code == 2
        assert PASSWORD not in done.out + done.err
    assert "the address of a database is a URL or the name of a service" in authctl("--registry", text, "init").err
    assert not list(tmp_path.iterdir())
    assert read_location(f"./{text}") == Path(text)


def test_the_scheme_of_an_address_may_be_in_any_case():
    """As in every URL; the driver knows it in lower case alone."""
    assert read_location("PostgreSQL://Alice@DB/Registry") == "postgresql://Alice@DB/Registry"
