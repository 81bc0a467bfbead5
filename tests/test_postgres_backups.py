"""A backup of a registry in PostgreSQL: a portable file, which is a registry in SQLite with the same content."""

import stat
import threading
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter, TokenRevoked, profiles
from authctl.registry.init import create
from authctl.settings import Home, find_home
from tests.postgres_homes import opened
from tests.postgres_server import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def test_a_backup_is_the_same_registry_in_a_file(home_on_server: Home, tmp_path: Path):
    """Sessions, notes, users, numbers and the audit chain; tokens are judged alike, texts are found, and the file is private."""
    file = tmp_path / "copy.db"
    with opened(home_on_server) as registry:
        issued = [
            registry.issue(username=name, application="Outlook", device=f"{name}-ПК")
            for name in ("alice", "bob", "жук")
        ]
        registry.revoke(SessionFilter(username="alice"), note="потерян 'телефон'", actor="admin")
        registry.users.disable("bob", note="left", actor="admin")
        outcome = registry.backups.create(file)
        listed = [session._replace(read_at=0) for session in registry.sessions()]
        events = list(registry.audit.events())
        with pytest.raises(Refused, match="already exists"):
            registry.backups.create(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Registry.open(home_on_server.folder, registry=file) as copy:
        assert [session._replace(read_at=0) for session in copy.sessions()] == listed
        assert list(copy.audit.events()) == events
        assert copy.audit.verify().seq == outcome.seq == events[0].seq
        with pytest.raises(TokenRevoked):
            copy.verify(issued[0].access_token)
        assert copy.verify(issued[2].access_token).username == "жук"
        assert [session.username for session in copy.sessions(SessionFilter(search="жук-пк"))] == ["жук"]
        assert [session.username for session in copy.sessions(SessionFilter(search="телефон"))] == ["alice"]
        assert copy.users.get("bob").user.note == "left"
        assert copy.issue(username="eve", application="Outlook").session.number > max(one.number for one in listed)


def test_two_inits_at_once_make_one_registry(tmp_path: Path, postgres_url: str):
    """The second one is refused, and removes what it made."""
    raw = profiles.DEFAULT_FILE.encode()
    ends: list[str] = []

    def init(number: int) -> None:
        try:
            create(find_home(tmp_path / str(number), postgres_url), profiles.read(raw, "p.yaml"), raw, actor="founder")
            ends.append("made")
        except Refused as error:
            ends.append(error.message)

    threads = [threading.Thread(target=init, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("made") == 1
    assert {end.partition(":")[0] for end in ends} == {"made", "a registry already exists"}
    assert sum((tmp_path / str(number) / "keys.json").exists() for number in range(3)) == 1
