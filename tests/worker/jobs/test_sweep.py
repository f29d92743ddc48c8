import time
from collections.abc import Callable
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ops.admin.accounts import create_account
from shared.connections import Database, Redis
from shared.redis_keys import (
    DUE,
    FORMER_DUE,
    FORMER_KEYS,
    FORMER_QUEUES,
    GROUP,
    REWRITTEN,
    SEALED_DELETED,
    Queue,
    samples_key,
    sealed_key,
)
from shared.settings import Settings
from shared.sql import load_queries
from tests.worker.interruptions import refusing
from tests.worker.readings import steady
from tests.worker.waiting import eventually
from tests.worker.webhooks.telling import Webhooks
from tests.worker.workouts import Workouts, pending
from worker.jobs.dispatch import Dispatcher
from worker.jobs.fold import FoldJob, fold
from worker.jobs.sweep import Sweeper
from worker.queue.dead_letters import letter_about
from worker.queue.lane import Delivery
from worker.rides.store import lock_workout

AskedFor = Callable[[UUID], bool]
HOUR = 3600.0
DAY = 24 * HOUR


@pytest.fixture
def sweeper(database: Database, redis_client: Redis, settings: Settings) -> Sweeper:
    return Sweeper(database, redis_client, settings)


@pytest.fixture
def asked_for(workouts: Workouts, sweeper: Sweeper, dispatcher: Dispatcher) -> AskedFor:
    """Whether a fold of this workout is asked for once a sweep has looked."""

    def sweep(workout_id: UUID) -> bool:
        workouts.redis.delete(*Queue)
        sweeper.sweep()
        dispatcher.dispatch()
        return workout_id in workouts.asked()

    return sweep


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED"])
def test_a_silent_ride_is_completed(
    workouts: Workouts, asked_for: AskedFor, database: Database, redis_client: Redis, status: str
) -> None:
    workout = workouts.start(status, last_received_at=7 * HOUR, fold_asked_at=0)
    assert asked_for(workout)
    assert workouts.status(workout) == "PROCESSING"
    fold(database, redis_client, workout)
    assert workouts.status(workout) == "COMPLETED"


def test_a_ride_is_not_silent_before_its_time(workouts: Workouts, sweeper: Sweeper) -> None:
    workout = workouts.start(last_received_at=5 * HOUR)
    sweeper.sweep()
    assert workouts.status(workout) == "ACTIVE"


def test_a_ride_with_newer_samples_waiting_is_not_silent(
    workouts: Workouts, sweeper: Sweeper
) -> None:
    workout = workouts.start(last_received_at=7 * HOUR)
    workouts.send(workout, steady(60, power=200))
    sweeper.sweep()
    assert workouts.status(workout) == "ACTIVE"


def test_samples_that_have_waited_as_long_do_not_keep_a_ride_going(
    workouts: Workouts, asked_for: AskedFor, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start(last_received_at=8 * HOUR, fold_asked_at=0)
    entry_id = f"{(time.time() - 7 * HOUR) * 1000:.0f}-0"
    workouts.send(workout, steady(60, power=200), entry_id=entry_id)
    assert asked_for(workout)
    fold(database, redis_client, workout)
    row = workouts.row(workout)
    assert row["status"] == "COMPLETED"
    assert row["summary"]["sampleCount"] == 60


def test_a_deleted_ride_is_purged_with_its_samples_after_its_retention(
    workouts: Workouts, sweeper: Sweeper, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=200))
    redis_client.set(sealed_key(workout), SEALED_DELETED)
    workouts.set_status(workout, "DELETED")
    workouts.backdate(workout, deleted_at=31 * DAY)
    sweeper.sweep()
    with database.connection() as connection:
        found = connection.execute("SELECT 1 FROM workouts WHERE id = %s", [workout]).fetchall()
    assert found == []
    assert workouts.channels(workout) == []
    assert not redis_client.exists(samples_key(workout))
    assert redis_client.get(sealed_key(workout)) == SEALED_DELETED  # no process takes any more


def test_a_purge_cut_short_is_done_by_the_next_sweep(
    workouts: Workouts, sweeper: Sweeper, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("DELETED", deleted_at=31 * DAY)
    workouts.send(workout, steady(60, power=200))
    with refusing(database, "DELETE", workout), pytest.raises(psycopg.errors.RaiseException):
        sweeper.sweep()  # Redis was emptied before
    assert not redis_client.exists(samples_key(workout))
    assert workouts.status(workout) == "DELETED"
    sweeper.sweep()
    assert not redis_client.exists(samples_key(workout))
    with pytest.raises(AssertionError):
        workouts.row(workout)


def test_a_deleted_ride_is_kept_for_its_retention(
    workouts: Workouts, sweeper: Sweeper, redis_client: Redis
) -> None:
    workout = workouts.start("DELETED", deleted_at=29 * DAY)
    workouts.send(workout, steady(60, power=200))
    sweeper.sweep()
    assert workouts.status(workout) == "DELETED"
    assert workouts.waiting(workout) == 1


@pytest.mark.parametrize(
    ("status", "stranded"),
    [("COMPLETED", True), ("ARCHIVED", True), ("ACTIVE", False), ("FAILED", False)],
)
def test_samples_that_nobody_asks_for_are_found_if_their_ride_is_over(
    workouts: Workouts, asked_for: AskedFor, status: str, stranded: bool
) -> None:
    workout = workouts.start(status)
    workouts.send(workout, steady(60, power=200))
    assert asked_for(workout) == stranded


def test_a_finished_ride_without_waiting_samples_is_left_alone(
    workouts: Workouts, asked_for: AskedFor, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    assert not asked_for(workout)


def test_stranded_samples_are_found_among_thousands_of_streams(
    workouts: Workouts, database: Database, redis_client: Redis, settings: Settings
) -> None:
    sweeper = Sweeper(database, redis_client, settings, scan_step=10)
    finished = [workouts.start("COMPLETED") for _ in range(50)]
    for workout in finished:
        workouts.send(workout, steady(1, power=200))

    def all_found() -> bool:
        sweeper.sweep()
        return redis_client.zcard(DUE) == len(finished)

    eventually(all_found)


def test_a_dead_consumer_is_removed_unless_events_are_its_own(
    workouts: Workouts, database: Database, redis_client: Redis, settings: Settings
) -> None:
    sweeper = Sweeper(database, redis_client, settings, dead_after=0.1)
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    workouts.ask(workouts.start())
    redis_client.xreadgroup(GROUP, "holder", {Queue.PROMPT: ">"})
    redis_client.xgroup_createconsumer(Queue.PROMPT, GROUP, "idle")

    def consumers() -> dict[bytes, int]:
        found: list[dict[str, bytes | int]] = redis_client.xinfo_consumers(Queue.PROMPT, GROUP)
        return {bytes(each["name"]): int(each["idle"]) for each in found}

    eventually(lambda: all(idle > 100 for idle in consumers().values()))
    redis_client.xgroup_createconsumer(Queue.PROMPT, GROUP, "alive")
    sweeper.sweep()
    assert set(consumers()) == {b"holder", b"alive"}
    assert len(pending(redis_client)) == 1


def test_one_worker_sweeps_at_a_time(
    workouts: Workouts, database: Database, sweeper: Sweeper
) -> None:
    workout = workouts.start(last_received_at=7 * HOUR)
    with database.connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(7496052)")
        sweeper.sweep()
        assert workouts.status(workout) == "ACTIVE"
    sweeper.sweep()
    assert workouts.status(workout) == "PROCESSING"


def test_a_sweep_is_due_once_an_interval(
    workouts: Workouts, database: Database, redis_client: Redis, settings: Settings
) -> None:
    hourly = msgspec.structs.replace(settings, sweep_interval=HOUR)
    sweeper = Sweeper(database, redis_client, hourly)
    first = workouts.start(last_received_at=7 * HOUR)
    sweeper.sweep_if_due()
    assert workouts.status(first) == "PROCESSING"
    second = workouts.start(last_received_at=7 * HOUR)
    sweeper.sweep_if_due()
    assert workouts.status(second) == "ACTIVE"


def test_samples_of_a_ride_that_nobody_knows_are_no_longer_acknowledged(
    workouts: Workouts, sweeper: Sweeper
) -> None:
    """After a restore, an API process may remember a ride that PostgreSQL has not."""
    workout = uuid4()
    workouts.send(workout, steady(1, power=100))
    sweeper.sweep()
    assert workouts.redis.get(sealed_key(workout)) == SEALED_DELETED
    assert workouts.waiting(workout) == 1  # kept: another restore may bring the ride back


@pytest.fixture
def leaver(database: Database, redis_client: Redis, settings: Settings) -> Workouts:
    """The workouts of a user who deletes the account."""
    account = create_account(settings.database_url, f"{uuid4()}@example.com", "test")
    return Workouts(database, redis_client, account.user_id)


def delete_account(leaver: Workouts, seconds_ago: float = 3 * HOUR) -> None:
    with leaver.database.connection() as connection:
        connection.execute(load_queries("users")["delete_user"], {"user_id": leaver.user_id})
        late = "UPDATE users SET deleted_at = now() - make_interval(secs => %s) WHERE id = %s"
        connection.execute(late, [seconds_ago, leaver.user_id])


def left_of(leaver: Workouts) -> tuple[int, int]:
    """How many rows there are of a user and of its workouts."""
    with leaver.database.connection() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM users WHERE id = %(id)s) AS users,"
            " (SELECT count(*) FROM workouts WHERE user_id = %(id)s) AS workouts",
            {"id": leaver.user_id},
        ).fetchone()
    assert row is not None
    return row["users"], row["workouts"]


def test_the_rides_of_a_deleted_user_are_purged_whatever_state_they_are_in(
    leaver: Workouts, workouts: Workouts, sweeper: Sweeper, redis_client: Redis
) -> None:
    states = ("ACTIVE", "PAUSED", "PROCESSING", "COMPLETED", "ARCHIVED", "DELETED", "FAILED")
    rides = [leaver.start(status) for status in states]
    kept = workouts.start()
    for ride in (*rides, kept):
        workouts.send(ride, steady(60, power=200))
    delete_account(leaver)
    sweeper.sweep()
    assert left_of(leaver) == (0, 0)
    for ride in rides:
        assert not redis_client.exists(samples_key(ride))
        assert redis_client.get(sealed_key(ride)) == SEALED_DELETED
    assert workouts.status(kept) == "ACTIVE"
    assert workouts.waiting(kept) == 1


def test_a_user_with_very_many_rides_is_purged_in_portions(
    leaver: Workouts, sweeper: Sweeper
) -> None:
    with leaver.database.connection() as connection:
        many = "INSERT INTO workouts (user_id) SELECT %s FROM generate_series(1, 1200)"
        connection.execute(many, [leaver.user_id])
    delete_account(leaver)
    left = []
    for _ in range(3):
        sweeper.sweep()
        left.append(left_of(leaver))
    assert left == [(1, 700), (1, 200), (0, 0)]


def test_a_ride_that_is_being_folded_is_purged_once_the_fold_has_ended(
    leaver: Workouts, sweeper: Sweeper, database: Database, redis_client: Redis
) -> None:
    folding, other = leaver.start("PROCESSING"), leaver.start()
    leaver.send(folding, steady(60, power=200))
    delete_account(leaver)
    with database.connection() as connection:
        lock_workout(connection, folding)
        sweeper.sweep()  # does not wait for it
        assert leaver.waiting(folding) == 1
    assert left_of(leaver) == (1, 1)
    with pytest.raises(AssertionError):
        leaver.row(other)
    fold(database, redis_client, folding)
    assert leaver.status(folding) == "COMPLETED"
    leaver.send(folding, steady(60, begin=60, power=200))
    sweeper.sweep()
    assert left_of(leaver) == (0, 0)
    assert leaver.waiting(folding) == 0
    assert not fold(database, redis_client, folding)  # an event that comes later finds nothing


def test_a_dead_letter_goes_with_its_deleted_user(
    leaver: Workouts, sweeper: Sweeper, database: Database, redis_client: Redis
) -> None:
    workout = leaver.start()
    event: dict[bytes, bytes] = {b"kind": b"fold", b"workout": str(workout).encode()}
    letter = letter_about(Delivery(Queue.PROMPT, b"1-1", event, 5), ValueError("poison"))
    FoldJob(database, redis_client).give_up(letter)
    assert len(leaver.dead_letters(workout)) == 1
    delete_account(leaver)
    sweeper.sweep()
    assert leaver.dead_letters(workout) == []
    assert left_of(leaver) == (0, 0)


def test_a_deleted_user_is_kept_while_a_process_may_remember_the_keys(
    leaver: Workouts, sweeper: Sweeper
) -> None:
    leaver.start()
    delete_account(leaver, seconds_ago=1.9 * HOUR)
    sweeper.sweep()
    assert left_of(leaver) == (1, 1)


def test_what_was_answered_to_an_idempotency_key_is_deleted_after_a_day(
    sweeper: Sweeper, database: Database, settings: Settings
) -> None:
    account = create_account(settings.database_url, f"{uuid4()}@example.com", "test")
    with database.connection() as connection:
        for hours in (23, 25):
            connection.execute(
                "INSERT INTO idempotency_keys (hash, user_id, fingerprint, answer, created_at)"
                " VALUES (%s, %s, %s, '', now() - make_interval(hours => %s))",
                [uuid4().bytes * 2, account.user_id, bytes(32), hours],
            )
    sweeper.sweep()
    with database.connection() as connection:
        kept = connection.execute(
            "SELECT extract(hour FROM now() - created_at)::int AS hours FROM idempotency_keys"
            " WHERE user_id = %s",
            [account.user_id],
        ).fetchall()
    assert kept == [{"hours": 23}]


def test_what_has_ended_of_apps_is_deleted_a_day_later(
    sweeper: Sweeper, database: Database, settings: Settings
) -> None:
    account = create_account(settings.database_url, f"{uuid4()}@example.com", "test")

    def let_in(name: str, **columns: str | None) -> None:
        """One app, let in by a grant with these SQL intervals from now, with a token."""
        moments = {"code_expires_at": "0", "code_used_at": "0", "revoked_at": None, **columns}
        own = {"used_at": moments.pop("token_used_at", None)}
        with database.connection() as connection:
            connection.execute(
                """
                WITH app AS (
                    INSERT INTO apps (user_id, name, redirect_uris)
                    VALUES (%(user)s, %(name)s, '{https://app.example}') RETURNING id
                ), let_in AS (
                    INSERT INTO app_grants (app_id, user_id, scopes, code_hash, code_challenge,
                        code_expires_at, code_used_at, revoked_at)
                    SELECT id, %(user)s, '{read}', sha256(id::text::bytea), 'x',
                        now() + %(code_expires_at)s::interval, now() + %(code_used_at)s::interval,
                        now() + %(revoked_at)s::interval
                    FROM app RETURNING id
                ), token AS (
                    INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at, grant_id)
                    SELECT left(id::text, 16), %(user)s, sha256(id::text::bytea), %(name)s,
                        '{read}', now() - interval '23 hours', id
                    FROM let_in
                )
                INSERT INTO app_refresh_tokens (hash, grant_id, expires_at, used_at)
                SELECT sha256(id::text::bytea), id, now() + interval '1 day',
                    now() + %(used_at)s::interval
                FROM let_in
                """,
                {"user": account.user_id, "name": name, **moments, **own},
            )

    let_in("is used")
    let_in("was revoked", revoked_at="-25 hours")
    let_in("was revoked just now", revoked_at="-23 hours")
    let_in("was never used", code_used_at=None, code_expires_at="-25 hours")
    let_in("has no token left", code_used_at="-25 hours", token_used_at="-31 days")
    sweeper.sweep()

    def names(query: str) -> set[str]:
        with database.connection() as connection:
            rows = connection.execute(query.encode(), [account.user_id]).fetchall()
            return {row["name"] for row in rows}

    left = {"is used", "was revoked just now"}
    granted = "SELECT name FROM app_grants JOIN apps ON apps.id = app_id WHERE apps.user_id = %s"
    assert names(granted) == left
    kept = "SELECT name FROM api_keys WHERE grant_id IS NOT NULL AND user_id = %s"
    assert names(kept) == left
    with database.connection() as connection:
        late = "UPDATE api_keys SET expires_at = expires_at - interval '2 hours' WHERE user_id = %s"
        connection.execute(late, [account.user_id])
    sweeper.sweep()
    assert names(kept) == set()
    assert names(granted) == left


def test_the_append_only_file_is_written_anew_once_in_each_run_of_redis(
    database: Database, redis_client: Redis, settings: Settings
) -> None:
    """A loss of power may have left the beginning of a block in it."""

    def rewrites() -> int:
        told: int = redis_client.info("persistence")["aof_rewrites"]
        return told

    def is_idle() -> bool:
        told = redis_client.info("persistence")
        return not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])

    eventually(is_idle)
    redis_client.delete(REWRITTEN)
    before = rewrites()
    for _ in range(3):
        Sweeper(database, redis_client, settings).sweep()
    eventually(is_idle)
    assert rewrites() == before + 1
    redis_client.set(REWRITTEN, "the run before")
    Sweeper(database, redis_client, settings).sweep()
    eventually(lambda: is_idle() and rewrites() == before + 2)


def test_what_was_told_a_month_ago_is_deleted(
    workouts: Workouts, sweeper: Sweeper, database: Database
) -> None:
    """What waits stays, as long as its webhook is not disabled."""
    webhooks = Webhooks(database)
    webhook, disabled = webhooks.add(workouts.user_id), webhooks.add(workouts.user_id)
    webhooks.run("UPDATE webhooks SET disabled_at = now() WHERE id = %s", [disabled])
    ride = workouts.start()
    told = [webhooks.tell(each, ride) for each in (webhook, webhook, webhook, webhook, disabled)]
    aged = (
        "UPDATE webhook_deliveries SET status = %s, created_at = now() - %s::interval WHERE id = %s"
    )
    for delivery, status, age in zip(
        told,
        ("delivered", "failed", "waiting", "delivered", "waiting"),
        ("31 days", "31 days", "31 days", "29 days", "31 days"),
        strict=True,
    ):
        webhooks.run(aged, [status, age, delivery])
    sweeper.sweep()
    assert [row["id"] for row in webhooks.deliveries(webhook)] == told[2:4]
    assert webhooks.deliveries(disabled) == []


def test_streams_of_events_by_their_former_names_go_once_no_older_worker_reads_them(
    database: Database, redis_client: Redis, settings: Settings
) -> None:
    for former in FORMER_QUEUES:
        redis_client.xadd(former, {"kind": "fold"})
    busy = FORMER_QUEUES[0]
    redis_client.xgroup_create(busy, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "older", {busy: ">"}, count=1)
    Sweeper(database, redis_client, settings).sweep()
    assert [former for former in FORMER_QUEUES if redis_client.exists(former)] == [busy]
    eventually(lambda: _sweeps_away(database, redis_client, settings, busy))


def test_rides_due_under_the_former_name_are_taken_over(
    database: Database, redis_client: Redis, settings: Settings
) -> None:
    ride, other = str(uuid4()), str(uuid4())
    redis_client.zadd(FORMER_DUE, {ride: 17, other: 18})
    redis_client.zadd(DUE, {other: 4})
    for key in FORMER_KEYS:
        redis_client.set(key, 1)
    sweeper = Sweeper(database, redis_client, settings)
    redis_client.config_set("maxmemory", 1)
    sweeper.sweep()
    redis_client.config_set("maxmemory", 0)
    assert redis_client.zcard(FORMER_DUE) == 2
    sweeper.sweep()
    assert redis_client.zrange(DUE, 0, -1, withscores=True) == [
        (other.encode(), 4),
        (ride.encode(), 17),
    ]
    assert not redis_client.exists(FORMER_DUE)
    assert all(0 < redis_client.ttl(key) <= 3600 for key in FORMER_KEYS)


def _sweeps_away(database: Database, client: Redis, settings: Settings, former: str) -> bool:
    Sweeper(database, client, settings, dead_after=0).sweep()
    return not client.exists(former)
