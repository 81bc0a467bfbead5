"""A program that is given a name and a password on its standard input, a line each, and answers by its exit code.

0 is yes and 1 is no; any other, a signal, or no answer in time is no answer. That is the pipe protocol of Apache's
mod_authnz_external, so that programs written for it can be used. Nothing of the two is among its arguments or in its environment.
"""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from authctl.errors import AuthenticatorUnavailable, reason

_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Command:
    """`Authenticator` over such a program."""

    arguments: tuple[str, ...]
    timeout: float
    """In seconds."""

    def authenticate(self, username: str, password: str) -> bool:
        """As `Authenticator.authenticate`."""
        try:
            code = self._run(f"{username}\n{password}\n".encode())
        except OSError as error:
            raise AuthenticatorUnavailable(reason(error)) from None
        except subprocess.TimeoutExpired:
            raise AuthenticatorUnavailable(f"no answer within {self.timeout:g} s") from None
        if code in (0, 1):
            return code == 0
        raise AuthenticatorUnavailable(f"it exited with {code}" if code > 0 else f"signal {-code} ended it")

    def _run(self, credentials: bytes) -> int:
        with subprocess.Popen(
            self.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        ) as process:
            try:
                process.communicate(credentials, timeout=self.timeout)
            finally:
                if process.poll() is None:
                    with suppress(ProcessLookupError):  # what it started goes with it
                        os.killpg(process.pid, signal.SIGKILL)
            return process.returncode
