"""What OAuth clients ask beside the page of consent: outside the API, by its own rules.

These endpoints are no operations of the document: they take forms and answer errors as RFC 6749
says, and clients find them by the metadata.
"""

from starlette.routing import BaseRoute

from api.apps.issuer import METADATA_PATH, REVOKE_PATH, TOKEN_PATH, get_metadata
from api.apps.tokens import FormEndpoint, issue_tokens, revoke_token
from api.web.routing import Route


def routes() -> list[BaseRoute]:
    """For the application."""
    return [
        Route(METADATA_PATH, get_metadata),
        Route(TOKEN_PATH, FormEndpoint(issue_tokens)),
        Route(REVOKE_PATH, FormEndpoint(revoke_token)),
    ]
