"""Where things are: option, then environment, then the platform's default. None of it is secret."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from authctl.errors import InvalidInput
from authctl.registry_locations import Location, check_is_path, read_location

CREDENTIAL = "authctl-keys"
"""The name of a key ring among the credentials of a systemd service."""


class Home(NamedTuple):
    """One installation: a folder, and the registry in it or elsewhere."""

    folder: Path
    registry: Location
    """The file of the registry, or the address of its database."""
    keys: Path
    """The key ring file."""

    @property
    def is_shared(self) -> bool:
        """Whether the registry is on a server, where several hosts can use it."""
        return isinstance(self.registry, str)

    @property
    def audit_head(self) -> Path:
        """The file with the head of the audit log, outside the registry."""
        return self.folder / "audit.head"

    @property
    def authenticators(self) -> Path:
        """Who knows passwords, as people edit it; needed only where users log in here."""
        return self.folder / "authenticators.yaml"

    @property
    def receivers(self) -> Path:
        """The receivers file, which people edit; needed only if other systems are told of decisions."""
        return self.folder / "receivers.yaml"

    @property
    def push_key(self) -> Path:
        """The key that signs pushed events; it is made when it is first asked for."""
        return self.folder / "push-key.json"

    @property
    def profiles(self) -> Path:
        """The profiles as people edit them; those in force are in the registry."""
        return self.folder / "profiles.yaml"


def find_home(
    home: str | Path | None = None,
    registry: str | Path | None = None,
    keys: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Home:
    """The installation that is meant: AUTHCTL_HOME, AUTHCTL_REGISTRY and AUTHCTL_KEYS replace a missing argument.

    The key ring is else a systemd service's credential `authctl-keys`, or `keys.json` in the home.

    Raises InvalidInput for a blank path: an unset variable in a script must not mean the default installation; and for an address
    that holds a password.
    """
    # decision 26: a variable that was never set must not mean the default
    home = environment.get("AUTHCTL_HOME") if home is None else home
    registry = environment.get("AUTHCTL_REGISTRY") if registry is None else registry
    keys = environment.get("AUTHCTL_KEYS") if keys is None else keys
    for value, name in (
        (home, "home (--home, AUTHCTL_HOME)"),
        (registry, "registry (--registry, AUTHCTL_REGISTRY)"),
        (keys, "key ring (--keys, AUTHCTL_KEYS)"),
    ):
        if value is not None and not str(value).strip():
            raise InvalidInput(f"the {name} is blank")
    check_is_path(str(home), "the home is a folder", "for a database: --registry postgresql://USER@HOST/DATABASE")
    check_is_path(str(keys), "the key ring is a file", "--keys FILE")
    folder = Path(_default_folder() if home is None else home)
    database = folder / "registry.db" if registry is None else registry
    return Home(folder, read_location(database), Path(keys or _credential(environment) or folder / "keys.json"))


def _credential(environment: Mapping[str, str]) -> Path | None:
    """The key ring that systemd hands to a service (`LoadCredential=authctl-keys:...`), where there is one."""
    handed = environment.get("CREDENTIALS_DIRECTORY", "").strip()
    file = Path(handed) / CREDENTIAL if handed else None
    return file if file and file.exists() else None


def _default_folder() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("authctl", appauthor=False)


def default_actor(environment: Mapping[str, str] = os.environ) -> str:
    """Who is acting, as claimed: AUTHCTL_ACTOR, the user behind sudo, LOGNAME, the passwd name, or uid:N."""
    # SUDO_USER before LOGNAME: under sudo the person counts, and not root.
    for variable in ("AUTHCTL_ACTOR", "SUDO_USER", "LOGNAME"):
        if name := environment.get(variable, "").strip():
            return name
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid:{os.getuid()}"
