"""Receivers that come with authctl, configured for a system that was started for the test."""

from pathlib import Path

from tests.test_example_receivers import program_of
from tests.test_receivers import write_receivers


def subscribe(home: Path, folder: Path, name: str, token: str, address: dict[str, str]) -> None:
    """Write a receivers file with one of them, which is told of all decisions about sessions of its source."""
    secret = folder / "receiver-token"
    secret.touch(0o600)
    secret.write_text(token)
    variables = {**address, f"{name.upper()}_TOKEN_FILE": str(secret)}
    environment = ", ".join(f"{variable}: '{value}'" for variable, value in variables.items())
    program = program_of(name, folder / "programs")
    events = "session-revoked, session-ended, user-disabled, user-enabled"
    entry = f"{{command: [{program}], environment: {{{environment}}}, events: [{events}], source: [{name}]}}"
    write_receivers(home, f"version: 1\nreceivers:\n  {name}: {entry}\n")
