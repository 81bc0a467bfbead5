"""JupyterHub: started in a folder, with users who make tokens and browsers that sign in, and listings of tokens.

The hub runs without its proxy, which needs Node.js and would lead to the servers of users; no server is started here.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.ports import free_port
from tests.real_systems.listings import Listing
from tests.real_systems.programs import Program, python_of
from tests.real_systems.web import Client

LISTER_TOKEN = "made-up-token-of-the-service-lister"
WIKI_TOKEN = "made-up-token-of-the-service-wiki-1"
WIKI = "service-wiki"
RETURN = "http://127.0.0.1/services/wiki/oauth_callback"
"""The address to which a browser is sent back with a code; nobody listens there, and no request goes there."""

CONFIGURATION = """\
from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    should_start = False
    routes = {{}}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.routes)


c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = {users!r}
c.JupyterHub.services = [
    {{"name": "lister", "api_token": {lister!r}}},
    {{
        "name": "wiki",
        "url": "http://127.0.0.1:{port}",
        "api_token": {wiki_token!r},
        "oauth_client_id": {wiki!r},
        "oauth_redirect_uri": {back!r},
        "oauth_no_confirm": True,
    }},
]
c.JupyterHub.load_roles = [
    {{"name": "lister", "services": ["lister"], "scopes": ["list:users", "tokens"]}},
    {{"name": "user", "scopes": ["self", "access:services"]}},
]
"""


class Browser:
    """A browser in which a user is signed in at the hub."""

    def __init__(self, port: int, name: str) -> None:
        self.client = Client(port)
        self.client.ask("GET", "/hub/login")
        guard = next(cookie.value for cookie in self.client.cookies if cookie.name == "_xsrf")
        form = {"username": name, "password": "any", "_xsrf": guard}
        assert self.client.ask("POST", "/hub/login", form=form).status == 302

    def open_wiki(self) -> str:
        """The token that the wiki gets for this user by OAuth."""
        asked = {"client_id": WIKI, "redirect_uri": RETURN, "response_type": "code", "state": "made up"}
        answer = self.client.ask("GET", f"/hub/api/oauth2/authorize?{urlencode(asked)}")
        assert answer.status == 302, (answer.status, answer.body)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"client_id": WIKI, "client_secret": WIKI_TOKEN, "redirect_uri": RETURN}
        form |= {"grant_type": "authorization_code", "code": code}
        return str(self.client.ask("POST", "/hub/api/oauth2/token", form=form).json["access_token"])

    def sign_out(self) -> None:
        """Sign out at the hub, as the button does."""
        assert self.client.ask("GET", "/hub/logout").status == 302


class JupyterHub:
    """A hub that runs, with a service that takes listings, and a wiki to which the hub signs users in."""

    def __init__(self, folder: Path, *users: str) -> None:
        python = str(python_of("jupyterhub"))
        self.port = free_port()
        facts = {"lister": LISTER_TOKEN, "wiki_token": WIKI_TOKEN, "wiki": WIKI, "back": RETURN}
        (folder / "config.py").write_text(CONFIGURATION.format(port=self.port, users=set(users), **facts))
        self.client = Client(self.port)
        self.program = Program([python, "-m", "jupyterhub", "--config", "config.py"], folder)
        self.program.wait_until(lambda: self.client.answers("/hub/health"))

    def _administer(self, method: str, path: str, body: object = None) -> bytes:
        answer = self.client.ask(method, f"/hub/api{path}", body=body, token=LISTER_TOKEN)
        assert answer.status < 300, (answer.status, answer.body)
        return answer.body

    def make_token(self, name: str, note: str) -> tuple[str, str]:
        """The id and the text of a token that was made for a user."""
        made = json.loads(self._administer("POST", f"/users/{name}/tokens", {"note": note}))
        return made["id"], made["token"]

    def delete_token(self, name: str, token_id: str) -> None:
        """Delete a token by its id."""
        self._administer("DELETE", f"/users/{name}/tokens/{token_id}")

    def sign_in(self, name: str) -> Browser:
        """A browser in which that user signed in."""
        return Browser(self.port, name)

    def accepts(self, token: str) -> bool:
        """Whether a token is accepted; it is in use by that."""
        return self.client.ask("GET", "/hub/api/user", token=token).status == 200

    def id_of(self, token: str) -> str:
        """The id of a token that is accepted."""
        return str(self.client.ask("GET", "/hub/api/user", token=token).json["token_id"])

    def listing(self, *names: str) -> Listing:
        """The tokens of these users, or of all users of the hub."""
        taken_at = datetime.now(UTC)
        users = list(names) or self._users()
        return Listing(taken_at, {user: self._administer("GET", f"/users/{user}/tokens") for user in users})

    def _users(self) -> list[str]:
        found = json.loads(self._administer("GET", "/users?limit=50"))
        assert len(found) < 50, "more users than one page has"
        return [user["name"] for user in found]
