"""`receivers.yaml`: strict, private, and shown without its secrets."""

from pathlib import Path

import pytest

from authctl import InvalidInput, NotFound, Registry, RegistryUnavailable
from tests.conftest import Authctl

TEXT = """\
version: 1
receivers:
  synapse:
    command: [/usr/local/lib/authctl/synapse-receiver, --token, hidden-argument]
    environment: {SYNAPSE_TOKEN: hidden-variable}
    events: [session-revoked, user-disabled]
    source: [Synapse]
  siem:
    push: {url: "https://siem.example/hidden-path", token_file: /etc/siem.token}
    issuer: "https://authctl.example"
    audience: [siem]
    events: [session-revoked]
    notes: true
  hook:
    webhook: {url: "https://hook.example/hidden-path", secret_file: /etc/hook.secret}
    events: [session-ended]
    timeout: 5s
    give_up_after: 2d
"""


def write_receivers(home: Path, text: str) -> None:
    """Put `receivers.yaml` into a home, its owner's alone."""
    (home / "receivers.yaml").touch(0o600)
    (home / "receivers.yaml").write_text(text)


def test_receivers_are_listed_and_shown_without_secrets(registry: Registry, home: Path, authctl: Authctl):
    """Neither arguments, nor values of variables, nor the path of a URL: each may be a secret."""
    write_receivers(home, TEXT)
    ran = authctl("receivers", "list", "-o", "json")
    assert [(one["name"], one["channel"], one["target"]) for one in ran.json] == [
        ("synapse", "command", "/usr/local/lib/authctl/synapse-receiver"),
        ("siem", "push", "https://siem.example"),
        ("hook", "webhook", "https://hook.example"),
    ]
    assert (ran.json[2]["timeout"], ran.json[2]["give_up_after"], ran.json[0]["give_up_after"]) == ("5s", "2d", "30d")
    shown = [authctl("receivers", "show", name, *form) for name in ("synapse", "HOOK") for form in ((), ("-o", "json"))]
    assert {one.code for one in shown} == {0}
    assert shown[1].json["environment"] == ["SYNAPSE_TOKEN"]
    assert "hidden" not in ran.out + "".join(one.out + one.err for one in shown)


def test_no_file_means_no_receiver(registry: Registry, home: Path, authctl: Authctl):
    """An empty list is no error; an unknown name is."""
    assert (authctl("receivers", "list").code, registry.receivers.list()) == (0, [])
    assert authctl("receivers", "show", "synapse").code == 3
    with pytest.raises(NotFound):
        registry.receivers.show("synapse")


ONE = "version: 1\nreceivers:\n  a: {command: [/x], events: [session-revoked]}\n"
FAULTS = {
    "receivers: {a: {command: [/x], events: [session-ended]}}": "1:1: 'version' is missing",
    "version: 1\nreceivers: []": "2:12: 'receivers' must be a mapping, `name: value` on lines of its own",
    "version: 1\nreceivers: {a: {events: [session-ended]}}": "2:16: 'a' needs one of command, push and webhook",
    "version: 1\nreceivers: {a: {command: [/x]}}": "2:16: 'events' is missing",
    "version: 1\nreceivers: {a: {command: [x], events: [session-ended]}}": (
        "2:26: 'command': the program must be an absolute path"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [deleted]}}": (
        "2:41: 'events' must be one of: session-revoked, session-ended, session-wiped, user-disabled, user-enabled,"
        " password-changed"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [session-ended], note: true}}": (
        "2:57: unknown field 'note'; did you mean 'notes'?"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [session-ended], kind: [desktop]}}": (
        "2:64: 'kind' must be one of: application, web"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [session-ended], issuer: x}}": (
        "2:57: 'issuer' goes with push only"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [session-ended], timeout: 1h}}": (
        "2:66: 'timeout' must be from 1 second to 5 minutes"
    ),
    "version: 1\nreceivers: {a: {push: {url: 'https://x/'}, audience: [b], events: [session-ended]}}": (
        "2:16: 'issuer' is missing: push needs it"
    ),
    "version: 1\nreceivers: {a: {push: {url: 'https://x/'}, issuer: i, audience: [b], events: [user-disabled]}}": (
        "2:79: push has no event for 'user-disabled': it has session-revoked, session-ended, password-changed"
    ),
    "version: 1\nreceivers: {a: {webhook: {url: 'http://x/', secret_file: /s}, events: [session-ended]}}": (
        "2:32: 'url' must be https://, or http:// to this host alone"
    ),
    "version: 1\nreceivers: {a: {webhook: {url: 'https://u:p@x/', secret_file: /s}, events: [session-ended]}}": (
        "2:32: 'url' must not have a user or password in it"
    ),
    "version: 1\nreceivers: {a: {command: [/x], events: [session-ended]}, A: {command: [/x], events: [session-ended]}}": (
        "2:58: receivers 'a' and 'A' have the same name"
    ),
}


@pytest.mark.parametrize("text", FAULTS)
def test_every_fault_has_its_line_and_column(registry: Registry, home: Path, text: str):
    """The file is read as the profiles file is."""
    write_receivers(home, text)
    with pytest.raises(InvalidInput) as refused:
        registry.receivers.list()
    assert refused.value.message.replace("receivers.yaml:", "").splitlines() == [FAULTS[text]]


def test_a_file_that_others_can_read_is_refused(registry: Registry, home: Path, authctl: Authctl):
    """It names files with secrets, and programs that are run."""
    write_receivers(home, ONE)
    (home / "receivers.yaml").chmod(0o640)
    with pytest.raises(RegistryUnavailable, match="open to others"):
        registry.receivers.list()
    assert authctl("receivers", "list").code == 6
