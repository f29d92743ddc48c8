"""The apps that a rider has registered: made, changed, deleted. `make app` makes the operator's."""

import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from api.apps import store
from api.apps.state import AppsRequest
from api.apps.wire import AppChange, AppDeletion, AppList, ChangeApp, CreateApp, FreshApp
from api.identity.auth import Caller, refuse_local, require_open_key
from api.identity.store import write_audit
from api.repeats.once import once
from api.web.body import JSON, read_json
from api.web.problems import Conflict, Fault, LimitReached, NotFound, RevokedSince, Unprocessable
from api.web.query import id_in_path
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection
from shared.credentials import hash_key
from shared.redirects import redirect_fault

MOST_APPS: Final = 20  # of a user


async def list_apps(request: AppsRequest, caller: Caller) -> Response:
    """The apps that the caller has registered."""
    return json_response(AppList(await store.list_apps(request.state["database"], caller.user_id)))


async def register_app(request: AppsRequest, caller: Caller) -> Response:
    """Register an app, which can then ask any rider of the service to be let in by OAuth 2.1."""
    refuse_local(caller)
    wanted = await read_json(request, CreateApp, request.state["settings"])
    _require_redirects(wanted.redirect_uris)
    secret = secrets.token_urlsafe(32) if wanted.confidential else None
    async with once(request, str(caller.user_id), wanted) as made:
        connection, user_id = made.connection, caller.user_id
        await require_open_key(connection, caller)
        if made.answer:
            return await _show_again(connection, caller, made.answer)
        await request.state["throttle"].admit_key(user_id)
        if await store.count_apps(connection, user_id) >= MOST_APPS:
            raise LimitReached(f"there are {MOST_APPS} apps already: delete one")
        hash_ = hash_key(secret) if secret else None
        app = await store.create_app(connection, user_id, wanted.name, wanted.redirect_uris, hash_)
        detail = {"app": str(app.id), "name": app.name, "redirectUris": app.redirect_uris}
        await write_audit(connection, user_id, "register_app", detail, key_id=caller.key_id)
        fresh = json_response(FreshApp(app, secret), HTTPStatus.CREATED)
        return await made.keep(user_id, fresh)


async def update_app(request: AppsRequest, caller: Caller) -> Response:
    """Change an app's name, or where browsers bring its codes. Riders who let it in still do."""
    wanted = await read_json(request, ChangeApp, request.state["settings"])
    name = wanted.name or None
    uris = wanted.redirect_uris or None
    _require_redirects(uris or [])
    app_id, user_id = id_in_path(request, "app", "app"), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        app = await store.change_app(connection, user_id, app_id, name, uris)
        if app is None:
            raise NotFound("no such app")
        detail = {"app": str(app_id), "name": app.name, "redirectUris": app.redirect_uris}
        await write_audit(connection, user_id, "change_app", detail, key_id=caller.key_id)
    return json_response(AppChange(app))


async def rotate_app_secret(request: AppsRequest, caller: Caller) -> Response:
    """Give a confidential app a new secret; the old one ends at once, and no rider is lost by it.

    What the app was given stays: codes, refresh tokens and access tokens.
    """
    app_id, user_id = id_in_path(request, "app", "app"), caller.user_id
    secret = secrets.token_urlsafe(32)
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        if await store.find_own_app(connection, user_id, app_id) is None:
            raise NotFound("no such app")
        app = await store.rotate_secret(connection, user_id, app_id, hash_key(secret))
        if app is None:
            raise Conflict("the app is not confidential: it has no secret")
        detail = {"app": str(app_id)}
        await write_audit(connection, user_id, "rotate_app_secret", detail, key_id=caller.key_id)
    return json_response(FreshApp(app, secret), HTTPStatus.CREATED)


async def delete_app(request: AppsRequest, caller: Caller) -> Response:
    """Delete an app; riders who have let it in are rid of it."""
    app_id, user_id = id_in_path(request, "app", "app"), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        if not await store.delete_app(connection, user_id, app_id):
            raise NotFound("no such app")
        detail = {"app": str(app_id)}
        await write_audit(connection, user_id, "delete_app", detail, key_id=caller.key_id)
    request.state["authenticator"].forget_app(app_id)
    return json_response(AppDeletion())


def _require_redirects(uris: Sequence[str]) -> None:
    """Raises Unprocessable for addresses to which no browser is sent."""
    faults = [
        Fault(fault, f"redirectUris[{at}]")
        for at, uri in enumerate(uris)
        if (fault := redirect_fault(uri))
    ]
    if faults:
        raise Unprocessable(f"{faults[0].member} {faults[0].detail}", faults)


async def _show_again(connection: BoundedConnection, caller: Caller, answer: Response) -> Response:
    """The first answer. Raises RevokedSince."""
    made = msgspec.json.decode(answer.body, type=FreshApp)
    if await store.find_own_app(connection, caller.user_id, made.app.id) is None:
        raise RevokedSince("the app that this request made was deleted since")
    return answer


OPERATIONS = Operations(
    "apps",
    "Apps of others, by OAuth 2.1",
    (
        Operation("GET", "/api/apps", list_apps, {HTTPStatus.OK: AppList}, "admin"),
        Operation(
            "POST",
            "/api/apps",
            register_app,
            {HTTPStatus.CREATED: FreshApp},
            "admin",
            body={JSON: CreateApp},
            example={
                "name": "Ride Poster",
                "redirectUris": ["https://poster.example/signed-in"],
                "confidential": True,
            },
            headers=("Cache-Control",),
            refusals={
                **CONFLICT,
                HTTPStatus.TOO_MANY_REQUESTS: "Made too many; wait for Retry-After",
            },
            makes=("app", "$response.body#/app/id"),
            takes_key=True,
        ),
        Operation(
            "PATCH",
            "/api/apps/{app}",
            update_app,
            {HTTPStatus.OK: AppChange},
            "admin",
            body={JSON: ChangeApp},
            example={"redirectUris": ["https://poster.example/signed-in"]},
        ),
        Operation(
            "POST",
            "/api/apps/{app}/rotate",
            rotate_app_secret,
            {HTTPStatus.CREATED: FreshApp},
            "admin",
            headers=("Cache-Control",),
            refusals=CONFLICT,
        ),
        Operation("DELETE", "/api/apps/{app}", delete_app, {HTTPStatus.OK: AppDeletion}, "admin"),
    ),
)
