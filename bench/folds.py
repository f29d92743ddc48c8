"""The fold of 1, 6 and 24 hours, its checkpoints, and the archive: beside the kernel alone."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from bench.figures import Figure, Run, most, series
from bench.meters import Meter, spent
from bench.rides import an_hour, batches, ride, send, start_ride
from bench.system import Options, System
from shared.samples.archive import ArchivedChannel, encode, split
from shared.samples.columns import Samples
from shared.sql import load_queries
from worker.jobs.fold import fold
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize

_CHECKPOINT: Final = 600  # samples, as many as seconds
_MORE: Final = 4  # hours with checkpoints
_ATHLETE: Final = Athlete(280, 265, 18_000, 168, 188, 72)
_TARGETS: Final = {1: most(5.5), 24: most(72)}
_FLAT: Final = most(1.25, "limit")
_WRITE_CHANNELS: Final = load_queries("folds")["write_channels"]
_SIZE: Final = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND coalesce(pg_partition_root(oid), oid) = ANY(ARRAY[
    'workouts', 'workout_channels', 'workout_bests', 'workout_curves', 'sport_records'
]::regclass[])
"""


def measure(system: System, options: Options) -> Iterator[Figure]:
    """In this process, as a worker does it."""
    yield _kept(system, options)  # first: what the others leave would be used again
    days = count()
    for hours in options.hours:
        yield from _completions(system, options, hours, days)
    first = list[float]()
    for hours in options.hours:
        runs = [_checkpoints(system, hours, days) for _ in range(options.runs)]
        name, cpu = f"10 min after {hours} h", series(runs, "worker CPU")
        first = first or cpu
        limit, beside, target = ("after 1 h", first, _FLAT) if cpu is not first else ("", [], None)
        yield Figure(f"{name}, worker CPU", "ms", cpu, limit, beside, target=target)
        yield from _figures(name, runs, {"PostgreSQL CPU": "ms", "WAL": "KB"})
    yield from _archive(system, options)


def _completions(
    system: System, options: Options, hours: int, days: Iterator[int]
) -> Iterator[Figure]:
    """Rides that were never folded, each of a day of its own, from the stream to the commit."""
    name, rounds = f"{hours} h", max(options.rides // hours, 3)
    runs = [_complete(system, ride(hours, next(days))) for _ in range(rounds)]
    cpu, kernel, write = (series(runs, each) for each in ("worker CPU", "kernel", "write"))
    target, limit = _TARGETS.get(hours), "encode + one transaction"
    yield Figure(f"{name}, worker CPU", "ms", cpu, "kernel", kernel, target=target)
    yield Figure(f"{name}, worker CPU beside its write", "ms", cpu, limit, write)
    yield from _figures(name, runs, {"wall": "ms", "PostgreSQL CPU": "ms", "WAL": "KB"})


def _complete(system: System, samples: Samples) -> Run:
    """One fold, in turns with its limits."""
    workout, other = _start(system, "PROCESSING"), _start(system, "ACTIVE")
    send(system.redis, workout, batches(samples))
    return {
        **_cost(system, partial(fold, system.database, system.redis, workout)),
        "kernel": _ms(partial(_analyse, samples), time.process_time),
        "write": _ms(partial(_write, system, other, samples), time.process_time),
    }


def _checkpoints(system: System, hours: int, days: Iterator[int]) -> Run:
    """Ten minutes more of a ride under way: the mean over four hours of them, a part of an archive.

    The mean, as the figures are computed anew at some of them only.
    """
    samples, start = ride(hours + _MORE, next(days)), hours * 3600
    fresh = [slice(at, at + _CHECKPOINT) for at in range(start, len(samples), _CHECKPOINT)]
    parts, workout = [batches(samples.select(each)) for each in fresh], _start(system, "ACTIVE")
    _send_and_fold(system, workout, batches(samples.select(slice(start))))
    cost = _cost(system, partial(_send_and_fold, system, workout, *parts))
    return {name: value / len(parts) for name, value in cost.items()}


def _archive(system: System, options: Options) -> Iterator[Figure]:
    """An hour of nine channels, beside the same as JSON in the row, as the peer keeps it."""
    samples, name = ride(1), "archive of 1 h"
    encoded, stored, json = list[float](), list[float](), list[float]()
    with system.database.connection() as connection:
        connection.execute("CREATE TABLE bench_json (telemetry jsonb)")
    for _ in range(options.rides):
        workout = _start(system, "ACTIVE")
        encoded.append(_ms(partial(_encode, samples), time.perf_counter))
        stored.append(_ms(partial(_write, system, workout, samples), time.perf_counter))
        json.append(_ms(partial(_write_json, system, an_hour()), time.perf_counter))
    size = sum(len(row.data) for row in _encode(samples)) / 1000
    peer = _ask(system, "SELECT avg(pg_column_size(telemetry)) / 1000 FROM bench_json")
    target = most(1 / 5, "peer")
    yield Figure(f"{name}, nine channels", "KB", [size], peer_runs=[peer], target=target)
    yield Figure(f"{name}, encode", "ms", encoded)
    target = most(1 / 10, "peer")
    yield Figure(f"{name}, encode and commit", "ms", stored, peer_runs=json, target=target)


def _kept(system: System, options: Options) -> Figure:
    """What a ride of an hour adds to the database, indexes and TOAST included."""
    before = _ask(system, _SIZE)
    for day in range(options.rides):
        _send_and_fold(system, _start(system, "PROCESSING"), batches(ride(1, -1 - day)))
    grown = (_ask(system, _SIZE) - before) / 1000
    return Figure("1 h, kept in PostgreSQL", "KB", [grown / options.rides])


def _figures(name: str, runs: list[Run], units: dict[str, str]) -> Iterator[Figure]:
    for each, unit in units.items():
        yield Figure(f"{name}, {each}", unit, series(runs, each))


def _cost(system: System, work: Callable[[], object]) -> Run:
    """Of this process and of PostgreSQL, in ms and KB."""
    logged = partial(_ask, system, "SELECT pg_current_wal_insert_lsn() - '0/0'")
    meters = (logged, system.postgres_cpu, time.process_time, time.perf_counter)
    _, costs = spent(work, *meters)
    wal, server, cpu, wall = (cost * 1000 for cost in costs)
    return {"worker CPU": cpu, "wall": wall, "PostgreSQL CPU": server, "WAL": wal / 1e6}


def _ms(work: Callable[[], object], clock: Meter) -> float:
    _, (seconds,) = spent(work, clock)
    return seconds * 1000


def _start(system: System, status: str) -> UUID:
    return start_ride(system.database, system.account.user_id, status)


def _send_and_fold(system: System, workout: UUID, *parts: list[bytes]) -> None:
    for part in parts:
        send(system.redis, workout, part)
        fold(system.database, system.redis, workout)


def _analyse(samples: Samples) -> None:
    ride = Ride(samples)
    summarize(ride, _ATHLETE)
    rank_efforts(ride)


def _encode(samples: Samples) -> list[ArchivedChannel]:
    return [row for part, each in split(samples) for row in encode(each, part)]


def _write(system: System, workout: UUID, samples: Samples) -> None:
    """The least that a fold must do: encode, and commit in one round trip."""
    columns = map(list, zip(*_encode(samples), strict=True))
    named = dict(zip(ArchivedChannel._fields, columns, strict=True))
    with system.database.connection() as connection, connection.pipeline():
        connection.execute(_WRITE_CHANNELS, {"workout_id": workout, **named})


def _write_json(system: System, rows: list[dict[str, Any]]) -> None:
    with system.database.connection() as connection, connection.pipeline():
        connection.execute("INSERT INTO bench_json VALUES (%s)", [Jsonb(rows)])


def _ask(system: System, statement: str) -> float:
    """The one number of an answer."""
    with system.database.connection() as connection:
        (row,) = connection.execute(statement.encode())
        return float(*row.values())
