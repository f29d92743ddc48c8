import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
import redis

from shared.connections import Database, Redis
from shared.events import Announcement
from shared.redis_keys import ANNOUNCEMENTS, SEALED_COMPLETED, Queue, samples_key, sealed_key
from shared.samples.columns import Samples
from shared.settings import Settings
from tests.worker.interruptions import Interrupted, Killed, refusing
from tests.worker.readings import T0, steady
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts
from worker.jobs.fold import FoldJob, fold
from worker.queue.dead_letters import letter_about
from worker.queue.lane import Delivery

START = datetime.fromtimestamp(T0 / 1000, UTC)


def fold_until_killed(database: Database, client: Interrupted, workout_id: UUID) -> None:
    with pytest.raises(Killed):
        fold(database, client, workout_id)


def test_a_checkpoint_moves_the_samples_and_leaves_the_ride_active(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200), steady(60, begin=60, power=300))
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert row["status"] == "ACTIVE"
    assert row["summary"]["avgPower"] == 250
    assert row["start_time"] == START
    assert row["end_time"] is None
    assert row["duration"] == 119
    assert workouts.waiting(workout) == 0
    assert workouts.archived(workout).channels["power"].tolist() == [200] * 60 + [300] * 60


def test_a_completed_ride_has_the_figures_of_all_its_folds(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=300, heartrate=150))
    workouts.complete(workout)
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert row["status"] == "COMPLETED"
    assert row["summary"]["sampleCount"] == 120
    assert row["summary"]["totalEnergy"] == row["total_energy"] == 30
    assert row["summary"]["avgHeartrate"] == 150
    assert row["end_time"] == START + timedelta(seconds=119)


def test_strays_decide_neither_the_day_of_a_ride_nor_its_ftp(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    """Five samples of six days before, when the athlete's FTP was another."""
    workout = workouts.start()
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO athlete_thresholds (user_id, effective_from, ftp)"
            " VALUES (%(user)s, '2000-01-01', 100), (%(user)s, %(day)s, 200)",
            {"user": workouts.user_id, "day": START.date() - timedelta(days=1)},
        )
    workouts.send(workout, steady(5, begin=-6 * 86_400, power=0), steady(3600, power=200))
    workouts.complete(workout)
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert (row["start_time"], row["duration"]) == (START, 3599)
    assert row["end_time"] == START + timedelta(seconds=3599)
    assert row["summary"]["trainingStressScore"] == 100
    first = T0 - 6 * 86_400_000
    assert row["summary"]["strays"] == [{"from": first, "to": first + 4000, "samples": 5}]
    assert len(workouts.archived(workout)) == 3605


def test_an_empty_ride_completes(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.complete(workout)
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert row["status"] == "COMPLETED"
    assert row["summary"]["sampleCount"] == row["duration"] == 0
    assert row["end_time"] == row["completed_at"]
    assert workouts.channels(workout) == []


def test_nothing_new_writes_nothing(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    before = workouts.row(workout)
    fold(database, redis_client, workout)
    assert workouts.row(workout) == before


def test_folding_the_same_batches_again_gives_identical_rows(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    batches = steady(60, power=200, heartrate=140), steady(60, begin=30, power=300)
    workouts.send(workout, *batches)
    workouts.complete(workout)
    workouts.backdate(workout, last_received_at=-3600)  # or each arrival would be the newest
    fold(database, redis_client, workout)
    first = workouts.result(workout)
    workouts.send(workout, *batches)
    fold(database, redis_client, workout)
    assert workouts.result(workout) == first


@pytest.mark.parametrize(("step", "waiting"), [("PUBLISH", 2), ("XTRIM", 2), ("EVAL", 0)])
def test_a_crash_after_the_commit_repeats_harmlessly(
    workouts: Workouts, database: Database, redis_client: Redis, step: str, waiting: int
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200), steady(60, begin=30, power=300))
    workouts.complete(workout)
    fold_until_killed(database, Interrupted(redis_client, before=step), workout)
    first = workouts.result(workout)
    assert first[0]["status"] == "COMPLETED"
    assert workouts.waiting(workout) == waiting
    assert redis_client.exists(samples_key(workout))
    fold(database, redis_client, workout)
    assert workouts.result(workout) == first
    assert not redis_client.exists(samples_key(workout))


def test_a_crash_after_reading_changes_nothing(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    workouts.complete(workout)
    before = workouts.result(workout)
    fold_until_killed(database, Interrupted(redis_client, after="XRANGE"), workout)
    assert workouts.result(workout) == before
    assert workouts.waiting(workout) == 1
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["sampleCount"] == 60


def test_a_failure_in_the_middle_of_writing_changes_nothing(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    before = workouts.result(workout)
    # The archive is written before the row is updated.
    with refusing(database, "UPDATE", workout), pytest.raises(psycopg.errors.RaiseException):
        fold(database, redis_client, workout)
    assert workouts.result(workout) == before
    assert workouts.waiting(workout) == 1


def test_samples_that_arrive_between_read_and_trim_stay(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))

    def send_more() -> None:
        workouts.send(workout, steady(60, begin=60, power=300))

    fold(database, Interrupted(redis_client, after="XRANGE", happens=send_more), workout)
    assert len(workouts.archived(workout)) == 60
    assert workouts.waiting(workout) == 1
    fold(database, redis_client, workout)
    assert len(workouts.archived(workout)) == 120


def test_late_samples_correct_a_completed_ride(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=300), steady(1, begin=0, power=500))
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert row["status"] == "COMPLETED"
    assert row["summary"]["sampleCount"] == 120
    assert row["summary"]["maxPower"] == 500
    assert row["end_time"] == START + timedelta(seconds=119)
    assert workouts.waiting(workout) == 0


def test_the_later_upload_wins_even_over_the_archive(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(3, power=200, cadence=90))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(1, begin=1, power=100), steady(1, begin=1, power=250))
    fold(database, redis_client, workout)
    archived = workouts.archived(workout)
    assert archived.channels["power"].tolist() == [200, 250, 200]
    assert archived.channels["cadence"].tolist() == [90, 90, 90]


def test_a_clock_that_was_set_back_is_told(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    """Five minutes of 200 W, recorded a second time with 150 W."""
    workout = workouts.start()
    workouts.send(workout, steady(900, power=200), steady(300, begin=600, power=150))
    workouts.complete(workout)
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["overwrittenCount"] == 300


def test_a_checkpoint_without_figures_counts_what_it_overwrites(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(3600, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(300, begin=600, power=150))
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert (row["overwritten"], row["summary"]["overwrittenCount"]) == (300, 0)
    workouts.complete(workout)
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["overwrittenCount"] == 300


@pytest.mark.parametrize("status", ["PROCESSING", "ACTIVE"])
def test_what_was_overwritten_counts_once_though_the_fold_is_repeated(
    workouts: Workouts, database: Database, redis_client: Redis, status: str
) -> None:
    """Batches that differ among themselves, read once more after a crash before the trim."""
    workout = workouts.start()
    workouts.send(workout, steady(3600, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, power=300), steady(30, power=400))
    workouts.set_status(workout, status)
    fold_until_killed(database, Interrupted(redis_client, before="XTRIM"), workout)
    assert workouts.row(workout)["overwritten"] == 60
    workouts.send(workout, steady(60, power=300), steady(30, power=400))  # and by the device
    fold(database, redis_client, workout)
    assert workouts.row(workout)["overwritten"] == 60


def test_a_crash_before_the_commit_loses_no_count(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200), steady(60, power=300))
    with refusing(database, "UPDATE", workout), pytest.raises(psycopg.errors.RaiseException):
        fold(database, redis_client, workout)
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["overwrittenCount"] == 60


def test_a_ride_that_began_before_it_was_counted_says_so(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET overwritten = NULL WHERE id = %s", [workout])
    workouts.send(workout, steady(60, power=200), steady(60, power=300))
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["overwrittenCount"] is None


def remove_range(database: Database, workout: UUID, start: int, end: int) -> None:
    """What the API commits when a rider removes some seconds of a ride."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET stale = true, removed_ranges = int8multirange(int8range(%s, %s))"
            " WHERE id = %s",
            [T0 + 1000 * start, T0 + 1000 * end, workout],
        )


def test_what_was_removed_is_not_brought_back_by_a_fold_that_is_repeated(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    """Some of it is archived, and some waits; the worker dies before it trims the stream."""
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=40, power=300, heartrate=150))
    remove_range(database, workout, 30, 90)
    kept = [200] * 30 + [300] * 10
    fold_until_killed(database, Interrupted(redis_client, before="XTRIM"), workout)
    assert workouts.archived(workout).channels["power"].tolist() == kept
    assert workouts.waiting(workout) == 1
    workouts.send(workout, steady(60, begin=40, power=300))  # and the device sends it again
    fold(database, redis_client, workout)
    archived = workouts.archived(workout)
    assert archived.channels["power"].tolist() == kept
    assert (archived.timestamps[30] - T0, len(archived)) == (90_000, 40)
    assert workouts.row(workout)["summary"]["sampleCount"] == 40
    assert workouts.row(workout)["overwritten"] == 0


def test_a_checkpoint_without_figures_keeps_out_what_was_removed(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(3600, power=200))
    remove_range(database, workout, 0, 60)
    fold(database, redis_client, workout)
    workouts.send(workout, steady(90, power=300))
    fold(database, redis_client, workout)
    assert workouts.row(workout)["summary"]["maxPower"] == 200  # no figures yet
    assert workouts.archived(workout).channels["power"].tolist() == [300] * 30 + [200] * 3510


def test_a_removal_that_fails_in_the_middle_removes_nothing_and_is_still_due(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    remove_range(database, workout, 0, 30)
    with refusing(database, "UPDATE", workout), pytest.raises(psycopg.errors.RaiseException):
        fold(database, redis_client, workout)
    assert len(workouts.archived(workout)) == 60
    assert workouts.row(workout)["stale"]
    fold(database, redis_client, workout)
    assert len(workouts.archived(workout)) == 30


def test_a_channel_of_which_nothing_is_left_leaves_the_archive(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200), steady(10, heartrate=150))
    fold(database, redis_client, workout)
    remove_range(database, workout, 0, 10)
    fold(database, redis_client, workout)
    assert [row.channel for row in workouts.channels(workout)] == ["power", "timestamp"]
    remove_range(database, workout, 0, 60)
    fold(database, redis_client, workout)
    assert workouts.channels(workout) == []
    assert workouts.row(workout)["start_time"] == START + timedelta(seconds=10)  # as it was
    assert workouts.row(workout)["summary"]["avgPower"] is None


def test_what_waits_of_a_deleted_ride_is_kept_in_the_archive_and_changes_no_figure(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    """In Redis it would take up its user's share until the ride is purged."""
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.set_status(workout, "DELETED")
    workouts.send(workout, steady(60, begin=60, power=400))
    fold(database, redis_client, workout)
    assert workouts.waiting(workout) == 0
    assert len(workouts.archived(workout)) == 120
    assert workouts.row(workout)["summary"]["avgPower"] == 200
    assert workouts.status(workout) == "DELETED"


def test_a_failed_ride_is_left_alone_and_its_samples_kept(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("FAILED")
    workouts.send(workout, steady(60, power=200))
    before = workouts.result(workout)
    fold(database, redis_client, workout)
    assert workouts.result(workout) == before
    assert workouts.waiting(workout) == 1


def test_a_workout_that_nobody_knows_is_nothing_to_fold(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = uuid4()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    assert workouts.waiting(workout) == 1


def test_a_completing_ride_is_sealed_before_its_samples_are_read(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    fold_until_killed(database, Interrupted(redis_client, before="XRANGE"), workout)
    assert redis_client.get(sealed_key(workout)) == SEALED_COMPLETED
    assert redis_client.ttl(sealed_key(workout)) > 3600  # what an API process remembers


def test_a_worker_that_dies_over_many_recomputations_loses_the_one_in_hand(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    done, in_hand, later = (workouts.start("COMPLETED") for _ in range(3))
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true")
    fold(database, redis_client, done)
    fold_until_killed(database, Interrupted(redis_client, after="XRANGE"), in_hand)
    assert [workouts.row(each)["stale"] for each in (done, in_hand, later)] == [False, True, True]


def test_a_ride_under_way_is_not_sealed(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    assert not redis_client.exists(sealed_key(workout))


def test_a_stream_longer_than_a_reply_is_read_to_its_end(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, *(steady(1, begin=t, power=t) for t in range(2001)))
    fold(database, redis_client, workout)
    assert workouts.archived(workout).channels["power"].tolist() == list(range(2001))
    assert workouts.waiting(workout) == 0


def test_a_fold_notes_when_the_newest_batch_arrived(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start(last_received_at=3600)
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    workouts.send(workout, steady(60, power=200), entry_id=f"{newest.timestamp():.0f}000-7")
    fold(database, redis_client, workout)
    assert workouts.row(workout)["last_received_at"] == newest


def test_the_order_of_batches_and_folds_changes_nothing(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    chance = random.Random(1)
    power = np.array([chance.randrange(1000) for _ in range(300)], float)
    whole = Samples(steady(300).timestamps, {"power": power})
    batches = [whole.select(slice(at, at + 20)) for at in range(0, 300, 20)]
    in_order = _result_of(workouts, database, redis_client, batches, chance)
    assert in_order["sampleCount"] == 300
    for _ in range(10):
        uploads = [*batches, *chance.sample(batches, 5)]
        chance.shuffle(uploads)
        assert _result_of(workouts, database, redis_client, uploads, chance) == in_order


def _result_of(
    workouts: Workouts,
    database: Database,
    redis_client: Redis,
    uploads: list[Samples],
    chance: random.Random,
) -> dict[str, Any]:
    """The summary of a ride that was folded now and then while it was uploaded."""
    workout = workouts.start()
    for upload in uploads:
        workouts.send(workout, upload)
        if chance.random() < 0.2:
            fold(database, redis_client, workout)
    workouts.complete(workout)
    fold(database, redis_client, workout)
    summary: dict[str, Any] = workouts.row(workout)["summary"]
    return summary


def test_a_fold_waits_for_the_one_under_way(
    workouts: Workouts, database: Database, redis_client: Redis, settings: Settings
) -> None:
    # Otherwise the second one would archive and trim both batches, and the first would then
    # overwrite the archive with its own.
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    with (
        psycopg.connect(settings.database_url, autocommit=True) as observer,
        ThreadPoolExecutor(1) as thread,
    ):

        def fold_meanwhile() -> None:
            workouts.send(workout, steady(60, begin=60, power=300))
            second = thread.submit(fold, database, redis_client, workout)
            eventually(lambda: second.done() or waits_for_a_lock(observer))

        fold(database, Interrupted(redis_client, after="XRANGE", happens=fold_meanwhile), workout)
    assert workouts.archived(workout).channels["power"].tolist() == [200] * 60 + [300] * 60
    assert workouts.waiting(workout) == 0


def waits_for_a_lock(observer: psycopg.Connection[Any]) -> bool:
    waiting = observer.execute(
        "SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return waiting.fetchone() is not None


def test_a_stream_that_was_folded_whole_is_gone(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    assert not redis_client.exists(samples_key(workout))


Outcome = Callable[[UUID], str]


@pytest.fixture
def outcome(redis_client: Redis) -> Iterator[Outcome]:
    """What the next announcement about a workout says has become of it."""
    client: Any = redis_client
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(ANNOUNCEMENTS)
        assert channel.get_message(timeout=30) is None  # the subscription

        def next_outcome(workout_id: UUID) -> str:
            while True:  # other databases of this Redis share the channel
                announcement = Announcement.decode(channel.get_message(timeout=30)["data"])
                if announcement.subject == workout_id:
                    assert announcement.kind == "fold"
                    return announcement.outcome

        yield next_outcome


@pytest.mark.parametrize(
    ("before", "after"), [("PROCESSING", "COMPLETED"), ("ACTIVE", "ACTIVE"), ("PAUSED", "PAUSED")]
)
def test_a_fold_says_how_it_left_the_ride(
    workouts: Workouts,
    database: Database,
    redis_client: Redis,
    outcome: Outcome,
    before: str,
    after: str,
) -> None:
    workout = workouts.start(before)
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    assert outcome(workout) == after


def test_a_fold_says_so_only_once_it_is_committed(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    workout, seen = workouts.start("PROCESSING"), []

    def look() -> None:
        seen.append(workouts.status(workout))

    fold(database, Interrupted(redis_client, before="PUBLISH", happens=look), workout)
    assert seen == ["COMPLETED"]


def test_a_fold_that_nobody_can_be_told_of_is_as_good(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    def refuse() -> None:
        raise redis.ConnectionError

    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    assert fold(database, Interrupted(redis_client, before="PUBLISH", happens=refuse), workout)
    assert workouts.status(workout) == "COMPLETED"
    assert workouts.waiting(workout) == 0


def test_a_fold_that_is_given_up_says_so(
    workouts: Workouts, database: Database, redis_client: Redis, outcome: Outcome
) -> None:
    workout = workouts.start("PROCESSING")
    event = {b"kind": b"fold", b"workout": str(workout).encode()}
    delivery = Delivery(Queue.PROMPT, f"{time.time_ns()}-0".encode(), event, 5)
    FoldJob(database, redis_client).give_up(letter_about(delivery, MemoryError()))
    assert outcome(workout) == "FAILED"
