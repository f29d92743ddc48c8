"""The metadata of the authorization server (RFC 8414): where a client finds what."""

from typing import Any, Final

from starlette.responses import Response

from api.apps.protocol import METHODS
from api.apps.wire import SCOPES
from api.web.responses import json_response
from api.web.state import Request
from shared.settings import Settings

METADATA_PATH: Final = "/.well-known/oauth-authorization-server"
AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - no password
REVOKE_PATH: Final = "/oauth/revoke"


def issuer_of(settings: Settings) -> str:
    """The service's name among authorization servers."""
    return settings.public_url.rstrip("/")


def metadata_of(settings: Settings) -> dict[str, Any]:
    """What a client needs to know."""
    issuer = issuer_of(settings)
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE_PATH,
        "token_endpoint": issuer + TOKEN_PATH,
        "revocation_endpoint": issuer + REVOKE_PATH,
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/docs",
    }


async def get_metadata(request: Request[Any]) -> Response:
    """The metadata."""
    return json_response(metadata_of(request.state["settings"]))
