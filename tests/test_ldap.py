"""LDAP against a real server: slapd, started for the test. Skipped where it or python-ldap is not installed (`make ldap`)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authctl import AuthenticatorUnavailable, LoginRefused, Refused, Registry
from tests.conftest import Install
from tests.ports import free_port

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/libexec:/usr/local/libexec:/usr/bin")
SCHEMA = Path("/etc/ldap/schema/core.schema")
pytest.importorskip("ldap", reason="needs python-ldap: pip install '.[ldap]'")
pytestmark = pytest.mark.skipif(SLAPD is None or not SCHEMA.exists(), reason="needs OpenLDAP's slapd")

TEXT = """\
version: 1
default_profile: socket
profiles:
  socket: {authenticator: socket, cache: {}}
  tls: {authenticator: tls}
  upgraded: {authenticator: upgraded}
  untrusted: {authenticator: untrusted}
  nowhere: {authenticator: nowhere}
"""
AUTHENTICATORS = """\
version: 1
authenticators:
  socket: {{ldap: {{url: "ldapi://{socket}", bind_dn: "{dn}"}}}}
  tls: {{ldap: {{url: "ldaps://127.0.0.1:{secure}", bind_dn: "{dn}", ca_file: "{ca}"}}}}
  upgraded: {{ldap: {{url: "ldap://127.0.0.1:{plain}", bind_dn: "{dn}", start_tls: true, ca_file: "{ca}"}}}}
  untrusted: {{ldap: {{url: "ldaps://127.0.0.1:{secure}", bind_dn: "{dn}", ca_file: "{other}"}}}}
  nowhere: {{timeout: 2s, ldap: {{url: "ldapi://%2Fnowhere", bind_dn: "{dn}"}}}}
"""
CONFIGURATION = """\
include {schema}
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
directory {folder}/data
"""
ENTRIES = """\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=alice,dc=example,dc=org
objectClass: person
cn: alice
sn: Liddell
userPassword: correct horse

dn: cn=smith\\, j.,dc=example,dc=org
objectClass: person
cn: smith, j.
sn: Smith
userPassword: Schlüssel

dn: cn=nobody,dc=example,dc=org
objectClass: person
cn: nobody
sn: Nobody
"""


def certificate(folder: Path, name: str) -> None:
    """A self-signed certificate for this machine's loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authctl test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)


class Server:
    """A directory server with three people."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = quote(str(folder / "socket"), safe="")
        self.plain, self.secure = free_port(), free_port()
        (folder / "data").mkdir()
        for name in ("server", "other"):
            certificate(folder, name)
        (folder / "slapd.conf").write_text(CONFIGURATION.format(schema=SCHEMA, folder=folder))
        (folder / "entries.ldif").write_text(ENTRIES)
        assert SLAPD
        load = [SLAPD, "-T", "add", "-f", str(folder / "slapd.conf"), "-l", str(folder / "entries.ldif")]
        subprocess.run(load, check=True, capture_output=True)
        self.start()

    def start(self) -> None:
        """Answer on a socket, and on two ports of the loopback address."""
        addresses = f"ldapi://{self.socket} ldap://127.0.0.1:{self.plain} ldaps://127.0.0.1:{self.secure}"
        assert SLAPD
        command = [SLAPD, "-h", addresses, "-f", str(self.folder / "slapd.conf"), "-d", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.secure), 1).close()
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Answer no more."""
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A directory server that is up."""
    folder = tmp_path / "directory"
    folder.mkdir()
    started = Server(folder)
    yield started
    started.stop()


@pytest.fixture
def registry(install: Install, home: Path, server: Server) -> Registry:
    """A registry whose profiles ask that server."""
    opened = install(TEXT)
    text = AUTHENTICATORS.format(
        socket=server.socket,
        plain=server.plain,
        secure=server.secure,
        ca=server.folder / "server.pem",
        other=server.folder / "other.pem",
        dn="cn={username},dc=example,dc=org",
    )
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text(text)
    return opened


def log_in(registry: Registry, name: str, password: str, profile: str | None = None) -> str:
    """Who was logged in."""
    return registry.tokens.login(
        username=name, application="Exchange", password=password, profile=profile
    ).session.username


@pytest.mark.parametrize("profile", ["socket", "tls", "upgraded"])
def test_a_bind_is_the_answer(registry: Registry, profile: str):
    """By a socket, over TLS, and over a connection that is made TLS; wrong, unknown and without a password are no."""
    assert log_in(registry, "alice", "correct horse", profile) == "alice"
    assert log_in(registry, "smith, j.", "Schlüssel", profile) == "smith, j."
    for name, password in (("alice", "wrong"), ("bob", "x"), ("nobody", "x"), ("alice,dc=example", "x"), ("*", "x")):
        with pytest.raises(LoginRefused):
            log_in(registry, name, password, profile)


@pytest.mark.parametrize("name", ["admin", "alice+cn=alice", "alice,dc=example,dc=org\\00", "#616c696365", "\\61lice"])
def test_a_name_stays_a_name(registry: Registry, name: str):
    """Whatever signs of a distinguished name it has, it names one entry below the base, or none."""
    with pytest.raises(LoginRefused):
        log_in(registry, name, "correct horse")


def test_a_name_that_the_server_takes_for_another_is_no_answer(registry: Registry):
    """OpenLDAP takes I with a dot above for i, and authctl does not: alice, disabled, must not come back by that."""
    registry.users.disable("alice", note="left the company")
    with pytest.raises(AuthenticatorUnavailable, match="matched another name"):
        log_in(registry, "al\u0130ce", "correct horse")
    with pytest.raises(Refused, match="is disabled"):
        log_in(registry, "ALICE", "correct horse")
    assert registry.count() == 0


@pytest.mark.parametrize("url", ["ldaps", "ldap"])
def test_x5_a_server_that_says_nothing_is_waited_for_no_longer_than_that(registry: Registry, home: Path, url: str):
    """The time-out covers everything, TLS included."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        where = f"{url}://127.0.0.1:{silent.getsockname()[1]}"
        entry = f"{{timeout: 1s, ldap: {{url: '{where}', start_tls: {str(url == 'ldap').lower()}, bind_dn: 'cn={{username}}'}}}}"
        (home / "authenticators.yaml").write_text(f"version: 1\nauthenticators: {{socket: {entry}}}\n")
        with pytest.raises(AuthenticatorUnavailable):
            log_in(registry, "alice", "correct horse")


@pytest.mark.parametrize("profile", ["untrusted", "nowhere"])
def test_x5_a_server_that_cannot_be_trusted_or_reached_is_no_answer(registry: Registry, profile: str):
    """Not even to a right password, which a server with another certificate never sees."""
    with pytest.raises(AuthenticatorUnavailable, match=f"authenticator '{profile}' could not be asked: "):
        log_in(registry, "alice", "correct horse", profile)


def test_x5_while_the_server_is_down_who_is_cached_continues(registry: Registry, server: Server):
    """Others are refused with that reason, and let in when it is back."""
    log_in(registry, "alice", "correct horse")
    server.stop()
    log_in(registry, "alice", "correct horse")
    with pytest.raises(AuthenticatorUnavailable, match="could not be asked: Can't contact LDAP server"):
        log_in(registry, "smith, j.", "Schlüssel")
    server.start()
    log_in(registry, "smith, j.", "Schlüssel")
