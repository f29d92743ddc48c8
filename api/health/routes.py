"""Health: alive, and ready to keep what it accepts."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import psycopg
import psycopg_pool
import redis
from msgspec import Meta, Struct
from starlette.responses import Response

from api.health.store import count_completions, is_migrated
from api.health.workers import count_workers
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.web.state import Request, State
from shared.connections import AsyncRedis, infos_of, is_cluster, probes_of
from shared.moments import Instant

ServerStatus = Annotated[Literal["connected", "disconnected"], Meta(title="ServerStatus")]


class Health(Struct):
    """Whether the two servers behind the API answer."""

    status: Annotated[Literal["ok", "degraded"], Meta(title="HealthStatus")]
    timestamp: Instant
    redis: ServerStatus
    database: ServerStatus


class Readiness(Struct):
    """`problems` names everything that is wrong.

    `not ready` (503): uploads are not safe here. `degraded` (200): they are, so traffic should go
    on, but no worker computes what they give. `workers`: how many live; null if Redis does not say.
    """

    status: Annotated[Literal["ready", "degraded", "not ready"], Meta(title="ReadinessStatus")]
    problems: list[str]
    workers: int | None


class Liveness(Struct):
    """The process answers."""

    status: str
    uptime: Annotated[float, Meta(description="Seconds")]


_STARTED = time.monotonic()
_NO_REDIS = "Redis does not answer"


async def get_health(request: Request[State]) -> Response:
    """A short report; always 200."""
    database_up = not await _database_problems(request.state)
    redis_problems, _ = await _redis_problems(request.state)
    redis_up = _NO_REDIS not in redis_problems
    return json_response(
        Health(
            "ok" if database_up and redis_up else "degraded",
            datetime.now(UTC),
            "connected" if redis_up else "disconnected",
            "connected" if database_up else "disconnected",
        )
    )


async def get_liveness(_: Request[State]) -> Response:
    """200 while the process serves requests at all."""
    return json_response(Liveness("alive", round(time.monotonic() - _STARTED, 3)))


async def get_readiness(request: Request[State]) -> Response:
    """200 if uploads are safe here now, else 503 naming what is wrong.

    Without workers they are: rides wait in Redis and PostgreSQL until there is one. To cut the
    traffic for that would only lose more, so it is 200, and `degraded`. So it is where one node of
    several does not answer, or takes nothing: uploads to the rides of the others go on.
    """
    state = request.state
    redis_problems, missing = await _redis_problems(state)
    problems = await _database_problems(state) + redis_problems
    workers = await _count_workers(state)
    if problems:
        refused = Readiness("not ready", problems, workers)
        return json_response(refused, HTTPStatus.SERVICE_UNAVAILABLE)
    if missing:
        return json_response(Readiness("degraded", missing, workers))
    if workers == 0:
        return json_response(Readiness("degraded", [await _without_workers(state)], 0))
    return json_response(Readiness("ready", [], workers))


async def _count_workers(state: State) -> int | None:
    """None if Redis does not answer, which is told already."""
    try:
        return await count_workers(state["redis"])
    except (redis.RedisError, OSError):
        return None


async def _without_workers(state: State) -> str:
    rides = await count_completions(state["database"])
    waits = "no ride waits yet" if not rides else f"rides wait: {rides}"
    return f"no worker lives, so nothing is computed, and {waits}; start workers"


async def _database_problems(state: State) -> list[str]:
    """A full disk is none: uploads go on, and wait in Redis until there is room to archive them."""
    try:
        migrated = await is_migrated(state["database"])
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout):
        return ["PostgreSQL does not answer"]
    return [] if migrated else ["PostgreSQL is not migrated: run `make migrate`"]


async def _redis_problems(state: State) -> tuple[list[str], list[str]]:
    """Why uploads are not safe; and which nodes of a cluster take none, while others do."""
    client = state["redis"]
    try:
        infos = await infos_of(client)
    except (redis.RedisError, OSError):
        return [_NO_REDIS], []
    known = {node: info for node, info in infos.items() if info}
    problems = [
        _of(node, each) for node, info in known.items() for each in _settings_problems(info)
    ]
    away = [f"{node} does not answer, uploads to its rides wait" for node in infos.keys() - known]
    refused = await _refused(client, known)
    if len(refused) == len(known):
        return [*refused, *problems], away
    return problems, [*away, *refused]


def _of(node: str, problem: str) -> str:
    return f"{node}: {problem}" if node else problem


def _settings_problems(info: Mapping[str, Any]) -> list[str]:
    problems = []
    if not info.get("aof_enabled"):
        problems.append("Redis has no append-only file: set `appendonly yes`")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        problems.append(f"Redis may evict samples ({policy}): set `maxmemory-policy noeviction`")
    return problems


async def _refused(client: AsyncRedis, infos: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which servers would refuse an upload, and why, which is found out by a write to each."""
    found = []
    for node, probe in probes_of(client).items():
        if node in infos and (why := await _refusal(client, probe, infos[node])):
            found.append(_of(node, why))
    return found


async def _refusal(client: AsyncRedis, probe: str, info: Mapping[str, Any]) -> str | None:
    """Its memory or its disk may be full, or it may be a replica, or of a cluster that is down."""
    try:
        await client.set(probe, b"", ex=1)
    except redis.OutOfMemoryError:
        used, most = info.get("used_memory"), info.get("maxmemory")
        return f"Redis is full ({used} of {most} bytes), and refuses uploads"
    except redis.ResponseError as error:
        return f"Redis refuses uploads: {error}"
    except (redis.RedisError, OSError) as error:
        return f"Redis refuses uploads: {error}" if is_cluster(client) else _NO_REDIS
    return None


OPERATIONS = Operations(
    "health",
    "For load balancers",
    (
        Operation("GET", "/health", get_health, {HTTPStatus.OK: Health}),
        Operation("GET", "/health/live", get_liveness, {HTTPStatus.OK: Liveness}),
        Operation(
            "GET",
            "/health/ready",
            get_readiness,
            {HTTPStatus.OK: Readiness, HTTPStatus.SERVICE_UNAVAILABLE: Readiness},
        ),
    ),
)
