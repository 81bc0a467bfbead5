"""Import rules: each kind of violation is planted in a copy of the package, and import-linter reports it."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "authctl"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
OWNED = {
    library: tuple(one.get("ignore_imports", ()))
    for one in CONTRACTS
    if one["type"] == "forbidden" and one["source_modules"] == ["authctl"]
    for library in one["forbidden_modules"]
}
"""Each library that has an owner, and the imports of it that are allowed."""

IMPORT_NAMES = {"pyyaml": "yaml", "libpass": "passlib", "python-ldap": "ldap"}
"""The import name of a distribution, where it is not the name of the distribution itself."""

LOADERS = {"__init__.py", "model/__init__.py", "cli/app.py", "store/sqlite/view.py"}
"""The modules that import by a computed name, which import-linter does not see: names of authctl's own modules."""


def module_name(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path.relative_to(ROOT) for path in sorted(PACKAGE.rglob("*.py"))}


def imported_names(tree: ast.AST) -> set[str]:
    """The first parts of all absolute imports in a syntax tree."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


def is_allowed(module: str, library: str) -> bool:
    """Whether a contract lets the module import the library."""
    patterns = [allowed.split(" -> ") for allowed in OWNED[library]]
    return any(target == library and fnmatchcase(module, source) for source, target in patterns)


Lint = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package and of the rules."""
    shutil.copytree(PACKAGE, tmp_path / "authctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def lint(copy: Path) -> Lint:
    """Run `lint-imports` on the copy."""
    pytest.importorskip("importlinter", reason="import-linter is not installed: it comes with .[dev]")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-logo", "--no-cache"]
    environment = {**os.environ, "COLUMNS": "300"}  # no line of the report is wrapped

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_package_keeps_every_rule(lint: Lint):
    """An unchanged copy passes: what the other tests report comes from what they planted."""
    ran = lint()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in ran.stdout


def test_no_module_imports_a_library_that_another_owns(copy: Path, lint: Lint):
    """Every library, imported inside a function of every module and of a new module: all are reported, owners excepted."""
    text = "\n\ndef planted() -> None:\n" + "".join(f"    import {library}\n" for library in OWNED)
    (copy / "authctl" / "novel.py").touch()
    modules = {**MODULES, "authctl.novel": Path("authctl/novel.py")}
    for path in modules.values():
        with (copy / path).open("a") as file:
            file.write(text)
    ran = lint()
    assert ran.returncode == 1, ran.stdout + ran.stderr
    expected = {(module, library) for module in modules for library in OWNED if not is_allowed(module, library)}
    assert {("authctl.novel", library) for library in OWNED} <= expected
    assert len(expected) > len(modules) * (len(OWNED) - 2)
    reported = set(re.findall(r"^- *(authctl[\w.]*) -> (\w+) \(", ran.stdout, re.MULTILINE))
    assert expected - reported == set()
    assert reported - expected == set()


class Violation(NamedTuple):
    """An import that is planted in a module, which may be a new one, and the line of the report that names it."""

    path: str
    text: str
    report: str


UNLISTED = "def f(): pass"
LATE = "def planted():\n    from {} import {}"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}"
VIOLATIONS = {
    # one owner a library, however the import is written
    "sqlite3 in a new module": Violation("novel.py", "import sqlite3", "authctl.novel -> sqlite3"),
    "a part of sqlite3": Violation("novel.py", "from sqlite3.dbapi2 import connect", "authctl.novel -> sqlite3"),
    "sqlite3 in a new package": Violation("novel/__init__.py", "import sqlite3", "authctl.novel -> sqlite3"),
    "sqlite3 for types": Violation(
        "registry/users.py", TYPES.format("import sqlite3"), "authctl.registry.users -> sqlite3"
    ),
    "sqlite3 in the protocol": Violation(
        "store/protocol/users.py", "import sqlite3", "authctl.store.protocol.users -> sqlite3"
    ),
    "sqlite3 in the shared SQL": Violation(
        "store/sql/pages.py", TYPES.format("import sqlite3"), "authctl.store.sql.pages -> sqlite3"
    ),
    "sqlite3 in the entrance of the store": Violation(
        "store/__init__.py", LATE.format("sqlite3", "connect"), "authctl.store -> sqlite3"
    ),
    "sqlite3 in a new module of the store": Violation(
        "store/novel.py", "import sqlite3", "authctl.store.novel -> sqlite3"
    ),
    "sqlite3 in the SQLite store": Violation(
        "store/nouns/users.py", "import sqlite3", "authctl.store.nouns.users -> sqlite3"
    ),
    "pysqlite3 in the SQLite store": Violation(
        "store/nouns/users.py", LATE.format("pysqlite3", "connect"), "authctl.store.nouns.users -> pysqlite3"
    ),
    "sqlite_utils beside migrations": Violation(
        "store/nouns/users.py", LATE.format("sqlite_utils", "Database"), "authctl.store.nouns.users -> sqlite_utils"
    ),
    "yaml in a new module": Violation("novel.py", "import yaml as y", "authctl.novel -> yaml"),
    "yaml in the profiles": Violation("profiles/fields.py", "import yaml", "authctl.profiles.fields -> yaml"),
    "cryptography in a new module": Violation(
        "novel.py", LATE.format("cryptography.hazmat.primitives", "hashes"), "authctl.novel -> cryptography"
    ),
    "cryptography in tokens": Violation("tokens.py", "import cryptography", "authctl.tokens -> cryptography"),
    "itsdangerous in a new module of the registry": Violation(
        "registry/novel.py", "from itsdangerous import Signer", "authctl.registry.novel -> itsdangerous"
    ),
    "itsdangerous in token encryption": Violation(
        "token_encryption.py", "import itsdangerous", "authctl.token_encryption -> itsdangerous"
    ),
    "pydantic in the model": Violation(
        "model/users.py", "from pydantic import BaseModel", "authctl.model.users -> pydantic"
    ),
    "pydantic's core in a new module": Violation("novel.py", "import pydantic_core", "authctl.novel -> pydantic_core"),
    "typer in the registry": Violation(
        "registry/installation.py", "import typer", "authctl.registry.installation -> typer"
    ),
    "typer in the face of the library": Violation("__init__.py", "import typer", "authctl -> typer"),
    "rich in records": Violation("records.py", TYPES.format("import rich"), "authctl.records -> rich"),
    "rich in a command": Violation("cli/users.py", "from rich.table import Table", "authctl.cli.users -> rich"),
    # the store's modules are its own
    "store internals in the registry": Violation(
        "registry/users.py",
        "from authctl.store.sqlite.view import SqliteView",
        "authctl.registry.users -> authctl.store.sqlite.view",
    ),
    "store internals in the face of the registry": Violation(
        "registry/__init__.py", LATE.format("authctl.store", "sqlite"), "authctl.registry -> authctl.store.sqlite"
    ),
    "store internals in a command": Violation(
        "cli/doctor.py",
        TYPES.format("from authctl.store.sqlite import change"),
        "authctl.cli.doctor -> authctl.store.sqlite.change",
    ),
    "store internals in a new module": Violation(
        "novel.py", "import authctl.store.sqlite.migrations", "authctl.novel -> authctl.store.sqlite.migrations"
    ),
    "the shared SQL in the registry": Violation(
        "registry/users.py",
        LATE.format("authctl.store.sql.filters", "Criteria"),
        "authctl.registry.users -> authctl.store.sql.filters",
    ),
    "a new module of the store in the registry": Violation(
        "store/novel.py",
        UNLISTED,
        "authctl.registry.users -> authctl.store.novel",
    ),
    # layers
    "the registry in the store": Violation(
        "store/nouns/users.py",
        LATE.format("authctl.registry", "users"),
        "authctl.store.nouns.users -> authctl.registry.users",
    ),
    "the face of the library in the store": Violation(
        "store/nouns/users.py", "from authctl import Registry", "authctl.store.nouns.users -> authctl"
    ),
    "SQLite in the protocol": Violation(
        "store/protocol/pages.py",
        TYPES.format("from authctl.store.sqlite.reader import Reader"),
        "authctl.store.protocol.pages -> authctl.store.sqlite.reader",
    ),
    "SQLite in the shared SQL": Violation(
        "store/sql/counts.py",
        LATE.format("authctl.store.sqlite.dialect", "SQLITE"),
        "authctl.store.sql.counts -> authctl.store.sqlite.dialect",
    ),
    "the store in its connections": Violation(
        "store/sqlite/connections.py",
        LATE.format("authctl.store.sqlite.store", "SqliteStore"),
        "authctl.store.sqlite.connections -> authctl.store.sqlite.store",
    ),
    "a noun of the store in another": Violation(
        "store/nouns/users.py",
        "from authctl.store.nouns.logins import LoginsReader",
        "authctl.store.nouns.users -> authctl.store.nouns.logins",
    ),
    "a command in the registry": Violation(
        "registry/users.py", "from authctl.cli import users", "authctl.registry.users -> authctl.cli.users"
    ),
    "the store in the model": Violation(
        "model/users.py",
        TYPES.format("from authctl.store.protocol import Store"),
        "authctl.model.users -> authctl.store",
    ),
    "a command in another command": Violation(
        "cli/users.py", "from authctl.cli import sessions", "authctl.cli.users -> authctl.cli.sessions"
    ),
    "a noun of the registry in its installation": Violation(
        "registry/installation.py",
        LATE.format("authctl.registry", "users"),
        "authctl.registry.installation -> authctl.registry.users",
    ),
    "the face of the registry in its installation": Violation(
        "registry/installation.py",
        TYPES.format("from authctl.registry import Registry"),
        "authctl.registry.installation -> authctl.registry",
    ),
    # a module on no layer
    "a new module": Violation("novel.py", UNLISTED, "- authctl.novel\n"),
    "a new package": Violation("novel/__init__.py", UNLISTED, "- authctl.novel\n"),
    **{
        f"a new module of {package}": Violation(
            f"{package}/novel.py", UNLISTED, f"- authctl.{package.replace('/', '.')}.novel\n"
        )
        for package in (
            "authenticators",
            "cli",
            "model",
            "profiles",
            "registry",
            "store",
            "store/protocol",
            "store/sql",
            "store/sqlite",
        )
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_reported(copy: Path, lint: Lint, name: str):
    """Each is an error, and the report names the import or the module."""
    path, text, report = VIOLATIONS[name]
    file = copy / "authctl" / path
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as end:
        end.write(f"\n{text}\n")
    if "new module of the store in" in name:
        with (copy / "authctl" / "registry" / "users.py").open("a") as end:
            end.write("\nimport authctl.store.novel\n")
    ran = lint()
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert report in ran.stdout, ran.stdout


def test_every_dependency_has_an_owner():
    """Each dependency of pyproject.toml has a contract that forbids it to all but its owners."""
    project = PROJECT["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["ldap"]]
    listed += project["optional-dependencies"]["sqlite"]
    listed += ["starlette", "django", "flask"]  # of an application that has an adapter: it brings them itself
    names = [re.match(r"[\w.-]+", one)[0] for one in listed]
    assert len(names) > 10
    assert [name for name in names if IMPORT_NAMES.get(name, name.replace("-", "_")) not in OWNED] == []


def test_every_library_that_is_imported_has_an_owner():
    """No module imports a library that comes with another, and stands in no contract."""
    trees = {name: ast.parse((ROOT / path).read_text()) for name, path in MODULES.items()}
    imported = {library: name for name, tree in trees.items() for library in imported_names(tree)}
    libraries = {library for library in imported if library not in sys.stdlib_module_names and library != "authctl"}
    assert libraries >= {"typer", "yaml", "ldap"}
    assert {library: imported[library] for library in libraries if library not in OWNED} == {}


def test_every_package_has_layers():
    """Each folder with modules is a package, and one exhaustive contract lists its layers."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert len(folders) > 5
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
    layered = [one for one in CONTRACTS if one["type"] == "layers" and one.get("exhaustive")]
    containers = [container for one in layered for container in one["containers"]]
    assert sorted(containers) == sorted(module_name(folder / "__init__.py") for folder in folders)


def test_few_modules_import_by_a_computed_name():
    """Import-linter does not see such an import; the modules that need one are known."""
    loads = re.compile(r"\bimportlib\b(?! import resources$)|\b__import__\b|\brunpy\b|\bpkgutil\b", re.MULTILINE)
    found = {str(path.relative_to("authctl")) for path in MODULES.values() if loads.search((ROOT / path).read_text())}
    assert found == LOADERS


def allowed_exceptions(contracts: list[dict[str, Any]]) -> list[str]:
    """The exceptions of all contracts."""
    return [one for contract in contracts for one in contract.get("ignore_imports", [])]


def test_no_exception_opens_a_rule_to_all():
    """An owner is a module, or the modules of a package that is not authctl itself."""
    exceptions = allowed_exceptions(CONTRACTS)
    assert len(exceptions) > 10
    public = {"authctl.** -> authctl.store.protocol", "authctl.** -> authctl.store.protocol.*"}
    assert {one for one in exceptions if one.startswith("authctl.*")} == public
