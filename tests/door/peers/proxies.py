"""The proxies of docs/serving/, each started with the snippet that is shipped: only addresses, paths and names are replaced."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SNIPPETS = ROOT / "docs" / "serving"
PEERS = ROOT / ".venv-door"
MODULES = Path("/usr/lib/apache2/modules")
_PATH = f"{PEERS / 'bin'}:{os.environ['PATH']}:/usr/sbin"
_START_SECONDS = 20


@dataclass(frozen=True)
class Site:
    """Where a proxy finds what it needs, and where it listens."""

    folder: Path
    listen: int
    door: int
    application: int
    client_id: str = ""
    secret: str = ""
    tls_door: int = 0
    certificate: Path | None = None
    unix: Path | None = None
    """The door's Unix socket, where it listens at one."""


@dataclass(frozen=True)
class Proxy:
    """A proxy: its program, how it is started with a snippet, and what it does with a door that is down."""

    program: str
    version: tuple[str, ...]
    start: Callable[[Site], list[str]]
    """Writes the configuration, and gives the command."""
    snippets: tuple[str, ...]
    when_down: int
    """The status for a client while the door is down."""
    silence: int = 8
    """The most seconds that it waits for a door that accepts and does not answer."""
    unix: tuple[str, str] = ("", "")
    """The text of the snippet with the door's address, and the one for a Unix socket."""
    lag: int = 0
    """For how many seconds a revoked token is let in, as the snippet is tested."""
    is_cached: bool = False
    """Whether it asks by introspection, and keeps the answer."""
    modules: tuple[str, ...] = ()
    stops: int = signal.SIGTERM

    def skip_unless_installed(self) -> None:
        """Skip the test where this proxy is not here."""
        missing = [name for name in self.modules if not (MODULES / name).exists()]
        if shutil.which(self.program, path=_PATH) is None or missing:
            pytest.skip(f"{self.program} {' '.join(missing)} is not installed: see tests/door/peers/install.sh")


def snippet(name: str, replaced: dict[str, str]) -> str:
    """A shipped snippet with other addresses. Each text that is replaced must be there."""
    text = (SNIPPETS / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


def at_door(name: str, site: Site) -> dict[str, str]:
    """The address of the door in the snippet of a proxy."""
    if site.unix is None:
        return {"8400": str(site.door)}
    tcp, unix = PROXIES[name].unix
    return {tcp: unix.replace("/run/authctl/door.sock", str(site.unix))}


def _addresses(site: Site) -> dict[str, str]:
    return {"127.0.0.1:8400": f"127.0.0.1:{site.door}", "127.0.0.1:8080": f"127.0.0.1:{site.application}"}


def _nginx(site: Site) -> list[str]:
    replaced = at_door("nginx", site) | {"127.0.0.1:8080": f"127.0.0.1:{site.application}"}
    text = snippet("nginx.conf", replaced | {"listen 8000": f"listen {site.listen}"})
    paths = "".join(
        f"{kind}_temp_path {site.folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {site.folder}/pid; error_log {site.folder}/error.log info;\nevents {{}}\n"
    if os.geteuid() == 0:
        main = "user root;\n" + main
    (site.folder / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{paths}{text}}}\n")
    return [
        "nginx",
        "-p",
        str(site.folder),
        "-e",
        str(site.folder / "error.log"),
        "-c",
        str(site.folder / "nginx.conf"),
    ]


def _caddy(site: Site) -> list[str]:
    replaced = at_door("caddy", site) | {"127.0.0.1:8080": f"127.0.0.1:{site.application}"}
    text = snippet("Caddyfile", replaced | {":8000 {": f":{site.listen} {{"})
    (site.folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{text}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(site.folder / "Caddyfile")]


def _haproxy(site: Site) -> list[str]:
    script = site.folder / "haproxy.lua"
    script.write_text(snippet("haproxy.lua", at_door("haproxy", site)))
    replaced = {
        "127.0.0.1:8080": f"127.0.0.1:{site.application}",
        "bind :8000": f"bind :{site.listen}",
        "/etc/haproxy/haproxy.lua": str(script),
    }
    (site.folder / "haproxy.cfg").write_text(snippet("haproxy.cfg", replaced))
    return ["haproxy", "-db", "-f", str(site.folder / "haproxy.cfg")]


def _envoy(site: Site) -> list[str]:
    replaced = at_door("envoy", site) | {
        "port_value: 8080": f"port_value: {site.application}",
        "port_value: 8000": f"port_value: {site.listen}",
    }
    (site.folder / "envoy.yaml").write_text(snippet("envoy.yaml", replaced))
    options = ["--base-id", str(site.listen), "--concurrency", "1", "--log-level", "warning"]
    return ["envoy", "-c", str(site.folder / "envoy.yaml"), *options]


_COMMON_MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http")


def _apache(site: Site, module: str, text: str) -> list[str]:
    here = site.folder
    head = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (*_COMMON_MODULES, module)]
    head += [f'ServerRoot "{here}"', f"PidFile {here}/pid", f"ErrorLog {here}/error.log", f"DefaultRuntimeDir {here}"]
    head += [
        "ServerName localhost",
        f"Mutex file:{here} default",
        "StartServers 1",
        "ServerLimit 1",
        "ThreadsPerChild 8",
    ]
    head += ["MaxRequestWorkers 8", "MinSpareThreads 1", "MaxSpareThreads 8"]
    if os.geteuid() == 0:
        head += ["User www-data", "Group www-data"]
        for folder in (here, *here.parents):
            if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
    (here / "apache.conf").write_text("\n".join(head) + "\n" + text)
    return ["apache2", "-D", "FOREGROUND", "-f", str(here / "apache.conf")]


def _apache_oauth2(site: Site) -> list[str]:
    replaced = _addresses(site) | _apache_names(site) | {"expiry=60": "expiry=2"}
    return _apache(site, "oauth2", snippet("apache-oauth2.conf", replaced))


def _apache_openidc(site: Site) -> list[str]:
    addresses = {
        "localhost:8443": f"localhost:{site.tls_door}",
        "127.0.0.1:8080": f"127.0.0.1:{site.application}",
        "/etc/ssl/certs/ca-certificates.crt": str(site.certificate),
        "IntrospectionInterval 30": "IntrospectionInterval 2",
    }
    return _apache(site, "auth_openidc", snippet("apache-openidc.conf", addresses | _apache_names(site)))


def _apache_names(site: Site) -> dict[str, str]:
    return {
        "Listen 8000": f"Listen {site.listen}",
        "*:8000": f"*:{site.listen}",
        "CLIENT_ID": site.client_id,
        "CLIENT_SECRET": site.secret,
    }


PROXIES: dict[str, Proxy] = {
    "nginx": Proxy("nginx", ("-v",), _nginx, ("nginx.conf",), when_down=503, unix=("server 127.0.0.1:8400;", "server unix:/run/authctl/door.sock;"), stops=signal.SIGQUIT),
    "caddy": Proxy("caddy", ("version",), _caddy, ("Caddyfile",), when_down=502, unix=("forward_auth 127.0.0.1:8400", "forward_auth unix//run/authctl/door.sock")),
    "haproxy": Proxy("haproxy", ("-v",), _haproxy, ("haproxy.cfg", "haproxy.lua"), when_down=503, unix=("timeout = 2000 }", 'timeout = 2000, dst = "unix@/run/authctl/door.sock" }')),
    "envoy": Proxy("envoy", ("--version",), _envoy, ("envoy.yaml",), when_down=503, unix=("socket_address: {address: 127.0.0.1, port_value: 8400}", "pipe: {path: /run/authctl/door.sock}")),
    "apache, mod_oauth2": Proxy(
        "apache2", ("-v",), _apache_oauth2, ("apache-oauth2.conf",), when_down=401, silence=15, lag=2, is_cached=True, modules=("mod_oauth2.so",)
    ),
    "apache, mod_auth_openidc": Proxy(
        "apache2", ("-v",), _apache_openidc, ("apache-openidc.conf",), when_down=401, lag=2, is_cached=True, modules=("mod_auth_openidc.so",)
    ),
}  # fmt: skip


@contextmanager
def running(proxy: Proxy, site: Site) -> Iterator[None]:
    """Run a proxy until the block ends."""
    command = proxy.start(site)
    log = site.folder / "proxy.log"
    environment = {**os.environ, "PATH": _PATH, "HOME": str(site.folder)}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=site.folder, env=environment)
    try:
        _await_port(process, site.listen, log)
        yield
    finally:
        process.send_signal(proxy.stops)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    errors = "".join(
        path.read_text(errors="replace")[-2000:] for path in (log, log.parent / "error.log") if path.exists()
    )
    pytest.fail(f"{process.args} did not start: {re.sub(r'(?i)secret=[^& ]*', 'secret=…', errors)}")
