"""The protocol of a store: one small protocol a noun, and the four that are passed about.

The docstrings are the contract, and tests/test_store_contract.py is its proof. To add a store, implement `Store` and
name its factory in that test.

- A value that is absent is `None`, an empty list or zero.
- A method raises an error only when the database fails: RegistryUnavailable (exit code 6) if it cannot be used now,
  IntegrityFailure (7) if its content is invalid.
- A status is the status at the instant `now`, a parameter.

The modules contain the values of their noun, too. A value is imported from its module, so that a command loads few.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.store.protocol.imports import Staging
    from authctl.store.protocol.restores import Draft
    from authctl.store.protocol.store import Change, Store, View

__all__ = ["Change", "Draft", "Staging", "Store", "View"]


def __getattr__(name: str) -> object:
    """Load a protocol when it is first asked for: at run time few modules need one."""
    if name not in __all__:
        raise AttributeError(f"module 'authctl.store.protocol' has no attribute {name!r}")
    from authctl.store.protocol import imports, restores, store

    protocols = {"Draft": restores.Draft, "Staging": imports.Staging}
    return protocols.get(name) or getattr(store, name)
