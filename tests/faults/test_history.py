"""The checker of histories: right about a whole ride, and not to be fooled by a damaged one."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from psycopg.types.json import Jsonb

from shared.connections import DatabaseConnection, Redis
from shared.redis_keys import samples_key
from shared.samples import archive
from shared.samples.columns import Samples, concatenate
from tests.faults.devices import Device
from tests.faults.history import History, Verdict, check, find_unfinished, stores
from tests.faults.sweeps import worker_that_never_sweeps
from tests.faults.system import System, running_system
from tests.worker.readings import T0
from tests.worker.waiting import eventually
from worker.rides.athlete import Athlete
from worker.rides.ride import Ride
from worker.rides.summary import summarize


@dataclass
class Finished:
    """A ride that was uploaded, completed and folded, and a way to damage what is stored."""

    history: History
    connection: DatabaseConnection
    redis: Redis

    @property
    def id(self) -> object:
        return self.history.rides[0].workout_id

    def check(self) -> Verdict:
        return check(self.history, self.connection, self.redis)

    def unfinished(self) -> list[str]:
        return find_unfinished(self.history, self.connection, self.redis)

    def damage(self, statement: bytes, *values: object) -> None:
        assert self.connection.execute(statement, [*values, self.id]).rowcount > 0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running_system() as system:
        system.start_api()
        worker_that_never_sweeps(system, system.make_rider())  # what is damaged stays so
        yield system


@pytest.fixture
def ride(system: System) -> Iterator[Finished]:
    history = History()
    Device(system.make_rider(), history, random.Random(4)).ride()
    with stores(system.database_url, system.redis_url) as (connection, client):
        finished = Finished(history, connection, client)
        eventually(lambda: not finished.unfinished())
        yield finished


def test_a_whole_ride_is_found_whole(ride: Finished) -> None:
    assert ride.check() == Verdict()
    assert ride.history.samples_acknowledged > 100
    assert ride.history.surprises == []


def test_a_channel_without_its_samples_is_found_lost(ride: Finished) -> None:
    ride.damage(b"DELETE FROM workout_channels WHERE channel = 'power' AND workout_id = %s")
    powered = np.count_nonzero(~np.isnan(ride.history.rides[0].offline.samples.channel("power")))
    assert ride.check().lost == powered


def test_what_a_failover_cost_who_is_told_of_no_loss_is_counted_by_itself(ride: Finished) -> None:
    ride.damage(b"DELETE FROM workout_channels WHERE workout_id = %s")
    [known] = ride.history.rides
    first, *others = known.offline.samples.timestamps.tolist()
    known.answered = {first: [50.0, 60.0], **{each: [50.0] for each in others}}
    assert (ride.check().lost, ride.check().lost_untold) == (len(others) + 1, 0)
    ride.history.failovers.append((49, 51))
    assert (ride.check().lost, ride.check().lost_untold) == (1, len(others))


def test_figures_of_what_is_left_of_a_ride_are_not_counted_on_top(ride: Finished) -> None:
    part = ride.history.rides[0].offline.samples.select(slice(0, 20))
    _rewrite(ride, lambda _: part)
    left = summarize(Ride(part), Athlete(), overwritten=0)
    ride.damage(
        b"UPDATE workouts SET summary = %s WHERE id = %s",
        Jsonb(msgspec.json.decode(msgspec.json.encode(left))),
    )
    figures = [each for each in ride.check().details if " is " in each]
    assert figures == []


def test_a_ride_without_its_archive_is_found_lost(ride: Finished) -> None:
    ride.damage(b"DELETE FROM workout_channels WHERE workout_id = %s")
    assert ride.check().lost == len(ride.history.rides[0].offline.samples)


def test_a_value_that_differs_is_found_lost_and_sent_by_nobody(ride: Finished) -> None:
    def raise_power(samples: Samples) -> Samples:
        power = samples.channel("power").copy()
        power[np.flatnonzero(~np.isnan(power))[3]] += 1
        return Samples(samples.timestamps, {**samples.channels, "power": power})

    _rewrite(ride, raise_power)
    verdict = ride.check()
    assert (verdict.lost, verdict.twice) == (1, 1)


def test_a_stray_sample_is_found_sent_by_nobody(ride: Finished) -> None:
    _rewrite(ride, lambda samples: concatenate([samples, _sample_at(T0 + 400_000_000_000)]))
    verdict = ride.check()
    assert (verdict.lost, verdict.twice) == (0, 1)


def test_a_sample_archived_twice_is_found(ride: Finished) -> None:
    _rewrite(ride, lambda samples: concatenate([samples, samples.select(slice(7, 8))]))
    verdict = ride.check()
    assert (verdict.lost, verdict.twice) == (0, 1)


@pytest.mark.parametrize("member", ["sampleCount", "totalEnergy", "precise", "gaps"])
def test_an_altered_figure_is_found(ride: Finished, member: str) -> None:
    ride.damage(
        b"UPDATE workouts SET summary = summary || %s WHERE id = %s", Jsonb({member: 123456})
    )
    verdict = ride.check()
    assert (verdict.lost, verdict.twice) == (0, 1)
    assert member in verdict.details[0]


@pytest.mark.parametrize("table", [b"workout_bests", b"sport_records"])
def test_an_altered_best_is_found(ride: Finished, table: bytes) -> None:
    ride.damage(
        b"UPDATE " + table + b" SET value = value + 1"
        b" WHERE metric = 'power' AND duration = 5 AND workout_id = %s"
    )
    verdict = ride.check()
    assert (verdict.lost, verdict.twice) == (0, 1)


def test_a_ride_that_was_not_completed_is_found_unfinished(ride: Finished) -> None:
    ride.damage(b"UPDATE workouts SET status = 'ARCHIVED' WHERE id = %s")
    assert ride.unfinished() == [f"{ride.id} is ARCHIVED"]


def test_samples_that_still_wait_are_found_unfinished(ride: Finished) -> None:
    key = samples_key(ride.history.rides[0].workout_id)
    ride.redis.xadd(key, {"b": b"waiting"})
    unfinished = ride.unfinished()
    ride.redis.delete(key)
    assert unfinished == [f"{ride.id} has samples waiting"]


def test_a_batch_that_was_never_acknowledged_is_found_unfinished(ride: Finished) -> None:
    ride.history.rides[0].acknowledged.pop()
    assert ride.unfinished() == [f"{ride.id} has batches that were never acknowledged"]


def _sample_at(time: int) -> Samples:
    return Samples(np.array([time], np.int64), {"power": np.array([200.0])})


def _rewrite(ride: Finished, change: Callable[[Samples], Samples]) -> None:
    """Archive the ride anew, but changed."""
    for row in archive.encode(change(ride.history.rides[0].offline.samples)):
        ride.damage(
            b"UPDATE workout_channels SET samples = %s, data = %s"
            b" WHERE channel = %s AND workout_id = %s",
            row.samples,
            row.data,
            row.channel,
        )
