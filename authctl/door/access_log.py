"""The access log: one line a request, in text or JSON. It never contains a token, a secret, or the path that a client sent."""

import json
import sys
from typing import TextIO

from authctl.door.requests import Request
from authctl.door.settings import AccessLog
from authctl.instants import format_instant, utc_now
from authctl.visible_text import visible


class Log:
    """The log on standard output, flushed line by line."""

    def __init__(self, form: AccessLog, out: TextIO | None = None) -> None:
        self._form = form
        self._out = out or sys.stdout

    def write(self, request: Request, route: str, status: int, seconds: float) -> None:
        """Write the line of a request. A line that cannot be written is left out, since the request was answered."""
        if self._form is AccessLog.OFF:
            return
        fields: dict[str, object] = {
            "at": format_instant(utc_now()),
            "peer": request.peer[0] if request.peer else None,
            "client": request.client_name,
            "method": request.method,
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
        }
        line = json.dumps(fields) if self._form is AccessLog.JSON else _as_text(fields)
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self._form = AccessLog.OFF  # nobody reads it any more


def _as_text(fields: dict[str, object]) -> str:
    return " ".join("-" if value is None else visible(str(value)).replace(" ", "_") for value in fields.values())
