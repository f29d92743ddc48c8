"""The fold of 1, 6 and 24 hours, its checkpoints, and the archive: beside the kernel alone."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from bench.figures import Against, Figure, Target, most
from bench.options import Options
from bench.rides import an_hour, batches, ride, send, start_ride
from bench.system import System, cpu_seconds
from shared.connections import Database, DatabaseConnection, Redis, open_database, open_redis
from shared.samples.archive import ArchivedChannel, encode, split
from shared.samples.columns import Samples
from shared.settings import read_settings
from shared.sql import load_queries
from worker.jobs.fold import fold
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize

SECTION: Final = "fold"
HOURS: Final = (1, 6, 24)
CHECKPOINT: Final = 600  # samples, as many as seconds
_CHECKPOINTS: Final = 12  # until a ride is two hours longer
_FOLDS = load_queries("folds")
_ATHLETE: Final = Athlete(280, 265, 18_000, 168, 188, 72)
_TARGETS: Final = {1: [most(6)], 24: [most(150)]}
_KEPT: Final = (
    "workouts",
    "workout_channels",
    "workout_bests",
    "workout_curves",
    "personal_records",
)


def measure(system: System, options: Options) -> list[Figure]:
    """In this process, as a worker does it."""
    settings = read_settings(system.environ)
    with open_database(settings) as database, open_redis(settings) as redis:
        bench = _Folds(system, database, redis, options)
        figures = [each for hours in HOURS for each in bench.completions(hours)]
        figures += [each for hours in HOURS for each in bench.checkpoints(hours)]
        return [*figures, *bench.archive(), bench.kept()]


class _Folds:
    def __init__(self, system: System, database: Database, redis: Redis, options: Options) -> None:
        self._system, self._database, self._redis = system, database, redis
        self._options = options
        self._rider = system.account.user_id

    def completions(self, hours: int) -> list[Figure]:
        """A ride that has never been folded, from the stream to the commit."""
        samples = ride(hours)
        packed = list(batches(samples))
        runs: dict[str, list[float]] = {}
        rounds = max(self._options.rides // hours, 3)
        for _ in range(rounds):
            workout = self._start("PROCESSING")
            send(self._redis, workout, packed)
            _run(runs, "wall", "CPU", partial(self._fold, workout))
            _run(runs, "", "kernel", partial(_analyse, samples))
            workout = self._start("ACTIVE")
            _run(runs, "", "write", partial(self._write, workout, samples))
        cpu, wal = self._server_cost(packed, max(rounds, 10))
        targets = _TARGETS.get(hours, [])
        name = f"{hours} h"
        return [
            _figure(f"{name}, worker CPU", "ms", runs["CPU"], runs["kernel"], "kernel", targets),
            _figure(
                f"{name}, worker CPU beside its write",
                "ms",
                runs["CPU"],
                runs["write"],
                "encode + one transaction",
            ),
            _figure(f"{name}, wall", "ms", runs["wall"]),
            _figure(f"{name}, PostgreSQL CPU", "ms", [cpu]),
            _figure(f"{name}, WAL", "KB", [wal]),
        ]

    def checkpoints(self, hours: int) -> list[Figure]:
        """Ten minutes more of a ride under way: the mean over two hours of them.

        The mean, as the figures are computed anew at some of them only.
        """
        samples = ride(hours + 2)
        cpu, server, wal = [], [], []
        for _ in range(self._options.runs):
            workout = self._start("ACTIVE")
            send(self._redis, workout, list(batches(samples.select(slice(hours * 3600)))))
            self._fold(workout)
            spent, before = time.process_time(), self._server_state()
            for number in range(_CHECKPOINTS):
                start = hours * 3600 + number * CHECKPOINT
                fresh = samples.select(slice(start, start + CHECKPOINT))
                send(self._redis, workout, list(batches(fresh)))
                self._fold(workout)
            cpu.append((time.process_time() - spent) * 1000 / _CHECKPOINTS)
            after = self._server_state()
            server.append((after[0] - before[0]) * 1000 / _CHECKPOINTS)
            wal.append((after[1] - before[1]) / 1000 / _CHECKPOINTS)
        name = f"10 min after {hours} h"
        return [
            _figure(f"{name}, worker CPU", "ms", cpu),
            _figure(f"{name}, PostgreSQL CPU", "ms", server),
            _figure(f"{name}, WAL", "KB", wal),
        ]

    def archive(self) -> list[Figure]:
        """An hour of nine channels, beside the same as JSON in the row, as the peer keeps it."""
        samples, rows = ride(1), an_hour()
        runs: dict[str, list[float]] = {}
        for _ in range(self._options.rides):
            _run(runs, "encode", "", partial(_encode, samples))
            workout = self._start("ACTIVE")
            _run(runs, "store", "", partial(self._write, workout, samples))
            _run(runs, "JSONB", "", partial(self._store_json, workout, rows))
        size = sum(len(row.data) for row in _encode(samples))
        return [
            _figure(
                "archive of 1 h, nine channels",
                "KB",
                [size / 1000],
                targets=[most(1 / 5, Against.PEER)],
                peer=[self._json_size() / 1000],
            ),
            _figure("archive of 1 h, encode", "ms", runs["encode"]),
            _figure(
                "archive of 1 h, encode and commit",
                "ms",
                runs["store"],
                targets=[most(1 / 10, Against.PEER)],
                peer=runs["JSONB"],
            ),
        ]

    def kept(self) -> Figure:
        """What a ride of an hour adds to the database, indexes and TOAST included."""
        packed = list(batches(ride(1)))
        before = self._database_size()
        for _ in range(self._options.rides):
            workout = self._start("PROCESSING")
            send(self._redis, workout, packed)
            self._fold(workout)
        grown = self._database_size() - before
        return _figure("1 h, kept in PostgreSQL", "KB", [grown / 1000 / self._options.rides])

    def _start(self, status: str) -> UUID:
        with self._database.connection() as connection:
            return start_ride(connection, self._rider, status)

    def _fold(self, workout: UUID) -> None:
        fold(self._database, self._redis, workout)

    def _server_cost(self, packed: list[bytes], rides: int) -> tuple[float, float]:
        """What a completion costs PostgreSQL: ms of CPU, and KB of its log."""
        workouts = [self._start("PROCESSING") for _ in range(rides)]
        for workout in workouts:
            send(self._redis, workout, packed)
        before = self._server_state()
        for workout in workouts:
            self._fold(workout)
        after = self._server_state()
        cpu, wal = after[0] - before[0], after[1] - before[1]
        return cpu * 1000 / rides, wal / 1000 / rides

    def _server_state(self) -> tuple[float, float]:
        """PostgreSQL's CPU time in seconds, and the bytes it has logged."""
        row = self._ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes")
        return cpu_seconds(self._system.postgres), float(row["bytes"])

    def _write(self, workout: UUID, samples: Samples) -> None:
        """The least that a fold must do: encode, and commit in one round trip."""
        rows = [row for part, each in split(samples) for row in encode(each, part)]
        columns = {
            name: list(column)
            for name, column in zip(ArchivedChannel._fields, zip(*rows, strict=True), strict=True)
        }
        with self._database.connection() as connection, connection.pipeline():
            connection.execute(_FOLDS["write_channels"], {"workout_id": workout, **columns})

    def _store_json(self, workout: UUID, rows: list[dict[str, Any]]) -> None:
        with self._database.connection() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS bench_json (id uuid, telemetry jsonb)")
            connection.execute("INSERT INTO bench_json VALUES (%s, %s)", [workout, Jsonb(rows)])

    def _json_size(self) -> float:
        return float(self._ask("SELECT avg(pg_column_size(telemetry)) AS b FROM bench_json")["b"])

    def _database_size(self) -> int:
        sizes = " + ".join(f"pg_total_relation_size('{table}')" for table in _KEPT)
        return int(self._ask(f"SELECT {sizes} AS bytes")["bytes"])

    def _ask(self, statement: str) -> dict[str, Any]:
        with self._database.connection() as connection:
            return _row(connection, statement)


def _row(connection: DatabaseConnection, statement: str) -> dict[str, Any]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None  # each statement here gives one
    return row


def _analyse(samples: Samples) -> None:
    ride = Ride(samples)
    summarize(ride, _ATHLETE)
    rank_efforts(ride)


def _encode(samples: Samples) -> list[ArchivedChannel]:
    return [row for part, each in split(samples) for row in encode(each, part)]


def _run(runs: dict[str, list[float]], wall: str, cpu: str, work: Callable[[], object]) -> None:
    """Do it once; add the ms it took, on the clock and of CPU, to the runs so named."""
    begin, spent = time.perf_counter(), time.process_time()
    work()
    spent, taken = time.process_time() - spent, time.perf_counter() - begin
    for name, seconds in ((wall, taken), (cpu, spent)):
        if name:
            runs.setdefault(name, []).append(seconds * 1000)


def _figure(
    name: str,
    unit: str,
    runs: list[float],
    limit_runs: list[float] | None = None,
    limit: str = "",
    targets: list[Target] | None = None,
    peer: list[float] | None = None,
) -> Figure:
    return Figure(
        section=SECTION,
        name=name,
        unit=unit,
        runs=runs,
        limit_runs=limit_runs or [],
        limit=limit,
        targets=targets or [],
        peer_runs=peer or [],
        digits=2,
    )
