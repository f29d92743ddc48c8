"""Uploads: a batch a request, or a batch a message of a WebSocket."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.identity.auth import Caller
from api.ingest.batch import NDJSON, Batch, Limits, PackedBatch, Sample
from api.ingest.fast_lane import MOST_PARSED_AT_ONCE, FastLane
from api.ingest.node_writer import settle
from api.ingest.parsing import pack_batch
from api.ingest.receipts import Receipt, receipt_of
from api.ingest.sockets import SocketPlace
from api.ingest.state import IngestRequest, IngestState
from api.ingest.unknown import unknown_names
from api.web.body import JSON, content_type, read_body
from api.web.cors import require_origin
from api.web.fast_lane import FAST_LANE
from api.web.problems import Forbidden, NotFound, Unauthorized, answer_to
from api.web.query import PREFER_LENIENT, is_lenient, workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared import tracing

PATH: Final = "/api/workouts/{id}/telemetry"
# Bytes of a WebSocket message. uvicorn holds what it has of one before our budget can count it, so
# it is kept small: a message is a live batch, and rides afterwards come by requests.
MAX_MESSAGE: Final = 256 * 1024
_POLICY: Final = 1008  # WebSocket close code
# After these no further message can succeed.
_FINAL: Final = (Unauthorized, Forbidden, NotFound)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """Where batches go, and who sends them how."""

    workout_id: UUID
    caller: Caller
    finished: bool
    media_type: str
    lenient: bool


@dataclass(frozen=True)
class Entry:
    """A batch in its stream form. ``finished``: whether the ride is known to be over."""

    batch: bytes
    samples: int
    finished: bool


async def append(state: IngestState, workout_id: UUID, user_id: UUID, entry: Entry) -> str:
    """Add a batch to the stream of the user's ride, within the bounds of both.

    Returns the epoch, as the writer does. Raises Conflict, TooManyRequests, NotFound,
    ServiceUnavailable.
    """
    with (
        state["ride_sizes"].taking(workout_id, user_id, entry.samples),
        state["waiting"].taking(user_id, workout_id, len(entry.batch)),
        tracing.span("append to Redis", workout_id),
    ):
        epoch = await state["writer"].append(workout_id, entry.batch, finished=entry.finished)
    state["counts"].note_batch(entry.samples)
    return epoch


async def upload_telemetry(request: IngestRequest, caller: Caller) -> Response:
    """Store a batch of samples. Sending one again is harmless.

    A bare array of samples is taken as well as an object.
    """
    state, workout_id = request.state, workout_id_of(request)
    finished = await state["ownerships"].is_finished(workout_id, caller.user_id)
    _require_room(state, workout_id, caller)
    body = await read_body(request, state["settings"])
    target = Target(workout_id, caller, finished, content_type(request), is_lenient(request))
    receipt = await _store(state, target, body)
    return json_response(receipt, HTTPStatus.ACCEPTED, state["quota"].headers(caller.user_id))


async def upload_live(scope: Scope, receive: Receive, send: Send) -> None:
    """Store each message of a WebSocket as a batch, and answer each: a receipt, or a problem.

    Messages are answered in order: the next one is read once the last is answered. The key is
    checked for each, and every few seconds while none comes: once it is revoked, or the workout
    deleted, the last message is the problem, and the connection is closed.
    """
    socket = WebSocket(scope, receive, send)
    state: IngestState = scope["state"]
    with ExitStack() as stack:
        try:
            require_origin(socket, state["settings"].cors_origins)
            target = await _find_target(socket)
            admitted = state["sockets"].admit(target.caller, target.workout_id)
            place = stack.enter_context(admitted)
        except Exception as error:
            await socket.send_denial_response(await answer_to(socket, error))
            return
        await socket.accept()
        with suppress(WebSocketDisconnect):
            while await _answer_message(socket, place):
                pass
            await socket.close(_POLICY)


async def _answer_message(socket: WebSocket, place: SocketPlace) -> bool:
    """Answer the next message, or check the key again first; False to close."""
    message = await place.next_message(socket.receive)
    if message is None:
        return await _check_again(socket)
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    body = message.get("bytes") or (message.get("text") or "").encode()
    try:
        receipt = await _store_fast(socket, body) or await _store_message(socket, body)
    except Exception as error:
        await _send_problem(socket, error)
        return not isinstance(error, _FINAL)
    await socket.send_text(receipt.decode())
    return True


async def _store_fast(socket: WebSocket, body: bytes) -> bytes | None:
    """The receipt of a message that the fast lane takes; None for any other."""
    lane: FastLane | None = socket.scope["state"][FAST_LANE]
    upload = lane and lane.admit_message(socket.scope)
    if not (lane and upload):
        return None
    done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    lane.store(upload, body, partial(settle, done))
    return await done


async def _store_message(socket: WebSocket, body: bytes) -> bytes:
    state, held = socket.scope["state"], dict[str, Any]()
    with state["bodies"].holding(held):
        state["bodies"].take(held, len(body))
        return msgspec.json.encode(await _store(state, await _find_target(socket), body))


async def _check_again(socket: WebSocket) -> bool:
    try:
        await _find_target(socket)
    except _FINAL as error:
        await _send_problem(socket, error)
        return False
    except Exception as error:  # the next look through all of them checks again
        logger.warning("could not check an open WebSocket: %r", error)
    return True


async def _send_problem(socket: WebSocket, error: Exception) -> None:
    await socket.send_text(_with_headers(await answer_to(socket, error)))


def _with_headers(problem: Response) -> str:
    """A problem as a message, with the one header that a message cannot have."""
    document = msgspec.json.decode(bytes(problem.body))
    if retry_after := problem.headers.get("retry-after"):
        document["retryAfter"] = int(retry_after)
    return msgspec.json.encode(document).decode()


async def _find_target(connection: HTTPConnection[Any]) -> Target:
    """Raises Unauthorized, Forbidden, NotFound."""
    state: IngestState = connection.scope["state"]
    caller = await state["authenticator"].authenticate(connection, "upload")
    connection.scope["user_id"] = caller.user_id  # for the access log
    workout_id = workout_id_of(connection)
    finished = await state["ownerships"].is_finished(workout_id, caller.user_id)
    return Target(workout_id, caller, finished, JSON, is_lenient(connection))


async def _store(state: IngestState, target: Target, body: bytes) -> Receipt:
    batch, ignored = await _pack(state, target, body)
    if not batch.samples:
        return receipt_of(batch, await state["writer"].epoch(target.workout_id), ignored)
    user_id = target.caller.user_id
    entry = Entry(batch.entry, batch.samples, finished=target.finished)
    with state["quota"].taking(user_id, batch.samples):
        epoch = await append(state, target.workout_id, user_id, entry)
    return receipt_of(batch, epoch, ignored)


def _require_room(state: IngestState, workout_id: UUID, caller: Caller) -> None:
    """Raises what an upload of a single sample would, before a body is read."""
    state["quota"].require(caller.user_id)
    state["ride_sizes"].require(workout_id, caller.user_id)
    state["waiting"].require(caller.user_id)


async def _pack(
    state: IngestState, target: Target, body: bytes
) -> tuple[PackedBatch, dict[str, str | None]]:
    """The batch, and which of its members are ignored."""
    removed = state["ownerships"].removed_from(target.workout_id)
    now, most = time.time_ns() // 1_000_000, state["settings"].max_batch_samples
    limits = Limits.at(now, most, removed)
    is_first = partial(state["first_batches"].has_next, target.workout_id)
    pack = partial(_pack_body, body, target, limits, is_first)
    # A large body would hold up every other request; a small one is parsed sooner than handed over.
    return pack() if len(body) <= MOST_PARSED_AT_ONCE else await asyncio.to_thread(pack)


def _pack_body(
    body: bytes, target: Target, limits: Limits, is_first: Callable[[], bool]
) -> tuple[PackedBatch, dict[str, str | None]]:
    batch = pack_batch(body, target.media_type, limits, lenient=target.lenient)
    # A batch that is refused or empty is none of the first: its answer lists nothing.
    is_looked_at = batch.samples and is_first()
    return batch, unknown_names(body, target.media_type) if is_looked_at else {}


OPERATIONS = Operations(
    "telemetry",
    "Send samples, read them back, and ask what is held of them",
    (
        Operation(
            "POST",
            PATH,
            upload_telemetry,
            {HTTPStatus.ACCEPTED: Receipt},
            "upload",
            body={JSON: Batch, NDJSON: Sample},  # a union beside lines is no Python of generators
            prefer=PREFER_LENIENT,
            is_open=True,  # devices send extras
            example={
                "samples": [
                    {"timestamp": 1700000000000, "power": 210, "cadence": 90},
                    {"timestamp": 1700000001000, "power": 214, "heartrate": 131},
                ]
            },
            headers=("RateLimit", "RateLimit-Policy"),
            refusals={
                HTTPStatus.CONFLICT: "The workout has as many samples as one may have",
                HTTPStatus.TOO_MANY_REQUESTS: "The user's samples of this minute are used up, or"
                " too many of them wait to be archived",
            },
        ),
    ),
)
