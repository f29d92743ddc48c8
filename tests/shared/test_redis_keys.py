from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.crc import key_slot

from api.ingest.ownership import FRESH_FOR, OUTAGE_BOUND
from shared.connections import Redis
from shared.errors import MalformedEntry
from shared.events import FoldRequest
from shared.redis_keys import SEALED_FOR, Queue, samples_key, sealed_key, workout_of

WORKOUT = UUID("6f1c1f0a-7f83-4d5e-9d55-0d5f6f0e8a11")


def test_a_fold_request_survives_a_real_stream(redis_client: Redis) -> None:
    redis_client.xadd(Queue.PROMPT, FoldRequest(WORKOUT).fields())
    entries: Any = redis_client.xrange(Queue.PROMPT)
    [(_, fields)] = entries
    assert FoldRequest.from_fields(fields) == FoldRequest(WORKOUT)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"kind": b"fold"},
        {b"workout": str(WORKOUT).encode()},
        {b"kind": b"purge", b"workout": str(WORKOUT).encode()},
        {b"kind": b"fold", b"workout": b""},
        {b"kind": b"fold", b"workout": b"1"},
        {b"kind": b"fold", b"workout": b"\xff" * 36},
    ],
)
def test_any_other_event_is_malformed(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(MalformedEntry):
        FoldRequest.from_fields(fields)


def test_a_key_names_its_workout() -> None:
    workout = uuid4()
    assert workout_of(samples_key(workout)) == workout_of(sealed_key(workout)) == workout


def test_the_keys_of_a_workout_live_on_one_node_of_a_cluster() -> None:
    workout = uuid4()
    assert key_slot(samples_key(workout).encode()) == key_slot(sealed_key(workout).encode())


def test_the_streams_of_events_which_are_read_together_live_on_one_node() -> None:
    assert len({key_slot(queue.encode()) for queue in Queue}) == 1


def test_a_seal_outlives_every_memory_of_the_ride_as_unfinished() -> None:
    assert 2 * max(FRESH_FOR, OUTAGE_BOUND) <= SEALED_FOR
