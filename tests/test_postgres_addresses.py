"""Addresses of registries in PostgreSQL: what libpq is given, where the password comes from, and TLS."""

from pathlib import Path

import pytest

from authctl.errors import InvalidInput, RegistryUnavailable

pytest.importorskip("psycopg", reason="needs psycopg: pip install '.[postgres]'")
from authctl.store.postgres.addresses import read_address
from tests.conftest import Authctl


def parameters(text: str, **environment: str) -> dict[str, str]:
    """What libpq is given."""
    return read_address(text, environment).parameters


def test_a_url_gives_the_parameters_and_bounds_to_every_wait(tmp_path: Path):
    """A server that is gone is noticed; a standby is never asked."""
    found = parameters("postgresql://alice@[::1]:5433/registry?connect_timeout=3", HOME=str(tmp_path))
    assert {
        "user": "alice",
        "host": "::1",
        "port": "5433",
        "dbname": "registry",
        "connect_timeout": "3",
    }.items() <= found.items()
    assert found["target_session_attrs"] == "read-write"
    assert {"keepalives_idle", "tcp_user_timeout"} <= found.keys()


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("localhost", "prefer"),
        ("127.0.0.9", "prefer"),
        ("[::1]", "prefer"),
        ("%2Frun%2Fpostgresql", "prefer"),
        ("", "prefer"),
        ("db.example.com", "verify-full"),
        ("10.0.0.1", "verify-full"),
        ("localhost,db.example.com", "verify-full"),
        ("localhost.example.com", "verify-full"),
        ("127.0.0.1.example.com", "verify-full"),
    ],
)
def test_another_machine_proves_its_name(tmp_path: Path, host: str, mode: str):
    """By TLS; a socket and this machine need not."""
    assert parameters(f"postgresql://alice@{host}/registry", HOME=str(tmp_path))["sslmode"] == mode


def test_less_than_a_proven_name_is_refused(tmp_path: Path):
    """In the address, and by the usual variable; `hostaddr` is where it connects, whatever the name."""
    for weaker in ("disable", "allow", "prefer", "require", "verify-ca"):
        with pytest.raises(InvalidInput, match="another machine"):
            parameters(f"postgresql://db/registry?sslmode={weaker}", HOME=str(tmp_path))
        with pytest.raises(InvalidInput, match="another machine"):
            parameters("postgresql://db/registry", HOME=str(tmp_path), PGSSLMODE=weaker)
        with pytest.raises(InvalidInput, match="another machine"):
            parameters(f"postgresql://localhost/registry?hostaddr=10.0.0.1&sslmode={weaker}", HOME=str(tmp_path))
        assert parameters(f"postgresql://localhost/registry?sslmode={weaker}", HOME=str(tmp_path))["sslmode"] == weaker
    assert parameters("postgresql:///registry", HOME=str(tmp_path), PGHOST="db")["sslmode"] == "verify-full"


def test_a_service_gives_what_the_address_does_not(tmp_path: Path):
    """As a name, in a URL, and by the usual variable."""
    file = tmp_path / ".pg_service.conf"
    file.write_text(
        "# ours\n[other]\nhost=elsewhere\n\n[registry]\nhost=db\nuser = alice\ndbname=sessions\n[last]\nport=1\n"
    )
    for text in ("service=registry", "postgresql:///?service=registry"):
        found = parameters(text, HOME=str(tmp_path))
        assert {"host": "db", "user": "alice", "dbname": "sessions", "sslmode": "verify-full"}.items() <= found.items()
        assert "service" not in found
    found = parameters("postgresql://bob@/?service=registry", PGSERVICEFILE=str(file), HOME="/nonexistent")
    assert (found["user"], found["host"]) == ("bob", "db")
    assert parameters("postgresql://", HOME=str(tmp_path), PGSERVICE="registry")["dbname"] == "sessions"
    with pytest.raises(InvalidInput, match="no service file names the service 'nothing'"):
        parameters("service=nothing", HOME=str(tmp_path))


@pytest.mark.parametrize("variable", [None, "PGPASSFILE"])
def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path, variable: str | None):
    """Libpq would ignore it, with a message that nobody understands."""
    file = tmp_path / (".pgpass" if variable is None else "secret")
    environment = {"HOME": str(tmp_path), **({variable: str(file)} if variable else {})}
    if variable:
        with pytest.raises(RegistryUnavailable, match="there is no password file"):
            parameters("postgresql:///registry", **environment)
    file.write_text("*:*:*:*:hunter2\n")
    file.chmod(0o600)
    assert "hunter2" not in str(parameters("postgresql:///registry", **environment))
    file.chmod(0o640)
    with pytest.raises(RegistryUnavailable, match=r"open to others \(mode 0640\)") as raised:
        parameters("postgresql:///registry", **environment)
    assert raised.value.hint == f"chmod 600 {file}"


def test_a_service_file_with_a_password_is_as_secret(tmp_path: Path):
    """One without may be read by everybody."""
    file = tmp_path / ".pg_service.conf"
    file.write_text("[registry]\nhost=localhost\npassword=hunter2\n[open]\nhost=localhost\n")
    file.chmod(0o644)
    with pytest.raises(RegistryUnavailable, match="open to others") as raised:
        parameters("service=registry", HOME=str(tmp_path))
    assert "hunter2" not in str(raised.value)
    parameters("service=open", HOME=str(tmp_path))
    file.chmod(0o600)
    assert str(read_address("service=registry", {"HOME": str(tmp_path)})) == "service=registry"


def test_a_pooler_is_named_in_the_address(tmp_path: Path):
    """It is our own parameter, of which libpq knows nothing."""
    address = read_address("postgresql://localhost/registry?pooler=transaction&port=6432", {"HOME": str(tmp_path)})
    assert address.is_pooled
    assert "pooler" not in address.parameters
    assert not read_address("postgresql://localhost/registry", {"HOME": str(tmp_path)}).is_pooled
    with pytest.raises(InvalidInput, match="no such kind of pooler: 'statement'"):
        read_address("postgresql://localhost/registry?pooler=statement", {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://[::1/db",
        "postgresql://%ff@host/db",
        "postgresql://host:0x/d%ZZ",
    ],
)
def test_what_libpq_does_not_understand_is_refused(tmp_path: Path, text: str):
    """With the form of an address as a hint."""
    with pytest.raises(InvalidInput, match="not the address of a PostgreSQL database") as raised:
        parameters(text, HOME=str(tmp_path))
    assert raised.value.hint
    assert "USER@HOST" in raised.value.hint


@pytest.mark.parametrize(
    ("options", "name", "place"),
    [
        ("nothing=hunter2", "nothing", "USER@HOST"),
        ("passwd=hunter2", "passwd", "pgpass"),
        ("port=1&PGPASS=hunter2", "PGPASS", "pgpass"),
        ("x=1;password=hunter2", "x", "USER@HOST"),
    ],
)
def test_an_option_that_libpq_does_not_know_is_named_without_its_value(
    tmp_path: Path, options: str, name: str, place: str
):
    """It may be a password, in a word that another program has for it."""
    with pytest.raises(InvalidInput, match=f"not an option of an address: '{name}'") as raised:
        parameters(f"postgresql://localhost/db?{options}", HOME=str(tmp_path))
    assert place in (raised.value.hint or "")
    assert "hunter2" not in f"{raised.value}{raised.value.hint}"
    with pytest.raises(
        InvalidInput, match="not the address of a PostgreSQL database: 'postgresql://localhost/%zz'"
    ) as raised:
        parameters("postgresql://localhost/%zz?user=hunter2", HOME=str(tmp_path))


def test_a_number_that_the_driver_cannot_read_is_refused(installed: Authctl):
    """Exit 2 with the address and the parameter: the driver finds it only when it connects."""
    ran = installed("--registry", "postgresql://localhost/db?connect_timeout=soon", "sessions", "list")
    assert (ran.code, ran.out) == (2, "")
    assert "connect_timeout" in ran.err


@pytest.mark.parametrize("port", ["0", "65536", "abc", "-1", "5432,70000", "\u0665", "9" * 5_000])
def test_a_port_that_no_server_has_is_refused(tmp_path: Path, port: str):
    """Exit 2, and not an error of the resolver of names."""
    with pytest.raises(InvalidInput, match="not a port of a server"):
        parameters(f"postgresql://localhost,localhost/registry?port={port}", HOME=str(tmp_path))
    assert parameters("postgresql://a,b/registry?port=5432,65535&sslmode=verify-full", HOME=str(tmp_path))["port"]


@pytest.mark.parametrize("option", ["sslmode=much", "gssencmode=much", "ssl_min_protocol_version=much", "port=1,2"])
def test_a_value_that_libpq_does_not_know_is_refused(installed: Authctl, option: str):
    """Exit 2, though libpq finds it only when it connects; nothing was asked of any server."""
    ran = installed("--registry", f"postgresql:///db?{option}", "sessions", "list")
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert "connection is bad" not in ran.err
