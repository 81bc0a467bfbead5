"""An application in Flask behind the adapter: a blueprint, and a single view."""

import os
from typing import Any

from flask import Blueprint, Flask, g

from authctl.adapters.flask import Bearer


def application(source: Any = None, **options: Any) -> Flask:
    """An application whose part below `/app`, and whose view `/one`, need a token."""
    made = Flask(__name__)
    bearer = Bearer(source, **({"application": "Outlook"} | options))
    inner = Blueprint("inner", __name__, url_prefix="/app")
    inner.before_request(bearer.check)

    @inner.get("/me")
    def me() -> dict[str, Any]:
        return {"user": g.authctl_session.username, "process": os.getpid()}

    @made.get("/one")
    @bearer.required
    def one() -> dict[str, Any]:
        return {"user": g.authctl_session.username}

    @made.get("/sign-in")
    def sign_in() -> dict[str, str]:
        return {"page": "sign in"}

    made.register_blueprint(inner)
    return made
