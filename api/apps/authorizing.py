"""What an app asks a rider for, and the answer that the browser brings it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import OAuth2Error

from api.apps import store
from api.apps.issuer import issuer_of
from api.apps.protocol import Client, OAuthRequest, Pairs, Server
from api.apps.state import AppsState
from api.apps.store import NewGrant, StoredApp
from api.identity.auth import Caller, require_open_key
from api.identity.store import write_audit
from api.web.problems import Forbidden, NotFound
from shared.credentials import hash_key

# Grants of one app and rider: a rider's devices and browsers. The oldest ends when there are more.
MOST_GRANTS: Final = 20
_MOST_PARAMETERS: Final = 100


@dataclass(frozen=True)
class Asked:
    """What an app asks for, well-formed, and where it is answered.

    ``named_uri``: that address, if the app has named it.
    """

    app: StoredApp
    scopes: Sequence[str]
    redirect_uri: str
    named_uri: str | None
    challenge: str
    pairs: Pairs


class Malformed(Exception):
    """A request that no rider is asked about.

    ``location``: where the app hears of it; None where it is not known whose request it is, and so
    the rider alone is told.
    """

    def __init__(self, detail: str, location: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.location = location


async def read_asked(state: AppsState, query: str) -> Asked:
    """What a query asks for. Raises Malformed."""
    try:
        pairs = _readable(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        raise Malformed(f"There are over {_MOST_PARAMETERS} parameters.") from None
    server = await _server_of(state, pairs)
    request = OAuthRequest("GET", pairs)
    try:
        grant: Any = server.get_consent_grant(request)
    except OAuth2Error as error:
        raise _malformed(state, error) from None
    client: Client = request.client
    named = request.payload.redirect_uri or None
    challenge = request.payload.data["code_challenge"]
    return Asked(client.app, request.scope.split(), grant.redirect_uri, named, challenge, pairs)


async def allow(state: AppsState, asked: Asked, caller: Caller) -> str:
    """Let the app in by a code; where the browser brings it.

    Raises Forbidden for a key that may not let apps in, NotFound if the app is gone meanwhile,
    Unauthorized, TooManyRequests.
    """
    if "admin" not in caller.scopes:
        raise Forbidden("a key that may only read or upload lets no app in")
    await state["throttle"].admit_key(caller.user_id)
    location, code = _answer(state, asked, caller.user_id)
    async with state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        grant = NewGrant(
            app_id=asked.app.id,
            user_id=caller.user_id,
            scopes=asked.scopes,
            redirect_uri=asked.named_uri,
            code_hash=hash_key(code or ""),
            code_challenge=asked.challenge,
        )
        if not await store.create_grant(connection, grant):
            raise NotFound("no such app")
        detail = {"app": str(asked.app.id), "scopes": list(asked.scopes)}
        await write_audit(connection, caller.user_id, "connect_app", detail, key_id=caller.key_id)
    return location


def deny(state: AppsState, asked: Asked) -> str:
    """Where the browser tells the app that it is not let in."""
    location, _ = _answer(state, asked, None)
    return location


def _answer(state: AppsState, asked: Asked, user_id: UUID | None) -> tuple[str, str | None]:
    """Where the browser goes, and the code in that address; None if ``user_id`` is."""
    server, request = Server(Client(asked.app)), OAuthRequest("POST", asked.pairs)
    grant = server.get_consent_grant(request)
    reply = server.create_authorization_response(request, grant_user=user_id, grant=grant)
    return _from_us(state, reply.location), server.code


async def _server_of(state: AppsState, pairs: Pairs) -> Server:
    app_id = id_of(dict(pairs).get("client_id", ""))
    app = await store.find_app(state["database"], app_id) if app_id else None
    return Server(Client(app) if app else None)


def id_of(client_id: str) -> UUID | None:
    """The id of an app; None if the text is none, as we write them."""
    try:
        app_id = UUID(client_id)
    except ValueError:
        return None
    return app_id if str(app_id) == client_id else None


def _readable(pairs: Pairs) -> Pairs:
    """The parameters, but a kind of answer that there is not: authlib takes not every character."""
    known = ("", "code")
    return [
        (name, "unknown" if name == "response_type" and value not in known else value)
        for name, value in pairs
    ]


def _malformed(state: AppsState, error: Any) -> Malformed:
    detail = str(error.get_error_description() or error.error)
    if not error.redirect_uri:
        return Malformed(detail)
    _, _, headers = error()
    return Malformed(detail, _from_us(state, dict(headers)["Location"]))


def _from_us(state: AppsState, location: str) -> str:
    """The address, which also says whose answer it brings (RFC 9207)."""
    return str(add_params_to_uri(location, [("iss", issuer_of(state["settings"]))]))
