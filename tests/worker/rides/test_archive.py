"""The archive in parts: a checkpoint rewrites what changed, and every part comes back."""

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connections import Database, Redis
from shared.samples import archive
from shared.samples.archive import WHOLE, split
from shared.samples.columns import Samples, concatenate, merge
from tests.shared.samples.strategies import any_samples, exactly
from tests.worker.readings import T0, steady
from tests.worker.workouts import Workouts
from worker.jobs.fold import fold
from worker.rides.archive import merge_archive

HOUR = 3600
PART = 4 * HOUR
START = T0 - T0 // 1000 % PART * 1000  # a part begins


def riding(seconds: int, begin: int, power: int = 200) -> Samples:
    """A steady ride, from so many seconds after a part's beginning."""
    samples = steady(seconds, begin, power=float(power))
    return Samples(samples.timestamps - T0 + START, samples.channels)


def versions(database: Database, workout: UUID) -> dict[int, set[str]]:
    """Which transaction wrote the rows of each part."""
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT part, xmin::text AS version FROM workout_channels WHERE workout_id = %s",
            [workout],
        ).fetchall()
    parts: dict[int, set[str]] = {}
    for row in rows:
        parts.setdefault(row["part"], set()).add(row["version"])
    return parts


@given(any_samples(smallest=0))
def test_parts_hold_every_sample_once(samples: Samples) -> None:
    parts = list(split(samples))
    assert sum(len(part) for _, part in parts) == len(samples)
    for number, part in parts:
        assert set((part.timestamps // (PART * 1000)).tolist()) == {number}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 30 * HOUR), st.integers(1, 40)), min_size=1, max_size=8))
def test_merging_by_parts_is_merging_the_whole(batches: list[tuple[int, int]]) -> None:
    uploads = [riding(length, begin, power=nth) for nth, (begin, length) in enumerate(batches)]
    parts = merge_archive({}, dict(split(uploads[0]))).parts
    for upload in uploads[1:]:
        parts = merge_archive(parts, dict(split(upload))).parts
    rows = [row for number, part in parts.items() for row in archive.encode(part, number)]
    assert exactly(archive.decode(rows)) == exactly(merge(concatenate(uploads)))


def test_a_checkpoint_rewrites_only_the_parts_that_changed(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, riding(9 * HOUR, begin=0))
    fold(database, redis_client, workout)
    before = versions(database, workout)
    workouts.send(workout, riding(600, begin=9 * HOUR))
    fold(database, redis_client, workout)
    after = versions(database, workout)
    first, second, last = sorted(before)
    assert (after[first], after[second]) == (before[first], before[second])
    assert after[last] != before[last]
    assert len(workouts.archived(workout)) == 9 * HOUR + 600


def test_late_samples_of_an_early_part_rewrite_that_one(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, riding(9 * HOUR, begin=0))
    fold(database, redis_client, workout)
    before = versions(database, workout)
    workouts.send(workout, riding(60, begin=HOUR, power=300))
    fold(database, redis_client, workout)
    after = versions(database, workout)
    assert [part for part in sorted(before) if after[part] != before[part]] == [min(before)]
    assert workouts.row(workout)["summary"]["maxPower"] == 300
    assert workouts.archived(workout).channel("power").max() == 300


@pytest.mark.parametrize(("minutes", "computed"), [(5, False), (6, True)])
def test_a_checkpoint_computes_figures_once_a_tenth_of_the_ride_is_new_to_them(
    workouts: Workouts, database: Database, redis_client: Redis, minutes: int, computed: bool
) -> None:
    workout = workouts.start()
    workouts.send(workout, riding(HOUR, begin=0))
    fold(database, redis_client, workout)
    workouts.send(workout, riding(60 * minutes, begin=HOUR))
    fold(database, redis_client, workout)
    held = HOUR + 60 * minutes
    assert workouts.row(workout)["summary"]["sampleCount"] == (held if computed else HOUR)
    assert len(workouts.archived(workout)) == held
    assert workouts.waiting(workout) == 0


def test_checkpoints_without_figures_add_up(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, riding(HOUR, begin=0))
    fold(database, redis_client, workout)
    for minute in (0, 3):  # neither is a tenth, both are
        workouts.send(workout, riding(180, begin=HOUR + 60 * minute))
        fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["sampleCount"] == HOUR + 360


def test_the_figures_are_complete_once_the_ride_is(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, riding(HOUR, begin=0))
    fold(database, redis_client, workout)
    workouts.send(workout, riding(60, begin=HOUR, power=400))
    fold(database, redis_client, workout)
    workouts.complete(workout)
    fold(database, redis_client, workout)
    summary = workouts.row(workout)["summary"]
    assert (summary["sampleCount"], summary["maxPower"]) == (HOUR + 60, 400)
    assert workouts.status(workout) == "COMPLETED"


def test_a_ride_archived_whole_by_an_older_version_is_split_by_its_next_fold(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, old = workouts.start("COMPLETED"), riding(9 * HOUR, begin=0)
    with database.connection() as connection:
        for row in archive.encode(old):
            connection.execute(
                "INSERT INTO workout_channels (workout_id, channel, encoding, samples, data)"
                " VALUES (%s, %s, %s, %s, %s)",
                [workout, row.channel, row.encoding, row.samples, row.data],
            )
    assert exactly(workouts.archived(workout)) == exactly(old)
    late = riding(60, begin=9 * HOUR)
    workouts.send(workout, late)
    fold(database, redis_client, workout)
    assert WHOLE not in versions(database, workout)
    assert len(versions(database, workout)) == 3
    assert exactly(workouts.archived(workout)) == exactly(concatenate([old, late]))
    assert workouts.row(workout)["summary"]["sampleCount"] == 9 * HOUR + 60


def test_a_channel_of_one_part_alone_is_missing_in_the_others(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, first = workouts.start("PROCESSING"), riding(HOUR, begin=3 * HOUR)
    second = riding(HOUR, begin=4 * HOUR)
    heartrate = np.full(HOUR, 140.0)
    workouts.send(workout, first, Samples(second.timestamps, {"heartrate": heartrate}))
    fold(database, redis_client, workout)
    held = workouts.archived(workout)
    assert np.isnan(held.channel("heartrate")[:HOUR]).all()
    assert np.isnan(held.channel("power")[HOUR:]).all()
    assert workouts.row(workout)["summary"]["avgHeartrate"] == 140


def scattered(count: int, begin: int = 0) -> Samples:
    """A sample a part."""
    times = START + PART * 1000 * np.arange(begin, begin + count)
    return Samples(times, {"power": np.full(count, 200.0)})


def test_samples_scattered_over_years_are_kept_in_one_part(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, years = workouts.start(), scattered(20_000)
    workouts.send(workout, years)
    fold(database, redis_client, workout)
    assert set(versions(database, workout)) == {WHOLE}
    assert exactly(workouts.archived(workout)) == exactly(years)
    more = scattered(3, begin=20_000)
    workouts.send(workout, more)
    workouts.complete(workout)
    fold(database, redis_client, workout)
    assert set(versions(database, workout)) == {WHOLE}
    assert exactly(workouts.archived(workout)) == exactly(concatenate([years, more]))


def test_a_ride_that_outgrows_its_parts_is_kept_in_one(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, first, second = workouts.start(), scattered(60), scattered(10, begin=60)
    workouts.send(workout, first)
    fold(database, redis_client, workout)
    assert len(versions(database, workout)) == 60
    workouts.send(workout, second)
    fold(database, redis_client, workout)
    assert set(versions(database, workout)) == {WHOLE}
    assert exactly(workouts.archived(workout)) == exactly(concatenate([first, second]))


def test_a_checkpoint_without_figures_splits_an_older_version_s_archive_too(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, old = workouts.start(), riding(9 * HOUR, begin=0)
    workouts.send(workout, old)
    fold(database, redis_client, workout)
    with database.connection() as connection:  # as the older version would have left it
        connection.execute("DELETE FROM workout_channels WHERE workout_id = %s", [workout])
        for row in archive.encode(old):
            connection.execute(
                "INSERT INTO workout_channels (workout_id, channel, encoding, samples, data)"
                " VALUES (%s, %s, %s, %s, %s)",
                [workout, row.channel, row.encoding, row.samples, row.data],
            )
    corrected = riding(60, begin=HOUR, power=300)
    workouts.send(workout, corrected)
    fold(database, redis_client, workout)
    assert WHOLE not in versions(database, workout)
    assert exactly(workouts.archived(workout)) == exactly(merge(concatenate([old, corrected])))


def test_a_stale_ride_gets_its_figures_however_little_is_new(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, riding(HOUR, begin=0))
    fold(database, redis_client, workout)
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true WHERE id = %s", [workout])
    workouts.send(workout, riding(60, begin=HOUR))
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert (row["stale"], row["summary"]["sampleCount"]) == (False, HOUR + 60)
