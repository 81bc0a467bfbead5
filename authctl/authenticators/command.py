"""A program that is given a name and a password on its standard input, a line each, and answers by its exit code.

0 is yes and 1 is no; any other, a signal, or no answer in time is no answer. That is the pipe protocol of Apache's
mod_authnz_external, so that programs written for it can be used. Nothing of the two is among its arguments or in its environment.
"""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep

from authctl.errors import AuthenticatorUnavailable, reason

_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}
_PAUSE = 0.005


@dataclass(frozen=True, slots=True)
class Command:
    """`Authenticator` over such a program."""

    arguments: tuple[str, ...]
    timeout: float
    """In seconds."""

    def authenticate(self, username: str, password: str) -> bool:
        """As `Authenticator.authenticate`."""
        try:
            code = self._answer(f"{username}\n{password}\n".encode())
        except OSError as error:
            raise AuthenticatorUnavailable(reason(error)) from None
        # 1 is a no. Any other code may come from the shell or the loader, and is no answer about a password.
        if code in (0, 1):
            return code == 0
        raise AuthenticatorUnavailable(f"it exited with {code}" if code > 0 else f"signal {-code} ended it")

    def _answer(self, credentials: bytes) -> int:
        # decision 62: programs that were written for mod_authnz_external can be used
        process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Nothing of the caller: a service may be started in any folder, with secrets in its environment.
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            # A program that has its answer may stop reading: its exit code counts all the same.
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(credentials)
            return self._exit_code(process)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # its whole session, unless it began another
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _exit_code(self, process: "subprocess.Popen[bytes]") -> int:
        """The exit code of the program itself. `Popen` returns 0 also for an exit code that was lost, and 0 means yes."""
        # decision 67: subprocess reports 0 if the exit code was lost
        until = monotonic() + self.timeout
        while True:
            try:
                ended, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                process.returncode = -1  # unknown; and the number may be another's by now
                raise AuthenticatorUnavailable("its exit code was lost (is SIGCHLD ignored?)") from None
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode
            if monotonic() >= until:
                raise AuthenticatorUnavailable(f"no answer within {self.timeout:g} s")
            sleep(_PAUSE)
