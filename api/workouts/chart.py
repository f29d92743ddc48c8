"""What a chart of a ride is drawn from: its channels, thinned to so many points."""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.state import IngestRequest
from api.web.query import Moment, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.held_samples import EncodedSamples
from api.workouts.reading import READ_REFUSALS, open_samples
from api.workouts.rendering import plain_numbers
from api.workouts.selection import Selection, are_whole
from api.workouts.store import Workout
from api.workouts.telemetry import ChannelList, channels_of
from api.workouts.thinning import FIRST_OF, Grid, Thinned, grid_over, thin
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import FloatArray, Samples

_AT_ONCE: Final = 16_000  # samples
Numbers = list[float | None]


class ChartQuery(Struct):
    """Which part of the ride, of which channels, and how many points at most."""

    channels: Annotated[ChannelList | None, Meta(description="Names, separated by commas")] = None
    from_: Annotated[Moment | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Before this moment")] = None
    points: Annotated[int, Meta(ge=1, le=5_000, description="At most so many stretches")] = 1_000


class ChartChannel(Struct):
    """A value for each stretch of time; null where nothing was measured.

    `values`: means; of distance and position the first reading. `low` and `high`, the lowest and
    highest reading, are left out where a stretch is a second, and of distance and position.
    """

    values: Numbers
    low: Numbers | UnsetType = UNSET
    high: Numbers | UnsetType = UNSET


class Chart(Struct, rename="camel"):
    """The ride in equal stretches of time. Strays, and what is cropped or removed, are left out."""

    start: Annotated[int, Meta(description="ms since the Unix epoch: where the first begins")]
    step: Annotated[int, Meta(description="ms: how long each is")]
    count: Annotated[int, Meta(description="How many there are")]
    channels: dict[str, ChartChannel]


async def get_chart(request: IngestRequest, caller: Caller) -> Response:
    """The channels of a ride or of a part of it, thinned to what a screen can show.

    Samples that still wait for a worker are included. Zooming in asks again, for less time.
    """
    query = read_query(request, ChartQuery)
    start, end = await moments_of(request.state, caller, query)
    selection = Selection(
        channels_of(query.channels),
        start=start.timestamp() * 1000 if start else None,
        end=end.timestamp() * 1000 if end else None,
    )
    workout = await require_workout(request.state, workout_id_of(request), caller)
    held = await open_samples(request, caller, workout, selection.channels)
    return json_response(await asyncio.to_thread(draw, held, workout, selection, query.points))


def draw(held: EncodedSamples, workout: Workout, selection: Selection, points: int) -> Chart:
    """The selected part of a ride in at most so many points. Decodes: not for the event loop."""
    ride = held.decode()
    chosen = without_strays(selection.of(workout), workout)

    def narrowed(samples: Samples) -> Samples:
        kept = samples.between(chosen.start, chosen.end).outside(chosen.removed)
        return chosen.shown(kept) if chosen.shown else kept

    times = [narrowed(each).timestamps for each in ride.windows([], _AT_ONCE)]
    ends = [int(each[at]) for each in times if len(each) for at in (0, -1)]
    if not ends:
        return Chart(0, 1000, 0, {})
    grid = grid_over(min(ends), max(ends), points)
    names = [name for name in ride.channels if name in (chosen.channels or CHANNEL_NAMES)]
    thinned = thin(map(narrowed, ride.windows(names, _AT_ONCE)), grid, names)
    known = {name: each for name, each in thinned.items() if not np.isnan(each.values).all()}
    channels = {name: _channel(name, each, grid) for name, each in known.items()}
    return Chart(grid.start, grid.step, grid.count, channels)


def without_strays(selection: Selection, workout: Workout) -> Selection:
    """The selection within what counts of the ride: a stray of another year would squeeze it."""
    summary = msgspec.to_builtins(workout.summary) or {}
    if not summary.get("strays"):
        return selection
    first = workout.start_time.timestamp() * 1000
    last = first + (summary["duration"] + 1) * 1000
    start = first if selection.start is None else max(first, selection.start)
    end = last if selection.end is None else min(last, selection.end)
    return replace(selection, start=start, end=end)


def _channel(name: str, thinned: Thinned, grid: Grid) -> ChartChannel:
    channel = ChartChannel(_numbers(thinned.values))
    if grid.step > 1000 and name not in FIRST_OF:
        channel.low, channel.high = _numbers(thinned.low), _numbers(thinned.high)
    return channel


def _numbers(values: FloatArray) -> Numbers:
    return list(plain_numbers(values, are_whole(values)))


OPERATIONS = Operations(
    "figures",
    "Of a part of a ride, and what charts are drawn from",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/chart",
            get_chart,
            {HTTPStatus.OK: Chart},
            "read",
            query=ChartQuery,
            refusals=READ_REFUSALS,
            takes_athlete=True,
        ),
    ),
)
