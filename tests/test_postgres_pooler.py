"""PgBouncer in transaction mode between a host and its server: nothing prepared, nothing set that stays, and the gate holds."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from authctl.errors import Refused, RegistryLocked
from tests.postgres_server import Server, new_pooler, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres.addresses import Address, read_address
    from authctl.store.postgres.connection import connect
    from authctl.store.postgres.connections import PostgresConnections
    from authctl.store.postgres.diagnosis import diagnosis
    from authctl.store.postgres.only_runner import only_runner
    from authctl.store.postgres.proofs import check_server
    from tests.test_postgres_connections import SCHEMA, looked_up, values, write


@pytest.fixture
def folder(postgres_server: Server) -> Iterator[str]:
    """The folder of the pooler's socket; it has two connections for all."""
    with new_pooler(postgres_server, "registrar") as folder:
        yield folder


@pytest.fixture(params=["named", "noticed"])
def address(request: pytest.FixtureRequest, postgres_url: str, folder: str) -> "Address":
    """A registry behind the pooler, which the address names, or which is noticed."""
    direct = read_address(postgres_url)
    with closing(connect(direct)) as connection:
        connection.execute(SCHEMA)
        connection.execute("CREATE TABLE sessions (number bigint)")
    database, option = direct.parameters["dbname"], "&pooler=transaction" if request.param == "named" else ""
    return read_address(f"postgresql:///{database}?host={folder}&port=6432&user=registrar{option}")


def test_a_pooler_keeps_every_proof(address: "Address"):
    """Advisory locks of transactions lock through it, too; the doctor tells of it."""
    check_server(address)
    checks = dict(diagnosis(address))
    assert checks["pooler"].found == "a pooler: no statement is prepared"
    assert checks["gate"].ok


def test_many_clients_on_two_connections(address: "Address"):
    """Look-ups, views and changes in turn: what one client prepared or set would meet another one."""
    hosts = [PostgresConnections(address) for _ in range(4)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        host = hosts[number % 4]
        try:
            for step in range(30):
                assert looked_up(host) == 1
                if step % 5 == 0:
                    write(host, number * 1000 + step, event=number * 1000 + step, shared=bool(number % 2))
                    values(host)
        except BaseException as error:  # noqa: BLE001  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(values(hosts[0])) == 36
    with closing(connect(address)) as connection:
        settings = "SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')"
        assert {connection.execute(settings).fetchone() for _ in range(10)} == {("0", "on")}
    for host in hosts:
        host.close()


def test_the_gate_and_the_only_runner_behind_it(address: "Address"):
    """They belong to a transaction, and so to one connection of the server for as long."""
    one, other = (PostgresConnections(address, lock_timeout=0.3) for _ in range(2))
    write(other, 1)
    with one.writer(), pytest.raises(RegistryLocked):
        write(other, 2, timeout=0)
    with only_runner(address, "r1") as mine, only_runner(address, "r1") as theirs:
        assert (mine, theirs) == (True, False)
    one.close()
    other.close()


def test_one_connection_for_all_is_refused(postgres_server: Server, postgres_url: str):
    """A pooler whose clients share one connection lets a host wait for ever while another one is in a transaction."""
    database = read_address(postgres_url).parameters["dbname"]
    with new_pooler(postgres_server, "registrar", connections=1) as folder:
        address = read_address(f"postgresql:///{database}?host={folder}&port=6432&user=registrar")
        with pytest.raises(Refused, match="gets no answer while another one is in a transaction"):
            check_server(address)
