"""The contract of a move's marks, by the kind of place: every store passes the same tests.

The marks are in `store/protocol/moves.py`, what they close in `store/move_marks.py`, and the functions on places in `store/moving.py`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from authctl import SessionFilter
from authctl.errors import Refused, RegistryMoved, RegistryUnavailable
from authctl.model import AuditEvent
from authctl.registry_locations import Location
from authctl.store import create_store, open_store
from authctl.store.moving import (
    arriving,
    check_fit,
    compare,
    discard_arrived,
    finish_move,
    marks_at,
    open_arrived,
    reopening,
)
from authctl.store.protocol import Change, Store
from authctl.store.protocol.moves import Marks
from tests.new_places import WAYS, MakePlace
from tests.postgres_server import Server
from tests.sealed_events import seal_event
from tests.stores import DEFAULTS
from tests.test_store_contract import NOW, new

ID, OTHER_ID = "0" * 16, "1" * 16
KINDS = ["file", "server"]
NEW_PLACE = "/srv/authctl/registry.db"


def sealed(tx: Change, action: str) -> AuditEvent:
    """The next event of a registry."""
    return seal_event(tx.last_event(), at=NOW, actor="bob", action=action, subject=None, note=None, detail={})


def made(place: Location, registry_id: str = ID) -> str:
    """Make a registry with a session and an event; the hash of that event."""
    with create_store(place, registry_id, DEFAULTS):
        pass
    with closing(open_store(place)) as store, store.change() as tx:
        tx.add_session(new())
        tx.record_time(NOW)
        event = sealed(tx, "registry.init")
        tx.add_event(event)
        return event.hash


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of place."""
    return str(request.param)


@pytest.fixture
def place(kind: str, new_place: MakePlace) -> Location:
    """A place of each kind, with a registry."""
    place = new_place(kind)
    made(place)
    return place


USES: dict[str, Callable[[Store], object]] = {
    "a view": lambda store: _in(store.view),
    "a change": lambda store: _in(store.change),
    "a shared change": lambda store: _in(lambda: store.change(shared=True)),
    "a look-up": lambda store: store.by_number(1),
    "a look-up of a client": lambda store: store.client("shop"),
}


def _in(opened: Callable[[], AbstractContextManager[object]]) -> None:
    with opened():
        pass


def in_force(place: Location) -> bool:
    """Whether every use of the registry at a place works; if not, none does."""
    works = []
    for use in USES.values():
        try:
            with closing(open_store(place)) as store:
                use(store)
        except RegistryUnavailable:
            works.append(False)
        else:
            works.append(True)
    assert len(set(works)) == 1, works
    return works[0]


# The marks


def test_a_place_without_a_registry(kind: str, new_place: MakePlace):
    """It has no marks, and a registry can be made there."""
    place = new_place(kind)
    assert marks_at(place) is None
    check_fit(place)
    assert marks_at(place) is None
    assert not discard_arrived(place, ID)


def test_the_marks_of_a_move(place: Location):
    """None without a move; begun and given up, the registry stays in force, and a change that fails marks nothing."""
    with closing(open_store(place)) as store, store.view() as view:
        last = view.last_seal()[1]
    assert marks_at(place) == Marks(ID, None, None, None, last)
    with closing(open_store(place)) as store:
        with pytest.raises(ZeroDivisionError), store.change() as tx:
            tx.set_moving_to(NEW_PLACE)
            raise ZeroDivisionError
        assert marks_at(place) == Marks(ID, None, None, None, last)
        with store.change() as tx:
            tx.set_moving_to(NEW_PLACE)
            assert tx.moving_to() == NEW_PLACE
        with store.view() as view:
            assert view.moving_to() == NEW_PLACE
        assert marks_at(place) == Marks(ID, None, NEW_PLACE, None, last)
        assert in_force(place)
        with store.change() as tx:
            tx.set_moving_to(None)
    assert marks_at(place) == Marks(ID, None, None, None, last)


# The closing


@pytest.mark.parametrize("use", USES)
def test_a_closed_registry_refuses_every_use(place: Location, use: str):
    """Also in a store that was open before; the error has the new place, and first how the move is finished or given up."""
    with closing(open_store(place)) as before, closing(open_store(place)) as other:
        USES[use](other)
        with before.change() as tx:
            tx.set_moving_to(NEW_PLACE)
            tx.close_for_move(NEW_PLACE)
        for store in (before, other):
            with pytest.raises(RegistryMoved) as raised:
                USES[use](store)
            assert raised.value.moved_to == NEW_PLACE
            assert RegistryMoved.give_up in (raised.value.hint or "")
        finish_move(place)
        with pytest.raises(RegistryMoved) as raised:
            USES[use](other)
        assert (raised.value.moved_to, RegistryMoved.give_up in (raised.value.hint or "")) == (NEW_PLACE, False)
    with pytest.raises(RegistryMoved), closing(open_store(place)) as store:
        USES[use](store)


def closed(place: Location) -> None:
    """Close a registry by a move that is not finished."""
    with closing(open_store(place)) as store, store.change() as tx:
        tx.close_for_move(NEW_PLACE)


def test_a_closing_that_fails_closes_nothing(place: Location):
    """It is the last statement of a change, and of the same transaction."""
    with closing(open_store(place)) as store, pytest.raises(ZeroDivisionError), store.change() as tx:
        tx.close_for_move(NEW_PLACE)
        raise ZeroDivisionError
    assert in_force(place)


def test_finishing_marks_a_closed_registry_alone(place: Location):
    """One that is in force keeps the mark of a move that was begun; twice is as once."""
    with closing(open_store(place)) as store, store.change() as tx:
        tx.set_moving_to(NEW_PLACE)
    finish_move(place)
    assert marks_at(place)._replace(last_hash=None) == Marks(ID, None, NEW_PLACE, None, None)  # type: ignore[union-attr]
    closed(place)
    for _ in range(2):
        finish_move(place)
        assert marks_at(place)._replace(last_hash=None) == Marks(ID, NEW_PLACE, None, None, None)  # type: ignore[union-attr]
    assert not in_force(place)


# The opening of a closed registry


def test_a_closed_registry_opens_again_with_what_the_block_writes(place: Location):
    """In one transaction; its marks are gone."""
    closed(place)
    with reopening(place) as tx:
        assert tx is not None
        tx.add_event(sealed(tx, "registry.give_up_move"))
        tx.record_time(NOW + 1)
    assert in_force(place)
    with closing(open_store(place)) as store, store.view() as view:
        assert (view.last_seal()[0], view.recorded_time()) == (2, NOW + 1)
        assert marks_at(place) == Marks(ID, None, None, None, view.last_seal()[1])


def test_a_block_that_fails_opens_nothing(place: Location):
    """Nor is anything written."""
    closed(place)
    with pytest.raises(ZeroDivisionError), reopening(place) as tx:
        assert tx is not None
        tx.add_event(sealed(tx, "registry.give_up_move"))
        raise ZeroDivisionError
    assert not in_force(place)
    with reopening(place) as tx:
        assert tx is not None
        assert tx.last_seal()[0] == 1


def test_nothing_else_opens_again(kind: str, new_place: MakePlace):
    """Neither a registry in force, nor one whose move is finished, nor one that has not arrived."""
    place = new_place(kind)
    made(place)
    with reopening(place) as tx:
        assert tx is None
    closed(place)
    finish_move(place)
    with reopening(place) as tx:
        assert tx is None
    assert not in_force(place)


# The copy

CAME_FROM = "the old place"
Copy = Callable[[Location, Location], str]


@pytest.fixture
def copy_to(tmp_path: Path) -> Copy:
    """Lets a copy of the registry at a place arrive at another one; returns the hash of its last event."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)

    def copy(source: Location, target: Location) -> str:
        with closing(open_store(source)) as store, store.view() as view:
            with arriving(view, target, CAME_FROM, folder) as arrived, arrived.view() as there:
                assert compare(view, there, NOW).tables["sessions"] == there.count(SessionFilter(), NOW)
            assert list(folder.iterdir()) == []
            return view.last_seal()[1]

    return copy


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_a_copy_opens_by_the_hash_of_its_last_event(new_place: MakePlace, copy_to: Copy, old: str, new: str):
    """Until then it is closed, and the old place is in force; with another hash it stays closed."""
    source, target = new_place(old), new_place(new)
    made(source)
    last = copy_to(source, target)
    assert marks_at(target) == Marks(ID, None, None, CAME_FROM, last)
    assert (in_force(source), in_force(target)) == (True, False)
    with pytest.raises(Refused, match="given up meanwhile, or begun again"):
        open_arrived(target, "f" * 64)
    with reopening(target) as tx:
        assert tx is None
    assert not in_force(target)
    open_arrived(target, last)
    assert in_force(target)
    assert marks_at(target) == Marks(ID, None, None, None, last)
    with closing(open_store(target)) as store, store.view() as view:
        assert view.count(SessionFilter(), NOW) == 1


@pytest.mark.parametrize("use", USES)
def test_a_copy_that_has_not_arrived_refuses_every_use(kind: str, new_place: MakePlace, copy_to: Copy, use: str):
    """The error has the place that it comes from, and the command that finishes the move."""
    source, target = new_place("file"), new_place(kind)
    made(source)
    copy_to(source, target)
    with pytest.raises(RegistryUnavailable, match="not in use yet") as raised, closing(open_store(target)) as store:
        USES[use](store)
    assert CAME_FROM in raised.value.message
    assert "registry move --to" in (raised.value.hint or "")


def test_a_copy_that_fails_leaves_nothing(kind: str, new_place: MakePlace, tmp_path: Path):
    """The place is as empty as before, and a registry can be made there."""
    source, target = new_place("file"), new_place(kind)
    made(source)
    with (
        closing(open_store(source)) as store,
        store.view() as view,
        pytest.raises(ZeroDivisionError),
        arriving(view, target, CAME_FROM, tmp_path),
    ):
        raise ZeroDivisionError
    assert marks_at(target) is None
    made(target)
    assert in_force(target)


def test_a_later_copy_replaces_one_that_never_opened(kind: str, new_place: MakePlace, copy_to: Copy):
    """With all that was changed since; the hash of the earlier one opens nothing."""
    source, target = new_place("file"), new_place(kind)
    made(source)
    earlier = copy_to(source, target)
    with closing(open_store(source)) as store, store.change() as tx:
        tx.add_session(new("bob"))
        tx.add_event(sealed(tx, "session.issue"))
    later = copy_to(source, target)
    with pytest.raises(Refused):
        open_arrived(target, earlier)
    open_arrived(target, later)
    with closing(open_store(target)) as store, store.view() as view:
        assert view.count(SessionFilter(), NOW) == 2


@pytest.mark.parametrize("is_open", [True, False])
def test_what_a_copy_does_not_replace(kind: str, new_place: MakePlace, copy_to: Copy, is_open: bool):
    """A registry in force, be it the same one, and the copy of another registry: they stay as they are."""
    source, target = new_place("file"), new_place(kind)
    made(source)
    if is_open:
        open_arrived(target, copy_to(source, target))
    else:
        other = new_place("file")
        made(other, OTHER_ID)
        copy_to(other, target)
    before = marks_at(target)
    with pytest.raises(Refused, match="a registry already exists"):
        copy_to(source, target)
    assert marks_at(target) == before
    assert in_force(target) == is_open


def test_a_copy_is_removed_if_it_never_opened(kind: str, new_place: MakePlace, copy_to: Copy):
    """And is of that registry; the place is empty then, and takes another copy."""
    source, target = new_place("file"), new_place(kind)
    made(source)
    copy_to(source, target)
    assert not discard_arrived(target, OTHER_ID)
    assert marks_at(target) is not None
    assert discard_arrived(target, ID)
    assert marks_at(target) is None
    assert not discard_arrived(target, ID)
    with pytest.raises(Refused):
        open_arrived(target, "f" * 64)
    open_arrived(target, copy_to(source, target))
    assert not discard_arrived(target, ID)
    assert in_force(target)


def test_a_place_with_something_else(kind: str, new_place: MakePlace, request: pytest.FixtureRequest):
    """It is refused, and left as it is."""
    place = new_place(kind)
    if isinstance(place, Path):
        place.write_text("notes")
    else:
        server: Server = request.getfixturevalue("postgres_server")
        server.execute("CREATE TABLE sessions (note text)", place.split("/", 3)[3].split("?", maxsplit=1)[0])
    with pytest.raises(Refused):
        marks_at(place)
    with pytest.raises(Refused):
        made(place)
