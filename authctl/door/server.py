"""The server: uvicorn with one process or several, TLS, and signals.

SIGTERM ends the process after the requests that are under way. SIGHUP reads certificates again; several workers are replaced one by one.

See docs/glossary.md#door.
"""

import asyncio
import logging
import os
import resource
import signal
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from uvicorn.supervisors import Multiprocess

from authctl.door.application import Door
from authctl.door.metrics import SHARED_FOLDER
from authctl.door.protocol import DoorProtocol
from authctl.door.settings import Settings
from authctl.errors import InvalidInput

_SHUTDOWN_SECONDS = 30
_KEEP_ALIVE_SECONDS = 30
_START_SECONDS = 30


@dataclass(frozen=True)
class DoorFactory:
    """Makes the door of one process; a worker gets a copy of it."""

    settings: Settings

    def __call__(self) -> Door:
        """A door with an open registry."""
        return Door(self.settings)


class _Server(uvicorn.Server):
    """The server of the only process. It reports that it is ready, and reads certificates again on SIGHUP."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a signal that was obeyed is not raised again: the process ends with exit code 0."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    def _reload(self) -> None:
        settings = self.config.app.settings  # type: ignore[union-attr]  # a DoorFactory
        if isinstance(self.config.ssl, ssl.SSLContext):
            try:
                _load_certificates(self.config.ssl, settings)
            except (OSError, ssl.SSLError, InvalidInput) as error:
                logging.getLogger("authctl.door").error("the certificates stay as they are: %s", error)  # noqa: TRY400


class _Workers(Multiprocess):
    """Several processes behind one socket. uvicorn replaces one that ends, and all of them one by one on SIGHUP."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, sockets)
        self._ready = ready

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(_START_SECONDS, self.should_exit) for process in self.processes):
            self._ready()


def serve(settings: Settings, listener: socket.socket, workers: int, ready: Callable[[], None]) -> None:
    """Serve until a signal ends it. `ready` is called once it answers."""
    _allow_many_connections()
    config = uvicorn.Config(
        DoorFactory(settings),
        factory=True,
        http=DoorProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # `forward_auth` reads them, from configured proxies only
        server_header=False,
        workers=workers,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        ssl_context_factory=_tls_context if settings.certificate else None,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    if workers == 1:
        _Server(config, ready).run([listener])
    else:
        with _shared_counts():
            _Workers(config, [listener], ready).run()


def check_certificates(settings: Settings) -> None:
    """Raise InvalidInput for certificates that cannot be used."""
    _load_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings)


def _tls_context(config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    settings: Settings = config.app.settings  # type: ignore[union-attr]  # a DoorFactory
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
    _load_certificates(context, settings)
    return context


def _load_certificates(context: ssl.SSLContext, settings: Settings) -> None:
    assert settings.certificate is not None
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        if settings.client_ca is not None:
            context.load_verify_locations(settings.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"the certificate cannot be used: {error}") from None


def _allow_many_connections() -> None:
    """Let the process have as many descriptors as it may: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _shared_counts() -> Iterator[None]:
    """A folder in which the workers share their counts for `/metrics`."""
    with tempfile.TemporaryDirectory(prefix="authctl-door-") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]
