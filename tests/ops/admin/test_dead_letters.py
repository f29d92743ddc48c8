"""`make dead-letters` and `make replay`: what was given up, and its second chance."""

import re
from contextlib import nullcontext
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from ops.admin import dead_letters
from ops.processes import ProcessFailed
from shared.connections import Database, Redis, Row, open_redis
from shared.redis_keys import BATCH_FIELD, FAILING, Queue, samples_key
from shared.settings import Settings, read_settings
from tests.conftest import Rider, run_ops
from tests.redis_settings import configured
from tests.worker.waiting import eventually

T0 = 1_700_000_000_000


@pytest.fixture
def served(urls: dict[str, str]) -> Settings:
    """The settings of the service under test, whose breaker has seen nothing yet."""
    settings = read_settings(urls)
    with open_redis(settings) as redis:
        redis.delete(FAILING)
    return settings


def spoil(redis: Redis, workout: str) -> bytes:
    """A batch that cannot be read; its entry id."""
    entry = redis.xadd(samples_key(UUID(workout)), {BATCH_FIELD: b"\xffgarbage"})
    redis.xadd(Queue.PROMPT, {"kind": "fold", "workout": workout})
    assert isinstance(entry, bytes)
    return entry


def letters_of(database_url: str, workout: str) -> list[Row]:
    found = dead_letters.read_letters(database_url)
    return [letter for letter in found if str(letter["workout_id"]) == workout]


def upload(rider: Rider, workout: str) -> None:
    answer = rider.upload(workout, [{"timestamp": T0 + 1000 * s, "power": 200} for s in range(60)])
    assert answer.status_code == 202


def mend(redis: Redis, workout: str, entry: bytes) -> None:
    redis.xdel(samples_key(UUID(workout)), entry)


@pytest.mark.parametrize("complete", [True, False])
def test_a_replayed_ride_ends_as_if_nothing_had_been(
    rider: Rider, served: Settings, database_url: str, complete: bool
) -> None:
    workout = rider.start()
    upload(rider, workout)
    with open_redis(served) as redis:
        entry = spoil(redis, workout)
        eventually(lambda: rider.workout(workout)["status"] == "FAILED")
        upload(rider, workout)  # accepted and kept
        (letter,) = letters_of(database_url, workout)
        mend(redis, workout, entry)
        assert dead_letters.replay(served, letter["id"]) == 1
    eventually(lambda: rider.workout(workout)["summary"] is not None)
    assert rider.workout(workout)["status"] == "ACTIVE"
    if complete:
        assert rider.complete(workout)["summary"]["sampleCount"] == 60
    assert letters_of(database_url, workout) == []


def test_a_ride_that_was_over_is_completed_by_its_replay(
    rider: Rider, served: Settings, database_url: str
) -> None:
    workout = rider.start()
    upload(rider, workout)
    with open_redis(served) as redis:
        entry = redis.xadd(samples_key(UUID(workout)), {BATCH_FIELD: b"\xffgarbage"})
        assert isinstance(entry, bytes)
        assert rider.complete(workout)["status"] == "FAILED"
        mend(redis, workout, entry)
        (letter,) = letters_of(database_url, workout)
        dead_letters.replay(served, letter["id"])
    eventually(lambda: rider.workout(workout)["status"] == "COMPLETED")
    assert rider.workout(workout)["summary"]["avgPower"] == 200


def test_what_still_fails_is_given_up_again(
    rider: Rider, served: Settings, database_url: str
) -> None:
    workout = rider.start()
    with open_redis(served) as redis:
        spoil(redis, workout)
    eventually(lambda: letters_of(database_url, workout) != [])
    (first,) = letters_of(database_url, workout)
    dead_letters.replay(served, first["id"])
    eventually(lambda: letters_of(database_url, workout) != [])
    (second,) = letters_of(database_url, workout)
    assert second["id"] > first["id"]
    with pytest.raises(ProcessFailed, match=f"no dead letter {first['id']} waits"):
        dead_letters.replay(served, first["id"])


def test_the_commands_say_what_failed_and_give_it_back(
    rider: Rider, served: Settings, urls: dict[str, str], database: Database, tmp_path: Path
) -> None:
    workout = rider.start()
    with open_redis(served) as redis:
        entry = spoil(redis, workout)
        eventually(lambda: letters_of(urls["DATABASE_URL"], workout) != [])
        (letter,) = letters_of(urls["DATABASE_URL"], workout)

        def ops(*arguments: str, **variables: str) -> str:
            done = run_ops(*arguments, data_dir=tmp_path, **urls, **variables)
            return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"

        listed = ops("dead-letters")
        heading = re.compile(rf"^{letter['id']}  ", re.MULTILINE)  # 16 is not 6
        assert heading.search(listed)
        assert f"workout {workout} of {rider.account.email}, FAILED" in listed
        assert "given up at delivery 1" in listed
        assert "    what is stored cannot be read: " in listed
        assert "Traceback" not in listed
        assert "Traceback (most recent call last)" in ops("dead-letters", ID=str(letter["id"]))
        assert "there is no dead letter 999999" in ops("dead-letters", ID="999999")
        assert "say ID=" in ops("replay")
        assert "no dead letter 999999 waits" in ops("replay", ID="999999")
        mend(redis, workout, entry)
        assert ops("replay", ALL="1").startswith("given back to the workers: ")
    assert not heading.search(ops("dead-letters"))
    assert rider.complete(workout)["status"] == "COMPLETED"


def test_a_ride_deleted_meanwhile_is_not_brought_back(
    rider: Rider, served: Settings, database_url: str, database: Database
) -> None:
    workout = rider.start()
    with open_redis(served) as redis:
        spoil(redis, workout)
    eventually(lambda: letters_of(database_url, workout) != [])
    (letter,) = letters_of(database_url, workout)
    assert rider.client.delete(f"/api/workouts/{workout}").status_code == 200
    dead_letters.replay(served, letter["id"])
    with database.connection() as connection:
        row = connection.execute("SELECT status FROM workouts WHERE id = %s", [workout]).fetchone()
    assert row == {"status": "DELETED"}


def test_a_completed_ride_is_completed_again_with_its_late_samples(
    rider: Rider, served: Settings, database_url: str
) -> None:
    workout = rider.start()
    upload(rider, workout)
    assert rider.complete(workout)["status"] == "COMPLETED"
    with open_redis(served) as redis:
        entry = spoil(redis, workout)
        eventually(lambda: rider.workout(workout)["status"] == "FAILED")
        late = [{"timestamp": T0 + 1000 * s, "power": 300} for s in range(60, 120)]
        assert rider.upload(workout, late).status_code == 202
        mend(redis, workout, entry)
        redis.xtrim(Queue.PROMPT, 0)  # nothing but the replay asks for the fold
        (letter,) = letters_of(database_url, workout)
        dead_letters.replay(served, letter["id"])
    eventually(lambda: rider.workout(workout)["summary"]["sampleCount"] == 120)
    assert rider.workout(workout)["status"] == "COMPLETED"


@pytest.mark.parametrize("fault", ["away", "full"])
def test_a_replay_that_redis_does_not_take_leaves_the_letters_waiting(
    rider: Rider, served: Settings, database_url: str, tmp_path: Path, fault: str
) -> None:
    workout = rider.start()
    with open_redis(served) as redis:
        spoil(redis, workout)
        eventually(lambda: letters_of(database_url, workout) != [])
        (letter,) = letters_of(database_url, workout)
        settings = served
        if fault == "away":
            settings = msgspec.structs.replace(served, redis_url=f"unix://{tmp_path}/none.sock")
        full = configured(redis, "maxmemory", "1") if fault == "full" else nullcontext()
        with full, pytest.raises(ProcessFailed, match="Redis takes no events"):
            dead_letters.replay(settings, letter["id"])
    assert [each["id"] for each in letters_of(database_url, workout)] == [letter["id"]]
    assert not dead_letters.consumption_is_paused(settings)


def test_an_event_of_no_workout_is_given_back_as_it_was(
    served: Settings, database_url: str, service: str
) -> None:
    def found() -> list[Row]:
        return [
            letter
            for letter in dead_letters.read_letters(database_url)
            if letter["event"].get("song") == "replayed"
        ]

    with open_redis(served) as redis:
        redis.xadd(Queue.PROMPT, {"kind": "", "song": "replayed"})
    eventually(lambda: len(found()) == 1)
    (letter,) = found()
    assert letter["workout_id"] is None
    assert "an event of no workout" in dead_letters.summarize([letter])
    dead_letters.replay(served, letter["id"])
    eventually(lambda: [each["id"] for each in found()] not in ([], [letter["id"]]))
