"""What a link opens, for whoever has it: the ride, its samples, a picture, and how it goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC
from http import HTTPStatus
from typing import Any, Final, cast

import numpy as np
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response

from api.identity.local_days import Moments, in_order
from api.live.feed import Wish
from api.live.routes import WATCH_REFUSALS, LiveQuery, begin
from api.live.stream import MEDIA as EVENTS
from api.live.viewers import Ticket
from api.season import store as season
from api.sharing.card import MEDIA as SVG
from api.sharing.card import Line, card, figures_of
from api.sharing.figures import laps_without_hints, without_hints
from api.sharing.hiding import Veil, fixes
from api.sharing.opening import Opened, glass_of, open_held, open_share, veil_of, view_of
from api.sharing.preview import STRETCHES, preview
from api.sharing.state import SharingRequest
from api.sharing.wire import (
    SharedAnswer,
    SharedBest,
    SharedEfforts,
    SharedPoint,
    SharedWorkout,
)
from api.web.body import JSON
from api.web.query import read_moment, read_query
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.web.sending import TimedStream
from api.web.state import Request
from api.workouts.chart import Chart, ChartQuery, draw
from api.workouts.reading import READ_REFUSALS
from api.workouts.selection import Selection, View
from api.workouts.telemetry import (
    Telemetry,
    TelemetryQuery,
    channels_of,
    render,
    selection_of,
)

_PATH: Final = "/api/shared/{token}"
_LOOK_EVERY: Final = 4.0  # seconds, so that a revoked link opens nothing after five


async def get_shared(request: SharingRequest) -> Response:
    """The ride that a link opens.

    Of one that goes on, no distance is shown.
    """
    return json_response(SharedAnswer(await read_shared(request)))


async def read_shared(request: Request[Any]) -> SharedWorkout:
    """The ride of the token in the path, as others see it.

    Raises NotFound, TooManyRequests, ServiceUnavailable.
    """
    opened = await open_share(request)
    encoded = await open_held(request, opened)
    return _shown(opened, await asyncio.to_thread(veil_of, encoded, opened))


async def get_shared_telemetry(request: SharingRequest) -> Response:
    """The samples of the ride that a link opens, without positions, speed and odometer of what is
    hidden; `distance` is of what is shown. Of a ride that goes on, the newest positions are hidden.
    """
    query = read_query(request, TelemetryQuery)
    selection = selection_of(query, _moments_of(query))
    chosen = query.format or "samples"
    opened = await open_share(request)
    view = await _open_view(request, opened, selection)
    media = "text/csv; charset=utf-8" if chosen == "csv" else JSON
    pieces = _while_open(request, render(view, chosen))
    return TimedStream(pieces, request.state["settings"].body_timeout, media_type=media)


async def get_shared_chart(request: SharingRequest) -> Response:
    """The channels of the ride that a link opens, thinned: as `GET /api/workouts/{id}/chart`,
    without what the telemetry does not show either.
    """
    query = read_query(request, ChartQuery)
    start, end = (each.timestamp() * 1000 if each else None for each in _moments_of(query))
    selection = Selection(channels_of(query.channels), start=start, end=end)
    opened = await open_share(request)
    encoded = await open_held(request, opened)

    def make() -> Chart:
        shown = replace(selection, shown=veil_of(encoded, opened).apply)
        return draw(encoded, opened.workout, shown, query.points)

    return json_response(await asyncio.to_thread(make))


async def get_shared_curve(request: SharingRequest) -> Response:
    """The power curve of the ride that a link opens, and its bests by power.

    Power is not hidden anywhere; those of speed, which would tell a way, are left out.
    """
    return json_response(await read_shared_efforts(request))


async def read_shared_efforts(request: Request[Any]) -> SharedEfforts:
    """What was held for how long on the ride of the token in the path.

    Raises NotFound, TooManyRequests.
    """
    share, database = (await open_share(request)).share, request.state["database"]
    curve = await season.read_workout_curve(database, share.workout_id, share.user_id)
    bests = await season.list_bests(database, share.workout_id, share.user_id)
    return SharedEfforts(
        [SharedPoint(each.duration, each.power) for each in curve],
        [_best_of(each) for each in bests if each.metric == "power"],
    )


def _best_of(best: season.Record) -> SharedBest:
    return SharedBest(best.duration, best.value, round(best.started_at.timestamp() * 1000))


async def watch_shared(request: SharingRequest) -> Response:
    """The ride that a link opens as it goes on: as `GET /api/workouts/{id}/live`.

    Positions come as soon as the rider is further away than the end of the ride would be hidden: a
    timestamp then comes again, with its position and speed. There is no `distance`, none of the
    `bests` is of speed, and `wPrimeBalance` and what else tells a threshold is null.
    """
    query = read_query(request, LiveQuery)
    wish = Wish(channels_of(query.channels), query.every)
    opened = await open_share(request)
    ticket = Ticket("share", str(opened.share.id), opened.share.user_id)
    glass = await glass_of(request, opened)
    return begin(request, ticket, opened.workout, wish, glass, query.from_)


async def get_shared_card(request: SharingRequest) -> Response:
    """The ride that a link opens as a picture for a message: title, figures and track."""
    opened = await open_share(request)
    encoded = await open_held(request, opened)

    def draw() -> bytes:
        veil = veil_of(encoded, opened)
        view = view_of(encoded, opened, veil, Selection(("lat", "lng")))
        shown = _shown(opened, veil)
        day = f"{shown.start_time:%-d %B %Y}"
        figures = figures_of(cast(Any, shown.summary))
        return card(shown.title or shown.sport.capitalize(), day, figures, _lines(view))

    return Response(await asyncio.to_thread(draw), media_type=SVG)


async def read_preview(request: Request[Any]) -> bytes:
    """The ride of the token in the path as a picture without words, of what its charts show.

    Raises NotFound, TooManyRequests, ServiceUnavailable.
    """
    opened = await open_share(request)
    encoded = await open_held(request, opened)

    def make() -> bytes:
        veil = veil_of(encoded, opened)
        view = view_of(encoded, opened, veil, Selection(("lat", "lng")))
        powers = replace(Selection(("power",)), shown=veil.apply)
        chart = draw(encoded, opened.workout, powers, STRETCHES)
        power = chart.channels["power"].values if "power" in chart.channels else []
        return preview(_lines(view), np.array(power, np.float64))

    return await asyncio.to_thread(make)


def _moments_of(query: TelemetryQuery | ChartQuery) -> Moments:
    """From when to when; without a time zone, by UTC: the rider's is nobody else's.

    Raises Unprocessable.
    """
    moments = (read_moment(query.from_, "from"), read_moment(query.to, "to"))
    start, end = (each and (each if each.tzinfo else each.replace(tzinfo=UTC)) for each in moments)
    return in_order(start, end)


async def _open_view(request: SharingRequest, opened: Opened, selection: Selection) -> View:
    encoded = await open_held(request, opened)

    def make() -> View:
        return view_of(encoded, opened, veil_of(encoded, opened), selection)

    return await asyncio.to_thread(make)


def _shown(opened: Opened, veil: Veil) -> SharedWorkout:
    workout, share = opened.workout, opened.share
    summary, laps, pauses = cast(Any, (workout.summary, workout.laps, workout.pauses))
    is_hidden = veil.hides or not opened.is_over
    metres = veil.metres if opened.is_over else None
    return SharedWorkout(
        title=workout.title,
        description=workout.description if share.with_description else None,
        rider=share.rider if share.rider and "@" not in share.rider else None,
        sport=workout.sport,
        status=workout.status,
        start_time=workout.start_time,
        end_time=workout.end_time,
        duration=workout.duration,
        summary=summary and cast(Any, without_hints(summary, metres, is_hidden=is_hidden)),
        laps=cast(Any, laps_without_hints(laps or [], is_hidden=is_hidden)),
        pauses=pauses or [],
        hidden=is_hidden,
        expires_at=share.expires_at,
    )


def _lines(view: View) -> list[Line]:
    """The track, in pieces where it is interrupted for a minute or more."""
    found = [fixes(each) for each in view.windows(list(view.outline.whole))]
    if not found:
        return []
    times, lats, lngs = (np.concatenate(each) for each in zip(*found, strict=True))
    breaks = np.flatnonzero(np.diff(times) > 60_000) + 1
    return list(zip(np.split(lats, breaks), np.split(lngs, breaks), strict=True))


async def _while_open(request: SharingRequest, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The answer is cut off once the link opens nothing any more."""
    looked_at = time.monotonic()
    async for piece in iterate_in_threadpool(pieces):
        if time.monotonic() - looked_at > _LOOK_EVERY:
            looked_at = time.monotonic()
            await open_share(request)
        yield piece


_REFUSALS: Final = {
    HTTPStatus.NOT_FOUND: "The link opens nothing, or nothing any more",
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy or restarting; send the same again after Retry-After",
    **READ_REFUSALS,
}

OPERATIONS = Operations(
    "sharing",
    "Show rides to others",
    (
        Operation("GET", _PATH, get_shared, {HTTPStatus.OK: SharedAnswer}, refusals=_REFUSALS),
        Operation(
            "GET",
            f"{_PATH}/telemetry",
            get_shared_telemetry,
            {HTTPStatus.OK: Telemetry},
            query=TelemetryQuery,
            media=(JSON, "text/csv"),
            refusals=_REFUSALS,
        ),
        Operation(
            "GET",
            f"{_PATH}/chart",
            get_shared_chart,
            {HTTPStatus.OK: Chart},
            query=ChartQuery,
            refusals=_REFUSALS,
        ),
        Operation(
            "GET",
            f"{_PATH}/power-curve",
            get_shared_curve,
            {HTTPStatus.OK: SharedEfforts},
            refusals=_REFUSALS,
        ),
        Operation(
            "GET",
            f"{_PATH}/live",
            watch_shared,
            {HTTPStatus.OK: bytes, HTTPStatus.NO_CONTENT: None},
            query=LiveQuery,
            media=(EVENTS,),
            refusals={**_REFUSALS, **WATCH_REFUSALS},
        ),
        Operation(
            "GET",
            f"{_PATH}/card.svg",
            get_shared_card,
            {HTTPStatus.OK: bytes},
            media=(SVG,),
            refusals=_REFUSALS,
        ),
    ),
)
