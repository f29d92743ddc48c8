"""What must hold after every fault, once things have calmed down."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from shared.redis_keys import DUE, Queue, samples_key
from shared.samples import archive
from shared.samples.archive import ArchivedChannel
from shared.samples.columns import Samples
from tests.faults.recordings import Recording
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.workouts import pending
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize


def assert_all_is_kept(system: System, *recordings: Recording, within: float = 60) -> None:
    """Every ride completes with the figures of every sample that was acknowledged with 202.

    Nothing is left in Redis, nothing was given up, and the records are the best of all rides.
    """
    eventually(lambda: are_completed(system, recordings), within)
    eventually(lambda: is_idle(system), within)
    for recording in recordings:
        assert_figures(system, recording)
    assert system.query("SELECT reason FROM dead_letters") == []
    for user_id, rides in groupby(recordings, lambda each: each.rider.account.user_id):
        assert stored_records(system, user_id) == best_of(rides)


def assert_figures(system: System, recording: Recording) -> None:
    """Archive and summary are what the promised samples give offline."""
    kept = recording.kept
    assert_equal(archived(system, recording.workout_id), kept)
    figures = summarize(Ride(kept), Athlete(), recording.overwritten)
    stored = row_of(system, recording.workout_id)["summary"]
    assert stored == msgspec.json.decode(msgspec.json.encode(figures))


def assert_equal(stored: Samples, expected: Samples) -> None:
    np.testing.assert_array_equal(stored.timestamps, expected.timestamps)
    assert stored.channels.keys() == expected.channels.keys()
    for name, values in expected.channels.items():
        np.testing.assert_array_equal(stored.channels[name], values)


def are_completed(system: System, recordings: Iterable[Recording]) -> bool:
    ids = [recording.workout_id for recording in recordings]
    rows = system.query("SELECT status FROM workouts WHERE id = ANY(%s::uuid[])", [ids])
    return {row["status"] for row in rows} == {"COMPLETED"}


def is_idle(system: System) -> bool:
    """Whether no event waits or is pending, and no stream of samples is left."""
    redis = system.redis_client
    events = any(map(redis.xlen, Queue)) or (redis.exists(Queue.PROMPT) and pending(redis))
    return not events and not redis.zcard(DUE) and not list(redis.scan_iter("*:samples"))


def waiting(system: System, recording: Recording) -> int:
    """How many batches of a ride are in Redis."""
    return int(system.redis_client.xlen(samples_key(UUID(recording.workout_id))))


def row_of(system: System, workout_id: str) -> dict[str, Any]:
    [row] = system.query("SELECT * FROM workouts WHERE id = %s", [workout_id])
    return row


def status_of(system: System, recording: Recording) -> str:
    return str(row_of(system, recording.workout_id)["status"])


def channels_of(system: System, workout_id: str) -> list[ArchivedChannel]:
    rows = system.query(
        "SELECT part, channel, encoding, samples, data FROM workout_channels"
        " WHERE workout_id = %s ORDER BY part, channel",
        [workout_id],
    )
    return [ArchivedChannel(**row) for row in rows]


def archived(system: System, workout_id: str) -> Samples:
    return archive.decode(channels_of(system, workout_id))


def stored_records(system: System, user_id: str) -> dict[tuple[str, int], float]:
    rows = system.query(
        "SELECT metric, duration, value FROM sport_records WHERE user_id = %s", [user_id]
    )
    return {(row["metric"], row["duration"]): row["value"] for row in rows}


def best_of(recordings: Iterable[Recording]) -> dict[tuple[str, int], float]:
    """The records of a rider who rode just these rides."""
    best: dict[tuple[str, int], float] = {}
    for recording in recordings:
        for metric, efforts in rank_efforts(Ride(recording.kept)).bests.items():
            for effort in efforts:
                key = metric, effort.duration
                best[key] = max(effort.value, best.get(key, 0))
    return best


def make_overdue(system: System) -> None:
    """As if every fold had been asked for a minute ago: the sweeper takes its event for lost."""
    system.execute("UPDATE workouts SET fold_asked_at = now() - interval '1 minute'")
