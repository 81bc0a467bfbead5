"""Settings that a role, a database or PGOPTIONS may have: a registry works with each of them, or the error names it."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from authctl import Registry, RegistryUnavailable, SessionFilter, TokenRevoked, profiles
from authctl.import_mappings import read_mapping
from authctl.registry.init import create
from authctl.registry.moving import move
from authctl.settings import Home, find_home
from tests.postgres_homes import opened
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

MAPPING = read_mapping(b"fields: {username: user, at: at}\nkey: [username]\nsource: lists\n", "map.yaml")
ROWS = "".join(f'{{"user": "user{number}", "at": "2026-03-01T10:00:00Z"}}\n' for number in range(3)).encode()

HARMLESS = {
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "client_encoding": "latin1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Tokyo",
    "enable_indexscan": "off",
    "jit_above_cost": "0",
    "lock_timeout": "1ms",
}
Database = Callable[[str, str], str]


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Database]:
    """Makes empty databases that have a setting."""
    with ExitStack() as made:

        def new(name: str, value: str) -> str:
            address = made.enter_context(postgres_server.fresh_database())
            postgres_server.execute(f"ALTER DATABASE {_name(address)} SET {name} = '{value}'")
            return address

        yield new


def _name(address: str) -> str:
    return address.split("/", 3)[3].split("?", maxsplit=1)[0]


def installed(folder: Path, address: str) -> Home:
    """A new installation with its registry in that database."""
    home = find_home(folder, address)
    raw = profiles.DEFAULT_FILE.encode()
    create(home, profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    return home


def import_rows(registry: Registry) -> int:
    """Import the same rows; how many sessions are new."""
    return registry.imports.run(io.BytesIO(ROWS + b"\n"), MAPPING).registered


@pytest.mark.parametrize("name", HARMLESS)
def test_a_setting_changes_nothing(tmp_path: Path, database: Database, name: str):
    """Sign-ins, imports by keys that are binary, a revocation and the audit log; and moves from there and to there."""
    home = installed(tmp_path / "home", database(name, HARMLESS[name]))
    with opened(home) as registry:
        issued = registry.issue(username="жук", application="Outlook", device='AL"\\PC')
        assert registry.verify(issued.access_token).device == 'AL"\\PC'
        assert import_rows(registry) == 3
        assert registry.count() == 4
        assert registry.revoke(SessionFilter(username="жук"), note="lost ☃ device").revoked == 1
    for place in (tmp_path / "registry.db", database(name, HARMLESS[name])):
        move(home, place)
        home = find_home(home.folder, place)
        with opened(home) as registry:
            with pytest.raises(TokenRevoked):
                registry.verify(issued.access_token)
            assert registry.session(issued.session.id).note == "lost ☃ device"
            registry.issue(username="anna", application="Outlook")
            registry.imports.run(io.BytesIO(ROWS + b'{"user": "user9", "at": "2026-03-01T10:00:00Z"}\n'), MAPPING)
            assert registry.count(SessionFilter(search="user")) == 4
            registry.audit.verify()


def test_a_list_that_stands_still_for_too_long_names_the_setting(
    tmp_path: Path, database: Database, postgres_server: Server
):
    """The server ended its transaction; the next list works."""
    address = database("idle_in_transaction_session_timeout", "1s")
    idle = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{_name(address)}' AND state = 'idle in transaction'"
    with opened(installed(tmp_path / "home", address)) as registry:
        with (
            pytest.raises(RegistryUnavailable, match="stood still for too long") as raised,
            registry._installation.store.view() as view,
        ):
            assert postgres_server.execute(idle)
            while postgres_server.execute(idle):
                time.sleep(0.1)
            view.count(SessionFilter(), 0)
        assert raised.value.hint == "see: idle_in_transaction_session_timeout of the role, the database and the server"
        assert registry.count() == 0
