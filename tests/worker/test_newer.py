"""An older worker beside newer ones, as in a deploy: it leaves to them what it does not know."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest

from shared.connections import Database, Redis
from shared.events import Fields
from shared.redis_keys import BATCH_FIELD, Queue, samples_key
from shared.samples import stream_codec
from shared.samples.channels import CHANNELS
from tests.worker.conftest import LEASE, Running, StartWorker
from tests.worker.readings import steady
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending
from worker.jobs.fold import fold
from worker.queue.dead_letters import DeadLetter
from worker.rides.summary import METHOD_VERSION

Change = Callable[[Workouts, UUID], None]


@dataclass(frozen=True)
class Novelty:
    """What a newer version has written of a ride, and how it reads that: as what we know."""

    write: Change
    read: Change


def batch(entry: bytes) -> Change:
    """Makes that entry the only batch that waits."""

    def put(workouts: Workouts, ride: UUID) -> None:
        fields: Any = {BATCH_FIELD: entry}
        workouts.redis.delete(samples_key(ride))
        workouts.redis.xadd(samples_key(ride), fields)

    return put


def power_row(change: str, channel: str = "power") -> Change:
    """Changes the archived power."""
    return sql(
        f"UPDATE workout_channels SET {change} WHERE workout_id = %(id)s AND channel = '{channel}'"
    )


def method(version: int) -> Change:
    """Makes the figures those of another version's definitions."""
    return sql(
        f"UPDATE workouts SET summary = summary || jsonb_build_object('methodVersion', {version})"
        " WHERE id = %(id)s"
    )


def sql(statement: str) -> Change:
    def execute(workouts: Workouts, ride: UUID) -> None:
        with workouts.database.connection() as connection:
            connection.execute(statement.encode(), {"id": ride})

    return execute


KNOWN = stream_codec.encode(steady(60, begin=60, power=300))
NEWER_VERSION = bytes([stream_codec.VERSION + 1]) + KNOWN[1:]
NEWER_CHANNEL = KNOWN[:7] + bytes([len(CHANNELS)]) + KNOWN[8:]
NOVELTIES = {
    "version of a batch": Novelty(batch(NEWER_VERSION), batch(KNOWN)),
    "channel of a batch": Novelty(batch(NEWER_CHANNEL), batch(KNOWN)),
    "encoding of the archive": Novelty(
        power_row("encoding = 'pco2'"), power_row("encoding = 'pco1'")
    ),
    "channel of the archive": Novelty(
        power_row("channel = 'torque'"), power_row("channel = 'power'", "torque")
    ),
    "version of the figures": Novelty(method(METHOD_VERSION + 1), method(METHOD_VERSION)),
}


@pytest.fixture
def ride(workouts: Workouts, database: Database, redis_client: Redis) -> UUID:
    """A minute of it is archived, another waits; it is to be completed."""
    ride = workouts.start()
    workouts.send(ride, steady(60, power=200))
    fold(database, redis_client, ride)
    workouts.send(ride, steady(60, begin=60, power=300))
    workouts.complete(ride)
    return ride


def fold_another(workouts: Workouts) -> None:
    """Other work is done as ever."""
    other = workouts.start("PROCESSING")
    workouts.send(other, steady(60, power=200))
    workouts.ask(other)
    eventually(lambda: workouts.status(other) == "COMPLETED")


def fold_due(workouts: Workouts) -> None:
    """A ride that nobody has asked for is folded, as its row says that it is due."""
    other = workouts.start("PROCESSING")
    eventually(lambda: workouts.status(other) == "COMPLETED")


def is_rarely_tried(log: Path, began: float) -> bool:
    """Whether the older worker has tried what it left once a minute at most."""
    tries = log.read_text().count("left event")
    return 1 <= tries <= 1 + (time.monotonic() - began) / 60


def is_left_alone(redis_client: Redis) -> bool:
    """Whether one event is pending, free for whoever looks, and counted as never delivered."""
    return [
        (event["times_delivered"], event["time_since_delivered"] >= LEASE * 1000)
        for event in pending(redis_client)
    ] == [(0, True)]


@pytest.mark.parametrize("novelty", NOVELTIES.values(), ids=NOVELTIES.keys())
def test_an_older_worker_leaves_a_ride_to_a_newer_one(
    workouts: Workouts,
    database: Database,
    redis_client: Redis,
    ride: UUID,
    start_worker: StartWorker,
    running: Running,
    tmp_path: Path,
    novelty: Novelty,
) -> None:
    novelty.write(workouts, ride)
    before = workouts.channels(ride)
    workouts.ask(ride)
    began = time.monotonic()
    start_worker(SWEEP_INTERVAL="0.05")
    for _ in range(3):
        fold_another(workouts)
    fold_due(workouts)  # so the dispatcher has met the ride as well
    eventually(lambda: workouts.asked() == [ride])  # and asked for nothing more
    eventually(lambda: is_left_alone(redis_client))
    assert is_rarely_tried(tmp_path / "worker.log", began)
    assert workouts.status(ride) == "PROCESSING"
    assert workouts.dead_letters(ride) == []
    assert workouts.channels(ride) == before

    def newer_fold(workout_id: UUID) -> bool:
        if workout_id == ride:
            novelty.read(workouts, ride)
        return fold(database, redis_client, workout_id)

    with running(newer_fold, consumer="newer", lease=LEASE):
        eventually(lambda: workouts.status(ride) == "COMPLETED" and workouts.asked() == [])
    summary = workouts.row(ride)["summary"]
    assert (summary["sampleCount"], summary["avgPower"]) == (120, 250)
    assert workouts.waiting(ride) == 0
    assert workouts.dead_letters(ride) == []


class Import:
    """A job of a newer version."""

    kind: ClassVar = "import-file"

    def __init__(self) -> None:
        self.imported: list[bytes] = []

    def subject_of(self, event: Fields) -> bytes | None:
        return b"file " + event[b"file"]

    def run(self, event: Fields) -> bool:
        self.imported.append(event[b"file"])
        return True

    def give_up(self, letter: DeadLetter) -> None:
        raise AssertionError(letter)


def test_an_older_worker_leaves_an_event_of_a_newer_kind(
    workouts: Workouts,
    redis_client: Redis,
    start_worker: StartWorker,
    running: Running,
    tmp_path: Path,
) -> None:
    redis_client.xadd(Queue.PROMPT, {"kind": "import-file", "file": "7"})
    began = time.monotonic()
    start_worker(SWEEP_INTERVAL="86400")
    for _ in range(3):
        fold_another(workouts)
    eventually(lambda: is_left_alone(redis_client))
    assert redis_client.xlen(Queue.PROMPT) == 1
    assert is_rarely_tried(tmp_path / "worker.log", began)
    with running(None, job := Import(), consumer="newer", lease=LEASE):
        eventually(lambda: redis_client.xlen(Queue.PROMPT) == 0)
    assert job.imported == [b"7"]


def test_an_older_worker_leaves_a_newer_kind_over_which_newer_workers_have_died(
    redis_client: Redis, running: Running, database: Database
) -> None:
    """It does not know what giving up would mean."""
    event_id = redis_client.xadd(Queue.PROMPT, {"kind": "import-file", "file": "7"})
    redis_client.xgroup_create(Queue.PROMPT, "workers", id="0")
    redis_client.xreadgroup("workers", "dead", {Queue.PROMPT: ">"})
    redis_client.xclaim(Queue.PROMPT, "workers", "dead", 0, [event_id], retrycount=5)
    with running(pass_over=60):
        eventually(lambda: pending(redis_client)[0]["consumer"] == b"first")
        eventually(lambda: pending(redis_client)[0]["times_delivered"] == 5)
    with database.connection() as connection:
        letter = "SELECT 1 FROM dead_letters WHERE event ->> 'kind' = 'import-file'"
        assert connection.execute(letter).fetchall() == []


def test_what_is_left_may_be_tried_any_number_of_times(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    """As by workers that are restarted again and again during a long deploy."""
    ride = workouts.start("PROCESSING")
    batch(NEWER_VERSION)(workouts, ride)
    workouts.ask(ride)
    tries = 0

    def count_and_fold(workout_id: UUID) -> bool:
        nonlocal tries
        tries += 1
        return fold(workouts.database, redis_client, workout_id)

    with running(count_and_fold, lease=0.001, pass_over=0):
        eventually(lambda: tries > 10)
    assert [event["times_delivered"] for event in pending(redis_client)] == [0]
    assert workouts.dead_letters(ride) == []
    assert workouts.status(ride) == "PROCESSING"
