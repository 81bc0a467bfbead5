"""GET /.well-known/oauth-authorization-server: the addresses and abilities of the door (RFC 8414)."""

from typing import TYPE_CHECKING

from authctl.door.answers import Answer, json_answer
from authctl.door.requests import Request

if TYPE_CHECKING:
    from authctl.door.application import Door


async def answer(door: "Door", request: Request) -> Answer:  # noqa: ARG001  # as every route has it
    """Answer with the metadata."""
    issuer = door.settings.issuer.rstrip("/")
    methods = ["client_secret_basic", "client_secret_post"]
    if door.settings.client_ca is not None:
        methods.append("self_signed_tls_client_auth")
    return json_answer(
        {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/token",
            "introspection_endpoint": f"{issuer}/introspect",
            "revocation_endpoint": f"{issuer}/revoke",
            "response_types_supported": [],
            "grant_types_supported": ["refresh_token"],
            **{f"{name}_endpoint_auth_methods_supported": methods for name in ("token", "introspection", "revocation")},
        }
    )
