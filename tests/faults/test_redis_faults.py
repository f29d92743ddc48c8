"""Redis that is killed, emptied, full, frozen, or whose replies are lost."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise

import pytest

from shared.connections import Redis
from shared.redis_keys import GROUP, Queue
from tests.api.answers import problem_of
from tests.faults.invariants import (
    archived,
    assert_all_is_kept,
    is_idle,
    make_overdue,
    status_of,
    waiting,
)
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.workouts import pending

ROOM = 1024 * 1024  # bytes: more than connections and buffers come and go with


@contextmanager
def uploading(recordings: list[Recording]) -> Iterator[None]:
    """Devices that upload ten seconds at a time, and insist, for as long as the block."""
    over = threading.Event()

    def ride(recording: Recording) -> None:
        begin = 0
        while not over.is_set():
            recording.insist(readings(10, begin))
            begin += 10

    with ThreadPoolExecutor(len(recordings)) as threads:
        rides = [threads.submit(ride, recording) for recording in recordings]
        try:
            yield
        finally:
            over.set()
        for each in rides:
            each.result()


def await_progress(recordings: list[Recording], batches: int = 10) -> None:
    """Return once so many more batches of each ride are accepted."""
    goals = [len(recording.accepted) + batches for recording in recordings]
    eventually(
        lambda: all(
            len(each.accepted) >= goal for each, goal in zip(recordings, goals, strict=True)
        )
    )


def complete_all(recordings: list[Recording]) -> None:
    for recording in recordings:
        eventually(lambda each=recording: each.complete().status_code == 202)  # type: ignore[misc]


def calls_of(system: System) -> int:
    """How often workers have looked for events."""
    stats = system.redis_client.info("commandstats")
    names = ("xreadgroup", "xgroup|create", "xautoclaim", "xpending")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


def durable(system: System, recording: Recording) -> bool:
    """Whether a checkpoint has archived all that was accepted, and taken it from Redis."""
    archived_count = len(archived(system, recording.workout_id))
    return archived_count == len(recording.kept) and waiting(system, recording) == 0


def test_a_killed_redis_forgets_nothing_and_nothing_counts_twice(system: System) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recordings = [record(system.make_rider()) for _ in range(3)]
    with uploading(recordings):
        for _ in range(2):
            system.redis_client.config_set("appendfsync", "always")
            await_progress(recordings)
            system.redis.kill()
            problem = recordings[0].send(readings(10, 100_000))
            problem_of(problem, 503)
            assert int(problem.headers["retry-after"]) >= 1
            system.redis.start()
        await_progress(recordings)
    complete_all(recordings)
    assert_all_is_kept(system, *recordings)


def test_group_and_pending_events_survive_a_killed_redis(system: System) -> None:
    system.redis_client.config_set("appendfsync", "always")
    system.start_api()
    recording = record(system.make_rider(), readings(600))
    recording.complete()
    system.start_worker(FAILPOINT="mid-fold=kill").wait(30)
    before = pending(system.redis_client)
    system.redis.kill()
    system.redis.start()
    after = pending(system.redis_client)
    assert [each["message_id"] for each in after] == [each["message_id"] for each in before]
    assert len(after) == 1
    system.start_worker()
    assert_all_is_kept(system, recording)


def test_a_ride_completed_while_redis_is_away_is_folded_once_it_is_back(system: System) -> None:
    system.redis_client.config_set("appendfsync", "always")
    system.start_api()
    system.start_worker()
    recording = record(system.make_rider(), readings(600))
    system.redis.kill()
    assert recording.complete().status_code == 202
    system.redis.start()
    make_overdue(system)
    assert_all_is_kept(system, recording)


def test_workers_wait_for_a_redis_that_is_away_without_haste(system: System) -> None:
    """Each pause is half to all of twice the one before, the first of 0.1 s."""
    system.start_worker()
    eventually(lambda: system.redis_client.exists(Queue.PROMPT) == 1)
    system.redis.kill()
    system.await_log("worker", "cannot go on", times=6)
    tries = [moment_of(line) for line in failures(system)]
    for nth, (before, after) in enumerate(pairwise(tries)):
        assert (after - before).total_seconds() > 0.05 * 2**nth - 0.002  # as milliseconds are cut


def failures(system: System) -> list[str]:
    return [line for line in system.log_of("worker").splitlines() if "cannot go on" in line]


def moment_of(line: str) -> datetime:
    """When a line was logged, to the millisecond."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")


def test_what_was_archived_survives_a_redis_that_forgets_everything(system: System) -> None:
    system.start_api()
    for _ in range(2):
        system.start_worker(CHECKPOINT_INTERVAL="1")
    recording = record(system.make_rider(), readings(600))
    eventually(lambda: durable(system, recording))
    system.redis_client.flushall()
    recording.upload(readings(60, 600))
    assert recording.complete().status_code == 202
    assert_all_is_kept(system, recording)


def forget_everything(client: Redis) -> None:
    client.flushall()


def leave_no_room(client: Redis) -> None:
    client.config_set("maxmemory", "1")


@pytest.mark.parametrize("harm", [forget_everything, leave_no_room])
def test_a_completion_that_redis_forgets_or_has_no_room_for_is_folded(
    system: System, harm: Callable[[Redis], None]
) -> None:
    system.start_api()
    recording = record(system.make_rider(), readings(600))
    system.start_worker(CHECKPOINT_INTERVAL="1")
    eventually(lambda: durable(system, recording))
    system.kill_workers()
    recording.complete()
    assert status_of(system, recording) == "PROCESSING"
    harm(system.redis_client)
    system.start_worker()
    make_overdue(system)
    assert_all_is_kept(system, recording)


@pytest.mark.parametrize(
    "lose",
    [
        lambda client: client.flushall(),
        lambda client: client.xgroup_destroy(Queue.PROMPT, GROUP),
        lambda client: client.delete(Queue.PROMPT),
    ],
    ids=["flush", "destroy", "delete"],
)
def test_a_lost_group_is_made_anew_without_haste(
    system: System, lose: Callable[[Redis], None]
) -> None:
    system.start_api()
    for _ in range(2):
        system.start_worker()
    first = record(system.make_rider(), readings(60))
    first.rider.complete(first.workout_id)
    eventually(lambda: is_idle(system))
    client = system.redis_client
    eventually(lambda: len(client.xinfo_consumers(Queue.PROMPT, GROUP)) == 2)
    before, began = calls_of(system), time.monotonic()
    lose(client)
    eventually(lambda: client.exists(Queue.PROMPT) == 1 and client.xinfo_groups(Queue.PROMPT) != [])
    second = record(system.make_rider(), readings(60))
    second.rider.complete(second.workout_id)
    assert_all_is_kept(system, first, second)
    # Without pauses there are thousands a second.
    assert calls_of(system) - before < 200 + 100 * (time.monotonic() - began)


def fill(system: System, recording: Recording) -> None:
    """Upload until Redis is full, and says so."""
    client = system.redis_client
    client.config_set("maxmemory", client.info("memory")["used_memory"] + ROOM)
    for batch in batches_of(readings(400_000), 3600):
        response = recording.send(batch)
        if response.status_code != 202:
            problem_of(response, 503)
            assert int(response.headers["retry-after"]) >= 1
            return
    raise AssertionError("400,000 samples fit into the room")


@pytest.mark.parametrize("completed", [False, True])
def test_a_full_redis_refuses_uploads_until_the_workers_have_drained_it(
    system: System, completed: bool
) -> None:
    """No event can ask for the fold of the ride that fills it, whether it is over or not."""
    system.start_api()
    recording, later = record(system.make_rider()), record(system.make_rider())
    fill(system, recording)
    if completed:
        assert recording.complete().status_code == 202
        make_overdue(system)
    system.start_worker(CHECKPOINT_INTERVAL="86400" if completed else "1")
    later.insist(readings(3600))
    for each in (recording, later):
        assert each.complete().status_code == 202
    assert_all_is_kept(system, recording, later)


def test_a_batch_whose_reply_was_lost_counts_once(system: System) -> None:
    system.start_api()
    recording = record(system.make_rider(), readings(60))
    with losing_reply_to(b"XADD", system):
        problem_of(recording.send(readings(60, 60)), 503)
    assert waiting(system, recording) == 2  # the batch is there, though nobody was told
    recording.upload(readings(60, 60))
    assert waiting(system, recording) == 3
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def test_an_event_whose_delivery_was_lost_is_found_by_the_worker_it_was_for(
    system: System,
) -> None:
    system.start_api()
    recording = record(system.make_rider(), readings(60))
    recording.complete()
    with losing_reply_to(b"XREADGROUP", system):  # the first, for which the event is there
        system.start_worker(LEASE="600")
    assert_all_is_kept(system, recording)
    assert "took over event" not in system.log_of("worker")


def test_an_acknowledgement_whose_reply_was_lost_is_repeated(system: System) -> None:
    system.start_api()
    system.start_worker(LEASE="600")
    recording = record(system.make_rider(), readings(60))
    with losing_reply_to(b"XACK", system):
        recording.complete()
    assert_all_is_kept(system, recording)


@contextmanager
def losing_reply_to(command: bytes, system: System) -> Iterator[None]:
    """Something within the block asks for a reply, which does not arrive."""
    lost = system.redis_proxy.lost
    system.redis_proxy.lose_reply_to(command)
    yield
    eventually(lambda: system.redis_proxy.lost == lost + 1)


def test_a_redis_whose_connections_break_all_the_time_still_gets_everything_done(
    system: System,
) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recordings = [record(system.make_rider()) for _ in range(2)]
    with uploading(recordings):
        for _ in range(15):
            await_progress(recordings, batches=3)
            system.redis_proxy.cut()
    complete_all(recordings)
    make_overdue(system)
    assert_all_is_kept(system, *recordings)
