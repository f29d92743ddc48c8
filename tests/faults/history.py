"""What devices sent and were promised, and whether PostgreSQL holds exactly that."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row, dict_row

from shared.connections import DatabaseConnection, Redis, Row, redis_at
from shared.redis_keys import DUE, GROUP, Queue, samples_key
from shared.samples import archive, stream_codec
from shared.samples.archive import ArchivedChannel
from shared.samples.columns import Samples, concatenate, merge
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.stream import read_waiting
from worker.rides.summary import summarize

Reading = tuple[int, str, float]  # ms, channel, value
Best = tuple[str, int, float, datetime]  # metric, seconds, value, when it began


@dataclass
class RideHistory:
    """One ride as its device knows it, batches in the order sent."""

    workout_id: UUID
    user_id: str
    sent: list[Samples] = field(default_factory=list)
    acknowledged: list[Samples] = field(default_factory=list)
    completed: bool = False  # the service said so
    epochs: set[str] = field(default_factory=set)  # of the answers to what was acknowledged
    # Of who is told of no epoch: when each message was answered, by the ms of its sample.
    answered: dict[int, list[float]] = field(default_factory=dict)
    rest: Ride | None = None  # what is left of a ride of which samples were lost

    @cached_property
    def offline(self) -> Ride:
        """What the service should have made of the ride; ask once everything is sent."""
        return Ride(merge(concatenate(self.sent)))

    @property
    def counts(self) -> Ride:
        """What its figures are to be of: losses are counted as such, and once."""
        return self.rest or self.offline

    @cached_property
    def bests(self) -> set[Best]:
        return {
            (metric, each.duration, each.value, datetime.fromtimestamp(each.started, UTC))
            for metric, efforts in rank_efforts(self.counts).bests.items()
            for each in efforts
        }


class History:
    """Every ride, every answer, and what surprised the devices; written by many threads."""

    def __init__(self) -> None:
        self.rides: list[RideHistory] = []
        self.answers: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.failovers: list[tuple[float, float]] = []  # of Redis: from when to when
        self._lock = threading.Lock()

    def note_answer(self, answer: str) -> None:
        with self._lock:
            self.answers[answer] += 1

    @property
    def samples_acknowledged(self) -> int:
        return sum(len(batch) for ride in list(self.rides) for batch in list(ride.acknowledged))

    @property
    def messages(self) -> int:
        """Of those who are told of no epoch."""
        return sum(len(moments) for ride in self.rides for moments in ride.answered.values())

    def may_lack(self, ride: RideHistory, time: int) -> bool:
        """Whether a failover may have cost a sample, and nobody told its device."""
        moments = ride.answered.get(time)
        return moments is not None and all(map(self._was_failing_over, moments))

    def _was_failing_over(self, moment: float) -> bool:
        return any(begun <= moment <= over for begun, over in self.failovers)


@dataclass
class Verdict:
    """How far the service is from what it promised; ``details`` says where."""

    lost: int = 0  # acknowledged samples that the archive lacks or has otherwise
    lost_untold: int = 0  # beside those: what failovers cost devices that are told of no loss
    twice: int = 0  # archived samples that nobody sent, and figures that are not those of the rest
    details: list[str] = field(default_factory=list)


@contextmanager
def stores(database_url: str, redis_url: str) -> Iterator[tuple[DatabaseConnection, Redis]]:
    """Connections that see each moment's rows."""
    with (
        psycopg.connect(database_url, row_factory=dict_row, autocommit=True) as connection,
        redis_at(redis_url) as client,
    ):
        yield connection, client


def find_unfinished(history: History, connection: DatabaseConnection, client: Redis) -> list[str]:
    """What is still to be done, or was given up; nothing once all is well and quiet."""
    found = [f"{name}: {count}" for name, count in _queues(connection, client).items() if count]
    for ride in history.rides:
        if len(ride.acknowledged) < len(ride.sent):
            found.append(f"{ride.workout_id} has batches that were never acknowledged")
        status = _workout(connection, ride)["status"]
        if not ride.completed or status not in ("COMPLETED", "FAILED"):
            found.append(f"{ride.workout_id} is {status}")
        if status == "COMPLETED" and client.exists(samples_key(ride.workout_id)):
            found.append(f"{ride.workout_id} has samples waiting")
    return found


def check(history: History, connection: DatabaseConnection, client: Redis) -> Verdict:
    """Compare every ride, sample by sample and figure by figure, with what its device sent."""
    verdict = Verdict()
    for ride in history.rides:
        _check_samples(ride, _held(ride, connection, client), history, verdict)
        workout = _workout(connection, ride)
        if workout["status"] != "FAILED":
            _check_figures(ride, workout["summary"] or {}, verdict)
            _check_bests(ride, connection, verdict)
    for user_id in {ride.user_id for ride in history.rides}:
        _check_records(user_id, history, connection, verdict)
    return verdict


def _check_samples(ride: RideHistory, held: Samples, history: History, verdict: Verdict) -> None:
    found = readings(held)
    lacking = _times(readings(merge(concatenate(ride.acknowledged))) - found)
    untold = {time for time in lacking if history.may_lack(ride, time)}
    lost = lacking - untold
    stray = _times(found - readings(ride.offline.samples))
    repeated = len(held) - len(set(held.timestamps.tolist()))
    verdict.lost += len(lost)
    verdict.lost_untold += len(untold)
    ride.rest = Ride(held) if lacking and not stray and len(held) else None
    verdict.twice += len(stray) + repeated
    for name, times in (("lost", lost), ("sent by nobody", stray)):
        if times:
            verdict.details.append(f"{ride.workout_id}: {name}: {len(times)} from {min(times)}")
    if repeated:
        verdict.details.append(f"{ride.workout_id}: archived twice: {repeated}")


def _check_figures(ride: RideHistory, summary: dict[str, Any], verdict: Verdict) -> None:
    offline = summarize(ride.counts, Athlete(), overwritten=0)
    expected = msgspec.json.decode(msgspec.json.encode(offline))  # as it comes back from a column
    for name in sorted(expected.keys() | summary.keys()):
        if summary.get(name) != expected.get(name):
            verdict.twice += 1
            verdict.details.append(
                f"{ride.workout_id}: {name} is {summary.get(name)}, not {expected.get(name)}"
            )


def _check_bests(ride: RideHistory, connection: DatabaseConnection, verdict: Verdict) -> None:
    rows = connection.execute(
        "SELECT metric, duration, value, started_at FROM workout_bests WHERE workout_id = %s",
        [ride.workout_id],
    )
    _compare(f"{ride.workout_id}: bests", {_best(row) for row in rows}, ride.bests, verdict)


def _check_records(
    user_id: str, history: History, connection: DatabaseConnection, verdict: Verdict
) -> None:
    rows = connection.execute(
        "SELECT metric, duration, value, started_at FROM sport_records WHERE user_id = %s",
        [user_id],
    )
    expected: dict[tuple[str, int], Best] = {}
    for ride in history.rides:
        for best in ride.bests if ride.user_id == user_id else ():
            rival = expected.setdefault(best[:2], best)
            expected[best[:2]] = min(rival, best, key=lambda each: (-each[2], each[3]))
    found = {_best(row) for row in rows}
    _compare(f"rider {user_id}: records", found, set(expected.values()), verdict)


def _compare(what: str, found: set[Best], expected: set[Best], verdict: Verdict) -> None:
    if differing := found ^ expected:
        verdict.twice += len({best[:2] for best in differing})
        verdict.details.append(f"{what} differ: {sorted(differing)[:4]}")


def readings(samples: Samples) -> set[Reading]:
    """Every value with its place; a sample counts even if nothing was measured."""
    times = samples.timestamps.tolist()
    found = {(time, "", 0.0) for time in times}
    for name, values in samples.channels.items():
        pairs = zip(times, values.tolist(), strict=True)
        found |= {(time, name, value) for time, value in pairs if value == value}
    return found


def _times(found: set[Reading]) -> set[int]:
    return {time for time, _, _ in found}


def _best(row: Row) -> Best:
    return row["metric"], row["duration"], row["value"], row["started_at"]


def _workout(connection: DatabaseConnection, ride: RideHistory) -> Row:
    row = connection.execute(
        "SELECT status, summary FROM workouts WHERE id = %s", [ride.workout_id]
    ).fetchone()
    return row or {"status": "absent", "summary": None}


def _held(ride: RideHistory, connection: DatabaseConnection, client: Redis) -> Samples:
    """The archive; of a FAILED ride also what waits, which is kept for its replay."""
    with connection.cursor(row_factory=class_row(ArchivedChannel)) as cursor:
        cursor.execute(
            "SELECT part, channel, encoding, samples, data FROM workout_channels"
            " WHERE workout_id = %s",
            [ride.workout_id],
        )
        archived = archive.decode(cursor.fetchall())
    if _workout(connection, ride)["status"] != "FAILED":
        return archived
    waiting = stream_codec.decode(read_waiting(client, ride.workout_id).entries)
    return merge(concatenate([archived, waiting]))


def _queues(connection: DatabaseConnection, client: Redis) -> dict[str, int]:
    letters = connection.execute("SELECT count(*) AS count FROM dead_letters").fetchone()
    groups = [
        group for queue in Queue if client.exists(queue) for group in _groups_of(client, queue)
    ]
    return {
        "dead letters": letters["count"] if letters else 0,
        "events": sum(int(client.xlen(queue)) for queue in Queue),
        "late rides": int(client.zcard(DUE)),
        "events pending": sum(g["pending"] for g in groups if g["name"] == GROUP.encode()),
    }


def _groups_of(client: Redis, queue: Queue) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = client.xinfo_groups(queue)
    return groups
