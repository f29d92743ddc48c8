"""The apps that a rider has let in, and how that ends."""

from http import HTTPStatus
from uuid import UUID

from starlette.responses import Response

from api.apps import store
from api.apps.state import AppsRequest, AppsState
from api.apps.wire import ConnectionList, Disconnection
from api.identity.auth import Caller
from api.identity.store import write_audit
from api.web.problems import NotFound
from api.web.query import id_in_path
from api.web.responses import json_response
from api.web.routing import Operation, Operations


async def list_connections(request: AppsRequest, caller: Caller) -> Response:
    """The apps that the caller has let in."""
    connections = await store.list_connections(request.state["database"], caller.user_id)
    return json_response(ConnectionList(connections))


async def end_connection(request: AppsRequest, caller: Caller) -> Response:
    """Let an app in no longer: on every device, all its tokens end at once."""
    await disconnect(request.state, caller, id_in_path(request, "app", "app"))
    return json_response(Disconnection())


async def disconnect(state: AppsState, caller: Caller, app_id: UUID) -> None:
    """End all by which a user lets an app in. Raises NotFound."""
    user_id = caller.user_id
    async with state["database"].connection() as connection, connection.transaction():
        if not await store.revoke_grants(connection, user_id, app_id):
            raise NotFound("no such app is let in")
        detail = {"app": str(app_id)}
        await write_audit(connection, user_id, "disconnect_app", detail, key_id=caller.key_id)
    state["authenticator"].forget_user(user_id)


OPERATIONS = Operations(
    "apps",
    "Apps of others, by OAuth 2.1",
    (
        Operation(
            "GET", "/api/connections", list_connections, {HTTPStatus.OK: ConnectionList}, "admin"
        ),
        Operation(
            "DELETE",
            "/api/connections/{app}",
            end_connection,
            {HTTPStatus.OK: Disconnection},
            "admin",
        ),
    ),
)
