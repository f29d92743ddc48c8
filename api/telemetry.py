"""Telemetry: upload it, read it back, and ask what the server holds."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.auth import Caller
from api.body import JSON, content_type, read_body
from api.parsing import parse_few, parse_upload
from api.preferences import is_lenient, moment_of, read_query, workout_id_of
from api.problems import Fault, Unprocessable
from api.responses import json_response
from api.ride_reader import Ride, read_ride
from api.rows import to_columns, to_csv, to_rows
from api.samples import Limits
from api.state import Request
from api.workout_store import TimeRange, require_workout
from shared import stream_codec
from shared.telemetry import CHANNEL_NAMES, IntArray, Samples, downsample

_MOST_DROPPED_LISTED = 100
_PARSED_AT_ONCE = 256 * 1024  # bytes
_OF_FEW_SAMPLES = 8192  # bytes that such a body hardly exceeds


class Receipt(Struct, rename="camel", omit_defaults=True):
    """The batch is stored. `dropped` lists what a lenient upload left out, at most 100 of it."""

    accepted: int
    received_through: Annotated[
        int | None, Meta(description="The latest timestamp of the batch, in ms")
    ]
    dropped_count: int = 0
    dropped: list[Fault] = []


class Holdings(Struct, rename="camel"):
    """What the server holds of a ride. Timestamps in ms since the epoch."""

    received_through: Annotated[int | None, Meta(description="The latest timestamp held")]
    durable_through: Annotated[
        int | None,
        Meta(description="Every sample received up to here is in PostgreSQL; forget those"),
    ]
    sample_count: int
    missing: Annotated[
        list[TimeRange], Meta(description="Between which samples nothing was received")
    ]


class ReceiptQuery(Struct):
    """What counts as missing."""

    gap: Annotated[float, Meta(gt=0, description="Seconds without a sample")] = 10.0


class TelemetryQuery(Struct, rename="camel"):
    """Which samples, and how."""

    channels: Annotated[str | None, Meta(description="Names, separated by commas")] = None
    from_: Annotated[str | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[str | None, Meta(description="Before this moment")] = None
    resolution: (
        Annotated[int, Meta(ge=1, le=86_400, description="Means over so many seconds")] | None
    ) = None
    format: Literal["samples", "columns", "csv"] | None = None


class Telemetry(Struct, rename="camel"):
    """Samples as objects, or (`format=columns`) as columns."""

    sample_count: int
    samples: list[dict[str, Any]] | UnsetType = UNSET
    columns: dict[str, list[Any]] | UnsetType = UNSET


async def upload_telemetry(request: Request, caller: Caller) -> Response:
    """Store a batch of samples. Sending one again is harmless."""
    state, workout_id = request.state, workout_id_of(request)
    finished = await state["ownerships"].is_finished(workout_id, caller.user_id)
    state["quota"].require(caller.key_id)
    batch = await _read_batch(request)
    count = batch.receipt.accepted
    if count:
        with state["quota"].taking(caller.key_id, count):
            await state["writer"].append(workout_id, batch.entry, finished=finished)
    headers = state["quota"].headers(caller.key_id)
    return json_response(batch.receipt, HTTPStatus.ACCEPTED, headers)


@dataclass(frozen=True)
class _Batch:
    entry: bytes
    receipt: Receipt


async def _read_batch(request: Request) -> _Batch:
    settings = request.state["settings"]
    body, media_type = await read_body(request, settings), content_type(request)
    limits = Limits.at(time.time_ns() // 1_000_000, settings.max_batch_samples)
    if len(body) < _OF_FEW_SAMPLES and media_type == JSON:
        readings = parse_few(body, limits)
        if readings:
            receipt = Receipt(len(readings.timestamps), max(readings.timestamps))
            return _Batch(stream_codec.encode_few(*readings), receipt)
    parse = partial(_parse, body, media_type, limits, lenient=is_lenient(request))
    # A large body would hold up every other request; a small one is parsed sooner than handed over.
    return parse() if len(body) <= _PARSED_AT_ONCE else await asyncio.to_thread(parse)


def _parse(body: bytes, media_type: str, limits: Limits, *, lenient: bool) -> _Batch:
    upload = parse_upload(body, media_type, limits, lenient=lenient)
    samples, dropped = upload.samples, upload.dropped
    if not len(samples):
        return _Batch(b"", Receipt(0, None, len(dropped), dropped[:_MOST_DROPPED_LISTED]))
    latest = int(samples.timestamps.max())
    receipt = Receipt(len(samples), latest, len(dropped), dropped[:_MOST_DROPPED_LISTED])
    return _Batch(stream_codec.encode(samples), receipt)


async def get_receipt(request: Request, caller: Caller) -> Response:
    """What the server holds, so that a device knows what to resend and what it may forget."""
    query = read_query(request, ReceiptQuery)
    workout = await require_workout(request.state, workout_id_of(request), caller)
    ride = await read_ride(request.state, workout, channels=[])
    return json_response(holdings(ride, query.gap))


async def get_telemetry(request: Request, caller: Caller) -> Response:
    """The samples of a ride, those still waiting for a worker included."""
    query = read_query(request, TelemetryQuery)
    channels = _channels(query.channels)
    moments = moment_of(query.from_, "from"), moment_of(query.to, "to")
    chosen = query.format or ("csv" if _wants_csv(request) else "samples")
    workout = await require_workout(request.state, workout_id_of(request), caller)
    ride = await read_ride(request.state, workout, channels)

    def render() -> Response:
        samples = _narrow(ride.samples(), *moments, channels)
        if query.resolution:
            samples = downsample(samples, query.resolution)
        return _render(samples, chosen)

    return await asyncio.to_thread(render)


def holdings(ride: Ride, gap_seconds: float) -> Holdings:
    """What of a ride has arrived, what of it is archived, and where nothing has."""
    times = ride.samples().timestamps
    if not len(times):
        return Holdings(None, None, 0, [])
    wide = np.flatnonzero(np.diff(times) > gap_seconds * 1000)
    missing = [TimeRange(int(times[at]), int(times[at + 1])) for at in wide]
    return Holdings(int(times[-1]), _durable_through(ride), len(times), missing)


def _durable_through(ride: Ride) -> int | None:
    """The last archived timestamp before the first that is not."""
    archived: IntArray = ride.archived.timestamps
    if len(ride.waiting):
        archived = archived[archived < ride.waiting.timestamps.min()]
    return int(archived[-1]) if len(archived) else None


def _channels(names: str | None) -> list[str] | None:
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - set(CHANNEL_NAMES):
        known = ", ".join(CHANNEL_NAMES)
        raise Unprocessable(f"channels: {', '.join(sorted(unknown))} unknown; there are {known}")
    return wanted


def _narrow(
    samples: Samples, start: datetime | None, end: datetime | None, channels: list[str] | None
) -> Samples:
    chosen = np.ones(len(samples), dtype=bool)
    if start:
        chosen &= samples.timestamps >= start.timestamp() * 1000
    if end:
        chosen &= samples.timestamps < end.timestamp() * 1000
    if channels is not None:
        kept = {name: samples.channels[name] for name in channels if name in samples.channels}
        samples = Samples(samples.timestamps, kept)
    return samples.select(chosen)


def _wants_csv(request: Request) -> bool:
    return "text/csv" in request.headers.get("accept", "").lower()


def _render(samples: Samples, chosen: str) -> Response:
    if chosen == "csv":
        return Response(to_csv(samples), media_type="text/csv")
    if chosen == "columns":
        return json_response(Telemetry(len(samples), columns=to_columns(samples)))
    return json_response(Telemetry(len(samples), samples=to_rows(samples)))
