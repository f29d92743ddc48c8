"""Telemetry: upload it, read it back, and ask what the server holds."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import Moments, moments_of
from api.ingest.receipts import Epoch
from api.ingest.state import IngestRequest
from api.web.body import JSON
from api.web.problems import Unprocessable, about
from api.web.query import Moment, read_query, workout_id_of
from api.web.responses import json_response
from api.web.revalidation import etag_of, holds, not_modified, tag
from api.web.routing import Operation, Operations
from api.web.shapes import nearest, shortened
from api.workouts.answers import require_workout
from api.workouts.held_samples import HeldSamples
from api.workouts.reading import READ_REFUSALS, open_times, open_view, stream, version_of
from api.workouts.recorded import RecordedColumns, RecordedSample
from api.workouts.rendering import csv_lines, json_columns, json_rows
from api.workouts.selection import Selection, View
from api.workouts.store import TimeRange
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import IntArray


class Holdings(Struct, rename="camel"):
    """What the server holds of a ride. Timestamps in ms since the epoch."""

    received_through: Annotated[int | None, Meta(description="The latest timestamp held")]
    durable_through: Annotated[
        int | None,
        Meta(description="Every sample received up to here is in PostgreSQL; forget those"),
    ]
    sample_count: int
    epoch: Epoch
    missing: Annotated[
        list[TimeRange], Meta(description="Between which samples nothing was received")
    ]
    missing_count: Annotated[
        int | UnsetType, Meta(description="Where not all are listed: how many there are")
    ] = UNSET


class ReceiptQuery(Struct):
    """What counts as missing."""

    gap: Annotated[float, Meta(ge=1, le=86_400, description="Seconds without a sample")] = 10.0


MOST_MISSING: Final = 1000
_CHANNEL: Final = f"({'|'.join(CHANNEL_NAMES)})"
ChannelList = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_CHANNEL}(,{_CHANNEL})*$"})]
Format = Annotated[Literal["samples", "columns", "csv"], Meta(title="TelemetryFormat")]


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
    format: Annotated[
        Format | None, Meta(description="By default CSV where `Accept` asks for it, else `samples`")
    ] = None


class Telemetry(Struct, rename="camel"):
    """Samples as objects, or (`format=columns`) as columns."""

    sample_count: int
    samples: list[RecordedSample] | UnsetType = UNSET
    columns: RecordedColumns | UnsetType = UNSET


async def get_receipt(request: IngestRequest, caller: Caller) -> Response:
    """What the server holds, so that a device knows what to resend and what it may forget.

    The first 1,000 missing ranges are listed; `missingCount` then says how many there are.
    """
    query = read_query(request, ReceiptQuery)
    workout = await require_workout(request.state, workout_id_of(request), caller)
    held, epoch = await open_times(request, caller, workout)
    return json_response(
        await asyncio.to_thread(lambda: holdings(held.decode_times(), query.gap, epoch))
    )


async def get_telemetry(request: IngestRequest, caller: Caller) -> Response:
    """The samples of a ride, those still waiting for a worker included.

    A rider may read three rides at a time; what is not read in time is cut off. Upgraded to a
    WebSocket, the same path takes uploads: each message of JSON is a batch, and is answered with
    its receipt or its problem. A key has five of them open at a time (else 429), and each is closed
    (1008) within five seconds once the key is revoked or the workout deleted.
    """
    query = read_query(request, TelemetryQuery)
    selection = selection_of(query, await moments_of(request.state, caller, query))
    chosen = query.format or ("csv" if _wants_csv(request) else "samples")
    workout = await require_workout(request.state, workout_id_of(request), caller)
    asked = (selection.channels, selection.start, selection.end, selection.resolution, chosen)
    etag = etag_of(*await version_of(request.state, workout), asked)
    if holds(request, etag):
        return not_modified(etag)
    view = await open_view(request, caller, workout, selection)
    media = "text/csv; charset=utf-8" if chosen == "csv" else JSON
    return tag(stream(request, render(view, chosen), media), etag)


def holdings(held: HeldSamples, gap_seconds: float, epoch: str) -> Holdings:
    """How far samples have arrived, how far they are archived, and where there are none."""
    times = held.merged().timestamps
    if not len(times):
        return Holdings(None, None, 0, epoch, [])
    wide = np.flatnonzero(np.diff(times) > gap_seconds * 1000)
    listed = wide[:MOST_MISSING]
    missing = [TimeRange(int(times[at]), int(times[at + 1])) for at in listed]
    cut = len(wide) if len(wide) > len(listed) else UNSET
    return Holdings(int(times[-1]), _durable_through(held), len(times), epoch, missing, cut)


def _durable_through(held: HeldSamples) -> int | None:
    """The last archived timestamp before the first that is not."""
    archived: IntArray = held.archived.timestamps
    if len(held.waiting):
        archived = archived[archived < held.waiting.timestamps.min()]
    return int(archived[-1]) if len(archived) else None


def selection_of(query: TelemetryQuery, moments: Moments) -> Selection:
    """Which samples a query asks for. Raises Unprocessable."""
    start, end = moments
    return Selection(
        channels_of(query.channels),
        start.timestamp() * 1000 if start else None,
        end.timestamp() * 1000 if end else None,
        query.resolution,
    )


def channels_of(names: str | None) -> tuple[str, ...] | None:
    """The channels of a list, or None for all. Raises Unprocessable for one that there is not."""
    if names is None:
        return None
    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    if unknown := sorted(set(wanted) - set(CHANNEL_NAMES)):
        detail = f"{', '.join(map(_unknown, unknown))}; there are {', '.join(CHANNEL_NAMES)}"
        raise Unprocessable(f"channels: {detail}", about(detail, "channels"))
    return wanted


def _unknown(name: str) -> str:
    """What is said of a channel that there is not."""
    meant = nearest(name, CHANNEL_NAMES)
    return f"{shortened(name)} is {f'spelt {meant}' if meant else 'unknown'}"


def _wants_csv(request: IngestRequest) -> bool:
    return "text/csv" in request.headers.get("accept", "").lower()


def render(view: View, chosen: str) -> Iterator[bytes]:
    """The samples in a format, in pieces."""
    if chosen == "csv":
        return csv_lines(view)
    count = b'{"sampleCount":%d' % view.outline.count
    if chosen == "columns":
        return chain([count, b',"columns":'], json_columns(view), [b"}"])
    return chain([count, b',"samples":['], json_rows(view), [b"]}"])


OPERATIONS = Operations(
    "telemetry",
    "Send samples, read them back, and ask what is held of them",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/telemetry",
            get_telemetry,
            {HTTPStatus.OK: Telemetry},
            "read",
            query=TelemetryQuery,
            media=(JSON, "text/csv"),
            refusals=READ_REFUSALS,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/workouts/{id}/receipt",
            get_receipt,
            {HTTPStatus.OK: Holdings},
            "upload",
            query=ReceiptQuery,
            refusals=READ_REFUSALS,
            of_primary=True,
        ),
    ),
)
