"""Making an installation: key ring first, registry last, and nothing left behind when it fails."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authctl import key_ring
from authctl.errors import AuthctlError, InvalidInput, Refused, RegistryUnavailable, reason
from authctl.files import create_private
from authctl.instants import Clock
from authctl.model import ProfileSet
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import actor_name
from authctl.registry_locations import Location
from authctl.settings import Home
from authctl.store import create_store, is_there, setup_statements, store_files


def create(
    home: Home, profiles: ProfileSet, profiles_text: bytes, *, actor: str | None = None, clock: Clock | None = None
) -> None:
    """Make the folder, key ring, `profiles.yaml` and registry of an installation, with the profiles in force.

    A key ring elsewhere is used as it is, or made where there is none, and stays where the rest fails.

    The registry appears last, and whole. Raises Refused when any of the files is there, and changes nothing then;
    RegistryUnavailable when they cannot be written.
    """
    actor = actor_name(actor)
    registry_id = secrets.token_hex(8)
    try:
        _check_vacant(home)
        _make_folder(home.folder)
        with _removed_on_failure(home.registry) as made, create_store(home.registry, registry_id, profiles) as store:
            installation = Installation(home, store, clock)
            if home.keys.parent == home.folder:
                key_ring.create(home.keys, installation.clock.now())
                made.append(home.keys)
            else:
                _ensure_key_ring(home.keys, installation.clock.now())
            create_private(home.profiles, profiles_text)
            made.append(home.profiles)
            made.append(home.audit_head)
            with installation.change(actor) as unit:
                document = profiles.to_document()
                unit.record("registry.init", subject=registry_id, detail={"in_force": document})
    except OSError as error:
        where = error.filename or home.folder
        raise RegistryUnavailable(f"cannot create {where}: {reason(error)}") from None


def statements_for_administrator(home: Home) -> str:
    """The statements that make the database and roles of a registry in PostgreSQL. Raises InvalidInput for one in a file."""
    if not isinstance(home.registry, str):
        message = f"the registry {home.registry} is a file: it needs no statements"
        raise InvalidInput(message, "--registry postgresql://USER@HOST/DATABASE")
    return setup_statements(home.registry)


def _ensure_key_ring(path: Path, now: int) -> None:
    """Use the key ring in another folder, or make one. It stays after a failure, since others may use it by then."""
    if path.exists():
        key_ring.load(path)
    else:
        key_ring.create(path, now)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return
    folder.chmod(0o700)


def _check_vacant(home: Home) -> None:
    registry, beside = store_files(home.registry)[:1], store_files(home.registry)[1:]
    for path in (*registry, home.folder / "keys.json", home.profiles, home.audit_head, *beside):
        # A link that leads nowhere does not exist for `exists`, but it would be followed when the file is made.
        if path.exists() or path.is_symlink():
            raise Refused(f"file already exists: {path}", "to use another folder: authctl --home DIR init")


@contextmanager
def _removed_on_failure(registry: Location) -> Iterator[list[Path]]:
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        # The registry appears last. If it is there, another `init` won, and the files are now its own.
        for path in made if not _may_be_there(registry) else ():
            path.unlink(missing_ok=True)
        raise


def _may_be_there(registry: Location) -> bool:
    """Whether a registry is there, or nobody can know: its key ring must not be lost then."""
    try:
        return is_there(registry)
    except AuthctlError:
        return True
