"""An application behind a proxy: it answers with the request that has reached it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Application:
    """Its port, and every request that it has had."""

    port: int
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def application() -> Iterator[Application]:
    """Run the application on loopback."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = {
                "method": self.command,
                "path": self.path,
                "body": self.rfile.read(length).decode(),
                # Other spellings of a name would reach applications that read headers as CGI does.
                "headers": [(name.lower().replace("_", "-"), value) for name, value in self.headers.items()],
            }
            seen.append(request)
            body = json.dumps(request).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815  # names of the standard library

        def log_message(self, *arguments: Any) -> None:
            """Write nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments: Any) -> None:
            """Write nothing: a proxy may close a connection at any time."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Application(server.server_port, seen)
    finally:
        server.shutdown()
        server.server_close()
