"""One rider who uploads without end, and the Redis that all share."""

import httpx2

from tests.api.answers import problem_of
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually

BATCHES = [*batches_of(readings(90_000), 3600)]  # 30 kB each


def upload_all_it_takes(recording: Recording) -> httpx2.Response:
    """The refusal that ends it."""
    for batch in BATCHES:
        response = recording.send(batch)
        if response.status_code != 202:
            return response
    raise AssertionError("a day of samples fits into the share")


def test_who_used_up_a_share_of_redis_is_refused_until_the_workers_have_archived_it(
    system: System,
) -> None:
    """No checkpoint would be due for a day: the share has the ride archived."""
    system.start_api(MAX_WAITING_BYTES="200000")
    greedy, modest = record(system.make_rider()), record(system.make_rider())
    refused = upload_all_it_takes(greedy)
    assert "faster than they are archived" in problem_of(refused, 429)["detail"]
    assert refused.headers["retry-after"] == "5"
    modest.upload(readings(60))
    assert system.redis_client.info("memory")["used_memory_dataset"] < 3_000_000
    system.start_worker(CHECKPOINT_INTERVAL="86400")
    for batch in BATCHES[len(greedy.accepted) :][:10]:
        greedy.insist(batch)
    for each in (greedy, modest):
        assert each.complete().status_code == 202
    assert_all_is_kept(system, greedy, modest)


def test_who_was_refused_goes_on_once_redis_was_emptied(system: System) -> None:
    system.start_api(MAX_WAITING_BYTES="200000")
    greedy = record(system.make_rider())
    assert upload_all_it_takes(greedy).status_code == 429
    system.redis_client.flushall()
    eventually(lambda: greedy.send(BATCHES[0]).status_code == 202)
