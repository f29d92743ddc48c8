"""The athlete's dated figures, and the recomputation that a change of them asks for."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, structs
from psycopg.rows import class_row
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.state import IngestRequest, IngestState
from api.web.body import JSON, read_json
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.sql import load_queries

QUERIES = load_queries("riders")
_FIGURES = (
    "ftp",
    "critical_power",
    "w_prime",
    "threshold_heartrate",
    "max_heartrate",
    "weight",
    "source",
)

Watts = Annotated[float, Meta(ge=10, le=3000)]
Beats = Annotated[float, Meta(ge=20, le=300)]
Joules = Annotated[float, Meta(ge=1000, le=200_000)]
Kilograms = Annotated[float, Meta(ge=10, le=500)]
Source = Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")]


class Thresholds(Struct, rename="camel"):
    """Figures of the rider that hold from a day on, each until a later one is given."""

    effective_from: date
    ftp: Annotated[Watts | None, Meta(description="Functional threshold power, W")] = None
    critical_power: Annotated[Watts | None, Meta(description="W")] = None
    w_prime: Annotated[Joules | None, Meta(description="W′, in joules")] = None
    threshold_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    max_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    weight: Annotated[Kilograms | None, Meta(description="kg")] = None
    source: Source | None = None


class PutThresholds(Struct, rename="camel"):
    """Figures to give for a day; absent ones stay as they were, null takes one back."""

    effective_from: date
    ftp: Watts | UnsetType | None = UNSET
    critical_power: Watts | UnsetType | None = UNSET
    w_prime: Joules | UnsetType | None = UNSET
    threshold_heartrate: Beats | UnsetType | None = UNSET
    max_heartrate: Beats | UnsetType | None = UNSET
    weight: Kilograms | UnsetType | None = UNSET
    source: Source | UnsetType | None = UNSET


class ThresholdsList(Struct):
    """Every day's figures as they were given, the newest first: the history of FTP and the rest."""

    thresholds: list[Thresholds]


class Recompute(Struct):
    """How many of the rider's workouts are still to be computed anew."""

    pending: int
    workouts: int


class ThresholdsChange(Struct):
    """The figures as they are now, and how many workouts they touch."""

    thresholds: Thresholds
    recompute: Recompute
    success: bool = True


async def get_thresholds(request: IngestRequest, caller: Caller) -> Response:
    """Every figure the caller gave, with its day."""
    async with (
        request.state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Thresholds)) as cursor,
    ):
        await cursor.execute(QUERIES["list_thresholds"], {"user_id": caller.user_id})
        return json_response(ThresholdsList(await cursor.fetchall()))


async def put_thresholds(request: IngestRequest, caller: Caller) -> Response:
    """Give figures that hold from a day on, or take that day's back with null.

    The workouts from that day on are computed anew by the workers.
    """
    state = request.state
    wanted = await read_json(request, PutThresholds, state["settings"])
    given = {name: value for name, value in structs.asdict(wanted).items() if value is not UNSET}
    parameters = {
        "user_id": caller.user_id,
        **dict.fromkeys(_FIGURES),
        **given,
        "given": list(given),
    }
    async with state["database"].connection() as connection, connection.transaction():
        await connection.execute(QUERIES["put_thresholds"], parameters)
        async with connection.cursor(row_factory=class_row(Thresholds)) as cursor:
            await cursor.execute(QUERIES["get_thresholds"], parameters)
            now = await cursor.fetchone() or Thresholds(wanted.effective_from)
        await connection.execute(QUERIES["delete_empty_thresholds"], parameters)
        await connection.execute(QUERIES["mark_stale_from"], parameters)
    return json_response(ThresholdsChange(now, await _recompute(state, caller)))


async def get_recompute(request: IngestRequest, caller: Caller) -> Response:
    """How far the recomputation of the caller's workouts has come."""
    return json_response(await _recompute(request.state, caller))


async def _recompute(state: IngestState, caller: Caller) -> Recompute:
    async with (
        state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Recompute)) as cursor,
    ):
        await cursor.execute(QUERIES["count_stale"], {"user_id": caller.user_id})
        return await cursor.fetchone() or Recompute(0, 0)


OPERATIONS = Operations(
    "riders",
    "The profile, and the figures that rides are judged by",
    (
        Operation(
            "GET",
            "/api/users/me/thresholds",
            get_thresholds,
            {HTTPStatus.OK: ThresholdsList},
            "read",
        ),
        Operation(
            "PUT",
            "/api/users/me/thresholds",
            put_thresholds,
            {HTTPStatus.OK: ThresholdsChange},
            "admin",
            body={JSON: PutThresholds},
            example={"effectiveFrom": "2026-01-01", "ftp": 250},
        ),
        Operation(
            "GET", "/api/users/me/recompute", get_recompute, {HTTPStatus.OK: Recompute}, "read"
        ),
    ),
)
