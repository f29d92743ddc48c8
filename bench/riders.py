"""As riders are: thousands of keys, each of which is heard of once a minute or once a second."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import msgspec

from bench.figures import Figure, Run, most, series
from bench.load import CONNECTIONS, http_request, load
from bench.meters import cpu_of, spent
from bench.rides import EIGHT, an_hour, of_channels
from bench.system import Options, Served, System
from shared.credentials import make_key

_FORGOTTEN: Final = 6.0  # seconds, after which no key is remembered just because it was new
_COUNTED: Final = 11.0  # seconds, after which an idle connection has told what it did
_MOST_STATEMENTS: Final = 0.01  # an upload
_TIMES: Final = 1.3  # of one key
_RIDERS: Final = """
WITH riders AS (
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[]) AS rider (id, key, hash)
), users AS (
    INSERT INTO users (id, email) SELECT id, id || '@example.com' FROM riders
), keys AS (
    INSERT INTO api_keys (id, user_id, hash, name, scopes)
    SELECT key, id, hash, 'bench', ARRAY['upload'] FROM riders
)
INSERT INTO workouts (id, user_id) SELECT id, id FROM riders
"""
_STATEMENTS: Final = """
SELECT xact_commit + xact_rollback AS statements FROM pg_stat_database
WHERE datname = current_database()
"""


@dataclass(frozen=True)
class _Way:
    """How riders send: so many samples at a time, so many seconds apart."""

    name: str
    samples: int
    pause: float
    connections: int


_WAYS: Final = (
    _Way("60 samples a minute", 60, 60.0, CONNECTIONS),
    _Way("a sample a second over few connections", 1, 1.0, 8),
)


def measure(system: System, options: Options) -> Iterator[Figure]:
    """At the pace of so many riders, in turns with the same pace by one of them."""
    riders = _make_riders(system, options.keys)
    with system.serving("api") as api:
        for way in _WAYS:
            yield from _figures(system, options, api, way, riders)


def _figures(
    system: System, options: Options, api: Served, way: _Way, riders: list[tuple[UUID, str]]
) -> Iterator[Figure]:
    requests = [_request(way, ride, key) for ride, key in riders]
    # The first batches of a ride are looked through for names that nobody knows.
    load(api.address, requests, 0, way.connections, least=4 * len(requests))
    time.sleep(min(_FORGOTTEN, options.shortest))
    ours, one = list[Run](), list[float]()
    for _ in range(options.runs):
        ours.append(_run_counted(system, options, api, way, requests))
        one.append(_run(system, options, api, way, requests[:1])["CPU"])
    name, statements = f"{options.keys:,} keys, {way.name}", series(ours, "statements")
    target = most(_MOST_STATEMENTS)
    yield Figure(f"{name}: PostgreSQL statements an upload", "", statements, target=target)
    cpu, target = series(ours, "CPU"), most(_TIMES, "limit")
    yield Figure(f"{name}: API CPU an upload", "µs", cpu, "one key", one, target=target)


def _make_riders(system: System, count: int) -> list[tuple[UUID, str]]:
    """Users with a key and a ride each, whose id is the user's: the ride and the key."""
    ids, keys = [uuid4() for _ in range(count)], [make_key() for _ in range(count)]
    columns = [ids, [key.id for key in keys], [key.hash for key in keys]]
    with system.database.connection() as connection:
        connection.execute(_RIDERS.encode(), columns)
    return list(zip(ids, (key.text for key in keys), strict=True))


def _request(way: _Way, ride: UUID, key: str) -> bytes:
    body = msgspec.json.encode({"samples": of_channels(an_hour()[: way.samples], EIGHT)})
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    return http_request("POST", f"/api/workouts/{ride}/telemetry", headers, body)


def _run(system: System, options: Options, api: Served, way: _Way, requests: list[bytes]) -> Run:
    system.redis.flushdb()
    seconds, rate = max(options.seconds, options.shortest), options.keys / way.pause
    connections = max(min(way.connections, int(rate)), 1)  # the server closes what is silent
    work = partial(load, api.address, requests, seconds, connections, rate=rate)
    outcome, (cpu,) = spent(work, cpu_of(api.process))
    uploads = len(outcome.latencies)
    return {"uploads": uploads, "CPU": cpu / uploads * 1e6}


def _run_counted(
    system: System, options: Options, api: Served, way: _Way, requests: list[bytes]
) -> Run:
    """The statements are those beyond what the API sends in as long a time without uploads."""
    started, before = time.monotonic(), _statements(system)
    run = _run(system, options, api, way, requests)
    time.sleep(min(_COUNTED, options.shortest))
    lasted, after = time.monotonic() - started, _statements(system)
    time.sleep(lasted)
    quiet = _statements(system) - after
    return {**run, "statements": max(after - before - quiet, 0) / run["uploads"]}


def _statements(system: System) -> float:
    """How many PostgreSQL has carried out for whoever sends each as a transaction, as the API."""
    with system.database.connection() as connection:
        row = connection.execute(_STATEMENTS.encode()).fetchone()
    return float(row["statements"]) if row else 0.0
