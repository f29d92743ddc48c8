"""Figures of a part of a ride, asked for by an event."""

from uuid import uuid4

import msgspec
import pytest

from shared.connections import Database, Redis
from shared.errors import MalformedEntry
from shared.events import MeasureRequest
from shared.measured import Measured
from shared.redis_keys import measured_key
from tests.worker.readings import T0, steady
from tests.worker.workouts import Workouts
from worker.jobs.fold import fold
from worker.jobs.measuring import MeasureJob


def event_of(request: MeasureRequest) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in request.fields().items()}


def test_the_answer_is_kept_for_a_minute_and_counts_what_waits(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, answer_id = workouts.start(), uuid4()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=300))
    request = MeasureRequest(workout, answer_id, T0, T0 + 120_000)
    assert MeasureRequest.from_fields(event_of(request)) == request
    assert MeasureJob(database, redis_client).run(event_of(request))
    answer = redis_client.get(measured_key(answer_id))
    assert isinstance(answer, bytes)
    assert msgspec.json.decode(answer, type=Measured).figures.avg_power == 250
    assert 0 < redis_client.ttl(measured_key(answer_id)) <= 60


def test_a_ride_that_is_gone_is_not_measured(database: Database, redis_client: Redis) -> None:
    request = MeasureRequest(uuid4(), uuid4(), T0, T0 + 1000)
    assert not MeasureJob(database, redis_client).run(event_of(request))


def test_what_is_no_request_is_given_up(database: Database, redis_client: Redis) -> None:
    with pytest.raises(MalformedEntry):
        MeasureJob(database, redis_client).run({b"kind": b"measure", b"workout": b"x"})
