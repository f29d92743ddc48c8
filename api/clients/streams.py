"""Named streams: create, send, read, list, listen, delete."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from api.clients.bodies import read_object
from api.clients.listening import connected, deleted
from api.clients.messages import read_message
from api.clients.state import ClientsRequest, ClientsState
from api.identity.auth import Caller
from api.live.feed import HEARTBEAT
from api.live.stream import MEDIA, EventStream
from api.live.viewers import Ticket, Viewer
from api.web.problems import BadRequest, NotFound
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.streams import checked_name

_DAY: Final = 86_400_000  # ms
_MOST: Final = 1000  # messages of an answer
_USUAL: Final = 100
_HEARTBEAT_EVERY: Final = 15.0  # seconds
_HEADERS: Final = {
    "Content-Type": MEDIA,
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}
_BOUND: Final = re.compile(r"[-+]|\(?[0-9]{1,20}(-[0-9]{1,20})?", re.ASCII)
_LARGEST: Final = 2**64 - 1  # half of a Redis id
_COUNT: Final = re.compile(r"\s*\+?([0-9]{1,18})", re.ASCII)


async def create_stream(request: ClientsRequest, caller: Caller) -> Response:
    """Create a stream; again is fine."""
    body = await read_object(request)
    name = checked_name(body.get("streamName"))
    state = request.state
    with state["quota"].taking(caller.user_id, 1):
        id_ = await state["stream_log"].create(caller.user_id, name, _now())
    return _success(streamName=name, messageId=id_, message=f"Stream {name} is ready")


async def send_message(request: ClientsRequest, caller: Caller) -> Response:
    """Send a message; one that is a sample belongs to the ride that the stream feeds."""
    name, state = _name_in_path(request), request.state
    state["quota"].require(caller.user_id)
    message = read_message(await read_object(request), _now())
    id_ = await state["stream_rides"].send(caller.user_id, name, message)
    return _success(messageId=id_, streamName=name)


async def read_messages(request: ClientsRequest, caller: Caller) -> Response:
    """What the stream was told, between two ids."""
    name, query = _name_in_path(request), request.query_params
    start, end = _bound_of(query, "start", "-"), _bound_of(query, "end", "+")
    found = await request.state["stream_log"].read(
        caller.user_id, name, start, end, _count_of(query.get("count", ""))
    )
    for _, data in found:
        data.pop("moment", None)  # it is the ride's, not what was sent
    messages = [{"id": id_, "data": data} for id_, data in found]
    return json_response({"streamName": name, "messages": messages})


async def list_streams(request: ClientsRequest, caller: Caller) -> Response:
    """The caller's streams."""
    streams = [
        {
            "name": each.name,
            "length": each.length,
            "firstMessageId": each.first_id,
            "lastMessageId": each.last_id,
        }
        for each in await request.state["stream_log"].list_streams(caller.user_id)
    ]
    return json_response({"streams": streams})


async def listen(request: ClientsRequest, caller: Caller) -> Response:
    """What a stream is told from now on, as server-sent events, until it is deleted."""
    return _listen(request, caller, _name_in_path(request))


async def listen_to_all(request: ClientsRequest, caller: Caller) -> Response:
    """What any of the caller's streams is told from now on."""
    return _listen(request, caller, None)


async def delete_stream(request: ClientsRequest, caller: Caller) -> Response:
    """Delete a stream; the ride that it feeds stays."""
    try:
        name = _name_in_path(request)
    except BadRequest:
        raise NotFound("no such stream") from None
    if not await request.state["stream_log"].delete(caller.user_id, name):
        raise NotFound("no such stream")
    return _success(message=f"Stream {name} is deleted")


async def clean_up(request: ClientsRequest, caller: Caller) -> Response:
    """Delete the streams that have been silent for long; the rides that they feed stay."""
    text = request.query_params.get("retention", "")
    retention = int(text) if text.isascii() and text.isdigit() else _DAY
    log, count = request.state["stream_log"], 0
    for name in await log.names(caller.user_id, before=_now() - retention + 1):
        count += await log.delete(caller.user_id, name)
    return _success(deletedCount=count, message=f"{count} streams are deleted")


class _Listen(EventStream):
    """The events of one listener."""

    def __init__(self, state: ClientsState, caller: Caller, name: str | None) -> None:
        ticket = Ticket("key", caller.key_id, caller.user_id)
        super().__init__(state["watching"].viewers, ticket, _HEADERS)
        self._state = state
        self._user_id = caller.user_id
        self._name = name

    async def _pieces(self, viewer: Viewer) -> AsyncIterator[bytes]:
        async with self._state["listening"].listen(viewer, self._user_id, self._name):
            yield connected(self._name)
            log = self._state["stream_log"]
            if self._name and not await log.exists(self._user_id, self._name):
                yield deleted(self._name)
                return
            async for piece in _told(viewer):
                yield piece


async def _told(viewer: Viewer) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_HEARTBEAT_EVERY):
                events = await viewer.next_events()
        except TimeoutError:  # so that nobody on the way takes a quiet stream for a dead one
            yield HEARTBEAT
            continue
        if not events:
            return
        for each in filter(None, events):
            yield each


def _listen(request: ClientsRequest, caller: Caller, name: str | None) -> Response:
    answer = _Listen(request.state, caller, name)
    request.state["watching"].viewers.require_room(answer.ticket)
    return answer


def _name_in_path(request: ClientsRequest) -> str:
    """The stream's name; of a path without a parameter, such as that of `create`, its end."""
    last = request.url.path.rpartition("/")[2]
    return checked_name(request.path_params.get("name", last))


def _bound_of(query: Mapping[str, str], member: str, usual: str) -> str:
    """An end of a range of ids. Raises BadRequest."""
    text = query.get(member) or usual
    if text == " ":  # what a + that is typed as it is becomes
        text = "+"
    halves = (int(half) for half in text.strip("(-+").split("-") if half.isdigit())
    if not _BOUND.fullmatch(text) or any(half > _LARGEST for half in halves):
        raise BadRequest(f"{member}={text!r} is neither an id of a message nor - nor +")
    return text


def _count_of(text: str) -> int:
    found = _COUNT.match(text)
    return min(int(found[1]), _MOST) if found and int(found[1]) else _USUAL


def _now() -> int:
    return time.time_ns() // 1_000_000


def _success(**members: Any) -> Response:
    return json_response({"success": True, **members})


OPERATIONS: Final = Operations(
    "streams",
    "Named streams, for clients of the original service",
    (
        Operation("GET", "/api/streams", list_streams, {HTTPStatus.OK: dict}, "read"),
        Operation("POST", "/api/streams/create", create_stream, {HTTPStatus.OK: dict}, "upload"),
        Operation("DELETE", "/api/streams/create", delete_stream, {HTTPStatus.OK: dict}, "admin"),
        Operation("DELETE", "/api/streams/cleanup", clean_up, {HTTPStatus.OK: dict}, "admin"),
        Operation(
            "GET",
            "/api/streams/listenAll",
            listen_to_all,
            {HTTPStatus.OK: bytes},
            "read",
            key_in_query=True,
        ),
        Operation(
            "DELETE", "/api/streams/listenAll", delete_stream, {HTTPStatus.OK: dict}, "admin"
        ),
        Operation("DELETE", "/api/streams/{name}", delete_stream, {HTTPStatus.OK: dict}, "admin"),
        Operation(
            "GET", "/api/streams/{name}/messages", read_messages, {HTTPStatus.OK: dict}, "read"
        ),
        Operation(
            "POST", "/api/streams/{name}/messages", send_message, {HTTPStatus.OK: dict}, "upload"
        ),
        Operation(
            "GET",
            "/api/streams/{name}/listen",
            listen,
            {HTTPStatus.OK: bytes},
            "read",
            key_in_query=True,
        ),
    ),
)
