"""Receivers of a registry that hosts share: who is told does not depend on the host that decides (decision 346)."""

from authctl import SessionFilter
from authctl.registry.doctor import examine
from tests.two_hosts import Hosts, issue, written_program

TELLER = """\
#!/bin/sh
while read -r line; do
    echo "$line" | sed 's/.*"jti": "\\([^"]*\\)".*/{"jti": "\\1", "verdict": "done"}/'
done
"""


def write(hosts: Hosts, receivers: str) -> None:
    """Write the receivers file of the first host; the second one has none."""
    file = hosts.folder / "first" / "receivers.yaml"
    file.touch(0o600)
    file.write_text(f"version: 1\nreceivers: {receivers}\n")


def test_a_host_without_the_file_tells_the_receivers_of_the_others(hosts: Hosts):
    """Its decisions are announced, its doctor leaves the deliveries to the host that has the file, and that one delivers them."""
    program = written_program(hosts.folder, "teller", TELLER)
    write(hosts, f"{{teller: {{command: [{program}], events: [session-revoked]}}}}")
    for name in ("alice", "bob", "carol"):
        issue(hosts.first, name)
    hosts.first.revoke(SessionFilter(username="alice"), note="lost device")
    hosts.second.revoke(SessionFilter(username="bob"), note="lost device")
    hosts.first.revoke(SessionFilter(username="carol"), note="lost device")
    assert hosts.actions("receiver.change") == 1
    home = hosts.second._installation.home
    (found,) = (finding for finding in examine(home, hosts.second._installation) if finding.check == "receivers")
    assert found.ok, found.found
    (left,) = hosts.second.deliveries.deliver().receivers
    assert (left.pending, left.reason) == (3, "receivers.yaml has no such receiver")
    assert hosts.first.deliveries.deliver().receivers[0].delivered == 3


def test_a_file_with_no_receiver_tells_nobody_any_more(hosts: Hosts):
    """On the host that had them: on every host from then on."""
    program = written_program(hosts.folder, "teller", TELLER)
    write(hosts, f"{{teller: {{command: [{program}], events: [session-revoked]}}}}")
    for name in ("alice", "bob", "carol"):
        issue(hosts.first, name)
    hosts.first.revoke(SessionFilter(username="alice"), note="lost device")
    hosts.first.deliveries.deliver()
    write(hosts, "{}")
    hosts.first.revoke(SessionFilter(username="bob"), note="lost device")
    hosts.second.revoke(SessionFilter(username="carol"), note="lost device")
    assert hosts.actions("receiver.change") == 2
    assert [one.username for one in hosts.second.deliveries.list()] == ["alice"]
