"""TLS to a real server: it proves its name, or is refused; and the password comes from a file alone."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authctl.errors import RegistryUnavailable
from tests.ports import free_port
from tests.postgres_server import Server, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import connect
    from authctl.store.postgres.errors import translated_errors

NAME = "db.example.com"


def certificate(folder: Path, name: str) -> None:
    """A self-signed certificate of the server's name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, Path]]:
    """A server with a certificate, whose role needs a password."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "other"):
        certificate(folder, name)
    port = free_port()
    with new_server() as server:
        server.execute("CREATE ROLE registrar LOGIN PASSWORD 'correct horse'")
        server.execute("CREATE DATABASE registry OWNER registrar")
        owner = server.data.stat()
        for suffix in ("pem", "key"):
            (server.data / f"server.{suffix}").write_bytes((folder / f"server.{suffix}").read_bytes())
            os.chown(server.data / f"server.{suffix}", owner.st_uid, owner.st_gid)
            (server.data / f"server.{suffix}").chmod(0o600)
        (server.data / "pg_hba.conf").write_text(
            "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        files = {"ssl_cert_file": "server.pem", "ssl_key_file": "server.key"}
        server.restart(ssl="on", listen_addresses="127.0.0.1", port=str(port), **files)
        yield server, port, folder


def address(port: int, **options: str) -> str:
    """The address by the server's name, which leads to this machine."""
    given = "&".join(f"{name}={value}" for name, value in options.items())
    return f"postgresql://registrar@{NAME}:{port}/registry?hostaddr=127.0.0.1&{given}"


def greeting(text: str, home: Path) -> str:
    """The user of a connection by an address."""
    found = read_address(text, {"HOME": str(home)})
    with translated_errors(text), closing(connect(found)) as connection:
        row = connection.execute("SELECT current_user").fetchone()
        assert row
        return str(row[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a user who has the password in a private file."""
    (tmp_path / "secret").write_text("*:*:*:*:correct horse\n")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


def test_the_name_of_the_server_is_proven(server: tuple[Server, int, Path], home: Path):
    """By its own authority alone, and under its own name."""
    _, port, folder = server
    given = {"sslmode": "verify-full", "passfile": str(home / "secret")}
    right, wrong = str(folder / "server.pem"), str(folder / "other.pem")
    assert greeting(address(port, **given, sslrootcert=right), home) == "registrar"
    with pytest.raises(RegistryUnavailable, match="certificate verify failed"):
        greeting(address(port, **given, sslrootcert=wrong), home)
    with pytest.raises(RegistryUnavailable, match="root certificate file"):
        greeting(address(port, **given, sslrootcert=str(folder / "missing.pem")), home)
    elsewhere = address(port, **given, sslrootcert=right).replace(NAME, "elsewhere.example.com")
    with pytest.raises(RegistryUnavailable, match="does not match host name"):
        greeting(elsewhere, home)


def test_the_password_comes_from_a_private_file(server: tuple[Server, int, Path], home: Path):
    """A wrong one is refused, and none of them is shown."""
    _, port, folder = server
    given = {"sslmode": "verify-full", "sslrootcert": str(folder / "server.pem"), "passfile": str(home / "secret")}
    assert greeting(address(port, **given), home) == "registrar"
    (home / "secret").write_text("*:*:*:*:battery staple\n")
    with pytest.raises(RegistryUnavailable, match="password authentication failed") as raised:
        greeting(address(port, **given), home)
    assert "battery" not in str(raised.value) + str(raised.value.hint)
    (home / "secret").chmod(0o644)
    with pytest.raises(RegistryUnavailable, match="open to others"):
        greeting(address(port, **given), home)
