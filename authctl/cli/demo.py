"""`authctl demo`: the main job, end to end, in a temporary home."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from authctl.cli.context import start
from authctl.errors import AuthctlError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SIGN_INS = (
    ("alice", "Outlook", "AL-PHONE", "iOS 26"),
    ("alice", "Outlook", "AL-PC", "Windows 11"),
    ("bob", "Outlook", "BO-PC", "Windows 11"),
    ("carol", "ArcGIS Pro", "CA-PC", "Windows 11"),
)


@app.command()
def demo(ctx: typer.Context) -> None:
    """Demonstrate the main commands on example sessions, in a temporary home. Does not touch yours."""
    cli = start(ctx)
    with tempfile.TemporaryDirectory(prefix="authctl-demo-") as folder:
        stage = _Stage(Path(folder))
        cli.show_line("Four sign-ins, in a registry that is deleted afterwards.\n")
        stage.run("init")
        for number, (user, application, device, platform) in enumerate(_SIGN_INS):
            named = ("--user", user, "--application", application, "--device", device, "--platform", platform)
            stage.run("tokens", "issue", *named, "-q", keep=f"token{number}")
        stage.run("sessions", "list")
        cli.show_line("\nAlice lost her phone. All her sessions are revoked, with a note that gives the reason.\n")
        stage.run("revoke", "--user", "alice", "--note", "lost device")
        stage.run("sessions", "list", "--status", "revoked")
        cli.show_line("\nHer token is refused from now on. The token of bob is still accepted.\n")
        stage.run("tokens", "verify", read="token0", exit_code=5)
        stage.run("tokens", "verify", "-o", "json", read="token2")
        cli.show_line("\nThe note stays with the session. The audit log is intact.\n")
        stage.run("sessions", "list", "--device", "AL-PHONE", "-o", "id", keep="id")
        stage.run("sessions", "show", stage.kept("id"))
        stage.run("audit", "list", "--action", "session.revoke")
        stage.run("audit", "verify")


class _Stage:
    """Runs authctl as a person would, in a process of its own, and shows its arguments and its output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        others = {name: value for name, value in os.environ.items() if not name.startswith("AUTHCTL_")}
        self.environment = {**others, "AUTHCTL_HOME": str(folder / "home"), "AUTHCTL_ACTOR": "demo"}

    def run(self, *arguments: str, read: str | None = None, keep: str | None = None, exit_code: int = 0) -> None:
        """Run one command. `read` names the kept output that it reads, `keep` the name for its own output."""
        redirected = f" < {read}" if read else f" > {keep}" if keep else ""
        sys.stdout.write(f"$ authctl {shlex.join(arguments)}{redirected}\n")
        sys.stdout.flush()
        command = [sys.executable, "-P", "-m", "authctl", *arguments]
        done = subprocess.run(
            command,
            input=self.kept(read).encode() if read else b"",
            stdout=subprocess.PIPE if keep else None,
            stderr=subprocess.STDOUT if not keep else None,
            env=self.environment,
            check=False,
        )
        if done.returncode != exit_code:
            raise AuthctlError(f"the demo failed: authctl {arguments[0]} exited {done.returncode}, not {exit_code}")
        if keep:
            (self.folder / keep).write_bytes(done.stdout)
        if exit_code:
            sys.stdout.write(f"(exit code {exit_code})\n")

    def kept(self, name: str) -> str:
        """The output of a command."""
        return (self.folder / name).read_text().strip()
