"""The token endpoint and the revocation endpoint: forms, answered as RFC 6749 and 7009 say.

What a form names is locked before authlib decides about it, and what it gives is written in the
same transaction: of two uses of one code, or of one refresh token, the second sees the first.

A code or refresh token that comes again ends the grant, for then somebody else may have it. But for
half a minute the same refresh token gives the same answer again: the first one may have been lost.
"""

import binascii
import secrets
from base64 import b64decode
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.apps import store
from api.apps.authorizing import MOST_GRANTS, id_of
from api.apps.protocol import (
    Client,
    Code,
    Issued,
    OAuthRequest,
    Pairs,
    Refresh,
    Reply,
    Revocable,
    Server,
)
from api.apps.state import AppsRequest, AppsState
from api.identity.store import write_audit
from api.web.body import MOST_OF_STRANGERS, content_type, read_body
from api.web.headers import header
from api.web.problems import BadRequest, MethodNotAllowed, Problem, answer_to
from api.web.responses import json_response
from api.web.state import Request
from shared.connections import BoundedConnection
from shared.credentials import hash_key, key_id_of

FORM: Final = "application/x-www-form-urlencoded"
_STRANGE: Final = ("invalid_client", "invalid_grant")
_OF_STATUS: Final = {
    HTTPStatus.TOO_MANY_REQUESTS: "temporarily_unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE: "temporarily_unavailable",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server_error",
}


async def issue_tokens(request: AppsRequest) -> Reply:
    """Tokens for a code or for a refresh token."""
    pairs = await _read_form(request)
    state, fields = request.state, dict(pairs)
    client, asking = await _asking(state, request, pairs)
    async with state["database"].connection() as connection, connection.transaction():
        server = Server(client, *await _held(connection, fields))
        reply: Reply = server.create_token_response(asking)
        if server.is_reused:
            await _end_reused(connection, server.held)
        if server.issued is None:
            return reply
        return await _save(state, connection, fields, server, reply)


async def revoke_token(request: AppsRequest) -> Reply:
    """End a token: with a refresh token all that came of it, and an access token by itself."""
    pairs = await _read_form(request)
    client, asking = await _asking(request.state, request, pairs)
    async with request.state["database"].connection() as connection, connection.transaction():
        server = Server(client, await _revocable(connection, dict(pairs).get("token", "")))
        reply: Reply = server.create_endpoint_response("revocation", asking)
        if (ended := server.revoked) is None:
            return reply
        if ended.access:
            await store.revoke_access_token(connection, ended.access)
        else:
            await store.revoke_grant(connection, ended.grant_id)
            detail = {"app": str(ended.app_id)}
            await write_audit(connection, ended.user_id, "app_revoked_itself", detail)
    request.state["authenticator"].forget_user(ended.user_id)
    return reply


async def _held(
    connection: BoundedConnection, fields: dict[str, str]
) -> tuple[Code | Refresh | None, tuple[str, bytes] | None]:
    """What the form names, locked; and of a refresh token, what its successors are made from."""
    if fields.get("grant_type") == "authorization_code":
        code = await store.lock_code(connection, hash_key(fields.get("code", "")))
        return Code(code) if code else None, None
    text = fields.get("refresh_token", "")
    hash_ = hash_key(text)
    grant = await store.lock_refreshed(connection, hash_)
    token = await store.find_refresh_token(connection, hash_) if grant else None
    if grant is None or token is None:
        return None, None
    return Refresh(grant, token), (text, token.salt or secrets.token_bytes(32))


async def _save(
    state: AppsState,
    connection: BoundedConnection,
    fields: dict[str, str],
    server: Server,
    reply: Reply,
) -> Reply:
    """Write what authlib has given. Raises TooManyRequests."""
    issued, held = server.issued, server.held
    assert issued is not None  # noqa: S101 - narrows the type
    if isinstance(held, Code):
        grant_id, user_id = held.stored.id, held.stored.user_id
        await store.use_code(connection, grant_id)
        await store.revoke_grants(connection, user_id, held.stored.app_id, newest=MOST_GRANTS)
    else:
        assert isinstance(held, Refresh)  # noqa: S101
        assert server.salted  # noqa: S101
        grant_id, user_id = held.grant.id, held.grant.user_id
        if held.stored.used:
            return await _repeat(connection, issued, reply)
        await state["throttle"].admit_refresh(grant_id)
        hash_, salt = hash_key(fields["refresh_token"]), server.salted[1]
        await store.use_refresh_token(connection, grant_id, hash_, salt)
    await store.add_tokens(
        connection, grant_id, user_id, issued.scopes, issued.access, hash_key(issued.refresh)
    )
    return reply


async def _repeat(connection: BoundedConnection, issued: Issued, reply: Reply) -> Reply:
    """The answer that may have been lost: the tokens are stored already, with these scopes."""
    token = await store.find_access_token(connection, issued.access.id)
    if token is None:
        return _refusal(HTTPStatus.BAD_REQUEST, "invalid_grant", "The refresh token was used.")
    return Reply(reply.status, {**reply.body, "scope": " ".join(token.scopes)}, reply.headers)


async def _end_reused(connection: BoundedConnection, held: Any) -> None:
    grant = held.stored if isinstance(held, Code) else held.grant
    await store.revoke_grant(connection, grant.id)
    detail = {"app": str(grant.app_id)}
    await write_audit(connection, grant.user_id, "app_token_reused", detail)


async def _revocable(connection: BoundedConnection, text: str) -> Revocable | None:
    """The token that a text is."""
    hash_ = hash_key(text)
    if key_id := key_id_of(text):
        token = await store.find_access_token(connection, key_id)
        is_it = token is not None and secrets.compare_digest(token.hash, hash_)
        return Revocable.of_access(token) if token and is_it else None
    grant = await store.lock_refreshed(connection, hash_)
    return Revocable.of_refresh(grant) if grant else None


async def _asking(
    state: AppsState, request: AppsRequest, pairs: Pairs
) -> tuple[Client | None, OAuthRequest]:
    """The app that asks, not yet proved, and the request as authlib reads it."""
    basic = _basic_of(header(request, b"authorization"))
    client_id = basic[0] if basic else dict(pairs).get("client_id", "")
    app_id = id_of(client_id)
    app = await store.find_app(state["database"], app_id) if app_id else None
    headers = {"Authorization": header(request, b"authorization")} if basic else {}
    return Client(app) if app else None, OAuthRequest(request.method, pairs, headers)


def _basic_of(authorization: str) -> tuple[str, str] | None:
    """Id and secret of HTTP Basic; None for what is none."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic" or not text.strip():
        return None
    try:
        id_, colon, secret = b64decode(text).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (unquote_plus(id_), unquote_plus(secret)) if colon else None


async def _read_form(request: AppsRequest) -> Pairs:
    """Raises Problem for what is no form, or has a field twice."""
    if content_type(request) != FORM:
        raise BadRequest(f"send a form: Content-Type: {FORM}")
    body = await read_body(request, request.state["settings"], most=MOST_OF_STRANGERS)
    pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    if len({name for name, _ in pairs}) < len(pairs):
        raise BadRequest("a field of the form is there twice")
    return pairs


class FormEndpoint:
    """Serves one of these endpoints as an ASGI application."""

    def __init__(self, handle: Callable[[AppsRequest], Awaitable[Reply]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, errors included."""
        request = Request[Any](scope, receive, send)
        with request.state["bodies"].holding(scope):
            try:
                response = _as_response(await self._answer(request))
            except Exception as error:
                response = await answer_to(request, error)
            await response(scope, receive, send)

    async def _answer(self, request: AppsRequest) -> Reply:
        try:
            if request.method != "POST":
                raise MethodNotAllowed("only POST is possible here", headers={"Allow": "POST"})
            reply = await self._handle(request)
            if isinstance(reply.body, dict) and reply.body.get("error") in _STRANGE:
                await request.state["throttle"].admit_strange_token(request)
        except Problem as problem:
            error = _OF_STATUS.get(problem.status, "invalid_request")
            refusal = _refusal(problem.status, error, problem.detail)
            return Reply(refusal.status, refusal.body, list(problem.headers.items()))
        return reply


def _refusal(status: int, error: str, description: str) -> Reply:
    return Reply(status, {"error": error, "error_description": description}, [])


def _as_response(reply: Reply) -> Response:
    """Without what every answer here has: that nobody keeps it."""
    kept = ("www-authenticate", "allow", "retry-after", "connection")
    own = {name: value for name, value in reply.headers if name.lower() in kept}
    return json_response(reply.body, HTTPStatus(reply.status), own)
