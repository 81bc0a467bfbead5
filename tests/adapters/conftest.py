"""One application in each framework, with the adapter before it, and the clients for tests that the frameworks have."""

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry
from authctl.adapters import guard
from tests import places
from tests.installations import make_installation

PROFILES = """\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3d}
  wiping: {on_revoke: wipe}
  bound: {tokens: requested, default_lifetime: 60m, max_lifetime: 1d, bind: address}
  outside: {conditions: {networks: [10.0.0.0/8]}}
  inside: {conditions: {networks: [127.0.0.0/8]}}
  phones: {conditions: {platforms: [iOS]}}
  current: {conditions: {platforms: ["iOS *"], minimum_versions: {Outlook: "16.0.5000"}}}
"""


@dataclass
class Answer:
    """An answer of an application."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


Ask = Callable[..., Answer]
"""Sends one GET to a path, with the headers that are given."""


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with the profiles above; the variable names its registry, where that is on a server."""
    made = tmp_path / "home"
    if places.ON_POSTGRES:
        monkeypatch.setenv("AUTHCTL_REGISTRY", str(places.place_in(made)))
    make_installation(made, PROFILES)
    return made


@pytest.fixture
def registry(home: Path) -> Iterator[Registry]:
    """The registry, as an administrator has it open."""
    with Registry.open(home, registry=places.place_in(home)) as opened:
        yield opened


def starlette_test_client() -> Any:
    """The module of Starlette's client for tests, which warns of the httpx that is used here."""
    pytest.importorskip("starlette", reason="starlette is not installed: it comes with .[dev]")
    pytest.importorskip("httpx", reason="httpx is not installed: it comes with .[dev]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette import testclient
    return testclient


def _starlette(source: Any, **options: Any) -> Ask:
    testclient = starlette_test_client()
    from tests.adapters.starlette_site import application

    client = testclient.TestClient(application(source, **options), client=("127.0.0.1", 50_000))

    def ask(path: str, headers: dict[str, str] | None = None) -> Answer:
        answer = client.get(path, headers=headers or {})
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    return ask


def _flask(source: Any, **options: Any) -> Ask:
    pytest.importorskip("flask", reason="flask is not installed: it comes with .[dev]")
    from tests.adapters.flask_site import application

    made = application(source, **options)

    def ask(path: str, headers: dict[str, str] | None = None) -> Answer:
        answer = made.test_client(use_cookies=False).get(path, headers=headers or {})
        return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers}, answer.data)

    return ask


def _django(source: Any, **options: Any) -> Ask:
    pytest.importorskip("django", reason="django is not installed: it comes with .[dev]")
    from tests.adapters.django_site import client

    made = client(source, **options)

    def ask(path: str, headers: dict[str, str] | None = None) -> Answer:
        answer = made.get(path, headers=headers or {})
        return Answer(answer.status_code, {name.lower(): value for name, value in answer.items()}, answer.content)

    return ask


@pytest.fixture(autouse=True)
def registries_of_guards_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the registries that adapters opened: they leave that to the end of their process, and the driver warns of it before."""
    opened: list[Registry] = []
    real = guard._Process.open

    def remembered(process: Any, source: Any) -> Registry:
        opened.append(real(process, source))
        return opened[-1]

    monkeypatch.setattr(guard._Process, "open", remembered)
    yield
    for registry in opened:
        registry.close()


@pytest.fixture(params=[_starlette, _django, _flask], ids=["starlette", "django", "flask"])
def site(request: pytest.FixtureRequest) -> Callable[..., Ask]:
    """A function that makes the application in one framework, with the adapter over a registry or a home."""
    return request.param
