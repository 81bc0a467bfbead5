"""`authctl demo`: the main job, end to end, in a home that is thrown away."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from authctl.cli.context import start, talk
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
    """Show the main job from beginning to end on made-up sessions; touches nothing of yours."""
    cli = start(ctx)
    with tempfile.TemporaryDirectory(prefix="authctl-demo-") as folder:
        stage = _Stage(Path(folder) / "home")
        cli.show_line("A registry of sessions, in a throw-away home.\n")
        stage.run("init", "-q")
        tokens = [
            stage.run(
                "tokens",
                "issue",
                "--user",
                user,
                "--application",
                application,
                "--device",
                device,
                "--platform",
                platform,
                "-q",
                shown=False,
            )
            for user, application, device, platform in _SIGN_INS
        ]
        stage.run("sessions", "list")
        cli.show_line("\nAlice lost her phone. Everything of hers is revoked, and the note says why.\n")
        stage.run("revoke", "--user", "alice", "--note", "lost device")
        stage.run("sessions", "list", "--status", "revoked")
        cli.show_line("\nHer token is refused from now on; bob's is not.\n")
        stage.run("tokens", "verify", "-q", stdin=tokens[0], owed=5)
        stage.run("tokens", "verify", "-o", "json", stdin=tokens[2])
        cli.show_line("\nThe note is kept with the session, and the audit trail holds.\n")
        revoked = stage.run("sessions", "list", "--user", "alice", "-o", "id", shown=False).split()[0]
        stage.run("sessions", "show", revoked)
        stage.run("audit", "list", "--action", "session.revoke")
        stage.run("audit", "verify", "-q")


class _Stage:
    """Runs authctl as a person would, in a process of its own, and shows what it is given and says."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "AUTHCTL_HOME": str(home), "AUTHCTL_ACTOR": "demo"}
        for variable in ("AUTHCTL_REGISTRY", "AUTHCTL_OUTPUT"):
            self.environment.pop(variable, None)

    def run(self, *arguments: str, stdin: str = "", owed: int = 0, shown: bool = True) -> str:
        """Run one command; its output too is shown, unless it is a secret or plumbing."""
        if shown:
            sys.stdout.write(f"$ authctl {shlex.join(arguments)}{' < token' if stdin else ''}\n")
            sys.stdout.flush()
        command = [sys.executable, "-P", "-m", "authctl", *arguments]
        stdout = None if shown else subprocess.PIPE
        done = subprocess.run(command, input=stdin.encode(), stdout=stdout, env=self.environment, check=False)
        if done.returncode != owed:
            raise AuthctlError(f"the demo failed: authctl {arguments[0]} exited {done.returncode}, not {owed}")
        if owed:
            talk(f"(exit code {owed})")
        return (done.stdout or b"").decode()
