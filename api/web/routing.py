"""Every operation of the API in one table: the routes and the document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from starlette.responses import Response

from api.export import account as export
from api.health import routes as health
from api.identity import accounts, keys, sessions, sign_in
from api.identity import profile as riders
from api.identity.auth import Caller
from api.ingest import uploads
from api.ingest.wire import NDJSON, Batch, Sample
from api.season import records, thresholds
from api.season import totals as season
from api.state import Request
from api.web.body import JSON
from api.web.query import WaitQuery
from api.workouts import listing, telemetry
from api.workouts import routes as workouts

OpenHandler = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Caller], Awaitable[Response]]
Scope = Literal["upload", "read", "admin"]


@dataclass(frozen=True)
class Operation:
    """A method of a path: who may call it, what it takes, what it answers.

    ``scope``: what the API key must allow; None for everybody. ``body``: content type → type.
    ``prefer``: what the ``Prefer`` header may ask for.
    """

    method: str
    path: str
    handler: Any  # Handler with a scope, OpenHandler without
    answers: dict[HTTPStatus, Any]
    scope: Scope | None = None
    query: type | None = None
    body: dict[str, Any] = field(default_factory=dict)
    prefer: str | None = None


_ONE = "/api/workouts/{id}"
_ME = "/api/users/me"
_KEYS = "/api/keys"
_WAIT = "`wait=N`: answer when the result is there, or after N seconds"
_LENIENT = "`handling=lenient`: store the good samples, and list what was left out"

UPLOAD_PATH = f"{_ONE}/telemetry"

OPERATIONS = (
    Operation("GET", "/health", health.health, {HTTPStatus.OK: health.Health}),
    Operation("GET", "/health/live", health.live, {HTTPStatus.OK: health.Liveness}),
    Operation(
        "GET",
        "/health/ready",
        health.ready,
        {HTTPStatus.OK: health.Readiness, HTTPStatus.SERVICE_UNAVAILABLE: health.Readiness},
    ),
    Operation(
        "POST",
        "/api/workouts",
        workouts.create_workout,
        {HTTPStatus.CREATED: workouts.WorkoutChange},
        "upload",
        body={JSON: workouts.CreateWorkout},
    ),
    Operation(
        "GET",
        "/api/workouts",
        workouts.list_workouts,
        {HTTPStatus.OK: workouts.WorkoutList},
        "read",
        query=listing.ListQuery,
    ),
    Operation(
        "GET",
        _ONE,
        workouts.get_workout,
        {HTTPStatus.OK: workouts.WorkoutAnswer},
        "read",
        query=workouts.GetQuery,
    ),
    Operation(
        "PATCH",
        _ONE,
        workouts.update_workout,
        {HTTPStatus.OK: workouts.WorkoutChange},
        "admin",
        body={JSON: workouts.UpdateWorkout},
    ),
    Operation("DELETE", _ONE, workouts.delete_workout, {HTTPStatus.OK: workouts.Deletion}, "admin"),
    Operation(
        "POST",
        f"{_ONE}/pause",
        workouts.pause_workout,
        {HTTPStatus.OK: workouts.WorkoutChange},
        "upload",
    ),
    Operation(
        "POST",
        f"{_ONE}/resume",
        workouts.resume_workout,
        {HTTPStatus.OK: workouts.WorkoutChange},
        "upload",
    ),
    Operation(
        "POST",
        f"{_ONE}/complete",
        workouts.complete_workout,
        {HTTPStatus.OK: workouts.WorkoutChange, HTTPStatus.ACCEPTED: workouts.WorkoutChange},
        "upload",
        query=WaitQuery,
        prefer=_WAIT,
    ),
    Operation(
        "POST",
        UPLOAD_PATH,
        uploads.upload_telemetry,
        {HTTPStatus.ACCEPTED: uploads.Receipt},
        "upload",
        body={JSON: Batch | list[Sample], NDJSON: Sample},
        prefer=_LENIENT,
    ),
    Operation(
        "GET",
        UPLOAD_PATH,
        telemetry.get_telemetry,
        {HTTPStatus.OK: telemetry.Telemetry},
        "read",
        query=telemetry.TelemetryQuery,
    ),
    Operation(
        "GET",
        f"{_ONE}/receipt",
        telemetry.get_receipt,
        {HTTPStatus.OK: telemetry.Holdings},
        "upload",
        query=telemetry.ReceiptQuery,
    ),
    Operation(
        "GET",
        f"{_ONE}/power-curve",
        records.get_workout_curve,
        {HTTPStatus.OK: records.RideEfforts},
        "read",
    ),
    Operation(
        "POST",
        f"{_ONE}/exclude",
        records.exclude_workout,
        {HTTPStatus.ACCEPTED: workouts.WorkoutChange},
        "admin",
        body={JSON: records.Exclusion},
    ),
    Operation(
        "POST",
        f"{_ONE}/include",
        records.include_workout,
        {HTTPStatus.ACCEPTED: workouts.WorkoutChange},
        "admin",
        body={JSON: records.Exclusion},
    ),
    Operation(
        "GET",
        "/api/records",
        records.get_records,
        {HTTPStatus.OK: records.RecordList},
        "read",
        query=records.RecordsQuery,
    ),
    Operation(
        "GET",
        "/api/power-curve",
        records.get_season_curve,
        {HTTPStatus.OK: records.PowerCurve},
        "read",
        query=records.PeriodQuery,
    ),
    Operation(
        "GET",
        "/api/critical-power",
        season.get_critical_power,
        {HTTPStatus.OK: season.CriticalPower},
        "read",
        query=records.PeriodQuery,
    ),
    Operation(
        "GET",
        "/api/stats",
        season.get_stats,
        {HTTPStatus.OK: season.Stats},
        "read",
        query=season.StatsQuery,
    ),
    Operation(
        "GET",
        "/api/fitness",
        season.get_fitness,
        {HTTPStatus.OK: season.Fitness},
        "read",
        query=season.FitnessQuery,
    ),
    Operation(
        "POST",
        "/api/users",
        accounts.register,
        {HTTPStatus.CREATED: accounts.RegistrationAnswer},
        body={JSON: accounts.Registration},
    ),
    Operation(
        "POST",
        "/api/sessions",
        sessions.log_in,
        {HTTPStatus.CREATED: sessions.Session},
        body={JSON: sessions.LogIn},
    ),
    Operation(
        "DELETE",
        "/api/sessions/current",
        sessions.log_out,
        {HTTPStatus.OK: keys.Revocation},
        "admin",
    ),
    Operation("GET", sign_in.PATH, sign_in.list_providers, {HTTPStatus.OK: sign_in.SignInOptions}),
    Operation(
        "GET",
        f"{sign_in.PATH}/{{provider}}",
        sign_in.start_sign_in,
        {HTTPStatus.FOUND: None},
        query=sign_in.StartQuery,
    ),
    Operation(
        "GET",
        f"{sign_in.PATH}/{{provider}}/callback",
        sign_in.finish_sign_in,
        {HTTPStatus.CREATED: sessions.Session},
        query=sign_in.CallbackQuery,
    ),
    Operation(
        "PUT",
        f"{_ME}/password",
        accounts.change_password,
        {HTTPStatus.OK: accounts.PasswordChange},
        "admin",
        body={JSON: accounts.ChangePassword},
    ),
    Operation(
        "DELETE",
        _ME,
        accounts.delete_account,
        {HTTPStatus.ACCEPTED: accounts.AccountDeletion},
        "admin",
    ),
    Operation(
        "GET",
        f"{_ME}/export",
        export.export_account,
        {HTTPStatus.OK: bytes},
        "admin",
    ),
    Operation("GET", _ME, riders.get_rider, {HTTPStatus.OK: riders.RiderAnswer}, "read"),
    Operation(
        "PATCH",
        _ME,
        riders.update_rider,
        {HTTPStatus.OK: riders.RiderAnswer},
        "admin",
        body={JSON: riders.UpdateRider},
    ),
    Operation(
        "GET",
        f"{_ME}/thresholds",
        thresholds.get_thresholds,
        {HTTPStatus.OK: thresholds.ThresholdsList},
        "read",
    ),
    Operation(
        "PUT",
        f"{_ME}/thresholds",
        thresholds.put_thresholds,
        {HTTPStatus.OK: thresholds.ThresholdsChange},
        "admin",
        body={JSON: thresholds.PutThresholds},
    ),
    Operation(
        "GET",
        f"{_ME}/recompute",
        thresholds.get_recompute,
        {HTTPStatus.OK: thresholds.Recompute},
        "read",
    ),
    Operation("GET", _KEYS, keys.list_keys, {HTTPStatus.OK: keys.KeyList}, "admin"),
    Operation(
        "POST",
        _KEYS,
        keys.create_key,
        {HTTPStatus.CREATED: keys.FreshKey},
        "admin",
        body={JSON: keys.CreateKey},
    ),
    Operation(
        "POST",
        f"{_KEYS}/{{key}}/rotate",
        keys.rotate_key,
        {HTTPStatus.CREATED: keys.FreshKey},
        "admin",
        body={JSON: keys.RotateKey},
    ),
    Operation(
        "DELETE",
        f"{_KEYS}/{{key}}",
        keys.revoke_key,
        {HTTPStatus.OK: keys.Revocation},
        "admin",
    ),
)
