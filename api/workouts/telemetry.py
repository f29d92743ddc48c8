"""Telemetry: upload it, read it back, and ask what the server holds."""

import asyncio
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.state import IngestRequest
from api.web.body import JSON
from api.web.problems import Unprocessable
from api.web.query import Moment, moment_of, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.held_samples import HeldSamples, read_samples
from api.workouts.rendering import to_columns, to_csv, to_rows
from api.workouts.store import TimeRange
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import IntArray, Samples, downsample


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


_CHANNEL: Final = f"({'|'.join(CHANNEL_NAMES)})"
ChannelList = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_CHANNEL}(,{_CHANNEL})*$"})]


class TelemetryQuery(Struct, rename="camel"):
    """Which samples, and how."""

    channels: Annotated[ChannelList | None, Meta(description="Names, separated by commas")] = None
    from_: Annotated[Moment | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Before this moment")] = None
    resolution: (
        Annotated[int, Meta(ge=1, le=86_400, description="Means over so many seconds")] | None
    ) = None
    format: Literal["samples", "columns", "csv"] | None = None


class Telemetry(Struct, rename="camel"):
    """Samples as objects, or (`format=columns`) as columns."""

    sample_count: int
    samples: list[dict[str, Any]] | UnsetType = UNSET
    columns: dict[str, list[Any]] | UnsetType = UNSET


async def get_receipt(request: IngestRequest, caller: Caller) -> Response:
    """What the server holds, so that a device knows what to resend and what it may forget."""
    query = read_query(request, ReceiptQuery)
    workout = await require_workout(request.state, workout_id_of(request), caller)
    held = await read_samples(request.state, workout, channels=[])
    return json_response(holdings(held, query.gap))


async def get_telemetry(request: IngestRequest, caller: Caller) -> Response:
    """The samples of a ride, those still waiting for a worker included.

    Upgraded to a WebSocket, the same path takes uploads: each message of JSON is a batch, and is
    answered with its receipt or its problem.
    """
    query = read_query(request, TelemetryQuery)
    channels = _channels(query.channels)
    moments = moment_of(query.from_, "from"), moment_of(query.to, "to")
    chosen = query.format or ("csv" if _wants_csv(request) else "samples")
    workout = await require_workout(request.state, workout_id_of(request), caller)
    held = await read_samples(request.state, workout, channels)

    def render() -> Response:
        samples = _narrow(held.merged(), *moments, channels)
        if query.resolution:
            samples = downsample(samples, query.resolution)
        return _render(samples, chosen)

    return await asyncio.to_thread(render)


def holdings(held: HeldSamples, gap_seconds: float) -> Holdings:
    """How far samples have arrived, how far they are archived, and where there are none."""
    times = held.merged().timestamps
    if not len(times):
        return Holdings(None, None, 0, [])
    wide = np.flatnonzero(np.diff(times) > gap_seconds * 1000)
    missing = [TimeRange(int(times[at]), int(times[at + 1])) for at in wide]
    return Holdings(int(times[-1]), _durable_through(held), len(times), missing)


def _durable_through(held: HeldSamples) -> int | None:
    """The last archived timestamp before the first that is not."""
    archived: IntArray = held.archived.timestamps
    if len(held.waiting):
        archived = archived[archived < held.waiting.timestamps.min()]
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


def _wants_csv(request: IngestRequest) -> bool:
    return "text/csv" in request.headers.get("accept", "").lower()


def _render(samples: Samples, chosen: str) -> Response:
    if chosen == "csv":
        return Response(to_csv(samples), media_type="text/csv")
    if chosen == "columns":
        return json_response(Telemetry(len(samples), columns=to_columns(samples)))
    return json_response(Telemetry(len(samples), samples=to_rows(samples)))


OPERATIONS = Operations(
    "telemetry",
    "Read samples, and what is held of them",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/telemetry",
            get_telemetry,
            {HTTPStatus.OK: Telemetry},
            "read",
            query=TelemetryQuery,
            media=(JSON, "text/csv"),
        ),
        Operation(
            "GET",
            "/api/workouts/{id}/receipt",
            get_receipt,
            {HTTPStatus.OK: Holdings},
            "upload",
            query=ReceiptQuery,
        ),
    ),
)
