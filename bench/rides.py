"""Rides to measure with: realistic numbers, as long as asked for."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

import numpy as np

from ops.demo.ride_simulator import simulate_ride
from shared.connections import Database, Redis
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import stream_codec
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import Samples, concatenate

START: Final = 1_700_000_000_000  # ms since the Unix epoch
HOUR: Final = 3_600_000  # ms
DAY: Final = 24 * HOUR
BATCH: Final = 60  # samples
# What a head unit with a GPS sends; the ninth, temperature, comes with the archived rides.
EIGHT: Final = CHANNEL_NAMES[:8]
THREE: Final = ("power", "cadence", "heartrate")


@cache
def an_hour() -> list[dict[str, Any]]:
    """3,600 samples of nine channels at 1 Hz."""
    riding = [each for each in simulate_ride(START) if "power" in each]
    return [
        {**riding[second % len(riding)], "timestamp": START + second * 1000}
        for second in range(3600)
    ]


def of_channels(rows: Sequence[dict[str, Any]], channels: Sequence[str]) -> list[dict[str, Any]]:
    """The samples with these channels only."""
    return [{name: row[name] for name in ("timestamp", *channels)} for row in rows]


def to_samples(rows: Sequence[dict[str, Any]]) -> Samples:
    """In columns; the channels of the first are those of all."""
    names = [name for name in CHANNEL_NAMES if name in rows[0]]
    return Samples(
        np.array([row["timestamp"] for row in rows], np.int64),
        {name: np.array([row[name] for row in rows], np.float64) for name in names},
    )


def ride(hours: int, day: int = 0) -> Samples:
    """So many hours of nine channels, one like the other; so many days after the first ride.

    No two days' are alike in power: they would be taken for recordings of one ride.
    """
    hour = to_samples(an_hour())
    channels = {**hour.channels, "power": hour.channels["power"] + day % 50}
    return concatenate(
        [Samples(hour.timestamps + day * DAY + HOUR * number, channels) for number in range(hours)]
    )


def batches(samples: Samples, size: int = BATCH) -> list[bytes]:
    """The stream entries of a ride."""
    starts = range(0, len(samples), size)
    return [stream_codec.encode(samples.select(slice(at, at + size))) for at in starts]


def start_ride(database: Database, user_id: str, status: str) -> UUID:
    """A new workout of a user, which is completed once its status says so."""
    with database.connection() as connection:
        row = connection.execute(
            "INSERT INTO workouts (user_id, status, completed_at) VALUES (%s, %s, now()) "
            "RETURNING id",
            [user_id, status],
        ).fetchone()
    assert row is not None  # INSERT … RETURNING gives a row
    workout_id: UUID = row["id"]
    return workout_id


def send(redis: Redis, workout_id: UUID, entries: Sequence[bytes]) -> None:
    """Add batches to a workout's stream, as the API does."""
    with redis.pipeline(transaction=False) as pipe:
        for entry in entries:
            pipe.xadd(samples_key(workout_id), {BATCH_FIELD: entry})
        pipe.execute()
