"""`deliver`, and a revocation with receivers, killed at the file system calls that they make: nothing is lost, no id is new.

A few of the calls in CI; every one with `AUTHCTL_CRASH_STEP=1`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from tests.crash import Bench, Operation
from tests.receiver import Receiver
from tests.test_crash import STEP, needs_strace
from tests.test_receivers import write_receivers
from tests.test_trust import on_a_small_disk

pytestmark = [pytest.mark.slow, needs_strace]


class Place:
    """A bench whose registry has two receivers; one of them is a program outside the place."""

    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver(folder / "receiver")
        self.bench = Bench(folder)
        entry = f"{{command: [{self.receiver.program}], events: [session-revoked]}}"
        write_receivers(self.bench.template / "home", f"version: 1\nreceivers: {{a: {entry}, b: {entry}}}\n")

    @property
    def registry(self) -> Registry:
        """The registry of the place."""
        return Registry.open(self.bench.home, registry=self.bench.home / "registry.db")

    def announced(self) -> tuple[int, set[tuple[str, str]]]:
        """How many sessions are revoked by the operation, and which receivers are told of which event."""
        with self.registry as registry:
            listed = {(one.receiver, one.event) for one in registry.deliveries.list()}
            return registry.count(SessionFilter(username="alice", status="revoked")), listed


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Such a place."""
    return Place(tmp_path)


def test_a_killed_revocation_is_there_with_its_announcements_or_not_at_all(place: Place):
    """And what was acknowledged is there."""
    operation = Operation(("revoke", "--user", "alice", "--note", "lost device"), "revoked 1 session")
    ran = place.bench.run(operation)
    assert place.announced() == (1, {("a", "session-revoked"), ("b", "session-revoked")})
    assert len(ran.calls) > 20
    for call in ran.calls[:: max(1, STEP // 4)]:
        killed = place.bench.run(operation, call)
        revoked, listed = place.announced()
        assert listed == ({("a", "session-revoked"), ("b", "session-revoked")} if revoked else set()), call
        assert revoked or operation.said not in killed.out + killed.err, call


def with_a_revocation(bench: Bench) -> None:
    """Revoke two sessions, which nobody is told yet."""
    ran = bench.plainly("revoke", "--user", "alice", "--user", "bob", "--note", "lost device")
    assert ran.code == 0, ran.err


def test_a_killed_delivery_is_made_by_the_next_one_under_its_id(place: Place):
    """Told to both receivers to the end; what was told before the kill is told again with the same id, or not at all."""
    operation = Operation(("deliver",), "4 messages delivered", prepare=with_a_revocation)
    ran = place.bench.run(operation)
    assert operation.said in ran.err, ran.err
    assert len(ran.calls) > 20
    told_file = place.receiver.folder / "told"
    for call in ran.calls[:: max(1, STEP // 4)]:
        told_file.unlink(missing_ok=True)
        place.bench.run(operation, call)
        for number in ("1", "2"):
            assert place.bench.plainly("deliveries", "retry", number, "-q").code in (0, 3), call
        again = place.bench.plainly("deliver")
        assert again.code == 0, (call, again.err)
        with place.registry as registry:
            states = {(one.jti, one.receiver): one.state for one in registry.deliveries.list()}
        assert len(states) == 4, call
        assert set(states.values()) == {"delivered"}, call
        assert set(place.receiver.jtis) == {jti for jti, _ in states}, call


def test_a_service_ends_with_its_program(place: Place):
    """`deliver --watch` tells what becomes due, and ends on SIGTERM."""
    bench = place.bench
    bench.reset()
    command = [sys.executable, "-P", "-m", "authctl", "deliver", "--watch"]
    service = subprocess.Popen(
        command, env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        with_a_revocation(bench)
        assert service.stderr is not None
        assert service.stderr.readline() == "authctl: 4 messages delivered\n"
    finally:
        service.terminate()
        service.communicate(timeout=20)
    assert service.returncode == 130
    assert len(place.receiver.told) == 4


FULL = """\
mount -t tmpfs -o size=12m tmpfs {disk} || exit 99
mkdir -m 700 {disk}/home
export AUTHCTL_HOME={disk}/home
authctl init -q
for user in alice bob; do authctl tokens issue -q --user $user --application Outlook > /dev/null; done
umask 077
cat > {out}/program <<'END'
#!PYTHON
import json, sys
for line in sys.stdin:
    with open("{out}/told", "a") as told:
        told.write(json.loads(line)["jti"] + " ")
    print(json.dumps({{"jti": json.loads(line)["jti"], "verdict": "done"}}))
END
chmod 700 {out}/program
echo "version: 1
receivers: {{a: {{command: [{out}/program], events: [session-revoked]}}}}" > {disk}/home/receivers.yaml
dd if=/dev/zero of={disk}/filler bs=4096 2> /dev/null || true
set +e
n=0
while authctl tokens issue -q --user late --application Outlook > /dev/null 2>&1; do
    n=$((n+1)); [ $n -lt 60 ] || exit 98
done
authctl revoke --user alice --user bob --note "lost device" > /dev/null 2> {out}/said; echo $? > {out}/revoke
dd if=/dev/zero of={disk}/filler2 bs=4096 2> /dev/null
n=0
while authctl tokens issue -q --user late --application Outlook > /dev/null 2>&1; do
    n=$((n+1)); [ $n -lt 60 ] || exit 98
done
authctl deliver > /dev/null 2> {out}/full; echo $? > {out}/deliver
rm {disk}/filler {disk}/filler2
authctl deliveries retry 1 -q 2> /dev/null
authctl deliver -q > /dev/null 2>&1; echo $? > {out}/after
authctl deliveries list -o json | grep -c '"delivered"' > {out}/delivered
"""


def test_on_a_full_disk_a_revocation_is_announced_and_told_when_there_is_room(tmp_path: Path):
    """The revocation has its announcement; a delivery that cannot be written is 6, and is made later under its id."""
    said = on_a_small_disk(tmp_path, FULL.replace("PYTHON", sys.executable))
    assert said["revoke"] == "0", said
    assert said["deliver"] in ("0", "6"), said
    assert (said["after"], said["delivered"]) == ("0", "2"), said
    assert len(set(said["told"].split())) == 2, said
